import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import time_machine
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pytest_django import Settings

from certificates.keystore.base import Signer
from certificates.keystore.database import forget_keys, load_signer, open_private_key, seal_private_key
from certificates.keystore.ephemeral import EphemeralSigner
from certificates.keystore.sealing import SealBroken, forget_keyring, keyring, new_master_key_text
from certificates.x509.keys import PrivateKey, generate, public_key_info
from pki_portal.errors import Unavailable
from profiles.policy.vocabulary import KeyAlgorithm
from tests.certificates.x509.material import NOW, key

P256 = KeyAlgorithm.EC_PRIME256V1


@pytest.fixture(autouse=True)
def _own_master_key(settings: Settings) -> Iterator[None]:
    settings.PKI_PORTAL_MASTER_KEYS = new_master_key_text()
    forget_keyring()
    forget_keys()
    yield
    forget_keyring()
    forget_keys()


def sealed_row(private: PrivateKey) -> tuple[UUID, bytes, bytes]:
    row = uuid4()
    return row, seal_private_key(private, key_id=row), public_key_info(private.public_key())


def load(row: tuple[UUID, bytes, bytes]) -> Signer:
    return load_signer(key_id=row[0], sealed=row[1], public_key_spki=row[2])


@pytest.mark.parametrize("algorithm", list(KeyAlgorithm))
def test_every_kind_of_key_is_sealed_and_signs_after_loading(algorithm: KeyAlgorithm) -> None:
    private = key(algorithm)
    row = sealed_row(private)
    assert public_key_info(load(row).public_key()) == row[2]
    opened = open_private_key(key_id=row[0], sealed=row[1])
    assert opened.public_key() == private.public_key()
    der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert der not in row[1]


def test_a_loaded_key_makes_good_signatures() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    signer = load(sealed_row(private))
    assert isinstance(signer.private_key, ec.EllipticCurvePrivateKey)
    signature = signer.private_key.sign(b"data", ec.ECDSA(hashes.SHA256()))
    private.public_key().verify(signature, b"data", ec.ECDSA(hashes.SHA256()))


def test_a_signer_is_decrypted_once() -> None:
    row = sealed_row(key(P256))
    first = load(row)
    assert load(row) is first
    forget_keys()
    assert load(row) is not first


def test_a_signer_is_forgotten_after_ten_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    with time_machine.travel(NOW, tick=False) as traveller:
        monkeypatch.setattr(time, "monotonic", time.time)
        row = sealed_row(key(P256))
        first = load(row)
        traveller.shift(timedelta(minutes=9, seconds=59))
        assert load(row) is first
        traveller.shift(timedelta(seconds=1))
        assert load(row) is not first


def test_no_more_than_sixty_four_signers_are_kept_and_the_oldest_used_goes_first() -> None:
    rows = [sealed_row(key(P256)) for _ in range(65)]
    signers = [load(row) for row in rows[:64]]
    assert load(rows[0]) is signers[0]
    load(rows[64])
    assert load(rows[0]) is signers[0]
    assert load(rows[1]) is not signers[1]


def test_threads_load_the_same_row_without_harm() -> None:
    row = sealed_row(key(P256))
    loaded: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: loaded.append(public_key_info(load(row).public_key()))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loaded == [row[2]] * 8


def test_the_key_of_another_row_does_not_open() -> None:
    one, two = sealed_row(generate(P256)), sealed_row(generate(P256))
    with pytest.raises(SealBroken, match="another row"):
        load((one[0], two[1], two[2]))


def test_a_key_that_is_not_the_certificates_signs_nothing() -> None:
    row = sealed_row(generate(P256))
    other = public_key_info(generate(P256).public_key())
    with pytest.raises(Unavailable, match="does not belong to the certificate of its CA"):
        load((row[0], row[1], other))
    # Cached or not.
    load(row)
    with pytest.raises(Unavailable, match="does not belong to the certificate of its CA"):
        load((row[0], row[1], other))


def test_a_wrong_master_key_is_told_and_nothing_is_signed(settings: Settings) -> None:
    row = sealed_row(key(P256))
    settings.PKI_PORTAL_MASTER_KEYS = new_master_key_text()
    forget_keyring()
    with pytest.raises(Unavailable, match="master key k1"):
        load(row)


def test_a_row_that_was_replaced_is_opened_again_at_once() -> None:
    row = sealed_row(generate(P256))
    load(row)
    other = generate(P256)
    replaced = (row[0], seal_private_key(other, key_id=row[0]), public_key_info(other.public_key()))
    assert public_key_info(load(replaced).public_key()) == replaced[2]


def test_with_the_master_key_gone_nothing_signs_from_memory(settings: Settings) -> None:
    row = sealed_row(key(P256))
    load(row)
    settings.PKI_PORTAL_MASTER_KEYS = new_master_key_text("k2")
    with pytest.raises(Unavailable, match="master key k1, which is not configured"):
        load(row)


def test_a_sealed_secret_that_is_no_signing_key_is_told() -> None:
    row = uuid4()
    agreement = x25519.X25519PrivateKey.generate().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    for content, reason in ((b"hello", "is not a private key"), (agreement, "signs nothing here")):
        sealed = keyring().seal(content, f"private-key:{row}".encode())
        with pytest.raises(Unavailable, match=reason):
            open_private_key(key_id=row, sealed=sealed)


def test_no_signer_shows_its_key() -> None:
    private = key(P256)
    for signer in (load(sealed_row(private)), EphemeralSigner(private)):
        assert repr(signer) in {"MemorySigner()", "EphemeralSigner()"}
        assert public_key_info(signer.public_key()) == public_key_info(private.public_key())
