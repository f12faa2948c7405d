"""What the journal holds of an act, when, and that nothing is signed or revoked that it does not hold."""

from base64 import b64decode
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from django.db import OperationalError
from django.utils import timezone
from pytest_django import Settings

from certificates.models import AuthorityKey, Certificate, CertificateAuthority, CertificateRequest, OcspResponder
from certificates.models.authority import AuthorityStatus
from certificates.models.certificate import CertificateStatus, RevocationReason
from certificates.services import signing
from certificates.services.authorities import delete_authority, update_authority
from certificates.services.journal import certificates_stored
from certificates.services.responders import responder_for
from certificates.services.revocation import release_hold, revoke_certificate
from certificates.x509 import tbs
from pki_portal import journal
from pki_portal.audit.models import AuditEvent
from pki_portal.errors import Conflict, Invalid, Unavailable
from profiles.models import CertificateProfile
from tests.factories import SYSTEM, make_authority, make_project
from tests.pages import make_issued
from tests.scenery import make_issuing_profile

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(settings: Settings, tmp_path: Path) -> Path:
    settings.PKI_PORTAL_JOURNAL = tmp_path / "journal"
    return tmp_path / "journal"


@pytest.fixture
def profile() -> CertificateProfile:
    return make_issuing_profile(make_project())


def entries(*kinds: str) -> list[dict[str, Any]]:
    lines = list(journal.read())
    assert all(line.damage is None for line in lines)
    return [line.entry for line in lines if line.entry is not None and line.entry["kind"] in kinds]


@pytest.fixture
def unwritable(folder: Path, profile: CertificateProfile) -> Iterator[None]:
    """The journal stops to be written once there are a CA and a profile."""
    kept = folder.with_name("kept")
    folder.rename(kept)
    folder.write_text("no folder")
    yield
    folder.unlink()
    kept.rename(folder)


def test_a_certificate_is_announced_before_and_told_after_its_signature(
    profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[dict[str, Any]]] = []

    def looking(*arguments: Any) -> x509.Certificate:
        seen.append(entries("sign", "signed"))
        return tbs.sign(*arguments)

    before = len(entries("sign", "signed"))
    monkeypatch.setattr(signing, "sign", looking)
    issued = make_issued(profile)

    assert [[entry["kind"] for entry in told[before:]] for told in seen] == [["sign"]]
    announced, told = entries("sign", "signed")[before:]
    certificate = x509.load_der_x509_certificate(bytes(issued.der))
    assert b64decode(announced["tbs"]) == certificate.tbs_certificate_bytes
    assert announced["issuer"] == str(issued.authority_certificate_id)
    assert announced["key"] == str(issued.authority_certificate.key_id)  # type: ignore[union-attr]
    assert announced["serial"] == issued.serial_number
    assert (announced["project"], announced["profile"]) == (str(profile.project_id), str(profile.pk))
    assert announced["requester"] == {"kind": "system", "id": "", "name": "tests"}
    assert told["of"] == announced["id"]
    assert b64decode(told["der"]) == bytes(issued.der)
    request, row = told["rows"]
    assert (request["model"], request["values"]["id"]) == ("certificates.certificaterequest", str(issued.request_id))
    assert (row["model"], row["values"]["id"]) == ("certificates.certificate", str(issued.pk))
    assert "der" not in row["values"]


def test_a_ca_is_told_with_its_sealed_key_and_its_certificates(folder: Path) -> None:
    root = make_authority(make_project())

    [announced] = entries("sign")
    [told] = entries("authority")
    [crl] = entries("crl")
    models = [row["model"].removeprefix("certificates.") for row in told["rows"]]
    assert models == [
        "access.project",
        "certificateauthority",
        "authoritykey",
        "authoritycertificate",
        "certificaterevocationlist",
    ]
    values = {row["model"]: row["values"] for row in told["rows"]}
    key = AuthorityKey.objects.get(authority=root)
    assert b64decode(values["certificates.authoritykey"]["sealed_private_key"]) == bytes(key.sealed_private_key or b"")
    version = values["certificates.authoritycertificate"]
    certificate = x509.load_der_x509_certificate(b64decode(version["der"]))
    assert b64decode(announced["tbs"]) == certificate.tbs_certificate_bytes
    assert announced["issuer"] is None
    assert crl["list"] == str(key.revocation_list.pk)
    assert crl["number"] == key.revocation_list.number


def test_each_act_on_a_ca_tells_how_it_stands_then() -> None:
    root = make_authority(make_project())
    update_authority(requester=SYSTEM, authority=root, status=AuthorityStatus.DISABLED)

    told = entries("authority")
    assert [row["values"]["status"] for entry in told for row in entry["rows"] if "status" in row["values"]] == [
        "active",
        "disabled",
    ]

    delete_authority(requester=SYSTEM, authority=root)
    assert [entry["authority"] for entry in entries("authority-deleted")] == [told[0]["authority"]]


def test_no_private_key_of_a_certificate_is_in_it(folder: Path, profile: CertificateProfile) -> None:
    profile.key_retention = "escrow"
    profile.save(update_fields=["key_retention"])
    issued = make_issued(CertificateProfile.objects.get(pk=profile.pk))

    assert issued.secret.sealed_private_key
    assert "certificates.certificatesecret" not in {row["model"] for each in entries("signed") for row in each["rows"]}


def test_an_ocsp_responder_is_announced_and_told(profile: CertificateProfile) -> None:
    authority = profile.certificate_authority
    assert authority is not None
    assert authority.active_certificate is not None
    responder_for(authority.active_certificate, now=timezone.now())

    told = entries("signed")[-1]
    row = OcspResponder.objects.get()
    assert b64decode(told["der"]) == bytes(row.der)
    assert told["rows"][0]["values"]["id"] == str(row.pk)
    assert "sealed_private_key" not in told["rows"][0]["values"]


def test_revocations_holds_and_releases_are_told(profile: CertificateProfile) -> None:
    issued = make_issued(profile)
    revoke_certificate(requester=SYSTEM, certificate=issued, reason=RevocationReason.CERTIFICATE_HOLD)
    release_hold(requester=SYSTEM, certificate=issued)
    revoke_certificate(requester=SYSTEM, certificate=issued, reason=RevocationReason.KEY_COMPROMISE)

    hold, release, revocation = entries("revoke", "release")
    assert [entry[:2] for entry in hold["entries"]] == [[str(issued.pk), issued.serial_number]]
    assert (hold["reason"], revocation["reason"]) == (6, 1)
    assert release["serial"] == issued.serial_number
    assert hold["revision"] < release["revision"] < revocation["revision"]


@pytest.mark.usefixtures("unwritable")
def test_nothing_is_signed_where_it_cannot_be_announced(
    profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing, "sign", lambda *_: pytest.fail("it was signed"))

    with pytest.raises(Unavailable, match=r"journal .* cannot be written"):
        make_issued(profile)

    assert not Certificate.objects.exists()
    assert AuditEvent.objects.filter(outcome="refused", event="issue-certificate-from-profile").count() == 1


@pytest.mark.usefixtures("unwritable")
def test_no_ca_is_made_where_it_cannot_be_announced(profile: CertificateProfile) -> None:
    with pytest.raises(Unavailable, match=r"journal .* cannot be written"):
        make_authority(profile.project, name="another")

    assert not CertificateAuthority.objects.filter(name="another").exists()


def test_nothing_is_revoked_where_it_cannot_be_told(folder: Path, profile: CertificateProfile) -> None:
    issued = make_issued(profile)
    folder.rename(folder.with_name("kept"))
    folder.write_text("no folder")

    with pytest.raises(Unavailable, match=r"journal .* cannot be written"):
        revoke_certificate(requester=SYSTEM, certificate=issued, reason=RevocationReason.SUPERSEDED)

    issued.refresh_from_db()
    assert issued.status == CertificateStatus.ACTIVE


def test_what_was_not_signed_is_told_to_be_undone(profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    def dead(*_: Any) -> x509.Certificate:
        raise Unavailable("the token does not answer")

    monkeypatch.setattr(signing, "sign", dead)
    with pytest.raises(Unavailable, match="token"):
        make_issued(profile)

    announced, undone = entries("sign", "signed", "undone")[-2:]
    assert undone["of"] == undone["unsigned"] == [announced["id"]]


def test_what_was_signed_and_not_stored_is_told_to_be_undone(
    profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone_then(rows: Any) -> None:
        certificates_stored(rows)
        raise OperationalError("the database is gone")

    with monkeypatch.context() as patched:
        patched.setattr("certificates.services.issuance.certificates_stored", gone_then)
        with pytest.raises(OperationalError):
            make_issued(profile)

    announced, told, undone = entries("sign", "signed", "undone")[-3:]
    assert undone["of"] == [announced["id"], told["id"]]
    assert undone["unsigned"] == []
    assert not CertificateRequest.objects.filter(status="issued").exists()


def test_what_a_refusal_after_the_signature_threw_away_counts_for_nothing(
    profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has seen it: nothing is to be put on hold."""

    def changed(*_: Any, **__: Any) -> None:
        raise Conflict("the rules were changed")

    with monkeypatch.context() as patched:
        patched.setattr("certificates.services.issuance.require_unchanged", changed)
        with pytest.raises(Conflict):
            make_issued(profile)

    announced, undone = entries("sign", "signed", "undone")[-2:]
    assert undone["unsigned"] == [announced["id"]]


def test_a_refusal_by_rules_leaves_no_line(profile: CertificateProfile) -> None:
    before = sum(1 for _ in journal.read())

    with pytest.raises(Invalid):
        make_issued(profile, life=timedelta(days=400))

    assert sum(1 for _ in journal.read()) == before
