"""Back up, issue two hundred more, restore the backup, reconcile: nothing that anybody was told is lost."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from django.core.management import call_command
from django.utils import timezone

from certificates.keystore.database import forget_keys
from certificates.models import Certificate, CertificateRevocationList
from certificates.models.certificate import CertificateStatus, RevocationReason
from certificates.querysets import CertificateFilters
from certificates.services.crl import current_crl, document_of
from certificates.services.revocation import preview_revocation, revoke_certificate, revoke_selected
from tests.factories import SYSTEM, make_project
from tests.pages import make_issued
from tests.scenery import make_issuing_profile

pytestmark = pytest.mark.django_db(transaction=True)

LOST = 200
REASON = RevocationReason.SUPERSEDED


def run(*command: str) -> str:
    out = StringIO()
    call_command(*command, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_two_hundred_certificates_survive_the_restoration_of_an_older_backup(tmp_path: Path) -> None:
    profile = make_issuing_profile(make_project())
    kept = make_issued(profile, "kept.acme.com")
    run("backup", str(tmp_path / "backup"))
    issued = {each.pk: bytes(each.der) for each in (make_issued(profile, f"{n}.acme.com") for n in range(LOST))}
    for pk in (kept.pk, *list(issued)[:10]):
        revoke_certificate(requester=SYSTEM, certificate=Certificate.objects.get(pk=pk), reason=REASON)
    published = CertificateRevocationList.objects.get()
    assert published.entry_count == 11

    told = run("restore", str(tmp_path / "backup"), "--force")
    forget_keys()

    assert "1 of them certificates" in told
    assert Certificate.objects.count() == 1
    assert Certificate.objects.get().status == CertificateStatus.ACTIVE

    told = run("reconcile")

    assert f"mended: {LOST} certificates, 11 revocations, 1 CRL numbers." in told
    again = {pk: bytes(der) for pk, der in Certificate.objects.exclude(pk=kept.pk).values_list("pk", "der")}
    assert again == issued
    assert Certificate.objects.filter(status=CertificateStatus.REVOKED).count() == 11
    served = document_of(current_crl(crl_id=published.pk, now=timezone.now()))
    assert served.number > (published.number or 0)
    assert len(x509.load_der_x509_crl(served.der)) == 11
    assert "No findings in 201 certificates" in run("check_certificates")

    all_of_them: Any = {"requester": SYSTEM, "project": profile.project, "filters": CertificateFilters()}
    left = preview_revocation(**all_of_them)
    revoke_selected(**all_of_them, reason=REASON, count=left.count, digest=left.digest)
    assert len(x509.load_der_x509_crl(document_of(current_crl(crl_id=published.pk, now=timezone.now())).der)) == 201
    assert "mended: nothing." in run("reconcile")
