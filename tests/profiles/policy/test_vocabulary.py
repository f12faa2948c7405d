from collections.abc import Callable
from enum import StrEnum

import pytest

from profiles.policy.vocabulary import (
    ExtendedKeyUsage,
    KeyAlgorithm,
    KeyFamily,
    KeyUsage,
    NameType,
    SignatureAlgorithm,
    SubjectAttribute,
    as_purpose,
    as_word,
    key_family,
    parse_extended_key_usage,
    parse_key_algorithm,
    parse_key_usage,
    parse_name_type,
    parse_signature_algorithm,
    parse_subject_attribute,
)

PARSERS: dict[type[StrEnum], Callable[[str], str]] = {
    SubjectAttribute: parse_subject_attribute,
    NameType: parse_name_type,
    KeyUsage: parse_key_usage,
    ExtendedKeyUsage: parse_extended_key_usage,
    KeyAlgorithm: parse_key_algorithm,
    SignatureAlgorithm: parse_signature_algorithm,
}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("RSA-2048", KeyAlgorithm.RSA_2048),
        ("RSA_3072", KeyAlgorithm.RSA_3072),
        ("rsa 4096", KeyAlgorithm.RSA_4096),
        ("ECDSA-P256", KeyAlgorithm.EC_PRIME256V1),
        ("P-256", KeyAlgorithm.EC_PRIME256V1),
        ("EC_prime256v1", KeyAlgorithm.EC_PRIME256V1),
        ("prime256v1", KeyAlgorithm.EC_PRIME256V1),
        ("secp256r1", KeyAlgorithm.EC_PRIME256V1),
        ("EC_secp384r1", KeyAlgorithm.EC_SECP384R1),
        ("ECDSA-P384", KeyAlgorithm.EC_SECP384R1),
        ("p521", KeyAlgorithm.EC_SECP521R1),
        ("Ed25519", KeyAlgorithm.ED25519),
        ("SHA256-RSA", SignatureAlgorithm.RSA_SHA256),
        ("RSA-SHA384", SignatureAlgorithm.RSA_SHA384),
        ("sha512WithRSA", SignatureAlgorithm.RSA_SHA512),
        ("SHA384-ECDSA", SignatureAlgorithm.ECDSA_SHA384),
        ("ecdsa-with-SHA256", SignatureAlgorithm.ECDSA_SHA256),
        ("ed25519", SignatureAlgorithm.ED25519),
        ("digitalSignature", KeyUsage.DIGITAL_SIGNATURE),
        ("digital_signature", KeyUsage.DIGITAL_SIGNATURE),
        ("cRLSign", KeyUsage.CRL_SIGN),
        ("contentCommitment", KeyUsage.NON_REPUDIATION),
        ("serverAuth", ExtendedKeyUsage.SERVER_AUTH),
        ("ocspSigning", ExtendedKeyUsage.OCSP_SIGNING),
        ("timeStamping", ExtendedKeyUsage.TIME_STAMPING),
        ("DNS", NameType.DNS_NAME),
        ("dns_name", NameType.DNS_NAME),
        ("dns", NameType.DNS_NAME),
        ("IP", NameType.IP_ADDRESS),
        ("ip_address", NameType.IP_ADDRESS),
        ("EMAIL", NameType.EMAIL),
        ("URI", NameType.URI),
        ("url", NameType.URI),
        ("commonName", SubjectAttribute.COMMON_NAME),
        ("CN", SubjectAttribute.COMMON_NAME),
        ("province", SubjectAttribute.STATE),
        ("ou", SubjectAttribute.ORGANIZATIONAL_UNIT),
        ("DC", SubjectAttribute.DOMAIN_COMPONENT),
        ("domainComponent", SubjectAttribute.DOMAIN_COMPONENT),
        ("serialNumber", SubjectAttribute.SERIAL_NUMBER),
        ("E", SubjectAttribute.EMAIL),
        ("emailAddress", SubjectAttribute.EMAIL),
        ("UPN", NameType.UPN),
        ("userPrincipalName", NameType.UPN),
        ("1.3.6.1.5.5.7.3.1", ExtendedKeyUsage.SERVER_AUTH),
        (" 1.3.6.1.5.5.7.3.9 ", ExtendedKeyUsage.OCSP_SIGNING),
    ],
)
def test_every_spelling_of_the_docs_is_read(text: str, word: StrEnum) -> None:
    assert PARSERS[type(word)](text) is word


@pytest.mark.parametrize("words", PARSERS)
def test_every_word_is_read_without_regard_to_case(words: type[StrEnum]) -> None:
    for word in words:
        assert PARSERS[words](word.value.upper()) is word
        assert PARSERS[words](word.value.lower().replace("_", "-")) is word


@pytest.mark.parametrize("words", PARSERS)
@pytest.mark.parametrize("text", ["", "nonsense", "\x00", "x" * 1_000_000, "RSA_2048x" * 20])
def test_unknown_word_is_refused_naming_every_option_once(words: type[StrEnum], text: str) -> None:
    with pytest.raises(ValueError, match="use one of") as refusal:
        PARSERS[words](text)
    options = str(refusal.value).partition("use one of ")[2].split(", ")
    assert sorted(options) == sorted(words)


@pytest.mark.parametrize("oid", ["1.3.6.1.4.1.311.20.2.2", "2.25.1.268435455", "0.0.1.1"])
def test_an_extended_key_usage_without_a_name_is_its_oid(oid: str) -> None:
    assert parse_extended_key_usage(oid) == as_purpose(oid) == oid


@pytest.mark.parametrize(
    "text",
    [
        "2.5.29.37.0",
        "1.3",
        "1",
        "3.1.2",
        "1.40.3",
        "1.2.03",
        "1.2.",
        "1..2",
        "1.2.3 4",
        "1.2.3",
        f"1.2.3.{2**28}",
        "1.2" + ".5" * 63,
        "1.2" + ".1" * 100_000,
        "1.2.\u0663",
    ],
)
def test_what_is_no_extended_key_usage_is_refused(text: str) -> None:
    assert as_purpose(text) is None
    with pytest.raises(ValueError, match=r"anyExtendedKeyUsage|not an extended key usage"):
        parse_extended_key_usage(text)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("RSA_8192", KeyFamily.RSA),
        ("EC_secp521r1", KeyFamily.EC),
        ("ed25519", KeyFamily.ED25519),
        ("ml-dsa-65", KeyFamily.ML_DSA_65),
    ],
)
def test_lines_12_and_13_family_goes_by_the_beginning_of_the_name(name: str, family: KeyFamily) -> None:
    assert key_family(name) is family


def test_name_of_no_family_is_refused() -> None:
    with pytest.raises(ValueError, match="names no known key family"):
        key_family("DSA_1024")


def test_families_of_algorithms() -> None:
    assert SignatureAlgorithm.ECDSA_SHA384.family is KeyFamily.EC
    assert SignatureAlgorithm.ED25519.family is KeyFamily.ED25519
    assert SignatureAlgorithm.ML_DSA_44.family is KeyAlgorithm.ML_DSA_44.family is KeyFamily.ML_DSA_44
    assert SignatureAlgorithm.RSA_SHA512.family is KeyFamily.RSA
    assert KeyAlgorithm.EC_SECP521R1.family is KeyFamily.EC


def test_as_word_takes_values_only() -> None:
    assert as_word("dns_name", NameType) is NameType.DNS_NAME
    assert as_word("DNS", NameType) is None
