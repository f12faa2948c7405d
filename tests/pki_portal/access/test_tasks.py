"""What has run out is deleted at night, and nothing that has not."""

from datetime import timedelta

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.utils import timezone

from pki_portal.access import tasks
from pki_portal.access.models import AccessToken, LoginFailure
from tests.factories import make_identity, make_token

pytestmark = pytest.mark.django_db


def test_access_tokens_go_a_day_after_their_end() -> None:
    identity, _, _ = make_identity()
    make_token(identity)
    token = AccessToken.objects.get()
    tasks.delete_access_tokens(token.expires_at + timedelta(hours=23))
    assert AccessToken.objects.filter(pk=token.pk).exists()
    tasks.delete_access_tokens(token.expires_at + timedelta(hours=25))
    assert not AccessToken.objects.exists()


def test_counts_of_failed_logins_go_after_a_day() -> None:
    now = timezone.now()
    for age in (23, 25):
        LoginFailure.objects.create(key=str(age), failures=1, last_failed_at=now - timedelta(hours=age))
    tasks.delete_login_failures(now)
    assert list(LoginFailure.objects.values_list("key", flat=True)) == ["23"]


def test_sessions_go_when_they_have_run_out() -> None:
    for seconds in (-1, 3600):
        session = SessionStore()
        session.set_expiry(seconds)
        session["age"] = seconds
        session.save()
    tasks.clear_sessions(timezone.now())
    assert [Session.objects.get().get_decoded()["age"]] == [3600]
