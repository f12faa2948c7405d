"""Who asks: keys and CSRs that are made before anything is measured, each of another host."""

import json
from collections.abc import Callable
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.bench.wrk import Request

DOMAIN = "bench.example.com"
# So many that an answer cannot come from a cache by chance.
APPLICANTS = 500


def host_name(number: int) -> str:
    """Of one applicant."""
    return f"host-{number}.{DOMAIN}"


def is_asked_name(name: str) -> bool:
    """Whether an applicant has it."""
    return name.startswith("host-") and name.endswith(f".{DOMAIN}")


@cache
def csrs() -> tuple[tuple[str, str], ...]:
    """Host name and CSR (PEM) of every applicant, with a P-256 key of its own."""
    return tuple((name, _csr(name)) for name in map(host_name, range(APPLICANTS)))


def _csr(name: str) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    ).add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()


def requests_from_csrs(path: str, body_of: Callable[[str, str], Any]) -> list[Request]:
    """One POST of JSON for each applicant; ``body_of`` gets its host name and CSR."""
    return [Request("POST", path, json.dumps(body_of(name, csr)).encode()) for name, csr in csrs()]
