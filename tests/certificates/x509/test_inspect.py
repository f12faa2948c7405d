import hashlib
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID

from certificates.x509.inspect import facts_of, is_self_issued, serial_number_hex
from certificates.x509.keys import public_key_info
from profiles.policy.vocabulary import ExtendedKeyUsage, KeyAlgorithm, KeyUsage, SignatureAlgorithm
from tests.certificates.x509.material import NOW, der, dns, end_entity, issuance_plan, key, root, subject

P256 = KeyAlgorithm.EC_PRIME256V1


def test_all_facts_of_a_certificate() -> None:
    leaf = end_entity(issuance_plan(), root(P256), P256, serial_number=0xABC)
    facts = facts_of(leaf)
    assert facts.serial_number == "0" * 37 + "abc"
    assert facts.subject == subject(country="US", organization="Acme", common_name="service.acme.com")
    assert facts.subject_name == "C=US, O=Acme, CN=service.acme.com"
    assert facts.issuer_name == "C=US, O=Acmé, CN=Root"
    assert facts.subject_alternative_names == dns("service.acme.com")
    assert facts.key_usages == (KeyUsage.DIGITAL_SIGNATURE,)
    assert facts.extended_key_usages == (ExtendedKeyUsage.SERVER_AUTH,)
    assert facts.key_algorithm is P256
    assert facts.key_description == "EC secp256r1"
    assert facts.signature_algorithm is SignatureAlgorithm.ECDSA_SHA256
    assert facts.subject_public_key_info == public_key_info(key(P256).public_key())
    assert facts.not_before == NOW
    assert facts.fingerprint_sha256 == hashlib.sha256(der(leaf)).hexdigest()
    assert facts.fingerprint_sha1 == leaf.fingerprint(hashes.SHA1()).hex()  # noqa: S303


def test_a_certificate_from_elsewhere_has_facts_too() -> None:
    private = key(P256)
    name = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.DOMAIN_COMPONENT, "acme"),
            x509.NameAttribute(x509.NameOID.X500_UNIQUE_IDENTIFIER, b"\x01", x509.name._ASN1Type.BitString),
        ]
    )
    point = x509.DistributionPoint(
        full_name=[x509.DirectoryName(name), x509.UniformResourceIdentifier("http://crl.example.com")],
        relative_name=None,
        reasons=None,
        crl_issuer=None,
    )
    relative = x509.DistributionPoint(
        full_name=None,
        relative_name=x509.RelativeDistinguishedName([x509.NameAttribute(x509.NameOID.COMMON_NAME, "1")]),
        reasons=None,
        crl_issuer=None,
    )
    access = [
        x509.AccessDescription(
            AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier("http://ocsp.example.com")
        ),
        x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, x509.DirectoryName(name)),
    ]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW)
        .add_extension(x509.CRLDistributionPoints([relative, point]), critical=False)
        .add_extension(x509.AuthorityInformationAccess(access), critical=False)
        .add_extension(x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.2.3.4")]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier(None, [x509.DirectoryName(name)], 1),
            critical=False,
        )
        .sign(private, hashes.SHA3_256())
    )
    facts = facts_of(certificate)
    assert [(attribute.type, attribute.value) for attribute in facts.subject] == [
        ("domain_component", "acme"),
        ("2.5.4.45", "01"),
    ]
    assert facts.crl_urls == ("http://crl.example.com",)
    assert facts.ca_issuer_urls == ()
    assert facts.extended_key_usages == ("1.2.3.4",)
    assert facts.signature_algorithm is None
    assert (facts.is_ca, facts.path_length, facts.key_usages) == (False, None, ())
    assert (facts.subject_key_identifier, facts.authority_key_identifier) == ("", "")


def test_a_tls_feature_that_the_library_does_not_know_is_a_reason_and_no_fault() -> None:
    private, name = key(KeyAlgorithm.EC_PRIME256V1), x509.Name([])
    made = (
        x509.CertificateBuilder(name, name, private.public_key(), 1, NOW, NOW + timedelta(days=1))
        .add_extension(x509.UnrecognizedExtension(ExtensionOID.TLS_FEATURE, b"\x30\x03\x02\x01\x00"), critical=False)
        .sign(private, hashes.SHA256())
    )
    with pytest.raises(ValueError, match="TLS feature 0 is not known"):
        facts_of(made)


def test_roots_are_self_issued_and_leaves_are_not() -> None:
    assert is_self_issued(root(P256))
    assert not is_self_issued(end_entity(issuance_plan(), root(P256), P256))


def test_serial_numbers_are_written_with_forty_digits() -> None:
    assert serial_number_hex(1) == "0" * 39 + "1"
    assert serial_number_hex(2**159 - 1) == "7" + "f" * 39
