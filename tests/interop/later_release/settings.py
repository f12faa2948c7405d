"""Those of the portal, with the application that brings the migration."""

from pki_portal.settings import *  # noqa: F403 - what they are for
from pki_portal.settings import INSTALLED_APPS as APPS_BEFORE

INSTALLED_APPS = [*APPS_BEFORE, "tests.interop.later_release"]
