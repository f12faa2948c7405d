"""Counters that all processes of one machine share, for Prometheus to collect at ``/metrics``.

Each process counts in files of its own in ``metrics`` in the state folder, mapped into memory (a count costs
microseconds and no query); whoever is asked adds the files up. A process takes the lowest free slot and goes on
counting where the last owner of that slot ended, so the files stay as few as there ever were processes at once, and
nothing is lost when gunicorn replaces a process. Counting never fails what is counted.

What can be asked of the database when Prometheus comes (how old a CRL is, when a job ran) is no counter: the
applications yield it from functions that they register with :func:`register_gauges`.
"""

import fcntl
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from django.conf import settings
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, values
from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

logger = logging.getLogger(__name__)

SLOTS: Final = 64
# Written out in full before it is mapped: a page that the disk has no room for would kill the process.
FILE_BYTES: Final = 256 * 1024
# Distinct values of a label that clients can make more of, for each process; the rest is counted together.
LABEL_LIMIT: Final = 200
OTHER: Final = "other"

_owner: int | None = None
_slot = "none"
# Open as long as the process lives: the lock on it is what makes the slot this process's own.
_lock: int | None = None


def _folder() -> Path:
    return Path(settings.PKI_PORTAL_VAR) / "metrics"


def _slot_of_this_process() -> str:
    """The slot's number, taken at the first count. Raises OSError."""
    global _lock, _owner
    if _owner is None:
        return _slot  # this module is still being imported, which writes nothing
    if _owner != os.getpid():
        _owner = os.getpid()
        if _lock is not None:
            os.close(_lock)  # a fork's copy; the parent keeps the lock
            _lock = None
    _take_slot_once()
    return _slot


def _take_slot_once() -> None:
    global _lock, _slot
    if _lock is not None:
        return
    folder = _folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    for number in range(SLOTS):
        lock = os.open(folder / f"{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        for kind in ("counter", "histogram"):
            _make_sound(folder / f"{kind}_{number}.db")
        _lock, _slot = lock, str(number)
        return
    raise OSError(f"all {SLOTS} slots in {folder} are taken")


def _make_sound(path: Path) -> None:
    """Have a whole, readable file there; counts that a power cut left in pieces begin again."""
    with suppress(OSError, RuntimeError, ValueError):
        if path.stat().st_size >= FILE_BYTES:
            for _ in MmapedDict.read_all_values_from_file(path):  # type: ignore[no-untyped-call]
                pass
            return
    path.write_bytes(bytes(FILE_BYTES))


values.ValueClass = values.MultiProcessValue(  # type: ignore[no-untyped-call]
    process_identifier=_slot_of_this_process
)
_owner = os.getpid()  # from here on a count takes a slot

CERTIFICATES_ISSUED = Counter(
    "pki_certificates_issued", "Certificates issued, by project id.", ["project"], registry=None
)
ISSUANCES_REFUSED = Counter(
    "pki_issuances_refused", "Refused certificate requests, by the code of each reason.", ["code"], registry=None
)
_BUCKETS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
ISSUE_SECONDS = Histogram(
    "pki_issue_request_seconds",
    "Time to answer POST /api/v1/cert-manager/certificates, by class of status.",
    ["status"],
    buckets=_BUCKETS,
    registry=None,
)
REQUEST_SECONDS = Histogram(
    "pki_request_seconds",
    "Time to answer other requests that sign: renew, revoke, ocsp; by class of status.",
    ["operation", "status"],
    buckets=_BUCKETS,
    registry=None,
)
QUEUE_WAIT_SECONDS = Histogram(
    "pki_queue_wait_seconds",
    "Time that requests waited for a free web process, by what came of them: served, turned_away.",
    ["outcome"],
    buckets=_BUCKETS,
    registry=None,
)
SLOW_KEYS_REFUSED = Counter(
    "pki_slow_keys_refused",
    "RSA keys that were not made because as many were under way as may be.",
    ["algorithm"],
    registry=None,
)
RENEWALS = Counter("pki_automatic_renewals", "Due renewals tried by workers, by outcome.", ["outcome"], registry=None)
KEY_CACHE = Counter(
    "pki_ca_key_cache", "CA keys wanted for signing, by whether they were at hand.", ["result"], registry=None
)
KEY_POOL = Counter(
    "pki_key_pool_requests",
    "Keys wanted from the pool of ready ones, by whether one was there.",
    ["algorithm", "result"],
    registry=None,
)
BACKGROUND_ATTEMPTS = Counter(
    "pki_background_attempts", "Rows tried by background workers, by outcome.", ["work", "outcome"], registry=None
)
ATTEMPT_SECONDS = Histogram(
    "pki_background_attempt_seconds",
    "Time that a background worker took for one row, whatever came of it.",
    ["work"],
    buckets=(*_BUCKETS, 60, 300),
    registry=None,
)

_seen: dict[str, set[str]] = {}


def bounded(name: str, value: str) -> str:
    """``value`` as a label, or ``other`` once this process has used as many values for ``name`` as are kept."""
    seen = _seen.setdefault(name, set())
    if value not in seen:
        if len(seen) >= LABEL_LIMIT:
            return OTHER
        seen.add(value)
    return value


def count(counter: Counter, **labels: str) -> None:
    """Add one."""
    with _never_failing():
        counter.labels(**labels).inc()


def observe(histogram: Histogram, seconds: float, **labels: str) -> None:
    """Add one observation."""
    with _never_failing():
        histogram.labels(**labels).observe(seconds)


class _never_failing:  # noqa: N801 - used as a function
    """A state folder that cannot be written stops the counts and nothing else."""

    _is_told = False

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, problem: BaseException | None, trace: object) -> bool:
        if isinstance(problem, OSError | RuntimeError | ValueError):
            if not _never_failing._is_told:
                logger.warning("metrics are not counted in this process: %s", problem)
                _never_failing._is_told = True
            return True
        return False


# --- For whoever collects ---------------------------------------------------------------------------------------------

Gauges = Callable[[], Iterable[Metric]]
_gauges: list[Gauges] = []


def register_gauges(gauges: Gauges) -> None:
    """Have ``/metrics`` show what the function yields; it runs at each collection, so a few cheap queries at most."""
    _gauges.append(gauges)


class _GaugeCollector:
    def collect(self) -> Iterator[Metric]:
        for gauges in _gauges:
            yield from gauges()


def exposition() -> bytes:
    """Everything in Prometheus's text format. Raises DatabaseError."""
    registry = CollectorRegistry()
    folder = _folder()
    if folder.is_dir():
        MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]
    registry.register(_GaugeCollector())
    return generate_latest(registry)
