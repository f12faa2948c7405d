"""Key files of strangers, opened in a process of its own that has little time and little memory.

A file that says openly that it wants too much is refused unopened. Iterations may also stand in an encrypted part, be
written in ways that no simple reader sees, or be those of a function that wants gigabytes instead of time; and to prove
a huge RSA key takes minutes: whoever wants too much then is ended. The process knows no settings and no environment,
and leaves no core file.
"""

import base64
import json
import logging
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InternalError
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from certificates.x509.keys import PrivateKey
from certificates.x509.private_keys import (
    MAX_ITERATIONS,
    KeyMaterial,
    KeyUnreadable,
    StoreContents,
    claimed_iterations,
    read_key_material,
    read_store,
)

# The careful ask for 600,000 iterations, three times over: half a second.
CPU_SECONDS: Final = 3
MEMORY_BYTES: Final = 1024**3
# For a machine that is busy; well before the server gives up on its worker.
WALL_SECONDS: Final = 30
_ROOT: Final = Path(__file__).resolve().parents[2]
_ENVIRONMENT: Final = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH")

logger = logging.getLogger(__name__)


def read_key_material_apart(data: bytes, password: str = "") -> KeyMaterial:
    """As :func:`read_key_material`, within limits of time and memory. Some 0.2 seconds more.

    Raises:
        KeyUnreadable: as there, and where opening the file costs too much.
    """
    return _material(_told("key", data, password))


def read_store_apart(data: bytes, password: str = "") -> StoreContents:
    """As :func:`read_store`, within the same limits and with the same exceptions."""
    told = _told("store", data, password)
    key, *certificates = _decoded(told)
    return StoreContents(
        certificates=tuple(x509.load_der_x509_certificate(each) for each in certificates),
        private_key=_proven(key) if key else None,
        has_other_key=told["has_other_key"],
    )


def _told(what: str, data: bytes, password: str) -> dict[str, Any]:
    if claimed_iterations(data) > MAX_ITERATIONS:
        raise _too_costly()
    asked = json.dumps({"what": what, "data": base64.b64encode(data).decode(), "password": password})
    try:
        ended = subprocess.run(  # noqa: S603 - our own module; what was sent goes to its input
            [sys.executable, "-m", __name__, str(CPU_SECONDS), str(MEMORY_BYTES)],
            input=asked.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # nobody is told what a traceback could hold
            cwd=_ROOT,
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            timeout=WALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _too_costly() from None
    if ended.returncode < 0:  # by a signal: out of time, or of memory
        raise _too_costly()
    if ended.returncode:
        logger.error("the process that opens key files ended with status %s", ended.returncode)
        raise KeyUnreadable("key_not_readable", "the file is no private key, or a broken one", "Send another file.")
    told: dict[str, Any] = json.loads(ended.stdout)
    if "refusal" in told:
        raise KeyUnreadable(**told["refusal"])
    return told


def _decoded(told: dict[str, Any]) -> list[bytes]:
    return [base64.b64decode(each) for each in told["found"]]


def _material(told: dict[str, Any]) -> KeyMaterial:
    key, *certificates = _decoded(told)
    own, *chain = (x509.load_der_x509_certificate(each) if each else None for each in certificates)
    return KeyMaterial(_proven(key), own, tuple(each for each in chain if each is not None))


def _proven(key: bytes) -> Any:
    """The key that the process has proven already."""
    return load_der_private_key(key, None, unsafe_skip_rsa_key_validation=True)


def _too_costly() -> KeyUnreadable:
    return KeyUnreadable(
        "key_too_costly",
        "opening the file takes too much time or memory",
        "Export the key again, with fewer iterations or less memory.",
    )


def _answer(asked: dict[str, str]) -> dict[str, Any]:
    data, password = base64.b64decode(asked["data"]), asked["password"]
    try:
        return _store_answer(read_store(data, password)) if asked["what"] == "store" else _key_answer(data, password)
    except (MemoryError, InternalError):  # OpenSSL's word for no memory
        problem = _too_costly()
    except KeyUnreadable as refusal:
        problem = refusal
    told = {name: getattr(problem, name) for name in ("code", "reason", "fix", "is_password")}
    return {"refusal": told}


def _key_answer(data: bytes, password: str) -> dict[str, Any]:
    found = read_key_material(data, password)
    own = _der_of(found.certificate) if found.certificate is not None else b""
    return {"found": _encoded(_pkcs8_of(found.private_key), own, *map(_der_of, found.chain))}


def _store_answer(found: StoreContents) -> dict[str, Any]:
    key = _pkcs8_of(found.private_key) if found.private_key is not None else b""
    return {"found": _encoded(key, *map(_der_of, found.certificates)), "has_other_key": found.has_other_key}


def _pkcs8_of(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def _der_of(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def _encoded(*parts: bytes) -> list[str]:
    return [base64.b64encode(each).decode() for each in parts]


def _main(cpu_seconds: int, memory_bytes: int) -> None:
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_AS, memory_bytes),
    ):
        resource.setrlimit(limit, (value, value))
    sys.stdout.write(json.dumps(_answer(json.load(sys.stdin))))


if __name__ == "__main__":
    _main(*map(int, sys.argv[1:]))
