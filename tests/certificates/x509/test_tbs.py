"""Builds, signs, parses back, and asks OpenSSL and the linter what they think of it."""

import ipaddress
import subprocess
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID
from hypothesis import given, settings
from hypothesis import strategies as st

from certificates.x509.inspect import facts_of
from certificates.x509.issuer import DistributionUrls, Issuer
from certificates.x509.keys import PublicKey, default_signature_algorithm
from certificates.x509.lint import lint
from certificates.x509.tbs import build, new_serial_number, sign
from certificates.x509.verify import verify_issued
from pki_portal.errors import Invalid
from profiles.policy.request import BasicConstraints, GeneralName
from profiles.policy.vocabulary import ExtendedKeyUsage, KeyAlgorithm, KeyFamily, KeyUsage, NameType, SignatureAlgorithm
from tests.certificates.x509.material import (
    AUTHORITY_ALGORITHMS,
    NOW,
    URLS,
    der,
    dns,
    end_entity,
    intermediate,
    issuance_plan,
    key,
    root,
    self_signed,
    signer,
    subject,
)
from tests.relying_parties import UNVERIFIED_BY_PKILINT, certvalidator_objection, openssl_knows, openssl_objection

P256 = KeyAlgorithm.EC_PRIME256V1


def criticality(certificate: x509.Certificate) -> dict[str, bool]:
    names = {oid: name for name, oid in vars(ExtensionOID).items() if isinstance(oid, x509.ObjectIdentifier)}
    return {names[extension.oid]: extension.critical for extension in certificate.extensions}


def assert_accepted(path: list[x509.Certificate]) -> None:
    """By OpenSSL, as far as it knows the keys, by pyHanko's validator and by the linter."""
    at = NOW + timedelta(minutes=1)
    leaf, between, anchor = path[0], path[1:-1], path[-1:]
    assert certvalidator_objection(leaf, trusted=anchor, untrusted=between, at=at) == ""
    if openssl_knows(path):
        assert openssl_objection(leaf, trusted=anchor, untrusted=between, at=at) == ""
    findings = {finding.code for certificate in path for finding in lint(der(certificate))}
    assert findings <= (set() if openssl_knows(path) else {UNVERIFIED_BY_PKILINT})


def openssl_text(certificate: x509.Certificate) -> str:
    command = ["openssl", "x509", "-noout", "-text", "-nameopt", "RFC2253,show_type"]
    return subprocess.run(
        command, input=certificate.public_bytes(Encoding.PEM), capture_output=True, check=True
    ).stdout.decode()


@pytest.mark.parametrize("algorithm", AUTHORITY_ALGORITHMS)
def test_every_ca_key_makes_a_path_that_openssl_and_the_linter_accept(algorithm: KeyAlgorithm) -> None:
    plan = issuance_plan(signed_by=algorithm)
    issuing = intermediate(algorithm, algorithm)
    assert_accepted([end_entity(plan, issuing, algorithm), issuing, root(algorithm)])


@pytest.mark.parametrize("algorithm", AUTHORITY_ALGORITHMS)
def test_every_key_can_be_certified(algorithm: KeyAlgorithm) -> None:
    leaf = end_entity(issuance_plan(key_algorithm=algorithm), root(P256), P256)
    assert facts_of(leaf).key_algorithm is algorithm
    assert_accepted([leaf, root(P256)])


@pytest.mark.parametrize("algorithm", AUTHORITY_ALGORITHMS)
def test_every_key_can_sign_itself(algorithm: KeyAlgorithm) -> None:
    assert_accepted([self_signed(issuance_plan(signed_by=None, key_algorithm=algorithm))])


@pytest.mark.parametrize(
    ("issuer_algorithm", "signature_algorithm"),
    [
        (issuer, signature)
        for issuer in (KeyAlgorithm.RSA_2048, P256, KeyAlgorithm.EC_SECP521R1)
        for signature in SignatureAlgorithm
        if signature.family is issuer.family
    ],
)
def test_the_plan_chooses_the_hash(issuer_algorithm: KeyAlgorithm, signature_algorithm: SignatureAlgorithm) -> None:
    plan = issuance_plan(signed_by=issuer_algorithm, signature_algorithm=signature_algorithm)
    leaf = end_entity(plan, root(issuer_algorithm), issuer_algorithm)
    assert facts_of(leaf).signature_algorithm is signature_algorithm
    leaf.verify_directly_issued_by(root(issuer_algorithm))


def test_extensions_of_an_end_entity_and_their_criticality() -> None:
    leaf = end_entity(issuance_plan(), root(P256), P256)
    assert criticality(leaf) == {
        "BASIC_CONSTRAINTS": False,
        "SUBJECT_KEY_IDENTIFIER": False,
        "AUTHORITY_KEY_IDENTIFIER": False,
        "CRL_DISTRIBUTION_POINTS": False,
        "AUTHORITY_INFORMATION_ACCESS": False,
        "KEY_USAGE": True,
        "EXTENDED_KEY_USAGE": False,
        "SUBJECT_ALTERNATIVE_NAME": False,
    }
    facts = facts_of(leaf)
    assert facts.crl_urls == URLS.crl
    assert facts.ca_issuer_urls == URLS.ca_issuers
    assert facts.authority_key_identifier == facts_of(root(P256)).subject_key_identifier
    assert (facts.is_ca, facts.path_length) == (False, None)


def test_extensions_of_cas_and_their_criticality() -> None:
    assert criticality(root(P256, path_length=1)) == {
        "BASIC_CONSTRAINTS": True,
        "SUBJECT_KEY_IDENTIFIER": False,
        "KEY_USAGE": True,
    }
    assert criticality(intermediate(P256, P256)) == {
        "BASIC_CONSTRAINTS": True,
        "SUBJECT_KEY_IDENTIFIER": False,
        "KEY_USAGE": True,
        "AUTHORITY_KEY_IDENTIFIER": False,
        "CRL_DISTRIBUTION_POINTS": False,
        "AUTHORITY_INFORMATION_ACCESS": False,
    }
    for certificate, path_length in ((root(P256), None), (root(P256, 1), 1), (intermediate(P256, P256), 0)):
        facts = facts_of(certificate)
        assert (facts.is_ca, facts.path_length) == (True, path_length)
        assert facts.key_usages == (KeyUsage.DIGITAL_SIGNATURE, KeyUsage.KEY_CERT_SIGN, KeyUsage.CRL_SIGN)


def test_a_self_signed_leaf_points_to_nobody_but_its_own_key() -> None:
    leaf = self_signed(issuance_plan(signed_by=None))
    assert set(criticality(leaf)) == {
        "BASIC_CONSTRAINTS",
        "SUBJECT_KEY_IDENTIFIER",
        "AUTHORITY_KEY_IDENTIFIER",
        "KEY_USAGE",
        "EXTENDED_KEY_USAGE",
        "SUBJECT_ALTERNATIVE_NAME",
    }
    facts = facts_of(leaf)
    assert facts.authority_key_identifier == facts.subject_key_identifier != ""


def test_a_ca_by_profile_has_critical_constraints() -> None:
    plan = issuance_plan(
        basic_constraints=BasicConstraints(is_ca=True, path_length=0),
        key_usages=(KeyUsage.KEY_CERT_SIGN, KeyUsage.CRL_SIGN),
        extended_key_usages=(),
    )
    leaf = end_entity(plan, root(P256), P256)
    assert criticality(leaf)["BASIC_CONSTRAINTS"] is True
    assert (facts_of(leaf).is_ca, facts_of(leaf).path_length) == (True, 0)
    assert "EXTENDED_KEY_USAGE" not in criticality(leaf)
    assert lint(der(leaf)) == ()


def test_alternative_names_are_critical_exactly_when_the_subject_is_empty() -> None:
    leaf = end_entity(issuance_plan(subject=()), root(P256), P256)
    assert criticality(leaf)["SUBJECT_ALTERNATIVE_NAME"] is True
    assert lint(der(leaf)) == ()


def test_a_plan_without_usages_and_names_has_no_such_extension() -> None:
    plan = issuance_plan(key_usages=(), extended_key_usages=(), subject_alternative_names=())
    leaf = end_entity(plan, root(P256), P256)
    assert not {"KEY_USAGE", "EXTENDED_KEY_USAGE", "SUBJECT_ALTERNATIVE_NAME"} & set(criticality(leaf))


def test_without_urls_there_are_no_pointers() -> None:
    plan = issuance_plan()
    tbs = build(
        plan=plan,
        issuer=Issuer(root(P256)),
        serial_number=5,
        public_key=key(P256).public_key(),
        urls=DistributionUrls(),
    )
    assert not {"CRL_DISTRIBUTION_POINTS", "AUTHORITY_INFORMATION_ACCESS"} & set(criticality(sign(tbs, signer(P256))))


def test_the_subject_is_in_the_agreed_order_with_the_agreed_string_types() -> None:
    components = (*subject(domain_component="com"), *subject(domain_component="acme"))
    others = subject(
        country="DE",
        organization="Acme Ä",
        organizational_unit="Web",
        state="Bavaria",
        common_name="service.acme.com",
        locality="München",
        serial_number="SN-17",
        email="jane@acme.com",
    )
    leaf = end_entity(issuance_plan(subject=(*reversed(others), *components)), root(P256), P256)
    facts = facts_of(leaf)
    assert facts.subject == (*components, *others)
    assert facts.subject_name == (
        "DC=com, DC=acme, C=DE, O=Acme Ä, OU=Web, ST=Bavaria, CN=service.acme.com, L=München, "
        "serialNumber=SN-17, emailAddress=jane@acme.com"
    )
    assert lint(leaf.public_bytes(Encoding.DER)) == ()
    assert facts.subject_alternative_names == (*dns("service.acme.com"), GeneralName(NameType.EMAIL, "jane@acme.com"))
    text = openssl_text(leaf)
    for name in ("C", "serialNumber"):
        assert f"{name}=PRINTABLESTRING:" in text
    for name in ("DC", "emailAddress"):
        assert f"{name}=IA5STRING:" in text
    for name in ("O", "OU", "ST", "CN", "L"):
        assert f"{name}=UTF8STRING:" in text


def test_extended_key_usages_by_oid_stand_after_those_with_a_name() -> None:
    plan = issuance_plan(
        extended_key_usages=("1.3.6.1.4.1.311.20.2.2", ExtendedKeyUsage.CLIENT_AUTH, "2.25.1.268435455"),
    )
    leaf = end_entity(plan, root(P256), P256)
    assert facts_of(leaf).extended_key_usages == (
        ExtendedKeyUsage.CLIENT_AUTH,
        "1.3.6.1.4.1.311.20.2.2",
        "2.25.1.268435455",
    )
    assert "Microsoft Smartcard Login" in openssl_text(leaf)
    assert lint(der(leaf)) == ()


def test_names_are_encoded_as_the_kind_that_was_stated() -> None:
    names = (
        *dns("a.example.com", "*.example.com", "host"),
        GeneralName(NameType.EMAIL, "alice@example.com"),
        GeneralName(NameType.URI, "spiffe://example.com/web"),
        GeneralName(NameType.IP_ADDRESS, "10.0.0.1"),
        GeneralName(NameType.IP_ADDRESS, "2001:db8::1"),
        GeneralName(NameType.UPN, "jürg@corp.example.com"),
        GeneralName(NameType.UPN, f"{'j' * 60}@{'a' * 60}.{'b' * 60}.example.com"),
    )
    leaf = end_entity(issuance_plan(subject_alternative_names=names), root(P256), P256)
    found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert sorted(found.get_values_for_type(x509.DNSName)) == [
        "*.example.com",
        "a.example.com",
        "host",
        "service.acme.com",
    ]
    assert found.get_values_for_type(x509.RFC822Name) == ["alice@example.com"]
    assert found.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://example.com/web"]
    assert found.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address("10.0.0.1"),
        ipaddress.ip_address("2001:db8::1"),
    ]
    upn = found.get_values_for_type(x509.OtherName)[0]
    assert (upn.type_id.dotted_string, upn.value) == (
        "1.3.6.1.4.1.311.20.2.3",
        b"\x0c\x16j\xc3\xbcrg@corp.example.com",
    )
    assert facts_of(leaf).subject_alternative_names[:-1] == names
    assert "othername: UPN" in openssl_text(leaf)


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": subject(common_name="ä" * 60)},
        {"subject": subject(country="Germany")},
        {"subject_alternative_names": (GeneralName(NameType.DNS_NAME, "müller.de"),)},
        {"subject_alternative_names": (GeneralName(NameType.IP_ADDRESS, "10.0.0"),)},
        {"subject_alternative_names": (GeneralName("directoryName", "CN=x"),)},
    ],
)
def test_a_name_that_cannot_be_encoded_is_a_refusal(changes: dict[str, object]) -> None:
    plan = replace(issuance_plan(), **changes)  # type: ignore[arg-type]
    with pytest.raises(Invalid) as caught:
        end_entity(plan, root(P256), P256)
    assert caught.value.violations[0].code == "name_not_encodable"


@pytest.mark.parametrize("year", [2049, 2050, 2100])
def test_both_encodings_of_time_come_back_as_they_went_in(year: int) -> None:
    plan = replace(issuance_plan(), not_after=NOW.replace(year=year))
    leaf = end_entity(plan, root(P256), P256)
    assert leaf.not_valid_before_utc == NOW
    assert leaf.not_valid_after_utc == NOW.replace(year=year)
    assert lint(der(leaf)) == ()


def test_plan_and_issuer_must_agree_on_who_signs() -> None:
    public_key = key(P256).public_key()
    for plan, issuer in ((issuance_plan(), None), (issuance_plan(signed_by=None), Issuer(root(P256)))):
        with pytest.raises(ValueError, match="issuer"):
            build(plan=plan, issuer=issuer, serial_number=1, public_key=public_key, urls=URLS)


def test_a_key_of_another_family_does_not_sign() -> None:
    tbs = build(
        plan=issuance_plan(),
        issuer=Issuer(root(P256)),
        serial_number=1,
        public_key=key(P256).public_key(),
        urls=URLS,
    )
    with pytest.raises((TypeError, ValueError)):
        sign(tbs, signer(KeyAlgorithm.ED25519))


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.RSA_2048, KeyAlgorithm.EC_SECP384R1, KeyAlgorithm.ED25519])
def test_a_draft_has_the_same_bytes_to_be_signed_and_another_signature(algorithm: KeyAlgorithm) -> None:
    tbs = build(
        plan=issuance_plan(signed_by=algorithm),
        issuer=Issuer(root(algorithm)),
        serial_number=new_serial_number(),
        public_key=key(P256).public_key(),
        urls=URLS,
    )
    drafted, signed = tbs.draft, sign(tbs, signer(algorithm))
    assert drafted.tbs_certificate_bytes == signed.tbs_certificate_bytes
    assert drafted.signature != signed.signature


def test_the_identifier_of_an_issuer_without_one_is_made_from_its_key() -> None:
    plain = root(P256)
    without = (
        x509.CertificateBuilder()
        .subject_name(plain.subject)
        .issuer_name(plain.issuer)
        .public_key(plain.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key(P256), None if P256.family is KeyFamily.ED25519 else plain.signature_hash_algorithm)  # type: ignore[arg-type]
    )
    plan = issuance_plan()
    leaf = end_entity(plan, without, P256, serial_number=7)
    assert facts_of(leaf).authority_key_identifier == facts_of(plain).subject_key_identifier
    verify_issued(leaf, plan=plan, issuer=Issuer(without), serial_number=7, public_key=public(P256), urls=URLS)


def public(algorithm: KeyAlgorithm) -> PublicKey:
    return key(algorithm).public_key()


def test_serial_numbers_are_positive_of_at_most_159_bits_and_all_different() -> None:
    numbers = {new_serial_number() for _ in range(2000)}
    assert len(numbers) == 2000
    assert all(0 < number < 2**159 for number in numbers)
    assert max(number.bit_length() for number in numbers) == 159


labels = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True).filter(lambda label: label[2:4] != "--")
dns_names = st.lists(labels, min_size=2, max_size=4).map(".".join)
addresses = st.ip_addresses().map(str)


@settings(max_examples=60, deadline=None)
@given(
    st.text("abcdefghijklmnopqrstuvwxyzÄß 0123456789.-'", min_size=1, max_size=30).map(str.strip).filter(bool),
    st.lists(dns_names, max_size=5, unique=True),
    st.lists(addresses, max_size=3, unique=True),
    st.integers(60, 10**8),
    st.sampled_from([P256, KeyAlgorithm.ED25519]),
)
def test_whatever_is_granted_is_signed_as_granted(
    organization: str, names: list[str], addresses: list[str], seconds: int, algorithm: KeyAlgorithm
) -> None:
    plan = issuance_plan(
        signed_by=algorithm,
        subject=subject(organization=organization),
        subject_alternative_names=(*dns(*names), *(GeneralName(NameType.IP_ADDRESS, value) for value in addresses)),
        ttl=timedelta(seconds=seconds),
    )
    leaf = end_entity(plan, root(algorithm), algorithm, serial_number=9)
    facts = facts_of(leaf)
    assert facts.subject == plan.subject
    assert facts.subject_alternative_names == plan.subject_alternative_names
    assert (facts.not_before, facts.not_after) == (plan.not_before, plan.not_after)
    verify_issued(leaf, plan=plan, issuer=Issuer(root(algorithm)), serial_number=9, public_key=public(P256), urls=URLS)
    assert plan.signature_algorithm is default_signature_algorithm(public(algorithm))
