"""Names: between the values of the policy and their encoding."""

import ipaddress
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from pki_portal.errors import Invalid, Violation
from profiles.policy.request import AttributeValue, GeneralName
from profiles.policy.vocabulary import NameType, SubjectAttribute

_OIDS: Final[Mapping[SubjectAttribute, x509.ObjectIdentifier]] = MappingProxyType(
    {
        SubjectAttribute.DOMAIN_COMPONENT: NameOID.DOMAIN_COMPONENT,
        SubjectAttribute.COUNTRY: NameOID.COUNTRY_NAME,
        SubjectAttribute.ORGANIZATION: NameOID.ORGANIZATION_NAME,
        SubjectAttribute.ORGANIZATIONAL_UNIT: NameOID.ORGANIZATIONAL_UNIT_NAME,
        SubjectAttribute.STATE: NameOID.STATE_OR_PROVINCE_NAME,
        SubjectAttribute.COMMON_NAME: NameOID.COMMON_NAME,
        SubjectAttribute.LOCALITY: NameOID.LOCALITY_NAME,
        SubjectAttribute.SERIAL_NUMBER: NameOID.SERIAL_NUMBER,
        SubjectAttribute.EMAIL: NameOID.EMAIL_ADDRESS,
    }
)
# For what RFC 4514, 3, has no short name: as RFC 4519, 2.31 and OpenSSL call them.
_SHORT_NAMES: Final = {NameOID.SERIAL_NUMBER: "serialNumber", NameOID.EMAIL_ADDRESS: "emailAddress"}
# Microsoft's userPrincipalName; its value is a UTF8String.
_UPN: Final = x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")
_UTF8_STRING: Final = 0x0C
_ATTRIBUTES: Final = MappingProxyType({oid: attribute for attribute, oid in _OIDS.items()})


def encode_subject(subject: Iterable[AttributeValue]) -> x509.Name:
    """The Name, one attribute per RDN in the order given.

    RFC 5280, 4.1.2.4 and appendix A: country and serial number are PrintableStrings, domain components and the email
    address IA5Strings (RFC 4519, 2.4; RFC 2985, 5.2.1), all else UTF8Strings.

    Raises:
        Invalid: an attribute cannot be encoded.
    """
    return x509.Name([_encode_attribute(attribute) for attribute in subject])


def _encode_attribute(attribute: AttributeValue) -> x509.NameAttribute[str]:
    try:
        return x509.NameAttribute(_OIDS[SubjectAttribute(attribute.type)], attribute.value)
    except ValueError as error:
        raise _cannot_encode(f"subject/{attribute.type}", attribute.value, str(error)) from error


def read_subject(name: x509.Name) -> tuple[AttributeValue, ...]:
    """Attributes of a Name in the order encoded; kinds that no template knows by their dotted OID, bits as hex."""
    return tuple(
        AttributeValue(
            type=_ATTRIBUTES.get(attribute.oid, attribute.oid.dotted_string),
            value=attribute.value if isinstance(attribute.value, str) else attribute.value.hex(),
        )
        for attribute in name
    )


def distinguished_name(name: x509.Name) -> str:
    """``C=US, O=Acme, CN=Root``: the attributes as RFC 4514 writes them, but in the order encoded."""
    return ", ".join(rdn.rfc4514_string(_SHORT_NAMES) for rdn in name.rdns)


def encode_general_name(name: GeneralName) -> x509.GeneralName:
    """RFC 5280, 4.2.1.6: encoded as the kind that was stated; nothing is guessed from the value.

    Raises:
        Invalid: the value cannot be encoded as that kind.
    """
    try:
        match NameType(name.type):
            case NameType.DNS_NAME:
                return x509.DNSName(name.value)
            case NameType.IP_ADDRESS:
                return x509.IPAddress(ipaddress.ip_address(name.value))
            case NameType.EMAIL:
                return x509.RFC822Name(name.value)
            case NameType.UPN:
                return x509.OtherName(_UPN, _utf8_string(name.value))
            case NameType.URI:
                return x509.UniformResourceIdentifier(name.value)
    except ValueError as error:
        raise _cannot_encode("subject_alternative_names", name.value, str(error)) from error


def read_general_name(name: x509.GeneralName) -> GeneralName:
    """The name as encoded; kinds that no template knows by their RFC 5280 word."""
    match name:
        case x509.DNSName():
            return GeneralName(NameType.DNS_NAME, name.value)
        case x509.IPAddress():
            return GeneralName(NameType.IP_ADDRESS, str(name.value))
        case x509.RFC822Name():
            return GeneralName(NameType.EMAIL, name.value)
        case x509.UniformResourceIdentifier():
            return GeneralName(NameType.URI, name.value)
        case x509.DirectoryName():
            return GeneralName("directoryName", distinguished_name(name.value))
        case x509.RegisteredID():
            return GeneralName("registeredID", name.value.dotted_string)
        case x509.OtherName(type_id=type_id, value=value) if type_id == _UPN and (upn := _read_utf8_string(value)):
            return GeneralName(NameType.UPN, upn)
        case x509.OtherName():
            return GeneralName("otherName", f"{name.type_id.dotted_string}:{name.value.hex()}")
    raise ValueError(f"unknown kind of general name {type(name).__name__}")


def _utf8_string(text: str) -> bytes:
    """DER of a UTF8String (X.690, 8.1.3)."""
    octets = text.encode()
    size = len(octets)
    length = size.to_bytes((size.bit_length() + 7) // 8 or 1, "big")
    return bytes([_UTF8_STRING, *([0x80 | len(length)] if size >= 0x80 else ()), *length]) + octets


def _read_utf8_string(der: bytes) -> str | None:
    """The text of a DER UTF8String; None where it is anything else."""
    for header in range(2, 5):
        try:
            text = der[header:].decode()
        except UnicodeDecodeError:
            continue
        if _utf8_string(text) == der:
            return text
    return None


def _cannot_encode(field: str, value: str, reason: str) -> Invalid:
    violation = Violation(
        field=field,
        code="name_not_encodable",
        rule="RFC 5280, 4.1.2.4 and 4.2.1.6",
        asked=value,
        allowed=reason,
        fix="Change or leave out this name.",
    )
    return Invalid(f"{value!r} cannot be written into a certificate: {reason}", violations=[violation])
