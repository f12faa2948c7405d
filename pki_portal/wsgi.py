"""What a WSGI server loads."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from pki_portal import slow_work

os.umask(0o077)  # SQLite makes files beside the database while it serves
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pki_portal.settings")

application = get_wsgi_application()
slow_work.limit_to(max(1, settings.WEB_CONCURRENCY - 1))
