"""What a WSGI server loads."""

import gc
import os
from importlib import import_module

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from pki_portal import slow_work

os.umask(0o077)  # SQLite makes files beside the database while it serves
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pki_portal.settings")

application = get_wsgi_application()
slow_work.limit_to(max(1, settings.WEB_CONCURRENCY - 1))

# What is loaded stays: looking through its two hundred thousand objects for garbage held a request up by a tenth of a
# second, now and then. Addresses would be loaded by the first request.
import_module(settings.ROOT_URLCONF)
gc.collect()
gc.freeze()
