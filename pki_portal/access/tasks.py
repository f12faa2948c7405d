"""Background work on logins: what has run out is deleted at night."""

from datetime import datetime, time, timedelta
from importlib import import_module

from django.conf import settings

from pki_portal.access.login_throttle import KEPT
from pki_portal.access.models import AccessToken, LoginFailure
from pki_portal.background.schedule import Job, Nightly, register_job
from pki_portal.background.work import delete_in_batches

# A client whose token has just run out is told so by its hash for a while yet; nobody needs it longer.
TOKENS_KEPT = timedelta(days=1)


def delete_access_tokens(now: datetime) -> None:
    """Delete access tokens that ran out more than a day ago."""
    delete_in_batches(AccessToken.objects.filter(expires_at__lt=now - TOKENS_KEPT))


def delete_login_failures(now: datetime) -> None:
    """Delete counts of failed logins whose last one is old enough to slow nobody down."""
    delete_in_batches(LoginFailure.objects.filter(last_failed_at__lt=now - KEPT))


def clear_sessions(now: datetime) -> None:
    """Delete the sessions of people that have run out."""
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()


def register_jobs() -> None:
    """Called once, when Django is ready."""
    register_job(Job("delete-access-tokens", Nightly(time(1, 10)), delete_access_tokens))
    register_job(Job("delete-login-failures", Nightly(time(1, 20)), delete_login_failures))
    register_job(Job("clear-sessions", Nightly(time(1, 30)), clear_sessions))
