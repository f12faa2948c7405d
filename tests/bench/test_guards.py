"""A run that skipped work, or did it wrongly, gives no figure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.bench.applicants import host_name
from tests.bench.guards import require_kept, require_verified
from tests.bench.targets import Broken, Ledger

CA = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench")])
KEY = ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class Kept(Ledger):
    """What a server kept, told without a database."""

    rows: int = 0
    events: int = 0
    serial_numbers: tuple[str, ...] = ()

    def counts(self) -> tuple[int, int]:
        return self.rows, self.events

    def last(self, count: int) -> list[tuple[str, bytes]]:
        return [(each, b"") for each in self.serial_numbers[:count]]


def kept(*, rows: int, events: int, serial_numbers: tuple[str, ...]) -> Kept:
    return Kept(url="", certificates="", newest="", rows=rows, events=events, serial_numbers=serial_numbers)


def require(ledger: Kept, *, issued: int = 1) -> list[tuple[str, bytes]]:
    return require_kept(ledger, (10, 20), answers=2, issued=issued, in_flight=1)


def test_rows_of_requests_that_were_hung_up_on_are_no_fault() -> None:
    assert len(require(kept(rows=12, events=22, serial_numbers=("a", "b")))) == 2
    assert len(require(kept(rows=13, events=23, serial_numbers=("a", "b", "c")))) == 3
    assert len(require(kept(rows=14, events=24, serial_numbers=("a", "b", "c", "d")), issued=2)) == 4


@pytest.mark.parametrize(
    ("ledger", "complaint"),
    [
        (kept(rows=11, events=21, serial_numbers=("a",)), "1 certificates were kept"),
        (kept(rows=14, events=24, serial_numbers=("a", "b", "c", "d")), "4 certificates were kept"),
        (kept(rows=12, events=21, serial_numbers=("a", "b")), "1 events tell of them"),
        (kept(rows=12, events=22, serial_numbers=("a", "a")), "1 serial numbers"),
    ],
)
def test_missing_rows_events_and_serial_numbers_are_told(ledger: Kept, complaint: str) -> None:
    with pytest.raises(Broken, match=complaint):
        require(ledger)


def certificate(name: str, key: ec.EllipticCurvePrivateKey = KEY, *, is_ca: bool = False) -> bytes:
    """PEM, signed by ``key`` in the name of the CA."""
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(CA if is_ca else x509.Name([]))
        .issuer_name(CA)
        .public_key(KEY.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=not is_ca)
    )
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


def test_certificates_must_be_verified_and_name_who_asked(tmp_path: Path) -> None:
    issuers = tmp_path / "issuers.pem"
    issuers.write_bytes(certificate("ca.example.com", is_ca=True))
    require_verified([certificate(host_name(1)), certificate(host_name(2))], issuers)
    with pytest.raises(Broken, match="which nobody asked for"):
        require_verified([certificate("elsewhere.example.com")], issuers)
    forged = certificate(host_name(1), ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(Broken, match="openssl does not verify"):
        require_verified([certificate(host_name(2)), forged], issuers)
