"""Programs of others that judge certification paths: OpenSSL and pyHanko's validator.

Each returns what it has against the path, empty where it accepts it. Paths begin with the end entity and end with the
trust anchor.
"""

import asyncio
import subprocess
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from asn1crypto.x509 import Certificate as Asn1Certificate
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import PathBuildingError, PathValidationError

from certificates.x509.keys import algorithm_of
from profiles.policy.vocabulary import KeyFamily

# pkilint verifies no ML-DSA signature, so it cannot tell that a root is self-signed and may do without this extension.
UNVERIFIED_BY_PKILINT = "pkix.aki_absent_self_issued_and_unsupported_algorithm"
_POST_QUANTUM = {KeyFamily.ML_DSA_44, KeyFamily.ML_DSA_65, KeyFamily.ML_DSA_87}

Certificates = Sequence[x509.Certificate]


def openssl_knows(path: Certificates) -> bool:
    """Whether OpenSSL 3.0 can read every key of the path: it came before ML-DSA."""
    algorithms = [algorithm_of(certificate.public_key()) for certificate in path]
    return not any(algorithm is not None and algorithm.family in _POST_QUANTUM for algorithm in algorithms)


def openssl_objection(
    leaf: x509.Certificate,
    *,
    trusted: Certificates,
    untrusted: Certificates = (),
    at: datetime | None = None,
    crls: Sequence[x509.CertificateRevocationList] = (),
) -> str:
    """What ``openssl verify -x509_strict`` says against the leaf; it may build the path in any way that it finds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder / "trusted.pem", trusted)
        _write(folder / "untrusted.pem", untrusted)
        _write(folder / "leaf.pem", [leaf])
        command = ["openssl", "verify", "-x509_strict", "-no-CApath", "-no-CAstore", "-CAfile", "trusted.pem"]
        if untrusted:
            command += ["-untrusted", "untrusted.pem"]
        if at is not None:
            command += ["-attime", str(int(at.timestamp()))]
        if crls:
            (folder / "crls.pem").write_bytes(b"".join(crl.public_bytes(Encoding.PEM) for crl in crls))
            command += ["-crl_check_all", "-CRLfile", "crls.pem"]
        verdict = _run([*command, "leaf.pem"], folder)
    return "" if verdict.returncode == 0 else verdict.stdout + verdict.stderr


def certvalidator_objection(
    leaf: x509.Certificate, *, trusted: Certificates, untrusted: Certificates = (), at: datetime | None = None
) -> str:
    """What pyHanko's certificate validator says against the leaf (RFC 5280, 6.1); it knows ML-DSA."""
    context = ValidationContext(
        trust_roots=[_asn1(each) for each in trusted],
        other_certs=[_asn1(each) for each in untrusted],
        allow_fetching=False,
        moment=at,
    )
    try:
        asyncio.run(CertificateValidator(_asn1(leaf), validation_context=context).async_validate_path())
    except (PathBuildingError, PathValidationError) as problem:
        return str(problem) or repr(problem)
    return ""


def _asn1(certificate: x509.Certificate) -> Asn1Certificate:
    return Asn1Certificate.load(certificate.public_bytes(Encoding.DER))


def _write(file: Path, certificates: Certificates) -> None:
    file.write_bytes(b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates))


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
