"""The portal's settings, and the slow application."""

from pki_portal.settings import *  # noqa: F403
from pki_portal.settings import INSTALLED_APPS as APPS

INSTALLED_APPS = [*APPS, "tests.pki_portal.background.slow.apps.SlowConfig"]
