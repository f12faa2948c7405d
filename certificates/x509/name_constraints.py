"""Name constraints (RFC 5280, 4.2.1.10): between the values of the policy and their encoding."""

import ipaddress
from collections.abc import Iterable, Sequence

from cryptography import x509

from certificates.x509.names import distinguished_name, read_general_name, read_subject
from profiles.policy.name_constraints import DIRECTORY_NAME
from profiles.policy.request import NameConstraints, PathConstraint, Subtree
from profiles.policy.vocabulary import NameType


def encode_name_constraints(constraints: NameConstraints) -> x509.NameConstraints:
    """The extension's value; at least one side is not empty."""
    return x509.NameConstraints(
        permitted_subtrees=_encoded(constraints.permitted), excluded_subtrees=_encoded(constraints.excluded)
    )


def _encoded(subtrees: Sequence[Subtree]) -> list[x509.GeneralName] | None:
    return [_encode(subtree) for subtree in subtrees] or None


def _encode(subtree: Subtree) -> x509.GeneralName:
    match NameType(subtree.kind):
        case NameType.DNS_NAME:
            return x509.DNSName(subtree.value)
        case NameType.IP_ADDRESS:
            return x509.IPAddress(ipaddress.ip_network(subtree.value))
        case NameType.EMAIL:
            return x509.RFC822Name(subtree.value)
        case NameType.URI:
            return x509.UniformResourceIdentifier(subtree.value)
        case NameType.UPN:
            raise ValueError("RFC 5280, 4.2.1.10 gives user principal names no form of constraint")


def read_name_constraints(value: x509.NameConstraints) -> NameConstraints:
    """Of the extension; hosts in lower case, as the names that are compared with them are."""
    return NameConstraints(
        permitted=tuple(map(_read, value.permitted_subtrees or ())),
        excluded=tuple(map(_read, value.excluded_subtrees or ())),
    )


def _read(base: x509.GeneralName) -> Subtree:
    if isinstance(base, x509.DirectoryName):
        return Subtree(DIRECTORY_NAME, distinguished_name(base.value), read_subject(base.value))
    name = read_general_name(base)
    if name.type == NameType.EMAIL:
        local, at, host = name.value.rpartition("@")
        return Subtree(name.type, f"{local}{at}{host.lower()}")
    return Subtree(name.type, name.value.lower() if isinstance(name.type, NameType) else name.value)


def path_constraints(path: Iterable[x509.Certificate]) -> tuple[PathConstraint, ...]:
    """Of each CA of a path that constrains names, in the order of the path."""
    found = []
    for certificate in path:
        try:
            value = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
        except x509.ExtensionNotFound:
            continue
        found.append(PathConstraint(distinguished_name(certificate.subject), read_name_constraints(value)))
    return tuple(found)
