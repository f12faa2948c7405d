"""Private keys that others made: PKCS#8 (RFC 5958) in PEM or DER, encrypted or not, and PKCS#12 (RFC 7292).

What a file costs to open is its maker's choice, and shows in part only once it is open: files that are not trusted are
opened by ``key_process``. No exception repeats anything of what was sent, nor carries a cause that might.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import PKCS12KeyAndCertificates, load_pkcs12

from certificates.x509.der import INTEGER, OCTET_STRING, SEQUENCE, Value, context
from certificates.x509.keys import PrivateKey, algorithm_of, describe, public_key_info
from profiles.policy.vocabulary import KeyAlgorithm
from profiles.policy.wording import listed

MAX_KEY_BYTES: Final = 256 * 1024
# RSA-4096 takes 3,300 characters, ML-DSA-87 not 7,000.
MAX_OPEN_KEY_LENGTH: Final = 16 * 1024
# All those of a file together. The careful ask for 600,000, three times over; a million takes a quarter of a second.
MAX_ITERATIONS: Final = 3_000_000
_MAX_VALUES: Final = 5_000
# What holds another value: an explicit context tag, and the octets of content that is itself encoded (RFC 7292, 4.1).
_WRAPPERS: Final = frozenset({context(0), OCTET_STRING})
_PEM_KEY: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]{0,32})PRIVATE KEY-----.*?-----END \1PRIVATE KEY-----", re.DOTALL)
_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm)


class KeyUnreadable(ValueError):
    """What was sent is no private key that can be used here.

    Attributes:
        code: what is wrong, stable.
        reason: for people, a clause.
        fix: what to do about it, a sentence.
        is_password: the password is to blame.
    """

    def __init__(self, code: str, reason: str, fix: str, *, is_password: bool = False) -> None:
        super().__init__(f"{reason}. {fix}")
        self.code = code
        self.reason = reason
        self.fix = fix
        self.is_password = is_password


@dataclass(frozen=True, slots=True)
class KeyMaterial:
    """A private key, and the certificates that lay beside it in a PKCS#12 file."""

    private_key: PrivateKey = field(repr=False)
    certificate: x509.Certificate | None = None
    chain: tuple[x509.Certificate, ...] = ()


@dataclass(frozen=True, slots=True)
class StoreContents:
    """What lay in a PKCS#12 file: certificates, the key's own first, and the key.

    ``private_key`` is None where there was none, or one of a kind that signs nothing here: ``has_other_key`` then.
    """

    certificates: tuple[x509.Certificate, ...]
    private_key: PrivateKey | None = field(default=None, repr=False)
    has_other_key: bool = False


def read_key_material(data: bytes, password: str = "") -> KeyMaterial:
    """The key in a PKCS#8 or PKCS#12 file. For as long as the file's maker wished.

    Raises:
        KeyUnreadable: it is none, does not open, or is of a kind that signs nothing here.
    """
    if len(data) > MAX_KEY_BYTES:
        raise KeyUnreadable("key_too_large", f"the file has {len(data)} bytes", "Send the key alone.")
    secret = password.encode() or None
    if b"-----BEGIN" in data:
        return KeyMaterial(_usable(*_pem_loader(data, secret)))
    if is_pkcs12(data):
        return _pkcs12_material(data, secret)
    return KeyMaterial(_usable(load_der_private_key, data, secret))


def _pem_loader(data: bytes, secret: bytes | None) -> tuple[Callable[..., PrivateKeyTypes], bytes, bytes | None]:
    found = _PEM_KEY.search(data)
    if found is None:
        raise KeyUnreadable(
            "key_not_readable", "there is no private key in the PEM text", "Send the key file with all its lines."
        )
    return load_pem_private_key, found[0], secret


def _usable(load: Callable[..., PrivateKeyTypes], data: bytes, secret: bytes | None) -> PrivateKey:
    """Load without the costly proof first, so that only sizes that are certified here are proven."""
    try:
        key = _opened(load, data, secret, unsafe_skip_rsa_key_validation=True)
        if isinstance(key, rsa.RSAPrivateKey) and algorithm_of(key.public_key()) is not None:
            key = _opened(load, data, secret)
    except _UNREADABLE as problem:
        raise _unreadable(problem, secret) from None
    return _checked(key)


def _opened(
    load: Callable[..., PrivateKeyTypes], data: bytes, secret: bytes | None, **options: bool
) -> PrivateKeyTypes:
    try:
        return load(data, secret, **options)
    except TypeError:
        if secret is None:
            raise
        # A password for a key that needs none: it opens all the same.
        return load(data, None, **options)


def _unreadable(problem: Exception, secret: bytes | None) -> KeyUnreadable:
    if isinstance(problem, TypeError):
        return KeyUnreadable(
            "password_missing", "the key is encrypted", "Give the password of the file.", is_password=True
        )
    if secret is not None:
        return KeyUnreadable(
            "key_does_not_open",
            "the password does not open the key, or the file is no key",
            "Check the password and the file.",
            is_password=True,
        )
    return KeyUnreadable(
        "key_not_readable", "the file is no private key, or a broken one", "Send a PKCS#8 or PKCS#12 file."
    )


def _checked(key: object) -> PrivateKey:
    if not isinstance(key, PrivateKey) or algorithm_of(key.public_key()) is None:
        kind = describe(key.public_key()) if hasattr(key, "public_key") else "this kind of key"
        raise KeyUnreadable("key_not_supported", f"{kind} signs nothing here", f"Use one of {listed(KeyAlgorithm)}.")
    return key


def read_open_key(pem: str, certificate: x509.Certificate) -> PrivateKey | None:
    """The certificate's key in PKCS#8 PEM, unencrypted; None where the text is anything else, another's key included.

    Nothing costly is done with what comes: that the public half is the certificate's is all that is proven. It may be
    of a size or curve that is not certified here, as that of an imported certificate can be.
    """
    if len(pem) > MAX_OPEN_KEY_LENGTH:
        return None
    try:
        key = load_pem_private_key(pem.encode(), None, unsafe_skip_rsa_key_validation=True)
        if isinstance(key, PrivateKey) and public_key_info(key.public_key()) == public_key_info(
            certificate.public_key()
        ):
            return key
    except _UNREADABLE:
        pass
    return None


def read_store(data: bytes, password: str = "") -> StoreContents:
    """Everything in a PKCS#12 file, with a key or without. For as long as the file's maker wished.

    Raises:
        KeyUnreadable: it is none, does not open, or is too large.
    """
    if len(data) > MAX_KEY_BYTES:
        raise KeyUnreadable("key_too_large", f"the file has {len(data)} bytes", f"Send at most {MAX_KEY_BYTES} bytes.")
    store = _opened_pkcs12(data, password.encode() or None)
    own = [store.cert.certificate] if store.cert else []
    is_usable = isinstance(store.key, PrivateKey) and algorithm_of(store.key.public_key()) is not None
    return StoreContents(
        certificates=(*own, *(each.certificate for each in store.additional_certs)),
        private_key=_checked(store.key) if is_usable else None,
        has_other_key=store.key is not None and not is_usable,
    )


def _opened_pkcs12(data: bytes, secret: bytes | None) -> PKCS12KeyAndCertificates:
    try:
        return load_pkcs12(data, secret)
    except _UNREADABLE:
        # The library does not tell a wrong password from a broken file.
        raise KeyUnreadable(
            "key_does_not_open",
            "the PKCS#12 file does not open with this password",
            "Check the password and the file.",
            is_password=True,
        ) from None


def _pkcs12_material(data: bytes, secret: bytes | None) -> KeyMaterial:
    store = _opened_pkcs12(data, secret)
    if store.key is None:
        raise KeyUnreadable("key_missing", "the PKCS#12 file holds no private key", "Export it with its key.")
    return KeyMaterial(
        _checked(store.key),
        store.cert.certificate if store.cert else None,
        tuple(each.certificate for each in store.additional_certs),
    )


def is_pkcs12(data: bytes) -> bool:
    """Whether ``data`` looks like PKCS#12.

    RFC 7292, 4: PFX ::= SEQUENCE { version INTEGER {v3(3)}, authSafe ContentInfo ... }.
    """
    inside = next(_elements(data), None)
    return inside is not None and inside[0] == 0x30 and inside[1][:4] == b"\x02\x01\x03\x30"


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each element, as far as they can be read (X.690, 8.1); of an indefinite length, the rest."""
    position = 0
    while position + 2 <= len(der):
        tag, length, position = der[position], der[position + 1], position + 2
        if length == 0x80:
            length = len(der) - position
        elif length > 0x80:
            count = length & 0x7F
            length = int.from_bytes(der[position : position + count])
            position += count
        yield tag, der[position : position + length]
        position += length


def claimed_iterations(data: bytes) -> int:
    """How many iterations a DER file says openly that it wants, all together; 0 where it cannot be followed.

    They stand behind a salt in the parameters of every cipher (RFC 8018, A.2; RFC 7292, C) and of the MAC (RFC 7292,
    4). Those in an encrypted part do not show.
    """
    total, waiting = 0, [data]
    for _ in range(_MAX_VALUES):
        if not waiting:
            break
        try:
            value = Value.whole(waiting.pop())
            members = value.members() if value.tag == SEQUENCE else []
        except ValueError:
            continue
        if value.tag in _WRAPPERS:
            waiting.append(value.contents)
        for before, member in pairwise(members):
            if before.tag == OCTET_STRING and member.tag == INTEGER:
                total += int.from_bytes(member.contents)
        waiting += [member.encoded for member in members]
    return total
