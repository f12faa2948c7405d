"""Starting points for a new template; nothing is stored until one is sent.

Names are left open, to be narrowed to one's own: until then the risks say so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from profiles.policy.vocabulary import ExtendedKeyUsage as Extended
from profiles.policy.vocabulary import KeyAlgorithm, KeyUsage, NameType, SignatureAlgorithm, SubjectAttribute

# The CA's key makes the signature, whatever the key that is certified.
SIGNATURES = [
    SignatureAlgorithm.ECDSA_SHA256,
    SignatureAlgorithm.ECDSA_SHA384,
    SignatureAlgorithm.ECDSA_SHA512,
    SignatureAlgorithm.RSA_SHA256,
    SignatureAlgorithm.RSA_SHA384,
    SignatureAlgorithm.RSA_SHA512,
]
EC: Mapping[str, list[Any]] = {
    "key_algorithm": [KeyAlgorithm.EC_PRIME256V1, KeyAlgorithm.EC_SECP384R1, KeyAlgorithm.EC_SECP521R1],
    "signature": SIGNATURES,
}
RSA: Mapping[str, list[Any]] = {
    "key_algorithm": [KeyAlgorithm.RSA_2048, KeyAlgorithm.RSA_3072, KeyAlgorithm.RSA_4096],
    "signature": SIGNATURES,
}


@dataclass(frozen=True, slots=True)
class Preset:
    """A named template document in inside spelling; ``when`` is a sentence that says when to use it."""

    slug: str
    label: str
    when: str
    document: Mapping[str, Any]


def _preset(
    slug: str,
    label: str,
    when: str,
    *,
    names: list[NameType],
    usages: Mapping[str, list[KeyUsage]],
    purposes: Mapping[str, list[Extended]],
    algorithms: Mapping[str, list[Any]],
    common_name: str = "allowed",
    longest: str = "365d",
) -> Preset:
    document = {
        "name": slug,
        "description": "",
        "subject": [{"type": SubjectAttribute.COMMON_NAME, common_name: ["*"]}],
        "sans": [{"type": name, "allowed": ["*"]} for name in names],
        "key_usages": usages,
        "extended_key_usages": purposes,
        "algorithms": algorithms,
        "validity": {"max": longest},
    }
    return Preset(slug, label, when, document)


SIGNING = {"required": [KeyUsage.DIGITAL_SIGNATURE]}
ENCIPHERING = {"required": [KeyUsage.DIGITAL_SIGNATURE], "allowed": [KeyUsage.KEY_ENCIPHERMENT]}
AGREEING = {"required": [KeyUsage.DIGITAL_SIGNATURE], "allowed": [KeyUsage.KEY_AGREEMENT]}
UNDENIABLE = {"required": [KeyUsage.DIGITAL_SIGNATURE, KeyUsage.NON_REPUDIATION]}

PRESETS = (
    _preset(
        "tls-server",
        "TLS server",
        "For web sites, APIs and other services that clients reach by host name or address over TLS.",
        names=[NameType.DNS_NAME, NameType.IP_ADDRESS],
        usages=ENCIPHERING,
        purposes={"required": [Extended.SERVER_AUTH]},
        algorithms=EC,
    ),
    _preset(
        "tls-client",
        "TLS client",
        "For programs and people that prove to a server who they are (mutual TLS).",
        names=[NameType.EMAIL, NameType.DNS_NAME],
        usages=AGREEING,
        purposes={"required": [Extended.CLIENT_AUTH]},
        algorithms=EC,
    ),
    _preset(
        "dual-purpose-server",
        "Server and client",
        "For services that both accept TLS connections and open them to each other, as in a service mesh or a cluster.",
        names=[NameType.DNS_NAME, NameType.IP_ADDRESS],
        usages=ENCIPHERING,
        purposes={"required": [Extended.SERVER_AUTH, Extended.CLIENT_AUTH]},
        algorithms=EC,
    ),
    _preset(
        "device",
        "Device",
        "For routers, phones, printers and the like that log in to a network, and may serve their own pages.",
        names=[NameType.DNS_NAME, NameType.IP_ADDRESS],
        usages=AGREEING,
        purposes={"required": [Extended.CLIENT_AUTH], "allowed": [Extended.SERVER_AUTH]},
        algorithms=EC,
    ),
    _preset(
        "user",
        "User",
        "For people who log in and sign their email with one certificate.",
        names=[NameType.EMAIL],
        usages=SIGNING,
        purposes={"required": [Extended.CLIENT_AUTH, Extended.EMAIL_PROTECTION]},
        algorithms=EC,
    ),
    _preset(
        "email-protection",
        "Email protection",
        "For people and mailboxes that sign and decrypt email (S/MIME).",
        names=[NameType.EMAIL],
        usages=ENCIPHERING,
        purposes={"required": [Extended.EMAIL_PROTECTION]},
        algorithms=RSA,
    ),
    _preset(
        "code-signing",
        "Code signing",
        "For whoever releases software: installers, packages, containers and scripts.",
        names=[NameType.EMAIL],
        usages=UNDENIABLE,
        purposes={"required": [Extended.CODE_SIGNING]},
        algorithms=RSA,
    ),
    _preset(
        "ocsp-signer",
        "OCSP signer",
        "For responders of your own that answer for a CA, which issues it, whether its certificates are revoked; the"
        " portal has its own. Up to 30 days it needs no check itself (id-pkix-ocsp-nocheck).",
        names=[],
        usages=SIGNING,
        purposes={"required": [Extended.OCSP_SIGNING]},
        algorithms=EC,
        common_name="required",
        longest="30d",
    ),
    # Time stamping stands alone (RFC 3161, 2.3).
    _preset(
        "time-stamping-signer",
        "Time-stamping signer",
        "For time stamping authorities, which attest when a document or a signature was there.",
        names=[],
        usages=SIGNING,
        purposes={"required": [Extended.TIME_STAMPING]},
        algorithms=EC,
        common_name="required",
    ),
)


def preset_named(slug: str) -> Preset | None:
    """The preset with that slug, if there is one."""
    return next((preset for preset in PRESETS if preset.slug == slug), None)
