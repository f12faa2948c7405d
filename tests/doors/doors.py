"""The three doors to a certificate, as tests go through them."""

from io import StringIO
from typing import Any

from django.core.management import call_command
from django.test import Client

from pki_portal.access.models import Role
from tests.factories import make_user
from tests.wire import CERTIFICATES, Pki, make_client, post_json


def by_api(pki: Pki, body: dict[str, Any], *, role: str = Role.ADMIN) -> Any:
    """POST ``body`` for the profile, by robot."""
    return post_json(make_client(pki.project, role=role), CERTIFICATES, {"profileId": str(pki.profile.pk)} | body)


def by_page(pki: Pki, form: dict[str, Any], *, role: str = Role.ADMIN) -> Any:
    """Send the Issue form for the profile, by alice."""
    alice = Client()
    alice.force_login(make_user("alice", project=pki.project, role=role))
    sent = {"profile": str(pki.profile.pk), "token": "a-token-of-the-form"} | form
    return alice.post(f"/projects/{pki.project.slug}/certificates/issue/", sent)


def by_command(pki: Pki, *arguments: str) -> None:
    """Run ``manage.py issue`` for the profile."""
    call_command(
        "issue", "--project", pki.project.slug, "--profile", pki.profile.slug, *arguments,
        stdout=StringIO(), stderr=StringIO(),
    )  # fmt: skip
