"""Subject and subjectAltName values: their normal form, and patterns over them.

Host names are brought to A-labels by the ``idna`` package (UTS #46, non-transitional), the one dependency of the policy
outside the standard library, whose own ``idna`` codec is of 2003.
"""

import ipaddress
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

import idna

from profiles.policy.request import AttributeValue, GeneralName
from profiles.policy.vocabulary import NameType, SubjectAttribute, as_word
from profiles.policy.wording import quoted

# RFC 5280, appendix A: ub-common-name, ub-organization-name and so on.
_UPPER_BOUNDS: Final[Mapping[SubjectAttribute, int]] = {
    SubjectAttribute.DOMAIN_COMPONENT: 63,  # RFC 4519, 2.4: one label of a host name
    SubjectAttribute.COUNTRY: 2,
    SubjectAttribute.ORGANIZATION: 64,
    SubjectAttribute.ORGANIZATIONAL_UNIT: 64,
    SubjectAttribute.STATE: 128,
    SubjectAttribute.COMMON_NAME: 64,
    SubjectAttribute.LOCALITY: 128,
    SubjectAttribute.SERIAL_NUMBER: 64,
    SubjectAttribute.EMAIL: 255,
}
# Controls, lone surrogates (no UTF8String holds them), line and paragraph separators.
_UNWRITABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
# They make a name read as another one.
_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Default_Ignorable_Code_Point of Unicode, and the blank Braille pattern: they show as nothing.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)

# X.680, 41.4.
_PRINTABLE_STRING = re.compile(r"[A-Za-z0-9 '()+,./:=?-]*")
_SPACES = re.compile(" {2,}")
_LDH_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_DOT_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
# What no user name of a directory may have, beside blanks and all that shows as nothing.
_NOT_IN_USER = re.compile(r"[\s\"/\\\[\]:;|=,+*?<>@]")
# RFC 3986, appendix A, as far as characters go.
_URI = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?://(?P<authority>[^/?#]*))?(?P<rest>.*)", re.DOTALL)
_URI_REST = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*")
_URI_PORT = re.compile(r"[0-9]{1,5}")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# Some servers take an encoded separator for one, so that it ends a segment here too.
_SEGMENT_END = re.compile(r"/|%2F|%5C")
_DEFAULT_PORTS: Final[Mapping[str, int]] = {"ftp": 21, "http": 80, "https": 443, "ws": 80, "wss": 443}

# Decomposed, a character is a few; composed, it counts once.
_RAW_PER_CHARACTER = 4
LONGEST_HOST = 253  # RFC 1035, 2.3.4: 255 octets on the wire
_LONGEST_URI = 2_048
_LONGEST_USER = 64
# As written, looked at before anything is computed from it; a host may end with a dot.
_LONGEST_RAW_NAMES: Final[Mapping[NameType, int]] = {
    NameType.UPN: _RAW_PER_CHARACTER * 64 + 1 + LONGEST_HOST + 1,
    NameType.EMAIL: 64 + 1 + LONGEST_HOST + 1,
    NameType.DNS_NAME: LONGEST_HOST + 1,
    NameType.URI: _LONGEST_URI,
    NameType.IP_ADDRESS: 100,
}
# RFC 4291, 2.5.5.1 (compatible), RFC 6052 and RFC 8215 (NAT64): the last 32 bits are an IPv4 address.
_WITH_IPV4_AT_THE_END: Final = tuple(map(ipaddress.IPv6Network, ("::/96", "64:ff9b::/96", "64:ff9b:1::/48")))
# With "xn--" and one digit for each, more do not fit into 63 octets.
_LONGEST_U_LABEL = 59


class InvalidName(ValueError):
    """A value that no certificate may carry.

    Attributes:
        reason: what is wrong with it, a clause.
        fix: what to do about it, a sentence without its full stop.
        instead: the value that the fix speaks of; empty where it names none. It need not be valid itself.
        instead_kind: the kind of that value where it is another one.
    """

    def __init__(self, reason: str, fix: str, *, instead: str = "", instead_kind: NameType | None = None) -> None:
        super().__init__(f"{reason}; {fix}")
        self.reason = reason
        self.fix = fix
        self.instead = instead
        self.instead_kind = instead_kind


# --- Normal forms ---------------------------------------------------------------------------------------------------


def normalise_attribute(attribute: AttributeValue) -> AttributeValue:
    """The subject attribute as it will be encoded: trimmed, in NFC, a country in capitals, host names in A-labels.

    Raises:
        InvalidName: empty, too long (RFC 5280, appendix A), control characters, or a type that no template speaks of.
    """
    kind = as_word(attribute.type, SubjectAttribute)
    if kind is None:
        raise InvalidName("no template can allow this attribute", "leave the attribute out")
    bound = _UPPER_BOUNDS[kind]
    text = _writable(attribute.value, kind.value, max(_RAW_PER_CHARACTER * bound, 64))
    if _INVISIBLE.search(text):
        raise InvalidName(
            "it has invisible characters, which make it read as another name",
            f"remove zero-width and filler characters from the {kind}",
            instead=_INVISIBLE.sub("", text),
        )
    if kind is SubjectAttribute.COUNTRY:
        if not re.fullmatch("[A-Za-z]{2}", text):
            raise InvalidName(
                "a country is two letters", "use the ISO 3166 code of the country, for example US", instead="US"
            )
        text = text.upper()
    elif kind is SubjectAttribute.DOMAIN_COMPONENT:
        text = _domain_component(text)
    elif kind is SubjectAttribute.EMAIL:
        text = _email(text)
    elif kind is SubjectAttribute.SERIAL_NUMBER and not _PRINTABLE_STRING.fullmatch(text):
        # RFC 5280, appendix A: X520SerialNumber is a PrintableString.
        raise InvalidName(
            "it has characters that a serial_number cannot have",
            "use plain letters, digits, spaces and ' ( ) + , - . / : = ?",
        )
    elif len(text) > bound:
        raise InvalidName(f"it has {len(text)} characters, RFC 5280 allows {bound}", f"use at most {bound} characters")
    elif kind is SubjectAttribute.COMMON_NAME and len(text.encode()) > bound:
        # The encoder counts octets here, and here alone.
        raise InvalidName(
            f"it has {len(text.encode())} octets in UTF-8, {bound} are written at most", "use a shorter common_name"
        )
    return AttributeValue(kind, text)


def normalise(name: GeneralName) -> GeneralName:
    """The name as it will be encoded: A-labels in lower case, compressed addresses.

    Raises:
        InvalidName: no legal name of its kind (RFC 5280, 4.2.1.6), or a kind that no template speaks of.
    """
    kind = as_word(name.type, NameType)
    if kind is None:
        raise InvalidName("no template can allow this kind of name", "leave the name out")
    return GeneralName(kind, _NORMAL_FORMS[kind](_writable(name.value, kind.value, _LONGEST_RAW_NAMES[kind])))


def same_subject(some: Iterable[AttributeValue], other: Iterable[AttributeValue]) -> bool:
    """Whether two subjects are one name (RFC 5280, 7.1), whatever the order of their attributes."""
    return _comparable(some) == _comparable(other)


def _comparable(subject: Iterable[AttributeValue]) -> list[tuple[str, str]]:
    return sorted(comparable(attribute) for attribute in subject)


def comparable(attribute: AttributeValue) -> tuple[str, str]:
    """Type and value in a form that is equal for equal attributes (RFC 5280, 7.1)."""
    return str(attribute.type), _folded(attribute.value, SubjectAttribute.COMMON_NAME).strip()


def _writable(value: str, what: str, longest: int) -> str:
    text = value.strip()
    # First of all: normalisation takes time that grows with the square of the length.
    if len(text) > longest:
        raise InvalidName(f"it has {len(text)} characters", f"shorten the {what}: at most {longest} characters")
    if text.isascii() and text.isprintable() and text:
        return text  # As nearly all values are: nothing to compose and nothing hidden.
    text = unicodedata.normalize("NFC", text).strip()
    if not text:
        raise InvalidName("it is empty", f"give the {what} a value or leave it out")
    if any(_is_unwritable(character) for character in text):
        raise InvalidName(
            "it has control characters",
            f"use only printable characters in the {what}",
            instead="".join(character for character in text if not _is_unwritable(character)),
        )
    return text


def _is_unwritable(character: str) -> bool:
    return unicodedata.category(character) in _UNWRITABLE or character in _BIDI_CONTROLS


def _dns_name(text: str) -> str:
    if _is_ip_address(text):
        address = text.strip("[]")
        raise InvalidName(
            "it is an IP address",
            f"ask for it as ip_address: {quoted(address)}",
            instead=address,
            instead_kind=NameType.IP_ADDRESS,
        )
    if text.startswith("*."):
        return _checked_length("*." + _host(text[2:], before="*."))
    return _host(text)


def _domain_component(text: str) -> str:
    """RFC 4519, 2.4: one label of a domain name, an international one as its A-label."""
    if "." in text.rstrip("."):
        raise InvalidName(
            "it is more than one label of a domain name", "give each label as a domain_component of its own"
        )
    return _host(text)


def _host(text: str, *, before: str = "") -> str:
    """RFC 1123 host name in A-labels: letters, digits and inner hyphens; a final dot is dropped.

    ``before`` is what stands before the host in the whole value, for the messages.
    """
    if not text.isascii():
        text = _mapped(text)
    host = text.lower().removesuffix(".")
    if "_" in host:
        hyphenated = ".".join(label.replace("_", "-").strip("-") for label in host.split("."))
        try:
            instead = before + _host(hyphenated)
        except InvalidName:  # something else is amiss, too
            raise InvalidName("host names have no underscores", "use letters, digits and hyphens") from None
        raise InvalidName("host names have no underscores", f"use {quoted(instead)}", instead=instead)
    name = ".".join(_label(label) for label in host.split("."))
    if "." in name and name.rpartition(".")[2].isdigit():
        raise InvalidName(
            "it is an IP address, or looks like one: its last label is a number",
            "ask for a host name here, and addresses as ip_address",
        )
    return _checked_length(name)


def _checked_length(name: str) -> str:
    if len(name) > LONGEST_HOST:
        raise InvalidName(f"the name has {len(name)} characters", f"use at most {LONGEST_HOST} characters")
    return name


def _mapped(text: str) -> str:
    _checked_length(text.removesuffix("."))
    try:
        return idna.uts46_remap(text, std3_rules=False, transitional=False)
    except ValueError:
        raise InvalidName("it has characters that no host name may have", "use letters, digits and hyphens") from None


def _label(label: str) -> str:
    if "*" in label:
        raise InvalidName("a wildcard must be the whole leftmost label", "write it as in *.example.com")
    if not label:
        raise InvalidName("a label is empty", "remove the extra dot")
    if not label.isascii() or label.startswith("xn--"):
        label = _a_label(label)
    if not _LDH_LABEL.fullmatch(label):
        raise InvalidName(
            f"the label {quoted(label)} is not letters, digits and inner hyphens",
            "use a plain host name as host.example.com",
        )
    if len(label) > 63:
        raise InvalidName(f"the label {quoted(label)} has {len(label)} characters", "use at most 63 between two dots")
    return label


def _a_label(label: str) -> str:
    # Before the conversion, whose time grows with the square of the length.
    if len(label) > (63 if label.isascii() else _LONGEST_U_LABEL):
        raise InvalidName("a label is too long", "use at most 63 characters, encoded, between two dots")
    try:
        return idna.alabel(label).decode("ascii")
    except ValueError:
        raise InvalidName(
            f"the label {quoted(label)} is no internationalised label", "check its spelling (IDNA 2008, UTS #46)"
        ) from None


def _ip_address(text: str) -> str:
    address = _parsed_address(text)
    if address is None:
        fix = "give one address as 10.0.0.1 or 2001:db8::1, without brackets, zone or prefix length"
        bare = re.split("[/%]", text.strip("[]"))[0].strip("[]")
        raise InvalidName("it is not an IP address", fix, instead=bare if _is_ip_address(bare) else "")
    return address.compressed


@lru_cache(maxsize=2048)
def _parsed_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return None if "%" in text else ipaddress.ip_address(text)
    except ValueError:
        return None


def _is_ip_address(text: str) -> bool:
    return _parsed_address(text.strip("[]")) is not None


def _email(text: str) -> str:
    local, at, host = text.rpartition("@")
    if not at:
        raise InvalidName("it is not an email address", "write it as name@example.com")
    if not local.isascii():
        # RFC 5280, 4.2.1.6: rfc822Name is an IA5String. The other form, SmtpUTF8Mailbox, few programs read.
        raise InvalidName("the part before @ is not ASCII", "use an ASCII address; the host may be international")
    if len(local) > 64 or not _DOT_ATOM.fullmatch(local):
        raise InvalidName("the part before @ is not a plain mailbox name", "write it as name@example.com")
    address = f"{local}@{_host(host, before=f'{local}@')}"
    if len(address) > 254:
        raise InvalidName(f"the address has {len(address)} characters", "use at most 254 characters")
    return address


def _upn(text: str) -> str:
    """A user principal name: one spelling for each user, so that none passes by a rule that names another."""
    user, at, domain = text.rpartition("@")
    if not at or not user:
        raise InvalidName("it is not a user principal name", "write it as user@corp.example.com")
    plain = _INVISIBLE.sub("", unicodedata.normalize("NFKC", user))
    if plain != user:
        raise InvalidName(
            "the part before @ has characters that stand for others or show as nothing",
            "use plain letters and digits",
            instead=f"{plain}@{domain}",
        )
    if len(user) > _LONGEST_USER or _NOT_IN_USER.search(user) or any(map(_is_format, user)):
        raise InvalidName("the part before @ is not a user name", "write it as user@corp.example.com")
    return f"{user}@{_host(domain, before=f'{user}@')}"


def _is_format(character: str) -> bool:
    return unicodedata.category(character) in {"Cf", "Co", "Cn"}


def _uri(text: str) -> str:
    """RFC 3986, 6.2.2 and 6.2.3: one spelling for each URI, so that none passes by a rule that names another."""
    parts = _URI.fullmatch(text)
    if parts is None or not (parts["authority"] or parts["rest"]):
        raise InvalidName("it is not an absolute URI", "begin with a scheme, as in https://host.example.com/path")
    if not _URI_REST.fullmatch(parts["rest"]):
        raise InvalidName("it has characters that URIs do not have", "percent-encode all but plain ASCII (RFC 3986)")
    scheme, rest = parts["scheme"].lower(), _unescaped(parts["rest"])
    if any(segment in {".", ".."} for segment in _SEGMENT_END.split(re.split("[?#]", rest)[0])):
        raise InvalidName("its path has dot segments", "write the path without . and .., encoded or not")
    uri = scheme + ":"
    if parts["authority"] is not None:
        uri += "//" + _authority(scheme, parts["authority"])
        rest = _rooted(scheme, rest)
    uri += rest
    if len(uri) > _LONGEST_URI:
        raise InvalidName(f"it has {len(uri)} characters", f"use at most {_LONGEST_URI} characters")
    return uri


def _unescaped(text: str) -> str:
    """RFC 3986, 6.2.2.1 and 6.2.2.2: unreserved characters as themselves, all other escapes in capitals."""
    return _ESCAPE.sub(_unescaped_one, text)


def _unescaped_one(escape: re.Match[str]) -> str:
    character = chr(int(escape[0][1:], 16))
    return character if character in _UNRESERVED else escape[0].upper()


def _rooted(scheme: str, rest: str) -> str:
    """An empty path as ``/`` where the scheme says that they are one; ``spiffe://domain`` is not ``spiffe://domain/``."""
    return f"/{rest}" if scheme in _DEFAULT_PORTS and not rest.startswith("/") else rest


def _authority(scheme: str, text: str) -> str:
    """RFC 5280, 4.2.1.6: with an authority, the host is a fully qualified domain name or an IP address."""
    if "@" in text:
        raise InvalidName("it holds a user name or a password", "remove all from // up to the @ before the host")
    host, port = _host_and_port(text)
    return host if not port or int(port) == _DEFAULT_PORTS.get(scheme) else f"{host}:{int(port)}"


def _host_and_port(location: str) -> tuple[str, str]:
    host, colon, port = location.rpartition(":")
    if not colon or location.endswith("]"):
        host, colon, port = location, "", ""
    if colon and not (_URI_PORT.fullmatch(port) and int(port) <= 65_535):
        raise InvalidName("its port is not a number up to 65535", "correct the port or leave it out")
    address = _parsed_address(host[1:-1] if host.startswith("[") and host.endswith("]") else host)
    if isinstance(address, ipaddress.IPv6Address):
        return f"[{address.compressed}]", port
    if address is not None and not host.startswith("["):
        return address.compressed, port
    if not host:
        raise InvalidName("it names no host", "put a host name after //")
    name = _host(host)
    if "." not in name:
        raise InvalidName("its host has no domain", f"use the full name of the host, for example {name}.example.com")
    return name, port


_NORMAL_FORMS = {
    NameType.UPN: _upn,
    NameType.EMAIL: _email,
    NameType.DNS_NAME: _dns_name,
    NameType.URI: _uri,
    NameType.IP_ADDRESS: _ip_address,
}


# --- Patterns -------------------------------------------------------------------------------------------------------


def matches(pattern: str, value: str, kind: NameType | SubjectAttribute) -> bool:
    """Whether a value in normal form fits a pattern that allows or requires.

    ``*`` stands for any run of characters, dots and none at all included; all else is literal, anchored at both ends.
    Case does not count in subjects (RFC 5280, 7.1), hosts, mailboxes and users; it does in the path of a URI. A network
    (``10.0.0.0/8``) matches its addresses. In a URI pattern a wildcard of the host stays in the host, so that
    ``https://*.example.com/*`` never lets ``https://evil.test/x.example.com/`` through. Linear in pattern and value.
    """
    return matches_any((pattern,), value, kind)


def matches_any(patterns: tuple[str, ...], value: str, kind: NameType | SubjectAttribute) -> bool:
    """Whether the value matches one of the patterns: ``matches`` for many names under many patterns."""
    if kind is NameType.IP_ADDRESS:
        return any(_address_matches(pattern, value) for pattern in patterns)
    folded = _folded(value, kind)
    if kind is NameType.URI:
        parts = _uri_parts(value)
        return any(
            _pieces_match(pieces, folded) and _uri_parts_match(pattern, parts)
            for pattern, pieces in zip(patterns, _all_pieces(patterns, kind), strict=True)
        )
    return any(_pieces_match(pieces, folded) for pieces in _all_pieces(patterns, kind))


def unmet(patterns: tuple[str, ...], values: Sequence[str], kind: NameType | SubjectAttribute) -> tuple[str, ...]:
    """The patterns that none of the values matches: ``matches`` for many names under many patterns."""
    if kind is NameType.IP_ADDRESS or kind is NameType.URI:
        return tuple(pattern for pattern in patterns if not any(matches(pattern, value, kind) for value in values))
    folded = [_folded(value, kind) for value in values]
    return tuple(
        pattern
        for pattern, pieces in zip(patterns, _all_pieces(patterns, kind), strict=True)
        if not any(_pieces_match(pieces, text) for text in folded)
    )


def denying(patterns: tuple[str, ...], value: str, kind: NameType | SubjectAttribute) -> tuple[str, ...]:
    """The patterns that deny the value: ``denies`` for many names under many patterns."""
    if (
        kind is NameType.EMAIL
        or kind is NameType.UPN
        or kind is NameType.URI
        or (kind is NameType.DNS_NAME and not value.startswith("*."))
    ):
        texts = _uri_forms(value) if kind is NameType.URI else (_folded(value, kind),)
        return tuple(
            pattern
            for pattern, pieces in zip(patterns, _all_pieces(patterns, kind), strict=True)
            if any(_pieces_match(pieces, text) for text in texts)
        )
    return tuple(pattern for pattern in patterns if denies(pattern, value, kind))


def denies(pattern: str, value: str, kind: NameType | SubjectAttribute) -> bool:
    """Whether a value in normal form fits a pattern that denies: as ``matches``, but without a way around.

    A wildcard name is denied where it would cover a denied name (``*.example.com`` for ``admin.example.com``), an
    IPv6 address that carries an IPv4 address like the address in it, a URI by its whole text, at every port, with and
    without a final slash, and a common name also as the host name that programs read in it.
    """
    match kind:
        case NameType.IP_ADDRESS:
            return any(_address_matches(pattern, form) for form in _address_forms(value))
        case NameType.URI:
            return any(_pieces_match(_pieces(pattern, kind), form) for form in _uri_forms(value))
        case NameType.DNS_NAME:
            return _denies_host(pattern, value)
        case SubjectAttribute.COMMON_NAME:
            host = _host_in(value)
            if host is not None and _denies_host(pattern, host):
                return True
    return _pieces_match(_pieces(pattern, kind), _folded(value, kind))


def _denies_host(pattern: str, host: str) -> bool:
    if _pieces_match(_pieces(pattern, NameType.DNS_NAME), host):
        return True
    return host.startswith("*.") and any(_pieces_match(pieces, host[1:]) for pieces in _covering_pieces(pattern))


@lru_cache(maxsize=2048)
def _host_in(text: str) -> str | None:
    """The host name that a lenient program would find in a common name, in normal form; None where it is none.

    Neither a scheme, a port, a path nor final dots keep programs from it. Some take a wildcard inside the first label
    for one, so that such a label counts as a wildcard.
    """
    location = _folded(text, SubjectAttribute.COMMON_NAME).strip().rpartition("://")[2]
    host = re.split(r"[/?#\\]", location)[0].rpartition("@")[2].partition(":")[0]
    try:
        host = (host if host.isascii() else _mapped(host)).rstrip(".")
        first, dot, rest = host.partition(".")
        return f"*.{_host(rest)}" if dot and "*" in first else _host(host)
    except InvalidName:
        return None


@lru_cache(maxsize=2048)
def _address_forms(value: str) -> tuple[str, ...]:
    """The address, and each IPv4 address that it carries through an IPv6 network."""
    address = _parsed_address(value)
    if not isinstance(address, ipaddress.IPv6Address):
        return (value,)
    carried = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in _WITH_IPV4_AT_THE_END):
        carried.append(ipaddress.IPv4Address(address.packed[12:]))
    return (value, *(each.compressed for each in carried if each is not None))


@lru_cache(maxsize=2048)
def _uri_forms(value: str) -> tuple[str, ...]:
    """The URI and its near spellings, which most servers take for the same: with or without port and final slash."""
    scheme, authority, rest = _uri_parts(value)
    if not scheme:
        return (value,)
    path = re.split("[?#]", rest)[0]
    host = re.sub(r":[0-9]+\Z", "", authority)
    default_port = _DEFAULT_PORTS.get(scheme.removesuffix("://"))
    authorities = {authority, host, host if default_port is None else f"{host}:{default_port}"}
    paths = {path, path.rstrip("/"), path.rstrip("/") + "/"}
    return tuple(scheme + each + other + rest[len(path) :] for each in authorities for other in paths)


def pieces(pattern: str, kind: NameType | SubjectAttribute) -> tuple[str, ...]:
    """The literal runs between the wildcards of a pattern, in the form in which values are compared."""
    return _pieces(pattern, kind)


def matches_text(pattern: str, text: str, kind: NameType | SubjectAttribute) -> bool:
    """Whether a text in the form in which values are compared fits the pattern as a whole; knows no networks."""
    return _pieces_match(_pieces(pattern, kind), text)


def is_wildcard(pattern: str) -> bool:
    """Whether the pattern stands for more than one value."""
    return "*" in pattern


def _address_matches(pattern: str, value: str) -> bool:
    network = _network(pattern)
    if network is None:
        return _pieces_match(_pieces(pattern, NameType.IP_ADDRESS), value)
    address = _parsed_address(value)
    return address is not None and address in network


@lru_cache(maxsize=4096)
def _network(pattern: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    if "/" not in pattern or "%" in pattern:
        return None
    try:
        return ipaddress.ip_network(pattern.strip(), strict=False)
    except ValueError:
        return None


def is_network(pattern: str) -> bool:
    """Whether the pattern is a network in CIDR notation."""
    return _network(pattern) is not None


@lru_cache(maxsize=4096)
def _pieces(pattern: str, kind: NameType | SubjectAttribute) -> tuple[str, ...]:
    """The literal runs between the wildcards, in the form that ``_folded`` gives to values."""
    pattern = pattern.strip()
    match kind:
        case NameType.DNS_NAME:
            pattern = _host_pattern(pattern)
        case NameType.EMAIL | NameType.UPN:
            local, at, host = pattern.rpartition("@")
            pattern = local.casefold() + at + _host_pattern(host)
        case NameType.URI:
            pattern = "".join(_uri_pattern(pattern))
        case NameType.IP_ADDRESS:
            address = _parsed_address(pattern)
            pattern = pattern.lower() if address is None else address.compressed
        case _:
            return tuple(_folded(piece, kind) for piece in pattern.split("*"))
    return tuple(pattern.split("*"))


@lru_cache(maxsize=4096)
def _all_pieces(patterns: tuple[str, ...], kind: NameType | SubjectAttribute) -> tuple[tuple[str, ...], ...]:
    return tuple(_pieces(pattern, kind) for pattern in patterns)


def _folded(text: str, kind: NameType | SubjectAttribute) -> str:
    """The form of a value in which two equal values are equal texts."""
    if isinstance(kind, SubjectAttribute):
        if text.isascii() and text.isprintable():
            return _SPACES.sub(" ", text.lower())
        # caseIgnoreMatch, prepared as RFC 4518 does: NFKC, case folded, invisible characters dropped, white space one.
        compatible = unicodedata.normalize("NFKC", text).casefold()
        visible = _INVISIBLE.sub("", compatible)
        visible = "".join(character for character in visible if unicodedata.category(character) != "Cf")
        return re.sub(r"\s+", " ", visible)
    # Nobody tells mailboxes or users apart by case, and a denied one must not pass in capitals.
    return text.casefold() if kind is NameType.EMAIL or kind is NameType.UPN else text


def _host_pattern(pattern: str) -> str:
    """Lower case, no final dot, U-labels as A-labels where a label holds no wildcard."""
    labels = pattern.removesuffix(".").casefold().split(".")
    return ".".join(label if label.isascii() or "*" in label else _a_label_or_same(label) for label in labels)


def _a_label_or_same(label: str) -> str:
    try:
        return _a_label(_mapped(label))
    except InvalidName:
        return label


def _uri_parts(uri: str) -> tuple[str, str, str]:
    """Scheme with ``://``, authority, rest; the first two are empty where there is no authority."""
    scheme, separator, after = uri.partition("://")
    if not separator or re.search("[/?#]", scheme):
        return "", "", uri
    end = re.search("[/?#]", after)
    cut = len(after) if end is None else end.start()
    return scheme.lower() + separator, after[:cut], after[cut:]


@lru_cache(maxsize=4096)
def _uri_pattern(pattern: str) -> tuple[str, str, str]:
    """The parts of a URI pattern in the normal form of URIs, as far as wildcards leave one to be told."""
    scheme, authority, rest = _uri_parts(pattern.strip())
    rest = _unescaped(rest)
    if not scheme:
        return "", "", rest
    name = scheme.removesuffix("://")
    if not authority.endswith("*"):
        rest = _rooted(name, rest)
    host, _, port = authority.rpartition(":")
    if port.isdecimal() and port.isascii() and int(port[:6]) == _DEFAULT_PORTS.get(name):
        authority = host
    return scheme, _host_pattern(authority), rest


@lru_cache(maxsize=4096)
def _uri_part_pieces(pattern: str) -> tuple[tuple[str, ...], ...] | None:
    """The pieces of scheme, authority and rest; None where the pattern has no authority."""
    scheme, authority, rest = _uri_pattern(pattern)
    if not scheme:
        return None
    if not rest and authority.endswith("*"):
        rest = "*"
    return tuple(tuple(part.split("*")) for part in (scheme, authority, rest))


def _uri_parts_match(pattern: str, parts: tuple[str, str, str]) -> bool:
    pieces = _uri_part_pieces(pattern)
    return pieces is None or all(_pieces_match(each, part) for each, part in zip(pieces, parts, strict=True))


def _pieces_match(pieces: Sequence[str], text: str) -> bool:
    """Each piece where it first fits: no other choice could do better, so there is nothing to go back to."""
    first, last = pieces[0], pieces[-1]
    if len(pieces) == 1:
        return text == first
    start, end = len(first), len(text) - len(last)
    if start > end or not text.startswith(first) or not text.endswith(last):
        return False
    for piece in pieces[1:-1]:
        found = text.find(piece, start, end)
        if found < 0:
            return False
        start = found + len(piece)
    return True


@lru_cache(maxsize=4096)
def _covering_pieces(pattern: str) -> tuple[tuple[str, ...], ...]:
    """What matches ``.example.com`` where the DNS pattern matches some name made of one label and that.

    The label is free, so that it holds all pieces before the first dot: the fewer are left, the easier they fit.
    """
    pieces = _pieces(pattern, NameType.DNS_NAME)
    index = next((number for number, piece in enumerate(pieces) if "." in piece), len(pieces) - 1)
    covering = []
    if index:  # The label ends inside the wildcard before this piece ...
        covering.append(("", *pieces[index:]))
    head, dot, tail = pieces[index].partition(".")
    if dot and (index or head):  # ... or at its first dot.
        covering.append((dot + tail, *pieces[index + 1 :]))
    return tuple(covering)
