"""Key files as people have them: each form opens, and whatever does not says why without a word of what was sent."""

import traceback
from contextlib import suppress

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import PBES, serialize_key_and_certificates
from hypothesis import given, settings
from hypothesis import strategies as st

from certificates.x509.keys import PrivateKey, public_key_info
from certificates.x509.private_keys import MAX_KEY_BYTES, KeyMaterial, KeyUnreadable, read_key_material
from profiles.policy.vocabulary import KeyAlgorithm
from tests.certificates.x509.material import VECTORS, intermediate, key, root

P256 = KeyAlgorithm.EC_PRIME256V1
PASSWORD = "gloves & scarf 7"


def pkcs8(private_key: PrivateKey, encoding: Encoding = Encoding.PEM, password: str = "") -> bytes:
    encryption: KeySerializationEncryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    return private_key.private_bytes(encoding, PrivateFormat.PKCS8, encryption)


def pkcs12() -> bytes:
    encryption = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(2048)
        .key_cert_algorithm(PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(hashes.SHA256())
        .build(PASSWORD.encode())
    )
    return serialize_key_and_certificates(b"ca", key(P256), intermediate(P256, P256), [root(P256)], encryption)  # type: ignore[arg-type]


def same(material: KeyMaterial, private_key: PrivateKey) -> bool:
    return public_key_info(material.private_key.public_key()) == public_key_info(private_key.public_key())


def refusal(data: bytes, password: str = "") -> KeyUnreadable:
    """The refusal, which tells nothing of the file or the password, not even in its cause."""
    with pytest.raises(KeyUnreadable) as caught:
        read_key_material(data, password)
    told = "".join(traceback.format_exception(caught.value))
    assert not password or password not in told.replace("read_key_material(data, password)", "")
    return caught.value


@pytest.mark.parametrize("algorithm", list(KeyAlgorithm))
@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
@pytest.mark.parametrize("password", ["", PASSWORD])
def test_pkcs8_of_every_kind_opens(algorithm: KeyAlgorithm, encoding: Encoding, password: str) -> None:
    assert same(read_key_material(pkcs8(key(algorithm), encoding, password), password), key(algorithm))


def test_pkcs12_opens_with_its_certificates() -> None:
    material = read_key_material(pkcs12(), PASSWORD)
    assert same(material, key(P256))
    assert material.certificate == intermediate(P256, P256)
    assert material.chain == (root(P256),)
    assert "key" not in repr(material).replace("private_key", "")


def test_a_pem_file_may_hold_more_and_a_password_that_is_not_needed_does_no_harm() -> None:
    text = root(P256).public_bytes(Encoding.PEM) + pkcs8(key(P256)) + b"# end\n"
    assert same(read_key_material(text, PASSWORD), key(P256))
    assert same(read_key_material(pkcs8(key(P256), Encoding.DER), PASSWORD), key(P256))
    assert read_key_material((VECTORS / "ec-sec1.key.pem").read_bytes()).certificate is None


@pytest.mark.parametrize(
    ("data", "password", "code"),
    [
        (pkcs8(key(P256), password=PASSWORD), "", "password_missing"),
        (pkcs8(key(P256), Encoding.DER, PASSWORD), "", "password_missing"),
        (pkcs8(key(P256), password=PASSWORD), "wrong", "key_does_not_open"),
        (pkcs12(), "", "key_does_not_open"),
        (pkcs12(), "wrong", "key_does_not_open"),
        (pkcs12()[:-200], PASSWORD, "key_does_not_open"),
        (b"", "", "key_not_readable"),
        (b"no key", "", "key_not_readable"),
        (root(P256).public_bytes(Encoding.PEM), "", "key_not_readable"),
        (root(P256).public_bytes(Encoding.DER), "", "key_not_readable"),
        (b"x" * (MAX_KEY_BYTES + 1), "", "key_too_large"),
    ],
)
def test_what_does_not_open_says_why(data: bytes, password: str, code: str) -> None:
    assert refusal(data, password).code == code


@pytest.mark.parametrize(
    "private_key",
    [ed448.Ed448PrivateKey.generate(), ec.generate_private_key(ec.SECP256K1()), x25519.X25519PrivateKey.generate()],
)
def test_a_key_that_signs_nothing_here_is_told_by_its_kind(private_key: ed448.Ed448PrivateKey) -> None:
    found = refusal(private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert found.code == "key_not_supported"
    assert "ML-DSA-65" in found.fix


def test_dsa_is_told_too() -> None:
    data = dsa.generate_private_key(2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert refusal(data).reason == "DSA 2048 signs nothing here"


def test_an_rsa_key_whose_halves_do_not_fit_is_refused() -> None:
    data = bytearray(pkcs8(key(KeyAlgorithm.RSA_2048), Encoding.DER))
    data[400] ^= 1  # inside the private exponent
    assert refusal(bytes(data)).code == "key_not_readable"


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([pkcs12(), pkcs8(key(P256), Encoding.DER), pkcs8(key(P256))]), st.data())
def test_no_damage_lets_anything_but_a_refusal_out(good: bytes, data: st.DataObject) -> None:
    broken = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    with suppress(KeyUnreadable):
        read_key_material(bytes(broken[: data.draw(st.integers(0, len(broken)))]), PASSWORD)
