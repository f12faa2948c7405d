"""Certificates from elsewhere: every form that people have, each once in a project, and nothing hostile gets in."""

import secrets
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.hazmat.primitives.serialization.pkcs7 import serialize_certificates
from cryptography.hazmat.primitives.serialization.pkcs12 import (
    PKCS12Certificate,
    serialize_java_truststore,
    serialize_key_and_certificates,
)
from django.core.management import call_command
from django.db import IntegrityError, transaction

from certificates.alerts.models import AlertKind, AlertRule
from certificates.alerts.services.finding import find
from certificates.models import Certificate, CertificateSecret
from certificates.models.certificate import CertificateSource, RevocationReason
from certificates.services.importing import Import, Upload, import_certificates
from certificates.services.kept_keys import destroy_private_key, read_private_key
from certificates.services.retrieval import chain_pem, find_certificate
from certificates.services.revocation import revoke_certificate
from pki_portal.access.models import Project, Role
from pki_portal.audit.models import AuditEvent, Outcome
from pki_portal.errors import Invalid, Malformed, NotFound, PermissionDenied, PortalError
from tests.elsewhere import NOW, PASSWORD, Foreign, authorities, certify, foreign, named, pem_of
from tests.factories import SYSTEM, make_project, make_user, requester_for
from tests.pages import make_issued
from tests.scenery import make_issuing_profile

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


def imported(
    project: Project,
    content: bytes,
    *,
    chain: bytes = b"",
    private_key: bytes = b"",
    password: str = "",
    is_key_kept: bool = False,
    friendly_name: str = "",
) -> Import:
    upload = Upload(content=content, chain=chain, private_key=private_key, password=password)
    return import_certificates(
        requester=SYSTEM, project=project, upload=upload, is_key_kept=is_key_kept, friendly_name=friendly_name
    )


def forms(one: Foreign) -> dict[str, bytes]:
    everything = [*one.chain, one.certificate]
    return {
        "PEM": one.pem,
        "PEM in disorder": pem_of(*everything),
        "PEM with its key": one.key_pem + pem_of(*everything),
        "DER": one.certificate.public_bytes(Encoding.DER),
        "PKCS#7 in DER": serialize_certificates(everything, Encoding.DER),
        "PKCS#7 in PEM": serialize_certificates(everything, Encoding.PEM),
        "PKCS#12": one.pkcs12,
        "PKCS#12 without a key": serialize_java_truststore(
            [PKCS12Certificate(each, None) for each in everything], BestAvailableEncryption(PASSWORD.encode())
        ),
    }


@pytest.mark.parametrize("form", forms(foreign()))
def test_one_certificate_in_whatever_form_is_one_row(project: Project, form: str) -> None:
    one = foreign()
    done = imported(project, forms(one)[form], chain=pem_of(*one.chain), password=PASSWORD)

    row = Certificate.objects.get()
    assert [each.certificate for each in done.certificates] == [row]
    assert done.certificates[0].is_new
    assert bytes(row.der) == one.certificate.public_bytes(Encoding.DER)
    assert (row.source, row.key_source, row.request_id, row.authority_id) == ("imported", "imported", None, None)
    assert (row.common_name, row.alt_names, row.issuer_name) == ("www.other.test", "www.other.test", "CN=Other Issuing")
    assert chain_pem(row) + "\n" == pem_of(*one.chain).decode()
    assert not CertificateSecret.objects.exists()
    event = AuditEvent.objects.get(event="import-cert")
    assert (event.subject_id, event.data["serialNumber"]) == (str(row.pk), row.serial_number)


def test_every_certificate_that_issued_no_other_is_a_row_of_its_own(project: Project) -> None:
    first, second = foreign("one.other.test"), foreign("two.other.test")
    lonely = Foreign(certify(key := ec.generate_private_key(ec.SECP256R1()), named("alone"), named("alone"), key), key)
    done = imported(project, pem_of(*first.chain, second.certificate, lonely.certificate, first.certificate))
    assert [each.certificate.common_name for each in done.certificates] == ["two.other.test", "alone", "one.other.test"]
    chains = {row.common_name: chain_pem(row).encode() for row in Certificate.objects.all()}
    assert chains["one.other.test"] == chains["two.other.test"] == pem_of(*first.chain).strip()
    assert chains["alone"] == lonely.pem.strip()


def test_a_ca_alone_can_be_watched_and_its_root_is_its_chain(project: Project) -> None:
    issuing, root = authorities()
    imported(project, pem_of(root.certificate, issuing.certificate))
    row = Certificate.objects.get()
    assert (row.common_name, row.is_ca, chain_pem(row).encode()) == ("Other Issuing", True, root.pem.strip())


def test_the_same_again_answers_the_row_and_completes_it(project: Project) -> None:
    one = foreign()
    (first,) = imported(project, one.pem).certificates
    assert chain_pem(first.certificate) == ""
    (again,) = imported(project, one.pem).certificates
    assert (again.certificate, again.is_new, again.is_completed) == (first.certificate, False, False)
    (completed,) = imported(project, one.pkcs12, password=PASSWORD, is_key_kept=True, friendly_name="Shop").certificates
    assert (completed.is_new, completed.is_completed) == (False, True)
    row = Certificate.objects.get()
    assert chain_pem(row).encode() == pem_of(*one.chain).strip()
    assert row.friendly_name == "Shop"
    assert read_private_key(requester=SYSTEM, certificate=row, via="test").encode() == one.key_pem.strip()

    destroy_private_key(requester=SYSTEM, certificate=row)
    done = imported(project, one.pkcs12, password=PASSWORD, is_key_kept=True, friendly_name="Other")
    assert not done.certificates[0].is_completed
    assert done.notes == ("The private key was not kept: the certificate was here before.",)
    assert Certificate.objects.get().friendly_name == "Shop"


def test_what_the_project_issued_itself_stays_that(project: Project) -> None:
    issued = make_issued(make_issuing_profile(project))
    (again,) = imported(project, bytes(issued.der), chain=foreign().pem).certificates
    assert (again.certificate.pk, again.is_new, again.certificate.source) == (issued.pk, False, "issued")


def test_two_projects_have_the_same_certificate_and_know_nothing_of_each_other(project: Project) -> None:
    other = make_project()
    one = foreign()
    imported(other, one.pem, friendly_name="secret")
    (done,) = imported(project, one.pem).certificates
    assert done.is_new
    assert done.certificate.friendly_name == ""
    assert Certificate.objects.count() == 2
    bob = requester_for(make_user("bob", project=project, role=Role.VIEWER))
    found = find_certificate(requester=bob, reference=done.certificate.fingerprint_sha256)
    assert found == done.certificate
    with pytest.raises(Invalid, match="name one by its id"):
        find_certificate(requester=SYSTEM, reference=done.certificate.fingerprint_sha256)


def test_a_key_is_kept_only_where_that_is_asked(project: Project) -> None:
    one = foreign()
    done = imported(project, one.pem, private_key=one.key_pem)
    assert done.notes == ("The private key was not kept: that was not asked.",)
    with pytest.raises(NotFound, match="imported without it"):
        read_private_key(requester=SYSTEM, certificate=Certificate.objects.get(), via="test")

    two = foreign("two.other.test")
    encrypted = two.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSWORD.encode()))
    imported(project, pem_of(*two.chain, two.certificate), private_key=encrypted, password=PASSWORD, is_key_kept=True)
    secret = CertificateSecret.objects.get()
    assert (secret.certificate.common_name, secret.retention) == ("two.other.test", "escrow")
    assert (
        read_private_key(requester=SYSTEM, certificate=secret.certificate, via="test").encode() == two.key_pem.strip()
    )
    assert AuditEvent.objects.filter(event="import-cert").latest("pk").data["isKeyKept"] is True


def test_notes_tell_what_was_not_used(project: Project) -> None:
    stranger = certify(key := ec.generate_private_key(ec.SECP256R1()), named("else"), named("else"), key, is_ca=True)
    one, two = foreign(), foreign("two.other.test")
    done = imported(
        project,
        pem_of(one.certificate, two.certificate),
        chain=pem_of(stranger),
        friendly_name="Both",
        is_key_kept=True,
    )
    assert done.notes == (
        "1 of the chain's certificates are above none of these and were left out.",
        "The friendly name was left out: it is for one certificate, and there are several.",
        "No private key was kept: none was sent.",
    )


def test_only_its_own_ca_can_revoke_it(project: Project) -> None:
    imported(project, foreign().pem)
    row = Certificate.objects.get()
    with pytest.raises(Invalid, match="only the CA that issued it") as refusal:
        revoke_certificate(requester=SYSTEM, certificate=row, reason=RevocationReason.SUPERSEDED)
    assert refusal.value.violations[0].fix == "Have it revoked by its issuer, CN=Other Issuing."


def test_an_alert_watches_what_was_imported(project: Project) -> None:
    imported(project, foreign("soon.other.test", ends=NOW + timedelta(days=5)).pem)
    rule = AlertRule(
        project=project, kind=AlertKind.CERTIFICATE_EXPIRY, alert_before_seconds=timedelta(days=7).total_seconds()
    )
    assert [found.item["name"] for found in find(rule, NOW)] == ["soon.other.test"]


def test_the_database_holds_no_half_imported_certificate(project: Project) -> None:
    imported(project, foreign().pem)
    issued = make_issued(make_issuing_profile(project))
    for row, change in (
        (Certificate.objects.get(source="imported"), {"source": CertificateSource.ISSUED}),
        (Certificate.objects.get(source="imported"), {"authority": issued.authority}),
        (issued, {"request": None}),
        (issued, {"source": CertificateSource.IMPORTED}),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            Certificate.objects.filter(pk=row.pk).update(**change)


def test_the_check_of_everything_understands_them(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    one = foreign(serial_number=2**159 - 1)
    imported(project, one.pkcs12, password=PASSWORD, is_key_kept=True)
    issuing, root = authorities()
    imported(project, pem_of(issuing.certificate))
    call_command("check_certificates")
    Certificate.objects.filter(common_name="www.other.test").update(external_chain=root.pem.decode().strip())
    with pytest.raises(Exception, match="1 findings"):
        call_command("check_certificates")
    assert "CN=Other Root of its imported chain did not issue" in capsys.readouterr().out


# --- Refusals ---------------------------------------------------------------------------------------------------------


def refused(project: Project, content: bytes, **asked: object) -> PortalError:
    with pytest.raises((Malformed, Invalid)) as refusal:
        imported(project, content, **asked)  # type: ignore[arg-type]
    assert not Certificate.objects.exists()
    assert AuditEvent.objects.filter(event="import-cert").latest("pk").outcome == Outcome.REFUSED
    return refusal.value


def many(count: int) -> bytes:
    issuing, _ = authorities()
    key = ec.generate_private_key(ec.SECP256R1())
    made = [certify(key, named(f"h{number}"), named("Other Issuing"), issuing.key) for number in range(count)]
    return serialize_certificates(made, Encoding.DER)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "certificates_not_readable"),
        (b"\x00" * 1000, "certificates_not_readable"),
        (b"\xff\xfe\x00garbage" * 100, "certificates_not_readable"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "certificates_not_readable"),
        (b"-----BEGIN CERTIFICATE-----\n" * 5000, "certificates_not_readable"),
        (b"-----BEGIN PKCS7-----\nAAAA\n-----END PKCS7-----\n", "certificates_not_readable"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "certificates_not_readable"),
        (b"\x30\x80" * 100_000, "certificates_not_readable"),
        (b"\x30\x84\xff\xff\xff\xff", "certificates_not_readable"),
        (b"x" * (512 * 1024 + 1), "bundle_too_large"),
        (b"\x30\x82\x10\x00\x02\x01\x03\x30" + b"\x00" * 100, "key_does_not_open"),
        (b"\x30\x83\x0a\x00\x00\x02\x01\x03\x30" + b"\x00" * 600_000, "bundle_too_large"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)}-octets",
)
def test_what_cannot_be_read_is_refused_with_its_reason(project: Project, content: bytes, code: str) -> None:
    refusal = refused(project, content)
    assert [violation.code for violation in refusal.violations] == [code]
    assert refusal.violations[0].fix


def test_too_many_certificates_are_refused_before_any_is_looked_at(project: Project) -> None:
    refusal = refused(project, many(101))
    assert (refusal.violations[0].code, refusal.violations[0].asked) == ("too_many_certificates", "101 certificates")


def test_wrong_and_missing_passwords_are_told(project: Project) -> None:
    one = foreign()
    assert refused(project, one.pkcs12, password="not it").violations[0].field == "password"
    encrypted = one.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    assert refused(project, one.pem, private_key=encrypted).violations[0].code == "password_missing"


def test_a_key_of_another_certificate_is_refused(project: Project) -> None:
    refusal = refused(project, foreign().pem, private_key=foreign().key_pem)
    assert refusal.violations[0].code == "key_does_not_match"


def test_a_key_of_a_kind_that_is_not_kept_is_refused_only_where_it_is_to_be_kept(project: Project) -> None:
    key = ed448.Ed448PrivateKey.generate()
    issuing, _ = authorities()
    certificate = certify(key, named("ed448"), named("Other Issuing"), issuing.key)  # type: ignore[arg-type]
    file = serialize_key_and_certificates(None, key, certificate, None, BestAvailableEncryption(b"secret"))
    refusal = refused(project, file, password="secret", is_key_kept=True)
    assert refusal.violations[0].code == "key_not_supported"
    imported(project, file, password="secret")
    assert Certificate.objects.get().key_algorithm == "Ed448"


def test_a_file_that_wants_too_many_iterations_is_not_opened(project: Project) -> None:
    one = foreign()
    assert isinstance(one.key, ec.EllipticCurvePrivateKey)
    protection = PrivateFormat.PKCS12.encryption_builder().kdf_rounds(0x010101).build(PASSWORD.encode())
    file = serialize_key_and_certificates(None, one.key, one.certificate, None, protection)
    assert b"\x02\x03\x01\x01\x01" in file
    costly = file.replace(b"\x02\x03\x01\x01\x01", b"\x02\x03\x7f\xff\xff")
    assert refused(project, costly, password=PASSWORD).violations[0].code == "key_too_costly"


def test_names_with_nul_and_lives_that_run_backward_are_refused(project: Project) -> None:
    assert refused(project, foreign("nul\x00.other.test", dns_names=()).pem).violations[0].code == "name_not_storable"
    one = foreign(dns_names=tuple(f"{number}.other.test" for number in range(1001)))
    assert refused(project, one.pem).violations[0].code == "too_many_names"


def test_who_may_not_import_is_refused_before_anything_is_read(project: Project) -> None:
    victor = requester_for(make_user("victor", project=project, role=Role.VIEWER))
    with pytest.raises(PermissionDenied):
        import_certificates(requester=victor, project=project, upload=Upload(content=secrets.token_bytes(16)))
    charlie = requester_for(make_user("charlie"))
    with pytest.raises(NotFound):
        import_certificates(requester=charlie, project=project, upload=Upload(content=foreign().pem))
    bob = requester_for(make_user("bob", project=project, role=Role.MEMBER))
    import_certificates(requester=bob, project=project, upload=Upload(content=foreign().pem))
