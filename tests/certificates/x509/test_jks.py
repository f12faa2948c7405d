"""JKS as Java reads it: by keytool where there is one, and by a reader that is written after Java's own."""

import hashlib
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from asn1crypto.keys import EncryptedPrivateKeyInfo
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_private_key

from certificates.x509.jks import jks_of
from certificates.x509.keys import PrivateKey, private_key_pem
from profiles.policy.vocabulary import KeyAlgorithm
from tests.certificates.x509.material import NOW, end_entity, intermediate, issuance_plan, key, root

PASSWORD = "pässword 7"
KEYTOOL = shutil.which("keytool")


CA = KeyAlgorithm.EC_PRIME256V1


def sha1(octets: bytes) -> bytes:
    return hashlib.sha1(octets, usedforsecurity=False).digest()


class Reader:
    """What ``JavaKeyStore.engineLoad`` and ``KeyProtector.recover`` do."""

    def __init__(self, store: bytes, password: str) -> None:
        self.secret = password.encode("utf-16-be")
        body, seal = store[:-20], store[-20:]
        if sha1(self.secret + b"Mighty Aphrodite" + body) != seal:
            raise ValueError("Keystore was tampered with, or password was incorrect")
        self.rest = body

    def take(self, size: int) -> bytes:
        taken, self.rest = self.rest[:size], self.rest[size:]
        assert len(taken) == size
        return taken

    def number(self, form: str) -> int:
        value: int = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return value

    def text(self) -> str:
        return self.take(self.number(">H")).decode("utf-8", "surrogatepass")

    def entry(self) -> tuple[str, int, PrivateKey, list[x509.Certificate]]:
        assert (self.number(">I"), self.number(">I"), self.number(">I")) == (0xFEEDFEED, 2, 1)
        assert self.number(">I") == 1
        alias, made_at = self.text(), self.number(">q")
        protected = EncryptedPrivateKeyInfo.load(self.take(self.number(">I")), strict=True)
        assert protected["encryption_algorithm"]["algorithm"].dotted == "1.3.6.1.4.1.42.2.17.1.1"
        private_key = load_der_private_key(self.recovered(protected["encrypted_data"].native), None)
        chain = []
        for _ in range(self.number(">I")):
            assert self.text() == "X.509"
            chain.append(x509.load_der_x509_certificate(self.take(self.number(">I"))))
        assert self.rest == b""
        assert isinstance(private_key, PrivateKey)
        return alias, made_at, private_key, chain

    def recovered(self, protected: bytes) -> bytes:
        digest, hidden, check = protected[:20], protected[20:-20], protected[-20:]
        key = b""
        while len(key) < len(hidden):
            digest = sha1(self.secret + digest)
            key += bytes(a ^ b for a, b in zip(digest, hidden[len(key) :], strict=False))
        assert sha1(self.secret + key) == check
        return key


def store_of(algorithm: KeyAlgorithm, alias: str = "Server") -> tuple[bytes, list[x509.Certificate]]:
    issuing = intermediate(CA, CA)
    path = [end_entity(issuance_plan(key_algorithm=algorithm), issuing, CA), issuing, root(CA)]
    return jks_of(private_key=key(algorithm), path=path, alias=alias, password=PASSWORD, now=NOW), path


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.EC_PRIME256V1, KeyAlgorithm.RSA_2048, KeyAlgorithm.ED25519])
def test_a_reader_after_java_s_own_finds_key_and_path(algorithm: KeyAlgorithm) -> None:
    store, path = store_of(algorithm)
    alias, made_at, private_key, chain = Reader(store, PASSWORD).entry()
    assert (alias, made_at) == ("server", int(NOW.timestamp() * 1000))
    assert private_key_pem(private_key) == private_key_pem(key(algorithm))
    assert chain == path


def test_names_of_every_plane_are_written_as_java_writes_them() -> None:
    store, _ = store_of(KeyAlgorithm.EC_PRIME256V1, "Schlüssel 🔑")
    assert Reader(store, PASSWORD).entry()[0].encode("utf-16", "surrogatepass").decode("utf-16") == "schlüssel 🔑"


def test_another_password_does_not_open_it_and_no_two_are_alike() -> None:
    store, _ = store_of(KeyAlgorithm.EC_PRIME256V1)
    with pytest.raises(ValueError, match="password was incorrect"):
        Reader(store, "password 7")
    assert store != store_of(KeyAlgorithm.EC_PRIME256V1)[0]


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.EC_PRIME256V1, KeyAlgorithm.RSA_2048])
def test_keytool_reads_the_store_and_takes_the_key_out_of_it(tmp_path: Path, algorithm: KeyAlgorithm) -> None:
    store, path = store_of(algorithm)
    (tmp_path / "a.jks").write_bytes(store)
    (tmp_path / "password").write_text(PASSWORD)
    stores = ["-srckeystore", "a.jks", "-destkeystore", "b.p12", "-deststoretype", "PKCS12"]
    secrets = ["-srcstorepass:file", "password", "-deststorepass", "changeit", "-J-Dfile.encoding=UTF-8"]
    done = subprocess.run(
        [str(KEYTOOL), "-importkeystore", *stores, *secrets], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    taken = subprocess.run(
        ["openssl", "pkcs12", "-in", "b.p12", "-passin", "pass:changeit", "-nodes"],
        cwd=tmp_path,
        capture_output=True,
        encoding="latin-1",  # it prints the names of the certificates, too
        check=False,
    )
    assert private_key_pem(key(algorithm)) in taken.stdout, taken.stderr
    assert taken.stdout.count("-----BEGIN CERTIFICATE-----") == len(path)
