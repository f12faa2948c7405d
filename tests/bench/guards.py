"""What makes a figure count: every answer stands for a certificate that is kept, audited and good."""

import random
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.bench.applicants import is_asked_name
from tests.bench.targets import Broken, Ledger, Target

SAMPLE = 20


def require_kept(
    ledger: Ledger, before: tuple[int, int], *, answers: int, issued: int, in_flight: int
) -> list[tuple[str, bytes]]:
    """The new rows, if there are as many as answers tell of and no serial number is there twice; else Broken.

    The load generator hangs up on requests under way: for at most ``in_flight`` of them there are rows and no answer.
    """
    after = ledger.counts()
    certificates, events = (now - then for now, then in zip(after, before, strict=True))
    if not answers * issued <= certificates <= (answers + in_flight) * issued:
        raise Broken(f"{answers} answers, each of {issued}, but {certificates} certificates were kept")
    if events != certificates:
        raise Broken(f"{certificates} certificates were kept, but {events} events tell of them")
    rows = ledger.last(certificates)
    serial_numbers = {serial_number for serial_number, _ in rows}
    if len(serial_numbers) != len(rows):
        raise Broken(f"{len(rows)} certificates have {len(serial_numbers)} serial numbers")
    return rows


def require_good(target: Target, answers: Sequence[bytes], rows: Sequence[tuple[str, bytes]]) -> None:
    """Twenty at random are what was asked for, and openssl verifies them; else Broken."""
    if target.judge_answer is not None:
        for answer in _some(answers):
            target.judge_answer(answer)
    if not target.issued or target.issuers is None:
        return
    if target.read_answer is not None:
        found = [encoding for answer in _some(answers) for encoding in target.read_answer(answer)]
    else:
        found = [encoding for _, encoding in rows]
    if not found:
        raise Broken("no certificate was answered that could be verified")
    require_verified(_some(found), target.issuers)


def require_verified(encodings: Sequence[bytes], issuers: Path) -> None:
    """Every certificate names a host that was asked for, and openssl finds a path to the root. Raises Broken."""
    with tempfile.TemporaryDirectory() as folder:
        for number, encoding in enumerate(encodings):
            certificate = read_certificate(encoding)
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            hosts = names.get_values_for_type(x509.DNSName)
            if not hosts or not all(map(is_asked_name, hosts)):
                raise Broken(f"a certificate names {hosts}, which nobody asked for")
            (Path(folder) / f"{number}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        files = [f"{number}.pem" for number in range(len(encodings))]
        command = ["openssl", "verify", "-CAfile", str(issuers), *files]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode or done.stdout.count(": OK") != len(files):
        raise Broken(f"openssl does not verify: {done.stdout}{done.stderr}")


def read_certificate(encoding: bytes) -> x509.Certificate:
    """From PEM or DER."""
    if encoding.startswith(b"-----"):
        return x509.load_pem_x509_certificate(encoding)
    return x509.load_der_x509_certificate(encoding)


def _some(values: Sequence[bytes]) -> list[bytes]:
    return random.sample(values, min(SAMPLE, len(values)))
