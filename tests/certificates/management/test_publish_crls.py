"""`manage.py publish_crls`: what a timer calls."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from certificates.keystore.database import forget_keys
from certificates.models import AuthorityKey, CertificateRevocationList
from tests.factories import make_authority, make_project

pytestmark = pytest.mark.django_db


def run() -> str:
    out = StringIO()
    call_command("publish_crls", stdout=out, stderr=out)
    return out.getvalue()


def test_nothing_is_due() -> None:
    make_authority(make_project())
    assert run() == "0 CRLs published.\n"


def test_a_stale_list_is_published() -> None:
    make_authority(make_project())
    CertificateRevocationList.objects.update(revision=1)
    assert run().endswith("1 CRLs published.\n")
    assert CertificateRevocationList.objects.get().published_revision == 1


def test_one_that_fails_is_told_and_the_others_are_published() -> None:
    broken, good = (make_authority(make_project()) for _ in range(2))
    AuthorityKey.objects.filter(authority=broken).update(sealed_private_key=b"\x01nonsense")
    forget_keys()
    CertificateRevocationList.objects.update(revision=1)
    with pytest.raises(CommandError, match="1 CRLs could not be published, 1 were"):
        run()
    assert CertificateRevocationList.objects.get(key__authority=good).published_revision == 1
