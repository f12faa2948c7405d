"""A root changes its key, and nobody who trusts the old one or the new one is cut off on the way."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.core.management import call_command
from django.utils import timezone

from certificates.models import AuthorityCertificate, Certificate, CertificateAuthority, CertificateRevocationList
from certificates.models.authority import AuthorityStatus, ChainPhase
from certificates.services.authorities import (
    AuthoritySubject,
    authority_csr,
    create_intermediate,
    delete_authority,
    import_authority_certificate,
    issue_authority_certificate,
    rekey_authority,
    renew_authority,
    sign_intermediate,
    update_authority,
)
from certificates.services.crl import current_crl, document_of
from certificates.services.issuance import IssuedCertificate, issue_certificate
from certificates.services.retrieval import certification_path_pem, chain_pem
from certificates.x509.inspect import facts_of, is_self_signed
from certificates.x509.keys import public_key_info
from certificates.x509.lint import lint
from pki_portal.access.models import Project, Role
from pki_portal.audit.models import AuditEvent
from pki_portal.errors import Invalid, PermissionDenied
from profiles.models import CertificateProfile
from profiles.policy.request import AttributeValue, GeneralName, IssuanceRequest
from profiles.policy.vocabulary import KeyAlgorithm, NameType, SubjectAttribute
from tests.factories import SYSTEM, make_authority, make_project, make_user, requester_for
from tests.relying_parties import certvalidator_objection, openssl_objection
from tests.wire import make_profile_of

pytestmark = pytest.mark.django_db

P256, P384 = KeyAlgorithm.EC_PRIME256V1, KeyAlgorithm.EC_SECP384R1
HOST = "service.acme.com"
OLD, CROSS, NEW = ChainPhase.OLD, ChainPhase.CROSS_SIGNED, ChainPhase.NEW


def later(years: int = 20) -> datetime:
    return timezone.now() + timedelta(days=365 * years)


def certificate_in(row: AuthorityCertificate | Certificate) -> x509.Certificate:
    return x509.load_der_x509_certificate(bytes(row.der))


@dataclass
class House:
    """A root that issues, an intermediate under it that issues too, and everything that was issued so far."""

    root: CertificateAuthority
    by_root: CertificateProfile
    by_issuing: CertificateProfile
    issued: dict[str, IssuedCertificate]

    def issue(self, when: str) -> None:
        for name, profile in (("root", self.by_root), ("issuing", self.by_issuing)):
            self.issued[f"by {name} {when}"] = issue_certificate(
                profile=profile,
                request=IssuanceRequest(
                    subject=(AttributeValue(SubjectAttribute.COMMON_NAME, HOST),),
                    subject_alternative_names=(GeneralName(NameType.DNS_NAME, HOST),),
                ),
                requester=SYSTEM,
            )

    def roots(self) -> dict[str, list[x509.Certificate]]:
        """What relying parties trust: the old root, the new one, or both."""
        rows = self.root.certificates.filter(issuer_certificate__isnull=True).order_by("version")
        old, new = (certificate_in(row) for row in rows)
        return {"old": [old], "both": [old, new], "new": [new]}

    def handed_out(self, issued: IssuedCertificate) -> list[x509.Certificate]:
        """The chain as the portal answers it now."""
        row = Certificate.objects.get(pk=issued.certificate.pk)
        return [x509.load_pem_x509_certificate(each.encode()) for each in certification_path_pem(row)]


@pytest.fixture
def house() -> House:
    project = make_project()
    root = make_authority(project, name="root", key_algorithm=P256, max_path_length=1)
    issuing = make_authority(project, name="issuing", parent=root)
    house = House(root, make_profile_of(root, slug="by-root"), make_profile_of(issuing, slug="by-issuing"), {})
    house.issue("before")
    return house


def handshake(tmp_path: Path, issued: IssuedCertificate, chain: list[x509.Certificate], trusted: Any) -> str:
    """What a TLS client that trusts these roots says of a server with that chain; empty where it is content."""
    assert issued.private_key is not None
    leaf = certificate_in(issued.certificate).public_bytes(Encoding.PEM)
    (tmp_path / "server.pem").write_bytes(leaf + b"".join(each.public_bytes(Encoding.PEM) for each in chain))
    (tmp_path / "server.key").write_text(issued.private_key)
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.verify_flags |= ssl.VERIFY_X509_STRICT
    client_context.load_verify_locations(cadata="".join(each.public_bytes(Encoding.PEM).decode() for each in trusted))
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=HOST)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    waiting: list[Callable[[], None]] = [client.do_handshake, server.do_handshake]
    for _ in range(10):
        for step in list(waiting):
            try:
                step()
                waiting.remove(step)
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as problem:
                return problem.verify_message
    assert not waiting
    return ""


# Who must never fail in which phase. Whoever trusts the new root alone comes in with the cross-signed phase.
PROMISES = {OLD: ("old", "both"), CROSS: ("old", "both", "new"), NEW: ("both", "new")}


def test_no_relying_party_fails_in_the_phase_that_is_promised_to_it(house: House, tmp_path: Path) -> None:
    rekey_authority(requester=SYSTEM, authority=house.root, not_after=later(), key_algorithm=P384)
    for phase, promised in PROMISES.items():
        update_authority(requester=SYSTEM, authority=house.root, chain_phase=phase)
        house.issue(f"in {phase}")
        for trust in promised:
            trusted = house.roots()[trust]
            for name, issued in house.issued.items():
                leaf, chain = certificate_in(issued.certificate), house.handed_out(issued)
                told = f"{name}, phase {phase}, trust {trust}"
                assert openssl_objection(leaf, trusted=trusted, untrusted=chain) == "", told
                assert certvalidator_objection(leaf, trusted=trusted, untrusted=chain) == "", told
                assert handshake(tmp_path, issued, chain, trusted) == "", told
    assert len(house.issued) == 8


def test_a_client_with_the_wrong_trust_would_be_noticed(house: House, tmp_path: Path) -> None:
    rekey_authority(requester=SYSTEM, authority=house.root, not_after=later())
    issued = house.issued["by root before"]
    chain = house.handed_out(issued)
    trusted = house.roots()["new"]
    assert openssl_objection(certificate_in(issued.certificate), trusted=trusted, untrusted=chain) != ""
    assert handshake(tmp_path, issued, chain, trusted) != ""


def test_the_chain_of_each_phase(house: House) -> None:
    rekey_authority(requester=SYSTEM, authority=house.root, not_after=later())
    rows = list(house.root.certificates.order_by("version"))
    old, new, new_by_old, old_by_new = (certificate_in(row) for row in rows)
    assert public_key_info(new_by_old.public_key()) == public_key_info(new.public_key())
    assert public_key_info(old_by_new.public_key()) == public_key_info(old.public_key())
    before = house.issued["by root before"]

    assert house.handed_out(before) == [old]
    update_authority(requester=SYSTEM, authority=house.root, chain_phase=CROSS)
    house.issue("after")
    after, below = house.issued["by root after"], house.issued["by issuing after"]
    issuing = house.handed_out(below)[0]
    assert house.handed_out(before) == [old_by_new, new]
    assert house.handed_out(after) == [new_by_old, old]
    assert house.handed_out(below) == [issuing, old_by_new, new]
    update_authority(requester=SYSTEM, authority=house.root, chain_phase=NEW)
    assert house.handed_out(before) == [old_by_new, new]
    assert house.handed_out(after) == [new]
    update_authority(requester=SYSTEM, authority=house.root, chain_phase=OLD)
    assert house.handed_out(after) == [new_by_old, old]


def test_cross_certificates_say_what_they_must(house: House) -> None:
    rekey_authority(requester=SYSTEM, authority=house.root, not_after=later())
    old, new, new_by_old, old_by_new = (
        facts_of(certificate_in(row)) for row in house.root.certificates.order_by("version")
    )
    assert {each.serial_number for each in (old, new, new_by_old, old_by_new)}.__len__() == 4
    for crossed, issuer, subject in ((new_by_old, old, new), (old_by_new, new, old)):
        assert crossed.authority_key_identifier == issuer.subject_key_identifier
        assert crossed.subject_key_identifier == subject.subject_key_identifier
        assert crossed.subject_name == crossed.issuer_name == old.subject_name
        assert (crossed.is_ca, crossed.path_length) == (True, 1)
        assert crossed.not_after == min(old.not_after, new.not_after)
        assert crossed.crl_urls
    for row in house.root.certificates.all():
        assert lint(bytes(row.der)) == ()
        assert is_self_signed(certificate_in(row)) is (row.issuer_certificate is None)


def test_without_roots_a_chain_keeps_the_certificates_that_lead_to_them(house: House) -> None:
    rekey_authority(requester=SYSTEM, authority=house.root, not_after=later())
    update_authority(requester=SYSTEM, authority=house.root, chain_phase=CROSS)
    row = Certificate.objects.get(pk=house.issued["by issuing before"].certificate.pk)
    kept = x509.load_pem_x509_certificates(chain_pem(row, without_roots=True).encode())
    assert [each.issuer == each.subject for each in kept] == [False, True]
    assert not any(is_self_signed(each) for each in kept)


def test_both_keys_publish_their_own_lists(house: House) -> None:
    rekey_authority(requester=SYSTEM, authority=house.root, not_after=later())
    update_authority(requester=SYSTEM, authority=house.root, chain_phase=CROSS)
    house.issue("after")
    now = timezone.now()
    lists = [
        x509.load_der_x509_crl(document_of(current_crl(crl_id=each.pk, now=now)).der)
        for each in CertificateRevocationList.objects.filter(key__authority=house.root)
    ]
    assert len(lists) == 2
    after = house.issued["by root after"]
    leaf, chain = certificate_in(after.certificate), house.handed_out(after)
    for trust in ("old", "both", "new"):
        trusted = house.roots()[trust]
        assert openssl_objection(leaf, trusted=trusted, untrusted=chain, crls=lists) == "", trust


def test_the_new_key_may_be_of_another_kind_and_is_told_once_it_signs(house: House) -> None:
    rekey_authority(requester=SYSTEM, authority=house.root, not_after=later(), key_algorithm=KeyAlgorithm.ED25519)
    assert house.root.key_algorithm == P256
    update_authority(requester=SYSTEM, authority=house.root, chain_phase=NEW)
    assert house.root.key_algorithm == KeyAlgorithm.ED25519
    signed = sign_intermediate(
        requester=SYSTEM,
        authority=house.root,
        csr=authority_csr(requester=SYSTEM, authority=CertificateAuthority.objects.get(name="issuing")),
        not_after=later(2),
        max_path_length=0,
    )
    assert signed.certificate.signature_algorithm == "ED25519"


def test_the_root_renews_the_key_that_signs_and_the_chains_follow(house: House) -> None:
    rekey_authority(requester=SYSTEM, authority=house.root, not_after=later())
    update_authority(requester=SYSTEM, authority=house.root, chain_phase=NEW)
    renewed = renew_authority(requester=SYSTEM, authority=house.root, not_after=later(30))
    assert house.handed_out(house.issued["by root before"])[-1] == certificate_in(renewed)
    issuing = CertificateAuthority.objects.get(name="issuing")
    issue_authority_certificate(requester=SYSTEM, authority=issuing, not_after=later(2), max_path_length=0)
    house.issue("after")
    assert house.handed_out(house.issued["by issuing after"])[1:] == [certificate_in(renewed)]


def test_a_second_rekey_leads_from_every_generation_to_the_newest(house: House) -> None:
    for years in (20, 30):
        rekey_authority(requester=SYSTEM, authority=house.root, not_after=later(years))
        update_authority(requester=SYSTEM, authority=house.root, chain_phase=NEW)
    newest = house.root.certificates.filter(issuer_certificate__isnull=True).latest("version")
    issued = house.issued["by issuing before"]
    chain = house.handed_out(issued)
    assert len(chain) == 4
    leaf = certificate_in(issued.certificate)
    assert openssl_objection(leaf, trusted=[certificate_in(newest)], untrusted=chain) == ""


def test_another_rekey_waits_for_the_end_of_the_first(house: House) -> None:
    rekey_authority(requester=SYSTEM, authority=house.root, not_after=later())
    assert refused(house.root) == {"rekey_under_way"}


def refused(authority: CertificateAuthority, **changes: Any) -> set[str]:
    asked: dict[str, Any] = {"requester": SYSTEM, "authority": authority, "not_after": later()}
    with pytest.raises(Invalid) as refusal:
        rekey_authority(**(asked | changes))
    return {violation.code for violation in refusal.value.violations}


def test_rekeys_that_cannot_be_are_refused(house: House) -> None:
    assert refused(house.root, not_after=timezone.now() - timedelta(days=1)) >= {"validity_backward"}
    update_authority(requester=SYSTEM, authority=house.root, status=AuthorityStatus.DISABLED)
    assert refused(house.root) == {"authority_disabled"}
    with pytest.raises(Invalid) as refusal:
        update_authority(requester=SYSTEM, authority=house.root, chain_phase=NEW)
    assert [violation.code for violation in refusal.value.violations] == ["phase_not_possible"]
    bob = requester_for(make_user("bob", project=house.root.project, role=Role.MEMBER))
    with pytest.raises(PermissionDenied):
        rekey_authority(requester=bob, authority=house.root, not_after=later())
    with pytest.raises(PermissionDenied):
        update_authority(requester=bob, authority=house.root, chain_phase=NEW)


def test_a_disabled_root_stays_disabled_when_its_chain_is_switched(house: House) -> None:
    rekey_authority(requester=SYSTEM, authority=house.root, not_after=later())
    update_authority(requester=SYSTEM, authority=house.root, status=AuthorityStatus.DISABLED)
    update_authority(requester=SYSTEM, authority=house.root, chain_phase=NEW)
    assert house.root.status == AuthorityStatus.DISABLED
    assert AuditEvent.objects.filter(event="update-ca").latest("id").data["chain_phase"] == "new"


def test_an_intermediate_signs_with_its_new_key_at_once(house: House) -> None:
    issuing = CertificateAuthority.objects.get(name="issuing")
    rekeyed = rekey_authority(requester=SYSTEM, authority=issuing, not_after=later(2))
    assert rekeyed.certificate == issuing.active_certificate
    house.issue("after")
    before, after = (house.handed_out(house.issued[f"by issuing {when}"]) for when in ("before", "after"))
    assert before[0].public_key() != after[0].public_key()
    assert before[1:] == after[1:]
    for name in ("before", "after"):
        issued = house.issued[f"by issuing {name}"]
        chain = house.handed_out(issued)
        assert openssl_objection(certificate_in(issued.certificate), trusted=chain[1:], untrusted=chain[:1]) == ""


def test_an_intermediate_of_a_parent_elsewhere_goes_on_until_its_new_certificate_comes(house: House) -> None:
    ours = create_intermediate(
        requester=SYSTEM,
        project=make_project(),
        name="ours",
        subject=AuthoritySubject(common_name="Ours"),
        key_algorithm=P256,
        parent=None,
        max_path_length=0,
    )

    def install(csr: str) -> None:
        signed = sign_intermediate(
            requester=SYSTEM, authority=house.root, csr=csr, not_after=later(2), max_path_length=0
        )
        import_authority_certificate(
            requester=SYSTEM,
            authority=ours,
            certificate=certificate_in(signed.certificate).public_bytes(Encoding.PEM).decode(),
            certificate_chain=certificate_in(house.root.active_certificate).public_bytes(Encoding.PEM).decode(),  # type: ignore[arg-type]
        )

    install(authority_csr(requester=SYSTEM, authority=ours))
    first = ours.active_certificate
    rekeyed = rekey_authority(requester=SYSTEM, authority=ours, not_after=later(2))
    assert rekeyed.certificate is None
    assert ours.active_certificate == first
    assert refused(ours, not_after=later(2)) == {"rekey_waits"}
    assert rekeyed.csr.splitlines()[0] == "-----BEGIN CERTIFICATE REQUEST-----"
    assert first is not None
    asked = x509.load_pem_x509_csr(authority_csr(requester=SYSTEM, authority=ours).encode())
    assert asked.public_key() == x509.load_pem_x509_csr(rekeyed.csr.encode()).public_key()
    assert asked.public_key() != certificate_in(first).public_key()
    install(rekeyed.csr)
    assert ours.active_certificate is not None
    assert certificate_in(ours.active_certificate).public_key() == asked.public_key()


def test_a_rekeyed_root_that_nothing_depends_on_can_be_deleted() -> None:
    project: Project = make_project()
    root = make_authority(project)
    rekey_authority(requester=SYSTEM, authority=root, not_after=later())
    delete_authority(requester=SYSTEM, authority=root)
    assert not AuthorityCertificate.objects.exists()


def test_the_check_of_all_rows_is_content_in_every_phase(house: House) -> None:
    rekey_authority(requester=SYSTEM, authority=house.root, not_after=later())
    for phase in PROMISES:
        update_authority(requester=SYSTEM, authority=house.root, chain_phase=phase)
        house.issue(f"in {phase}")
        call_command("check_certificates")
