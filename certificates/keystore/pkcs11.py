"""CA keys in a PKCS#11 token (an HSM): made there, used there, never outside.

Keys are objects that subclass cryptography's classes and ask the token for each signature, so that certificates, CRLs,
CSRs and OCSP responses are signed by the same code whatever holds the key. Only what is to be signed is hashed here.

The session is one for each process: opened at the first use, after the server has forked, and again whenever the token
was away. One lock stands around every call, because the library is not initialised for threads and crashes with two.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import RLock
from time import sleep
from typing import Any, Final, NoReturn, Self, TypeVar
from uuid import UUID, uuid4

import pkcs11
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from django.conf import settings
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass

from certificates.keystore.base import MemorySigner, Signer
from certificates.x509.keys import PublicKey, load_public_key
from certificates.x509.rsa_keys import PUBLIC_EXPONENT
from pki_portal.errors import Unavailable
from profiles.policy.vocabulary import KeyAlgorithm, KeyFamily

T = TypeVar("T")
# Names the CA whose key it is; asked only to tell of a fault.
Owner = Callable[[], str]

CACHED_HANDLES: Final = 64
_PIN_REFUSED: Final = (
    pkcs11.PinIncorrect,
    pkcs11.PinInvalid,
    pkcs11.PinLenRange,
    pkcs11.PinExpired,
    pkcs11.PinLocked,
)
# Tokens kept in files say so of a moment in which another process writes them: a login does.
_PASSING: Final = (pkcs11.GeneralError, pkcs11.NoSuchToken)
_PAUSES: Final = (0.02, 0.05, 0.1)  # seconds before each further try
_SIGNS: Final = MechanismFlag.SIGN | MechanismFlag.VERIFY
_NOT_EXTRACTABLE: Final = {
    Attribute.PRIVATE: True,
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    # Nothing but signatures: what a key may do beside, it can be misused for.
    Attribute.DECRYPT: False,
    Attribute.UNWRAP: False,
    Attribute.DERIVE: False,
}
_RSA_BITS: Final = {KeyAlgorithm.RSA_2048: 2048, KeyAlgorithm.RSA_3072: 3072, KeyAlgorithm.RSA_4096: 4096}
# DER of the curve's object identifier (RFC 5480, 2.1.1.1; RFC 8410, 3).
_CURVES: Final[dict[KeyAlgorithm, tuple[bytes, type[ec.EllipticCurve]]]] = {
    KeyAlgorithm.EC_PRIME256V1: (bytes.fromhex("06082a8648ce3d030107"), ec.SECP256R1),
    KeyAlgorithm.EC_SECP384R1: (bytes.fromhex("06052b81040022"), ec.SECP384R1),
    KeyAlgorithm.EC_SECP521R1: (bytes.fromhex("06052b81040023"), ec.SECP521R1),
}
_ED25519: Final = bytes.fromhex("06032b6570")
# DigestInfo up to the digest (RFC 8017, 9.2, note 1).
_DIGEST_INFO: Final = {
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}


class _Token:
    """The session of this process; whatever is done with it is done inside ``use``."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._session: pkcs11.Session | None = None
        self._library: Any = None
        self._handles: dict[str, pkcs11.Key] = {}
        self._refused_pin: str | None = None

    def use(self, act: Callable[[pkcs11.Session], T], *, again: bool = True) -> T:
        """What ``act`` returns; ``again`` it is tried with new sessions, for a token that was away or busy and is back.

        Raises:
            Unavailable: the token does not answer, has no such key, or refuses the PIN; the text holds no secret.
        """
        with self._lock:
            if again and self._session is not None:
                with suppress(pkcs11.PKCS11Error):
                    return act(self._session)
                self._close()
            pauses = iter(_PAUSES if again else ())
            while True:
                try:
                    return self._in_new_session(act)
                except pkcs11.PKCS11Error as problem:
                    self._close()
                    pause = next(pauses, None) if isinstance(problem, _PASSING) else None
                    if pause is None:
                        raise Unavailable(_reason(problem)) from None
                sleep(pause)

    def _in_new_session(self, act: Callable[[pkcs11.Session], T]) -> T:
        if self._session is None:
            self._open()
        assert self._session is not None  # noqa: S101 - for the type checker: just opened
        return act(self._session)

    def private_key(self, session: pkcs11.Session, label: str, public_key: PublicKey) -> pkcs11.Key:
        """The handle of a key, good as long as the session. Raises Unavailable where its public half is another."""
        if (handle := self._handles.get(label)) is None:
            public = session.get_key(object_class=ObjectClass.PUBLIC_KEY, label=label)
            if _public_half(public) != public_key:
                raise Unavailable(f"the token holds another key labelled {label}. Restore the token's content.")
            handle = session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=label)
            if len(self._handles) >= CACHED_HANDLES:
                self._handles.clear()
            self._handles[label] = handle
        return handle

    def forget_handle(self, label: str) -> None:
        """Look for that key again at its next use."""
        self._handles.pop(label, None)

    def forget(self) -> None:
        """After a fork: the session is the parent's, and its lock may have been held by a thread that is not here."""
        self._lock = RLock()
        self._session = None
        self._handles = {}

    def close(self) -> None:
        """End the session, and forget what was wrong with the PIN; the next use opens a new one."""
        with self._lock:
            self._close()
            self._refused_pin = None

    def _open(self) -> None:
        # A token counts the wrong PINs and locks itself: what it has refused is not tried again.
        if self._refused_pin == settings.PKCS11_PIN:
            raise pkcs11.PinIncorrect
        if self._library is not None:
            with suppress(pkcs11.PKCS11Error):
                self._library.finalize()  # the library looks for tokens when it is initialised
        self._library = pkcs11.lib(settings.PKCS11_MODULE)
        token = self._library.get_token(token_label=settings.PKCS11_TOKEN_LABEL)
        try:
            self._session = token.open(rw=True, user_pin=settings.PKCS11_PIN)
        except _PIN_REFUSED:
            self._refused_pin = settings.PKCS11_PIN
            raise

    def _close(self) -> None:
        session, self._session = self._session, None
        self._handles = {}
        if session is not None:
            with suppress(pkcs11.PKCS11Error):
                session.close()


_token: Final = _Token()
os.register_at_fork(after_in_child=_token.forget)


def close_token() -> None:
    """End this process's session; the next use opens another one with the settings as they are then."""
    _token.close()


# --- Keys -------------------------------------------------------------------------------------------------------------


class TokenKey:
    """A private key in the token, by its label; the public half is here."""

    def __init__(self, *, label: str, public_key: Any, owner: Owner) -> None:
        self.label = label
        self._public_key = public_key
        self._owner = owner

    def _signed(self, data: bytes, mechanism: Mechanism) -> bytes:
        with _naming(self._owner):
            signature: bytes = _token.use(lambda session: self._handle(session).sign(data, mechanism=mechanism))
        return signature

    def check(self) -> None:
        """Return if the token holds the key pair now. Raises Unavailable."""

        def look(session: pkcs11.Session) -> None:
            _token.forget_handle(self.label)
            self._handle(session)

        with _naming(self._owner):
            _token.use(look)

    def _handle(self, session: pkcs11.Session) -> Any:
        return _token.private_key(session, self.label, self._public_key)

    def private_bytes(self, *_: Any, **__: Any) -> NoReturn:
        """Never."""
        raise UnsupportedAlgorithm("the key does not leave its token")

    private_numbers = private_bytes_raw = decrypt = exchange = private_bytes

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self


class TokenRSAKey(TokenKey, rsa.RSAPrivateKey):
    """RSA, RSASSA-PKCS1-v1_5."""

    def public_key(self) -> rsa.RSAPublicKey:
        """The public half."""
        key: rsa.RSAPublicKey = self._public_key
        return key

    @property
    def key_size(self) -> int:
        """Bits of the modulus."""
        return self.public_key().key_size

    def sign(self, data: Any, padding_: Any, algorithm: Any) -> bytes:
        """RFC 8017, 8.2.1. Raises Unavailable, and UnsupportedAlgorithm for another padding or hash."""
        if not isinstance(padding_, padding.PKCS1v15):
            raise UnsupportedAlgorithm("a key in a token signs with PKCS1v15 only")
        name, digest = _digest(data, algorithm)
        return self._signed(_DIGEST_INFO[name] + digest, Mechanism.RSA_PKCS)


class TokenECKey(TokenKey, ec.EllipticCurvePrivateKey):
    """ECDSA."""

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""
        key: ec.EllipticCurvePublicKey = self._public_key
        return key

    @property
    def curve(self) -> ec.EllipticCurve:
        """The curve."""
        return self.public_key().curve

    @property
    def key_size(self) -> int:
        """Bits of the field."""
        return self.public_key().key_size

    def sign(self, data: Any, signature_algorithm: Any) -> bytes:
        """DER of an ECDSA-Sig-Value (RFC 3279, 2.2.3). Raises Unavailable, UnsupportedAlgorithm."""
        _, digest = _digest(data, signature_algorithm.algorithm)
        octets = (self.key_size + 7) // 8
        # SEC 1, 4.1.3: of a longer digest the leftmost bits; not every token does that by itself.
        signed = self._signed(digest[:octets], Mechanism.ECDSA)
        r, s = signed[: len(signed) // 2], signed[len(signed) // 2 :]
        return encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))


class TokenEd25519Key(TokenKey, ed25519.Ed25519PrivateKey):
    """EdDSA over edwards25519; the token sees all of what is signed."""

    def public_key(self) -> ed25519.Ed25519PublicKey:
        """The public half."""
        key: ed25519.Ed25519PublicKey = self._public_key
        return key

    def sign(self, data: Any) -> bytes:
        """RFC 8032, 5.1.6. Raises Unavailable."""
        return self._signed(bytes(data), Mechanism.EDDSA)


def can_make(algorithm: KeyAlgorithm) -> bool:
    """Whether keys of this algorithm are kept in tokens."""
    return algorithm.family in {KeyFamily.RSA, KeyFamily.EC, KeyFamily.ED25519}


def make_key(algorithm: KeyAlgorithm, *, owner: Owner) -> Any:
    """A new key pair in the token, labelled by a new UUID, which will be the id of its row; it can never leave.

    Raises:
        Unavailable: the token does not answer, or cannot make such a key.
    """
    key_id = uuid4()
    named = {"id": key_id.bytes, "label": str(key_id), "store": True, "capabilities": _SIGNS}

    def generate(session: pkcs11.Session) -> PublicKey:
        templates: dict[str, Any] = named | {"private_template": _NOT_EXTRACTABLE}
        if algorithm in _RSA_BITS:
            made, _ = session.generate_keypair(
                KeyType.RSA,
                _RSA_BITS[algorithm],
                public_template={Attribute.PUBLIC_EXPONENT: PUBLIC_EXPONENT.to_bytes(3, "big")},
                **templates,
            )
        elif algorithm in _CURVES:
            made, _ = _on_curve(session, KeyType.EC, _CURVES[algorithm][0]).generate_keypair(**templates)
        else:
            curve = _on_curve(session, KeyType.EC_EDWARDS, _ED25519)
            made, _ = curve.generate_keypair(mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN, **templates)
        return _public_half(made)

    with _naming(owner):
        _token.use(lambda session: list(session.get_objects({Attribute.LABEL: str(key_id)})))  # a token that was away
        public_key = _token.use(generate, again=False)
    return _key_object(str(key_id), public_key, owner)


def made_labels() -> frozenset[str]:
    """Labels of the keys in the token that a portal made: each a UUID, and the key's id too. Raises Unavailable."""

    def look(session: pkcs11.Session) -> frozenset[str]:
        found = set()
        for kind in (ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY):
            for key in session.get_objects({Attribute.CLASS: kind}):
                with suppress(ValueError, pkcs11.AttributeTypeInvalid):
                    label = str(key[Attribute.LABEL])
                    if UUID(label).bytes == key[Attribute.ID]:
                        found.add(label)
        return frozenset(found)

    return _token.use(look)


def destroy_key(label: str) -> None:
    """Destroy a key pair that no row will name. Raises Unavailable."""

    def destroy(session: pkcs11.Session) -> None:
        for found in list(session.get_objects({Attribute.LABEL: label})):
            found.destroy()

    _token.use(destroy)


class TokenSigner(MemorySigner):
    """A key in the token; in memory is only what asks it."""


def load_signer(*, label: str, public_key_spki: bytes, owner: Owner) -> Signer:
    """The signer of a CA whose key is in the token; the token is first asked when something is signed.

    Args:
        public_key_spki: DER of the SubjectPublicKeyInfo in the CA's certificate: what is signed is verified with it.

    Raises:
        ValueError: the public key cannot be read.
    """
    return TokenSigner(_key_object(label, load_public_key(public_key_spki), owner))


def _key_object(label: str, public_key: PublicKey, owner: Owner) -> Any:
    kinds: tuple[tuple[type, Any], ...] = (
        (rsa.RSAPublicKey, TokenRSAKey),
        (ec.EllipticCurvePublicKey, TokenECKey),
        (ed25519.Ed25519PublicKey, TokenEd25519Key),
    )
    kind = next(private for public, private in kinds if isinstance(public_key, public))
    return kind(label=label, public_key=public_key, owner=owner)


def _on_curve(session: pkcs11.Session, key_type: KeyType, parameters: bytes) -> pkcs11.DomainParameters:
    return session.create_domain_parameters(key_type, {Attribute.EC_PARAMS: parameters}, local=True)


def _public_half(key: Any) -> PublicKey:
    """A public key object of the token as cryptography's."""
    if key.key_type is KeyType.RSA:
        modulus, exponent = (
            int.from_bytes(key[each], "big") for each in (Attribute.MODULUS, Attribute.PUBLIC_EXPONENT)
        )
        return rsa.RSAPublicNumbers(exponent, modulus).public_key()
    point = _octets(key[Attribute.EC_POINT])
    if key.key_type is KeyType.EC_EDWARDS:
        return ed25519.Ed25519PublicKey.from_public_bytes(point)
    parameters = key[Attribute.EC_PARAMS]
    curve = next(curve for der, curve in _CURVES.values() if der == parameters)
    return ec.EllipticCurvePublicKey.from_encoded_point(curve(), point)


def _octets(encoded: bytes) -> bytes:
    """Content of a DER OCTET STRING of less than 256 octets, which is how PKCS#11 writes a point."""
    return encoded[3:] if encoded[1] == 0x81 else encoded[2:]


def _digest(data: Any, algorithm: Any) -> tuple[str, bytes]:
    """Name and value of the digest to be signed; ``Prehashed`` where the caller has hashed already."""
    if isinstance(algorithm, Prehashed):
        name, digest = algorithm._algorithm.name, bytes(data)
    else:
        hashing = hashes.Hash(algorithm)
        hashing.update(data)
        name, digest = algorithm.name, hashing.finalize()
    if name not in _DIGEST_INFO:
        raise UnsupportedAlgorithm(f"a key in a token does not sign {name}")
    return name, digest


# --- Faults -----------------------------------------------------------------------------------------------------------


@contextmanager
def _naming(owner: Owner) -> Iterator[None]:
    try:
        yield
    except Unavailable as problem:
        raise Unavailable(f"The key of CA {owner()} cannot be used: {problem.message}") from None


def _reason(problem: pkcs11.PKCS11Error) -> str:
    """What is wrong with the token and what helps; no text of the library's, which may hold anything."""
    token = f"the token {settings.PKCS11_TOKEN_LABEL!r}"
    if isinstance(problem, _PIN_REFUSED):
        return f"{token} refuses PKCS11_PIN. Correct it and restart; a wrong PIN is not tried twice."
    if isinstance(problem, pkcs11.NoSuchToken):
        return f"{token} is not there. Plug it in or start it; it is looked for again at the next use."
    if isinstance(problem, pkcs11.NoSuchKey):
        return f"{token} does not hold it. Restore the token's content, or set PKCS11_TOKEN_LABEL to the right token."
    if isinstance(problem, pkcs11.MechanismInvalid | pkcs11.KeySizeRange | pkcs11.DomainParamsInvalid):
        return f"{token} knows no such keys. Choose another key algorithm."
    return f"{token} does not answer ({type(problem).__name__}). It is asked again at the next use."
