import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from certificates.x509.keys import (
    algorithm_of,
    default_signature_algorithm,
    describe,
    generate,
    key_identifier,
    load_public_key,
    private_key_pem,
    public_key_info,
    signing_hash,
    weaknesses,
)
from profiles.policy.vocabulary import KeyAlgorithm, SignatureAlgorithm
from tests.certificates.x509.material import key, root


@pytest.mark.parametrize("algorithm", list(KeyAlgorithm))
def test_a_key_is_made_named_written_and_read_back(algorithm: KeyAlgorithm) -> None:
    # RSA of the larger sizes takes up to seconds to make: those come from files.
    is_slow = algorithm in {KeyAlgorithm.RSA_3072, KeyAlgorithm.RSA_4096}
    made = key(algorithm) if is_slow else generate(algorithm)
    assert algorithm_of(made.public_key()) is algorithm
    assert weaknesses(made.public_key()) == ()
    pem = private_key_pem(made)
    assert pem.startswith("-----BEGIN PRIVATE KEY-----\n")
    assert pem.endswith("\n-----END PRIVATE KEY-----")
    loaded = load_pem_private_key(pem.encode(), None)
    assert loaded.public_key() == made.public_key()
    assert load_public_key(public_key_info(made.public_key())) == made.public_key()


def test_rsa_keys_have_the_usual_exponent() -> None:
    made = generate(KeyAlgorithm.RSA_2048)
    assert isinstance(made, rsa.RSAPrivateKey)
    assert made.public_key().public_numbers().e == 65537


def test_keys_that_are_not_certified_have_a_description_and_no_algorithm() -> None:
    secp256k1 = ec.generate_private_key(ec.SECP256K1()).public_key()
    curve448 = ed448.Ed448PrivateKey.generate().public_key()
    assert algorithm_of(secp256k1) is algorithm_of(curve448) is None
    assert [describe(secp256k1), describe(curve448)] == ["EC secp256k1", "Ed448"]
    assert describe(x25519.X25519PrivateKey.generate().public_key()) == "X25519"
    assert weaknesses(secp256k1) == ("the curve secp256k1 is none of secp256r1, secp384r1, secp521r1",)


def test_public_keys_of_other_families_do_not_load() -> None:
    with pytest.raises(ValueError, match="Ed448 keys are not supported"):
        load_public_key(public_key_info(ed448.Ed448PrivateKey.generate().public_key()))
    with pytest.raises(ValueError, match=r"deserialize|parsing|ASN"):
        load_public_key(b"\x30\x00")
    unknown = bytes.fromhex("300e300506032a0304030500") + b"abcd"
    with pytest.raises(ValueError, match="kind or curve"):
        load_public_key(unknown)


def test_a_modulus_past_what_is_checked_is_only_measured() -> None:
    numbers = rsa.RSAPublicNumbers(65537, 3 * (1 << 8300) + 9)
    assert weaknesses(numbers.public_key()) == ()
    assert algorithm_of(numbers.public_key()) is None


def test_every_reason_against_an_rsa_key_is_told() -> None:
    reasons = weaknesses(rsa.RSAPublicNumbers(17, 3 * (1 << 1022) + 9).public_key())
    assert len(reasons) == 3
    assert "too short" in reasons[0]
    assert "exponent is 17" in reasons[1]
    assert "small prime factor" in reasons[2]


def test_the_signing_hash_follows_the_algorithm() -> None:
    assert isinstance(signing_hash(SignatureAlgorithm.RSA_SHA384), hashes.SHA384)
    assert isinstance(signing_hash(SignatureAlgorithm.ECDSA_SHA512), hashes.SHA512)
    assert signing_hash(SignatureAlgorithm.ED25519) is None
    assert signing_hash(SignatureAlgorithm.ML_DSA_65) is None


def test_a_ca_signs_by_default_with_a_hash_as_strong_as_its_key() -> None:
    chosen = {algorithm: default_signature_algorithm(key(algorithm).public_key()) for algorithm in KeyAlgorithm}
    assert chosen == {
        KeyAlgorithm.RSA_2048: SignatureAlgorithm.RSA_SHA256,
        KeyAlgorithm.RSA_3072: SignatureAlgorithm.RSA_SHA256,
        KeyAlgorithm.RSA_4096: SignatureAlgorithm.RSA_SHA256,
        KeyAlgorithm.EC_PRIME256V1: SignatureAlgorithm.ECDSA_SHA256,
        KeyAlgorithm.EC_SECP384R1: SignatureAlgorithm.ECDSA_SHA384,
        KeyAlgorithm.EC_SECP521R1: SignatureAlgorithm.ECDSA_SHA512,
        KeyAlgorithm.ED25519: SignatureAlgorithm.ED25519,
        KeyAlgorithm.ML_DSA_44: SignatureAlgorithm.ML_DSA_44,
        KeyAlgorithm.ML_DSA_65: SignatureAlgorithm.ML_DSA_65,
        KeyAlgorithm.ML_DSA_87: SignatureAlgorithm.ML_DSA_87,
    }
    with pytest.raises(ValueError, match="cannot sign with Ed448"):
        default_signature_algorithm(ed448.Ed448PrivateKey.generate().public_key())


def test_the_key_identifier_is_the_one_in_certificates() -> None:
    certificate = root(KeyAlgorithm.EC_PRIME256V1)
    identifier = key_identifier(certificate.public_key())
    assert len(identifier) == 20
    assert identifier in certificate.tbs_certificate_bytes
