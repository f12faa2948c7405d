"""The words of the policy, one spelling each, in the order of the RFCs that define them."""

from enum import StrEnum


class SubjectAttribute(StrEnum):
    """Attributes of a subject that a template can speak of (RFC 5280, 4.1.2.4), in the order in which they are encoded."""

    COUNTRY = "country"
    ORGANIZATION = "organization"
    ORGANIZATIONAL_UNIT = "organizational_unit"
    STATE = "state"
    COMMON_NAME = "common_name"
    LOCALITY = "locality"


class NameType(StrEnum):
    """Kinds of GeneralName in a subjectAltName that a template can speak of (RFC 5280, 4.2.1.6)."""

    EMAIL = "email"
    DNS_NAME = "dns_name"
    URI = "uri"
    IP_ADDRESS = "ip_address"


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


class KeyFamily(StrEnum):
    """Families of keys, as far as choosing a signature algorithm goes."""

    RSA = "RSA"
    EC = "EC"
    ED25519 = "ED25519"


class KeyAlgorithm(StrEnum):
    """Key algorithms that can be made and certified."""

    RSA_2048 = "RSA_2048"
    RSA_3072 = "RSA_3072"
    RSA_4096 = "RSA_4096"
    EC_PRIME256V1 = "EC_prime256v1"
    EC_SECP384R1 = "EC_secp384r1"
    EC_SECP521R1 = "EC_secp521r1"
    ED25519 = "ED25519"

    @property
    def family(self) -> KeyFamily:
        return key_family(self.value)


class SignatureAlgorithm(StrEnum):
    """Signature algorithms that a CA's key can make."""

    RSA_SHA256 = "RSA-SHA256"
    RSA_SHA384 = "RSA-SHA384"
    RSA_SHA512 = "RSA-SHA512"
    ECDSA_SHA256 = "ECDSA-SHA256"
    ECDSA_SHA384 = "ECDSA-SHA384"
    ECDSA_SHA512 = "ECDSA-SHA512"
    ED25519 = "ED25519"

    @property
    def family(self) -> KeyFamily:
        """The family of the keys that can make this signature."""
        return KeyFamily.EC if self.value.startswith("ECDSA") else key_family(self.value)


def key_family(name: str) -> KeyFamily:
    """Family of a key or signature algorithm by its name; any RSA size and any EC curve counts, certifiable or not.

    Raises:
        ValueError: the name belongs to no family.
    """
    for family in KeyFamily:
        if name.upper().startswith(family.value):
            return family
    raise ValueError(f"{name!r} names no known key family")


class IssuerType(StrEnum):
    """Who signs for a profile."""

    CA = "ca"
    SELF_SIGNED = "self-signed"


class BasicConstraintsState(StrEnum):
    """What a template says of certificates for CAs (RFC 5280, 4.2.1.9); a template that says nothing denies."""

    ALLOWED = "allowed"
    REQUIRED = "required"
    DENIED = "denied"
