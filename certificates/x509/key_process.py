"""Key files of strangers, opened in a process of its own that has little time and little memory.

Iterations may stand in an encrypted part of a file, be written in ways that no simple reader sees, or be those of a
function that wants gigabytes instead of time; and to prove a huge RSA key takes minutes. So nothing is guessed before:
whoever wants too much is ended. The process knows no settings and no environment, and leaves no core file.
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

from certificates.x509.private_keys import KeyMaterial, KeyUnreadable, read_key_material

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
    asked = json.dumps({"data": base64.b64encode(data).decode(), "password": password})
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
    return _material(json.loads(ended.stdout))


def _material(told: dict[str, Any]) -> KeyMaterial:
    if "refusal" in told:
        raise KeyUnreadable(**told["refusal"])
    key, *certificates = (base64.b64decode(each) for each in told["found"])
    own, *chain = (x509.load_der_x509_certificate(each) if each else None for each in certificates)
    # It was proven there.
    private_key: Any = load_der_private_key(key, None, unsafe_skip_rsa_key_validation=True)
    return KeyMaterial(private_key, own, tuple(each for each in chain if each is not None))


def _too_costly() -> KeyUnreadable:
    return KeyUnreadable(
        "key_too_costly",
        "opening the file takes too much time or memory",
        "Export the key again, with fewer iterations or less memory.",
    )


def _answer(asked: dict[str, str]) -> dict[str, Any]:
    try:
        found = read_key_material(base64.b64decode(asked["data"]), asked["password"])
    except (MemoryError, InternalError):  # OpenSSL's word for no memory
        problem = _too_costly()
    except KeyUnreadable as refusal:
        problem = refusal
    else:
        key = found.private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        own = found.certificate.public_bytes(Encoding.DER) if found.certificate is not None else b""
        parts = [key, own, *(each.public_bytes(Encoding.DER) for each in found.chain)]
        return {"found": [base64.b64encode(each).decode() for each in parts]}
    told = {name: getattr(problem, name) for name in ("code", "reason", "fix", "is_password")}
    return {"refusal": told}


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
