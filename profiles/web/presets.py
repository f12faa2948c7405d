"""Starting points for a new template, as the form shows them; nothing is stored until the form is sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from profiles.policy.vocabulary import ExtendedKeyUsage as Extended
from profiles.policy.vocabulary import KeyAlgorithm, KeyUsage, NameType, SignatureAlgorithm, SubjectAttribute

EC: Mapping[str, list[Any]] = {
    "key_algorithm": [KeyAlgorithm.EC_PRIME256V1, KeyAlgorithm.EC_SECP384R1, KeyAlgorithm.EC_SECP521R1],
    "signature": [SignatureAlgorithm.ECDSA_SHA256, SignatureAlgorithm.ECDSA_SHA384, SignatureAlgorithm.ECDSA_SHA512],
}
RSA: Mapping[str, list[Any]] = {
    "key_algorithm": [KeyAlgorithm.RSA_2048, KeyAlgorithm.RSA_3072, KeyAlgorithm.RSA_4096],
    "signature": [SignatureAlgorithm.RSA_SHA256, SignatureAlgorithm.RSA_SHA384, SignatureAlgorithm.RSA_SHA512],
}


@dataclass(frozen=True, slots=True)
class Preset:
    """A named template document in inside spelling."""

    slug: str
    label: str
    document: Mapping[str, Any]


def _preset(
    slug: str,
    label: str,
    *,
    names: list[NameType],
    usages: Mapping[str, list[KeyUsage]],
    purposes: Mapping[str, list[Extended]],
    algorithms: Mapping[str, list[Any]],
) -> Preset:
    document = {
        "name": slug,
        "description": "",
        "subject": [{"type": SubjectAttribute.COMMON_NAME, "allowed": ["*"]}],
        "sans": [{"type": name, "allowed": ["*"]} for name in names],
        "key_usages": usages,
        "extended_key_usages": purposes,
        "algorithms": algorithms,
        "validity": {"max": "365d"},
    }
    return Preset(slug, label, document)


SIGNING = {"required": [KeyUsage.DIGITAL_SIGNATURE]}
ENCIPHERING = {"required": [KeyUsage.DIGITAL_SIGNATURE], "allowed": [KeyUsage.KEY_ENCIPHERMENT]}
AGREEING = {"required": [KeyUsage.DIGITAL_SIGNATURE], "allowed": [KeyUsage.KEY_AGREEMENT]}
UNDENIABLE = {"required": [KeyUsage.DIGITAL_SIGNATURE, KeyUsage.NON_REPUDIATION]}

PRESETS = (
    _preset(
        "tls-server",
        "TLS server",
        names=[NameType.DNS_NAME, NameType.IP_ADDRESS],
        usages=ENCIPHERING,
        purposes={"required": [Extended.SERVER_AUTH]},
        algorithms=EC,
    ),
    _preset(
        "tls-client",
        "TLS client",
        names=[NameType.EMAIL, NameType.DNS_NAME],
        usages=AGREEING,
        purposes={"required": [Extended.CLIENT_AUTH]},
        algorithms=EC,
    ),
    _preset(
        "dual-purpose-server",
        "Server and client",
        names=[NameType.DNS_NAME, NameType.IP_ADDRESS],
        usages=ENCIPHERING,
        purposes={"required": [Extended.SERVER_AUTH, Extended.CLIENT_AUTH]},
        algorithms=EC,
    ),
    _preset(
        "device",
        "Device",
        names=[NameType.DNS_NAME, NameType.IP_ADDRESS],
        usages=AGREEING,
        purposes={"required": [Extended.CLIENT_AUTH], "allowed": [Extended.SERVER_AUTH]},
        algorithms=EC,
    ),
    _preset(
        "user",
        "User",
        names=[NameType.EMAIL],
        usages=SIGNING,
        purposes={"required": [Extended.CLIENT_AUTH, Extended.EMAIL_PROTECTION]},
        algorithms=EC,
    ),
    _preset(
        "email-protection",
        "Email protection",
        names=[NameType.EMAIL],
        usages=ENCIPHERING,
        purposes={"required": [Extended.EMAIL_PROTECTION]},
        algorithms=RSA,
    ),
    _preset(
        "code-signing",
        "Code signing",
        names=[NameType.EMAIL],
        usages=UNDENIABLE,
        purposes={"required": [Extended.CODE_SIGNING], "allowed": [Extended.TIME_STAMPING]},
        algorithms=RSA,
    ),
)


def preset_named(slug: str) -> Preset | None:
    """The preset with that slug, if there is one."""
    return next((preset for preset in PRESETS if preset.slug == slug), None)
