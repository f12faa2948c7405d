"""Name constraints and addresses of CAs: asked once, in every certificate, and over everything below."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from django.utils import timezone

from certificates.models import CertificateAuthority
from certificates.services.authorities import (
    AuthoritySubject,
    authority_csr,
    certification_path_of,
    create_intermediate,
    create_root,
    import_authority_certificate,
    renew_authority,
    sign_intermediate,
    update_authority,
)
from certificates.services.issuance import issue_certificate
from certificates.services.urls import crl_url
from certificates.x509.inspect import facts_of
from pki_portal.access.models import Project
from pki_portal.errors import Invalid
from profiles.models import CertificateProfile
from profiles.policy.errors import PolicyViolation
from profiles.policy.name_constraints import constraints_of, document_of
from profiles.policy.request import AttributeValue, GeneralName, IssuanceRequest, NameConstraints
from profiles.policy.vocabulary import KeyAlgorithm, NameType, SubjectAttribute
from tests.factories import SYSTEM, make_project
from tests.relying_parties import openssl_objection
from tests.wire import make_profile_of

pytestmark = pytest.mark.django_db

EXAMPLE_COM = constraints_of({"permitted": {"dns": ["example.com"]}})
NOT_SECRET = constraints_of({"excluded": {"dns": ["secret.example.com"]}})
P256 = KeyAlgorithm.EC_PRIME256V1


def make_root(project: Project, constraints: NameConstraints = EXAMPLE_COM) -> CertificateAuthority:
    return create_root(
        requester=SYSTEM,
        project=project,
        name="root",
        subject=AuthoritySubject(common_name="Root"),
        key_algorithm=P256,
        name_constraints=constraints,
        crl_distribution_point_urls=["http://mirror.example.com/root.crl"],
    )


def make_issuing(
    project: Project, parent: CertificateAuthority | None, constraints: NameConstraints = NOT_SECRET
) -> CertificateAuthority:
    return create_intermediate(
        requester=SYSTEM,
        project=project,
        name="issuing",
        subject=AuthoritySubject(common_name="Issuing"),
        key_algorithm=P256,
        parent=parent,
        max_path_length=0,
        name_constraints=constraints,
    )


def request_for(*names: str) -> IssuanceRequest:
    return IssuanceRequest(
        subject=(AttributeValue(SubjectAttribute.COMMON_NAME, "Service"),),
        subject_alternative_names=tuple(GeneralName(NameType.DNS_NAME, name) for name in names),
    )


def issued(profile: CertificateProfile, *names: str) -> x509.Certificate:
    answer = issue_certificate(profile=profile, request=request_for(*names), requester=SYSTEM)
    return x509.load_der_x509_certificate(bytes(answer.certificate.der))


def path_of(authority: CertificateAuthority) -> list[x509.Certificate]:
    assert authority.active_certificate is not None
    return [x509.load_der_x509_certificate(der) for der in certification_path_of(authority.active_certificate)]


def test_what_is_issued_keeps_the_constraints_of_the_whole_path() -> None:
    project = make_project()
    issuing = make_issuing(project, make_root(project))
    profile = make_profile_of(issuing)

    with pytest.raises(PolicyViolation) as refusal:
        issue_certificate(
            profile=profile, request=request_for("www.example.com", "evil.test", "secret.example.com"), requester=SYSTEM
        )
    assert [(each.field, each.code, each.rule) for each in refusal.value.violations] == [
        ("subject_alternative_names/2", "name_excluded", "name constraints of CN=Issuing (RFC 5280, 4.2.1.10)"),
        ("subject_alternative_names/1", "name_not_permitted", "name constraints of CN=Root (RFC 5280, 4.2.1.10)"),
    ]
    leaf = issued(profile, "www.example.com")
    assert openssl_objection(leaf, trusted=path_of(issuing)[1:], untrusted=path_of(issuing)[:1]) == ""


def test_a_renewal_says_the_same() -> None:
    root = make_root(make_project())
    assert root.not_after is not None
    renewed = renew_authority(requester=SYSTEM, authority=root, not_after=root.not_after.replace(year=2099))
    assert facts_of(x509.load_der_x509_certificate(bytes(renewed.der))).name_constraints == EXAMPLE_COM


def test_mirrors_stand_after_our_own_address_once_each_from_now_on() -> None:
    project = make_project()
    root = make_root(project)
    issuing = make_issuing(project, root)
    profile = make_profile_of(issuing)
    own = crl_url(issuing.keys.get().revocation_list.pk)
    root_list = crl_url(root.keys.get().revocation_list.pk)

    assert facts_of(path_of(issuing)[0]).crl_urls == (root_list, "http://mirror.example.com/root.crl")
    assert facts_of(issued(profile, "a.example.com")).crl_urls == (own,)
    mirrors = ["http://b.example.net/i.crl", own, "http://a.example.net/i.crl", "http://b.example.net/i.crl"]
    update_authority(requester=SYSTEM, authority=issuing, crl_distribution_point_urls=mirrors)
    assert facts_of(issued(profile, "b.example.com")).crl_urls == (own, mirrors[0], mirrors[2])


def test_a_ca_signed_for_elsewhere_gets_the_constraints_asked_for() -> None:
    csr = (
        x509.CertificateSigningRequestBuilder(AuthoritySubject(common_name="Partner CA").name())
        .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
        .public_bytes(Encoding.PEM)
        .decode()
    )
    root = make_root(make_project())
    assert root.not_after is not None
    signed = sign_intermediate(
        requester=SYSTEM,
        authority=root,
        csr=csr,
        not_after=root.not_after,
        max_path_length=0,
        name_constraints=constraints_of({"permitted": {"dns": ["Partner.example.com"]}}),
    )
    facts = facts_of(x509.load_der_x509_certificate(bytes(signed.certificate.der)))
    assert document_of(facts.name_constraints) == {"permitted": {"dns": ["partner.example.com"]}}


def test_a_certificate_from_elsewhere_keeps_what_the_csr_asked() -> None:
    ours = make_issuing(make_project(), None)
    csr = x509.load_pem_x509_csr(authority_csr(requester=SYSTEM, authority=ours).encode())
    asked = csr.extensions.get_extension_for_class(x509.NameConstraints)
    assert asked.critical
    above = make_root(make_project())
    assert above.not_after is not None

    def signed(constraints: NameConstraints) -> str:
        answer = sign_intermediate(
            requester=SYSTEM,
            authority=above,
            csr=csr.public_bytes(Encoding.PEM).decode(),
            not_after=timezone.now().replace(year=2030),
            max_path_length=0,
            name_constraints=constraints,
        )
        return x509.load_der_x509_certificate(bytes(answer.certificate.der)).public_bytes(Encoding.PEM).decode()

    chain = path_of(above)[0].public_bytes(Encoding.PEM).decode()
    with pytest.raises(Invalid) as refusal:
        import_authority_certificate(
            requester=SYSTEM, authority=ours, certificate=signed(EXAMPLE_COM), certificate_chain=chain
        )
    assert [each.code for each in refusal.value.violations] == ["name_constraints_differ"]

    import_authority_certificate(
        requester=SYSTEM, authority=ours, certificate=signed(NOT_SECRET), certificate_chain=chain
    )
    with pytest.raises(PolicyViolation) as outside:
        issue_certificate(profile=make_profile_of(ours), request=request_for("evil.test"), requester=SYSTEM)
    assert [each.rule for each in outside.value.violations] == ["name constraints of CN=Root (RFC 5280, 4.2.1.10)"]


def test_nobody_gets_the_name_of_another_ca_of_the_project_for_a_key_of_their_own() -> None:
    project = make_project()
    root = make_root(project, NameConstraints())
    ours = make_issuing(project, None)
    assert root.not_after is not None

    def sign(csr: x509.CertificateSigningRequest) -> None:
        sign_intermediate(
            requester=SYSTEM,
            authority=root,
            csr=csr.public_bytes(Encoding.PEM).decode(),
            not_after=timezone.now().replace(year=2030),
            max_path_length=0,
        )

    builder = x509.CertificateSigningRequestBuilder(AuthoritySubject(common_name="ISSUING").name())
    with pytest.raises(Invalid) as refusal:
        sign(builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()))
    assert [each.code for each in refusal.value.violations] == ["subject_of_another_authority"]
    sign(x509.load_pem_x509_csr(authority_csr(requester=SYSTEM, authority=ours).encode()))
