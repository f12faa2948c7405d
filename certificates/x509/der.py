"""DER (X.690) by hand, for what cryptography does not build or read: CRLs of a million entries, OCSP with several
requests.

Reading is strict: definite lengths in their shortest form, nothing beyond the end; whatever else comes is a ValueError.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
NULL: Final = 0x05
OBJECT_IDENTIFIER: Final = 0x06
ENUMERATED: Final = 0x0A
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
SEQUENCE: Final = 0x30

# No document read here comes near; it bounds what a length can claim.
_LONGEST_LENGTH: Final = 4


def context(number: int, *, constructed: bool = True) -> int:
    """The identifier octet of a context-specific tag below 31."""
    return 0x80 | (0x20 if constructed else 0) | number


def tlv(tag: int, *contents: bytes) -> bytes:
    """One value: identifier, length, contents."""
    body = b"".join(contents)
    return header(tag, len(body)) + body


def header(tag: int, length: int) -> bytes:
    """Identifier and length, before contents of so many octets."""
    return bytes([tag]) + length_octets(length)


def length_octets(length: int) -> bytes:
    """X.690, 8.1.3 and 10.1: definite, and as short as can be."""
    if length < 0x80:
        return bytes([length])
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(octets)]) + octets


def sequence(*members: bytes) -> bytes:
    """SEQUENCE."""
    return tlv(SEQUENCE, *members)


def integer(value: int) -> bytes:
    """INTEGER, not negative."""
    return tlv(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def octet_string(value: bytes) -> bytes:
    """OCTET STRING."""
    return tlv(OCTET_STRING, value)


def enumerated(value: int) -> bytes:
    """ENUMERATED, 0 to 127."""
    return tlv(ENUMERATED, bytes([value]))


def bit_string(value: bytes) -> bytes:
    """BIT STRING of whole octets."""
    return tlv(BIT_STRING, b"\x00", value)


def object_identifier(dotted: str) -> bytes:
    """OBJECT IDENTIFIER (X.690, 8.19)."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    octets = bytearray()
    for arc in (40 * first + second, *rest):
        septets = [arc & 0x7F]
        while arc := arc >> 7:
            septets.append(0x80 | arc & 0x7F)
        octets += bytes(reversed(septets))
    return tlv(OBJECT_IDENTIFIER, bytes(octets))


def generalized_time(moment: datetime) -> bytes:
    """GeneralizedTime in whole seconds of UTC (RFC 5280, 4.1.2.5.2)."""
    return tlv(GENERALIZED_TIME, moment.astimezone(UTC).strftime("%Y%m%d%H%M%SZ").encode("ascii"))


def time(moment: datetime) -> bytes:
    """Time (RFC 5280, 4.1.2.5): UTCTime to 2049, GeneralizedTime from then on."""
    if moment.astimezone(UTC).year >= 2050:
        return generalized_time(moment)
    return tlv(UTC_TIME, moment.astimezone(UTC).strftime("%y%m%d%H%M%SZ").encode("ascii"))


def extension(oid: str, value: bytes, *, critical: bool = False) -> bytes:
    """Extension (RFC 5280, 4.1); FALSE is the default and not written."""
    return sequence(object_identifier(oid), tlv(BOOLEAN, b"\xff") if critical else b"", octet_string(value))


@dataclass(frozen=True, slots=True)
class Value:
    """One value in a document: ``document[start:end]`` is all of it, ``document[content:end]`` what it holds."""

    document: bytes
    tag: int
    start: int
    content: int
    end: int

    @classmethod
    def whole(cls, document: bytes) -> Self:
        """The one value that the document is. Raises ValueError."""
        value = cls.at(document, 0, len(document))
        if value.end != len(document):
            raise ValueError("there is something after the end")
        return value

    @classmethod
    def at(cls, document: bytes, start: int, limit: int) -> Self:
        """The value that begins at ``start`` and ends at or before ``limit``. Raises ValueError."""
        if start + 2 > limit:
            raise ValueError("the document ends within a value")
        tag, length, content = document[start], document[start + 1], start + 2
        if tag & 0x1F == 0x1F:
            raise ValueError("a tag above 30")
        if length >= 0x80:
            count = length & 0x7F
            octets = document[content : content + count]
            content += count
            if not 0 < count <= _LONGEST_LENGTH or content > limit:
                raise ValueError("a length that cannot be")
            length = int.from_bytes(octets, "big")
            if length < 0x80 or octets[0] == 0:
                raise ValueError("a length in a longer form than needed")
        if content + length > limit:
            raise ValueError("the document ends within a value")
        return cls(document, tag, start, content, content + length)

    @property
    def encoded(self) -> bytes:
        """All of it."""
        return self.document[self.start : self.end]

    @property
    def contents(self) -> bytes:
        """What it holds."""
        return self.document[self.content : self.end]

    def members(self, tag: int = SEQUENCE) -> list["Value"]:
        """The values in it, which must have ``tag``. Raises ValueError."""
        self.require(tag)
        found, at = [], self.content
        while at < self.end:
            found.append(Value.at(self.document, at, self.end))
            at = found[-1].end
        return found

    def require(self, tag: int) -> "Value":
        """Itself. Raises ValueError where it has another tag."""
        if self.tag != tag:
            raise ValueError(f"tag {self.tag:#04x} where {tag:#04x} belongs")
        return self

    def as_integer(self) -> int:
        """Of an INTEGER in its shortest form. Raises ValueError."""
        octets = self.require(INTEGER).contents
        if not octets or (len(octets) > 1 and octets[0] in {0x00, 0xFF} and (octets[0] ^ octets[1]) & 0x80 == 0):
            raise ValueError("an INTEGER that is empty or longer than needed")
        return int.from_bytes(octets, "big", signed=True)
