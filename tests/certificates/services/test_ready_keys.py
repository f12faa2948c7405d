"""Certificates with keys that were made in advance; and without, whatever is wrong with those."""

import logging
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certificates.services.new_keys import make_key
from certificates.x509 import key_pool
from certificates.x509.key_pool import KeyPool
from certificates.x509.keys import generate, private_key_pem, public_key_info
from pki_portal.metrics import exposition
from profiles.policy.vocabulary import KeyAlgorithm
from tests.pki_portal.test_metrics import counted
from tests.wire import issued, load_pem, make_client, make_pki

pytestmark = pytest.mark.django_db

RSA_2048, RSA_3072 = KeyAlgorithm.RSA_2048, KeyAlgorithm.RSA_3072


@pytest.fixture(autouse=True)
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[KeyPool]:
    """This process is one of the web server's."""
    monkeypatch.setattr(key_pool, "_opened", None)
    opened = key_pool.open_once()
    assert key_pool.open_once() is opened
    yield opened
    opened.close()


def pkcs8(key: object) -> bytes:
    assert isinstance(key, rsa.RSAPrivateKey)
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def requests(result: str, algorithm: KeyAlgorithm = RSA_2048) -> float:
    return counted(exposition().decode(), "pki_key_pool_requests_total", algorithm=algorithm, result=result) or 0


def test_a_ready_key_is_certified_once_and_is_in_no_log(pool: KeyPool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    pki = make_pki()
    client = make_client(pki.project)
    ready = generate(RSA_2048)
    pool.put(RSA_2048, pkcs8(ready))
    assert counted(exposition().decode(), "pki_key_pool_depth", algorithm=RSA_2048) == 1
    hits, misses = requests("hit"), requests("miss")

    first, second = (issued(client, pki.profile, keyAlgorithm="RSA_2048") for _ in range(2))

    certified = [public_key_info(load_pem(each["certificate"]).public_key()) for each in (first, second)]
    assert certified[0] == public_key_info(ready.public_key())
    assert first["privateKey"].strip() == private_key_pem(ready)
    assert certified[1] != certified[0]
    assert (requests("hit") - hits, requests("miss") - misses) == (1, 1)
    assert counted(exposition().decode(), "pki_key_pool_depth", algorithm=RSA_2048) == 0
    assert "PRIVATE KEY" not in caplog.text
    assert pkcs8(ready).hex() not in caplog.text


def test_what_is_no_key_of_that_algorithm_is_passed_over(pool: KeyPool) -> None:
    elliptic = generate(KeyAlgorithm.EC_PRIME256V1)
    encoded = elliptic.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    for wrong in (encoded, b"", b"no key", bytes(64)):
        misses = requests("miss")
        pool.put(RSA_2048, wrong)
        assert make_key(RSA_2048).key_size == 2048  # type: ignore[union-attr]
        assert requests("miss") == misses + 1
    assert pool.depth(RSA_2048) == 0


def test_a_key_of_another_size_is_not_handed_out(pool: KeyPool) -> None:
    pool.put(RSA_3072, pkcs8(generate(RSA_2048)))
    assert make_key(RSA_3072).key_size == 3072  # type: ignore[union-attr]


def test_other_keys_are_not_asked_for(pool: KeyPool) -> None:
    before = exposition()
    assert make_key(KeyAlgorithm.EC_PRIME256V1)
    assert exposition() == before


def test_without_a_pool_every_key_is_made_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_pool, "_opened", None)
    misses = requests("miss")
    assert make_key(RSA_2048).key_size == 2048  # type: ignore[union-attr]
    assert requests("miss") == misses
    assert counted(exposition().decode(), "pki_key_pool_depth", algorithm=RSA_2048) is None
