"""Key files of strangers: what opens, opens; what wants too much time or memory is ended, wherever it says so."""

import base64
import traceback

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates

from certificates.x509 import key_process
from certificates.x509.key_process import read_key_material_apart
from certificates.x509.keys import public_key_info
from certificates.x509.private_keys import KeyUnreadable
from profiles.policy.vocabulary import KeyAlgorithm
from tests.certificates.x509.material import VECTORS, intermediate, key, root

P256 = KeyAlgorithm.EC_PRIME256V1
PASSWORD = "gloves & scarf 7"
DATA, ENCRYPTED_KEY_BAG, KEY_BAG = "2a864886f70d010701", "2a864886f70d010c0a0102", "2a864886f70d010c0a0101"
PBES2, PBKDF2, SCRYPT, AES_256_CBC = (
    "2a864886f70d01050d",
    "2a864886f70d01050c",
    "2b06010401da47040b",
    "60864801650304012a",
)
HMAC_SHA256, RSA = "2a864886f70d0209", "2a864886f70d010101"


def der(tag: int, *content: bytes) -> bytes:
    body = b"".join(content)
    if len(body) < 128:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + body


def sequence(*content: bytes) -> bytes:
    return der(0x30, *content)


def integer(number: int) -> bytes:
    return der(2, number.to_bytes(number.bit_length() // 8 + 1))


def oid(octets: str) -> bytes:
    return der(6, bytes.fromhex(octets))


def encrypted_key(function: str, *numbers: int) -> bytes:
    """EncryptedPrivateKeyInfo (RFC 5958) of nothing, under a password that costs ``numbers``."""
    prf = [sequence(oid(HMAC_SHA256), der(5))] if function == PBKDF2 else []
    derivation = sequence(oid(function), sequence(der(4, b"salt" * 2), *map(integer, numbers), *prf))
    scheme = sequence(derivation, sequence(oid(AES_256_CBC), der(4, bytes(16))))
    return sequence(sequence(oid(PBES2), scheme), der(4, bytes(64)))


def safe(kind: str, key_info: bytes) -> bytes:
    """AuthenticatedSafe (RFC 7292, 4.1) with one bag."""
    bag = sequence(oid(kind), der(0xA0, key_info))
    return sequence(sequence(oid(DATA), der(0xA0, der(4, sequence(bag)))))


def pkcs12(octet_string: bytes) -> bytes:
    """PFX (RFC 7292, 4) without a MAC."""
    return sequence(integer(3), sequence(oid(DATA), der(0xA0, octet_string)))


def pem(content: bytes, line_end: bytes) -> bytes:
    text = base64.b64encode(content)
    lines = [text[place : place + 64] for place in range(0, len(text), 64)]
    label = b"ENCRYPTED PRIVATE KEY-----"
    return line_end.join([b"-----BEGIN " + label, *lines, b"-----END " + label, b""])


def huge_rsa_key() -> bytes:
    """PrivateKeyInfo of two primes of Mersenne, with 14,112 bits; to prove them takes half a minute."""
    p, q, e = 2**4423 - 1, 2**9689 - 1, 65537
    d = pow(e, -1, (p - 1) * (q - 1))
    numbers = (0, p * q, e, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p))
    return sequence(integer(0), sequence(oid(RSA), der(5)), der(4, sequence(*map(integer, numbers))))


def hidden(safe_contents: bytes, number: int) -> bytes:
    """The octets in BER, in two pieces that part the number (X.690, 8.7.3)."""
    place = safe_contents.index(integer(number)) + 3
    return der(0x24, der(4, safe_contents[:place]), der(4, safe_contents[place:]))


ENDLESS = 2**31 - 1
COSTLY = {
    "iterations": encrypted_key(PBKDF2, ENDLESS),
    "iterations in PEM with spaces": pem(encrypted_key(PBKDF2, ENDLESS), b" \n"),
    "time of scrypt": encrypted_key(SCRYPT, 2**14, 8, 2**14),
    "memory of scrypt": encrypted_key(SCRYPT, 2**20, 64, 1),
    "more memory than there is": encrypted_key(SCRYPT, 2**20, 2**20, 2**5),
    "iterations in BER": pkcs12(hidden(safe(ENCRYPTED_KEY_BAG, encrypted_key(PBKDF2, ENDLESS)), ENDLESS)),
    "primes": pkcs12(der(4, safe(KEY_BAG, huge_rsa_key()))),
}


@pytest.mark.parametrize("data", COSTLY.values(), ids=COSTLY)
def test_what_costs_too_much_is_ended(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_process, "CPU_SECONDS", 1)
    with pytest.raises(KeyUnreadable) as caught:
        read_key_material_apart(data, PASSWORD)
    assert caught.value.code == "key_too_costly"


def test_a_key_comes_back_with_its_certificates() -> None:
    data = serialize_key_and_certificates(b"ca", key(P256), intermediate(P256, P256), [root(P256)], NoEncryption())  # type: ignore[arg-type]
    material = read_key_material_apart(data)
    assert public_key_info(material.private_key.public_key()) == public_key_info(key(P256).public_key())
    assert (material.certificate, material.chain) == (intermediate(P256, P256), (root(P256),))


def test_a_key_comes_back_without_certificates() -> None:
    material = read_key_material_apart((VECTORS / "ec-sec1.key.pem").read_bytes())
    assert (material.certificate, material.chain) == (None, ())


def test_a_refusal_comes_back_without_a_word_of_what_was_sent() -> None:
    with pytest.raises(KeyUnreadable) as caught:
        read_key_material_apart((VECTORS / "encrypted.key.pem").read_bytes(), "not this 9")
    assert (caught.value.code, caught.value.is_password) == ("key_does_not_open", True)
    assert "not this 9" not in "".join(traceback.format_exception_only(caught.value))


def test_a_serial_number_of_eight_octets_beside_the_key_is_no_cost() -> None:
    now = root(P256).not_valid_before_utc
    certificate = (
        x509.CertificateBuilder()
        .subject_name(root(P256).subject)
        .issuer_name(root(P256).subject)
        .public_key(key(P256).public_key())
        .serial_number(2**60)
        .not_valid_before(now)
        .not_valid_after(now.replace(year=now.year + 1))
        .sign(key(P256), root(P256).signature_hash_algorithm)  # type: ignore[arg-type]
    )
    data = serialize_key_and_certificates(b"ca", key(P256), certificate, None, NoEncryption())  # type: ignore[arg-type]
    assert read_key_material_apart(data).certificate == certificate
    assert certificate.public_bytes(Encoding.DER) in data
