"""What a WSGI server loads."""

import os

from django.core.wsgi import get_wsgi_application

os.umask(0o077)  # SQLite makes files beside the database while it serves
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pki_portal.settings")

application = get_wsgi_application()
