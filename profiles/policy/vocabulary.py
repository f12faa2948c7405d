"""The words of the policy, one spelling each, in the order of the RFCs that define them."""

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Final, TypeVar

from profiles.policy.wording import quoted


class SubjectAttribute(StrEnum):
    """Attributes of a subject that a template can speak of (RFC 5280, 4.1.2.4), in the order of encoding."""

    DOMAIN_COMPONENT = "domain_component"
    COUNTRY = "country"
    ORGANIZATION = "organization"
    ORGANIZATIONAL_UNIT = "organizational_unit"
    STATE = "state"
    COMMON_NAME = "common_name"
    LOCALITY = "locality"
    # Of the device or person (RFC 4519, 2.31), not of the certificate.
    SERIAL_NUMBER = "serial_number"
    EMAIL = "email"


class NameType(StrEnum):
    """Kinds of GeneralName in a subjectAltName that a template can speak of (RFC 5280, 4.2.1.6)."""

    EMAIL = "email"
    DNS_NAME = "dns_name"
    URI = "uri"
    IP_ADDRESS = "ip_address"
    # An otherName: whom a domain's controllers take the holder for.
    UPN = "upn"


class KeyUsage(StrEnum):
    """KeyUsage bits in bit order (RFC 5280, 4.2.1.3)."""

    DIGITAL_SIGNATURE = "digital_signature"
    NON_REPUDIATION = "non_repudiation"
    KEY_ENCIPHERMENT = "key_encipherment"
    DATA_ENCIPHERMENT = "data_encipherment"
    KEY_AGREEMENT = "key_agreement"
    KEY_CERT_SIGN = "key_cert_sign"
    CRL_SIGN = "crl_sign"
    ENCIPHER_ONLY = "encipher_only"
    DECIPHER_ONLY = "decipher_only"


class ExtendedKeyUsage(StrEnum):
    """KeyPurposeIds in the order of RFC 5280, 4.2.1.12."""

    SERVER_AUTH = "server_auth"
    CLIENT_AUTH = "client_auth"
    CODE_SIGNING = "code_signing"
    EMAIL_PROTECTION = "email_protection"
    TIME_STAMPING = "time_stamping"
    OCSP_SIGNING = "ocsp_signing"


# A KeyPurposeId: one with a name here, or the dotted OID of any other.
Purpose = ExtendedKeyUsage | str


class KeyFamily(StrEnum):
    """Families of keys, as far as choosing a signature algorithm goes."""

    RSA = "RSA"
    EC = "EC"
    ED25519 = "ED25519"
    # One for each parameter set: a key of one makes no signature of another (RFC 9881, 2).
    ML_DSA_44 = "ML-DSA-44"
    ML_DSA_65 = "ML-DSA-65"
    ML_DSA_87 = "ML-DSA-87"


class KeyAlgorithm(StrEnum):
    """Key algorithms that can be made and certified."""

    RSA_2048 = "RSA_2048"
    RSA_3072 = "RSA_3072"
    RSA_4096 = "RSA_4096"
    EC_PRIME256V1 = "EC_prime256v1"
    EC_SECP384R1 = "EC_secp384r1"
    EC_SECP521R1 = "EC_secp521r1"
    ED25519 = "ED25519"
    ML_DSA_44 = "ML-DSA-44"
    ML_DSA_65 = "ML-DSA-65"
    ML_DSA_87 = "ML-DSA-87"

    @property
    def family(self) -> KeyFamily:
        return _FAMILIES[self]


class SignatureAlgorithm(StrEnum):
    """Signature algorithms that a CA's key can make."""

    RSA_SHA256 = "RSA-SHA256"
    RSA_SHA384 = "RSA-SHA384"
    RSA_SHA512 = "RSA-SHA512"
    ECDSA_SHA256 = "ECDSA-SHA256"
    ECDSA_SHA384 = "ECDSA-SHA384"
    ECDSA_SHA512 = "ECDSA-SHA512"
    ED25519 = "ED25519"
    ML_DSA_44 = "ML-DSA-44"
    ML_DSA_65 = "ML-DSA-65"
    ML_DSA_87 = "ML-DSA-87"

    @property
    def family(self) -> KeyFamily:
        """The family of the keys that can make this signature."""
        return _FAMILIES[self]


def key_family(name: str) -> KeyFamily:
    """Family of a key or signature algorithm by its name; any RSA size and any EC curve counts, certifiable or not.

    Raises:
        ValueError: the name belongs to no family.
    """
    family = _FAMILIES.get(name)
    if family is not None:
        return family
    for family in KeyFamily:
        if name.upper().startswith(family.value):
            return family
    raise ValueError(f"{name!r} names no known key family")


# Asked dozens of times in every decision.
_FAMILIES: Final[Mapping[str, KeyFamily]] = {
    each: next(family for family in KeyFamily if each.value.startswith(family.value))
    for words in (KeyAlgorithm, SignatureAlgorithm)
    for each in words
}


class IssuerType(StrEnum):
    """Who signs for a profile."""

    CA = "ca"
    SELF_SIGNED = "self-signed"


class KeyRetention(StrEnum):
    """What becomes of a private key that the portal makes, beside its one place in the issue answer."""

    ONCE = "once"
    ESCROW = "escrow"


class BasicConstraintsState(StrEnum):
    """What a template says of certificates for CAs (RFC 5280, 4.2.1.9); a template that says nothing denies."""

    ALLOWED = "allowed"
    REQUIRED = "required"
    DENIED = "denied"


Word = TypeVar("Word", bound=StrEnum)


def _spelling(text: str) -> str:
    """What all spellings of a word share: its letters and digits, without regard to case."""
    return "".join(character for character in text[:100].casefold() if character.isalnum())


def _spellings(words: type[Word], synonyms: Mapping[str, Word]) -> Mapping[str, Word]:
    return {_spelling(word.value): word for word in words} | {_spelling(text): word for text, word in synonyms.items()}


_SUBJECT_ATTRIBUTES = _spellings(
    SubjectAttribute,
    {
        "DC": SubjectAttribute.DOMAIN_COMPONENT,
        "C": SubjectAttribute.COUNTRY,
        "countryName": SubjectAttribute.COUNTRY,
        "O": SubjectAttribute.ORGANIZATION,
        "organizationName": SubjectAttribute.ORGANIZATION,
        "OU": SubjectAttribute.ORGANIZATIONAL_UNIT,
        "organizationalUnitName": SubjectAttribute.ORGANIZATIONAL_UNIT,
        "ST": SubjectAttribute.STATE,
        "province": SubjectAttribute.STATE,
        "stateOrProvinceName": SubjectAttribute.STATE,
        "CN": SubjectAttribute.COMMON_NAME,
        "L": SubjectAttribute.LOCALITY,
        "localityName": SubjectAttribute.LOCALITY,
        "E": SubjectAttribute.EMAIL,
        "emailAddress": SubjectAttribute.EMAIL,
    },
)
_NAME_TYPES = _spellings(
    NameType,
    {
        "userPrincipalName": NameType.UPN,
        "rfc822Name": NameType.EMAIL,
        "DNS": NameType.DNS_NAME,
        "URL": NameType.URI,
        "uniformResourceIdentifier": NameType.URI,
        "IP": NameType.IP_ADDRESS,
    },
)
_KEY_USAGES = _spellings(KeyUsage, {"contentCommitment": KeyUsage.NON_REPUDIATION})
_EXTENDED_KEY_USAGES = _spellings(ExtendedKeyUsage, {})
EXTENDED_KEY_USAGE_OIDS: Final[Mapping[ExtendedKeyUsage, str]] = {
    ExtendedKeyUsage.SERVER_AUTH: "1.3.6.1.5.5.7.3.1",
    ExtendedKeyUsage.CLIENT_AUTH: "1.3.6.1.5.5.7.3.2",
    ExtendedKeyUsage.CODE_SIGNING: "1.3.6.1.5.5.7.3.3",
    ExtendedKeyUsage.EMAIL_PROTECTION: "1.3.6.1.5.5.7.3.4",
    ExtendedKeyUsage.TIME_STAMPING: "1.3.6.1.5.5.7.3.8",
    ExtendedKeyUsage.OCSP_SIGNING: "1.3.6.1.5.5.7.3.9",
}
ANY_EXTENDED_KEY_USAGE: Final = "2.5.29.37.0"
_NAMED_PURPOSES: Final[Mapping[str, ExtendedKeyUsage]] = {
    text: usage for usage, oid in EXTENDED_KEY_USAGE_OIDS.items() for text in (usage.value, oid)
}
_OID: Final = re.compile(r"[0-2](?:\.(?:0|[1-9][0-9]{0,9})){3,31}")
_LONGEST_OID: Final = 200
_KEY_ALGORITHMS = _spellings(
    KeyAlgorithm,
    {
        f"{prefix}{curve}": algorithm
        for algorithm, curves in (
            (KeyAlgorithm.EC_PRIME256V1, ("P256", "prime256v1", "secp256r1")),
            (KeyAlgorithm.EC_SECP384R1, ("P384", "secp384r1")),
            (KeyAlgorithm.EC_SECP521R1, ("P521", "secp521r1")),
        )
        for prefix in ("", "EC", "ECDSA")
        for curve in curves
    },
)
_SIGNATURE_ALGORITHMS = _spellings(
    SignatureAlgorithm,
    {
        spelling: algorithm
        for algorithm in SignatureAlgorithm
        if algorithm.family in {KeyFamily.RSA, KeyFamily.EC}
        for kind, digest in [algorithm.value.split("-")]
        for spelling in (f"{digest}-{kind}", f"{digest}-with-{kind}", f"{kind}-with-{digest}")
    },
)


def _read(text: str, spellings: Mapping[str, Word], kind: str) -> Word:
    word = spellings.get(_spelling(text))
    if word is None:
        raise ValueError(f"{quoted(text)} is not {kind}; use one of {', '.join(dict.fromkeys(spellings.values()))}")
    return word


def parse_subject_attribute(text: str) -> SubjectAttribute:
    """Reads ``common_name``, ``commonName``, ``CN`` and the like; raises ValueError naming the options."""
    return _read(text, _SUBJECT_ATTRIBUTES, "a subject attribute")


def parse_name_type(text: str) -> NameType:
    """Reads ``dns_name``, ``DNS``, ``IP``, ``URL`` and the like; raises ValueError naming the options."""
    return _read(text, _NAME_TYPES, "a kind of subject alternative name")


def parse_key_usage(text: str) -> KeyUsage:
    """Reads ``digital_signature``, ``digitalSignature`` and the like; raises ValueError naming the options."""
    return _read(text, _KEY_USAGES, "a key usage")


def parse_extended_key_usage(text: str) -> Purpose:
    """Reads ``server_auth``, ``serverAuth`` and the like, and dotted OIDs; raises ValueError naming the options.

    The OID of one that has a name here is that one. anyExtendedKeyUsage is refused: who wants to allow all, lists them.
    """
    text = text.strip()
    if not text[:1].isdecimal():
        return _read(text, _EXTENDED_KEY_USAGES, "an extended key usage")
    purpose = as_purpose(text)
    if purpose is not None:
        return purpose
    if text == ANY_EXTENDED_KEY_USAGE:
        raise ValueError("anyExtendedKeyUsage would allow every use at once; list the usages that are meant")
    raise ValueError(f"{quoted(text)} is not an extended key usage; use a dotted OID as 1.3.6.1.4.1.311.20.2.2")


def as_purpose(text: str) -> Purpose | None:
    """The extended key usage whose value or dotted OID this is; None for what no certificate may carry."""
    named = _NAMED_PURPOSES.get(text)
    if named is not None:
        return named
    return text if text != ANY_EXTENDED_KEY_USAGE and _is_oid(text) else None


@lru_cache(maxsize=256)
def _is_oid(text: str) -> bool:
    """Whether it is a dotted OID (X.660) of at least four arcs, each below 2^28, in at most 32 octets.

    The linter reads no others, and what it cannot read is not signed.
    """
    if len(text) > _LONGEST_OID or not _OID.fullmatch(text):
        return False
    first, second, *others = map(int, text.split("."))
    if first < 2 and second > 39:
        return False
    arcs = [40 * first + second, *others]
    return max(arcs) < 2**28 and sum(max(1, -(-arc.bit_length() // 7)) for arc in arcs) <= 32


def parse_key_algorithm(text: str) -> KeyAlgorithm:
    """Reads ``RSA_2048``, ``RSA-2048``, ``ECDSA-P256``, ``P-256``; raises ValueError naming the options."""
    return _read(text, _KEY_ALGORITHMS, "a key algorithm")


def parse_signature_algorithm(text: str) -> SignatureAlgorithm:
    """Reads ``RSA-SHA256``, ``SHA256-RSA``, ``sha256WithRSA`` and the like; raises ValueError naming the options."""
    return _read(text, _SIGNATURE_ALGORITHMS, "a signature algorithm")


def as_word(value: str, words: type[Word]) -> Word | None:
    """The member whose value this is, or None; for values that may be a member or free text."""
    try:
        return words(value)
    except ValueError:
        return None
