"""A year in a minute: certificates that renew by themselves, under a clock that jumps and servers that die.

    .venv/bin/python -m tests.simulation.year --certificates 5000 --days 400 [--queue redis] [--seed 1]

Makes a PostgreSQL server and a portal of its own in a temporary folder, and workers in processes of their own. The
clock goes on as soon as nothing is due. Meanwhile workers, and programs that claim keys, are killed, the database
crashes and comes back, the clock is put back and forward, a CA is disabled for two days, a template is too strict for
three, a CA ends, and certificates are revoked. Prints counts, and every fault; exit code 1 if there is one.
"""

import argparse
import json
import logging
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from tests.simulation.clock import SharedClock
from tests.simulation.servers import Postgres, Redis, ended_with_us, wait_for_children

logger = logging.getLogger(__name__)

WORKERS = 4
DAY = timedelta(days=1)
# As long as the clock waits for what is due, or in a living process's hands, in real seconds.
PATIENCE, LEASE_PATIENCE = 60.0, 0.5
TICK = 0.03


class Year:
    """One simulation, seen from the process that drives it; the others are forked from it."""

    def __init__(self, options: argparse.Namespace, *, folder: Path, postgres: Postgres, redis: Redis | None) -> None:
        self.options = options
        self.folder = folder
        self.journal = folder / "claims"
        self.clock = SharedClock(folder / "clock")
        self.counts: Counter[str] = Counter()
        self._postgres, self._redis = postgres, redis
        self._children: dict[int, Callable[[], None]] = {}
        self._strikes: list[Callable[[], None]] = []
        self.clock.install()

    # --- Processes

    def start(self, role: Callable[[], None]) -> None:
        """Fork a process that plays ``role`` until it is killed."""
        from django.db import connections

        connections.close_all()  # a connection must not be shared
        pid = os.fork()
        if pid:
            self._children[pid] = role
            return
        status = 1
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            role()
            status = 0
        except Exception:
            logger.exception("a process ended by itself")
        finally:
            os._exit(status)

    def _kill_one(self) -> None:
        pid = random.choice(list(self._children))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self.start(self._children.pop(pid))
        self.counts["processes killed"] += 1

    def _restart_the_dead(self) -> None:
        for pid in [pid for pid in self._children if os.waitpid(pid, os.WNOHANG)[0] == pid]:
            self.counts["processes that ended by themselves"] += 1
            self.start(self._children.pop(pid))

    def join(self) -> None:
        """Wait until all have done what they do and ended."""
        for pid in self._children:
            if os.waitpid(pid, 0)[1]:
                raise RuntimeError("a process failed, its log says why")
        self._children.clear()

    def end_all(self, signum: int) -> None:
        """Tell all processes to end, and see that they do."""
        for pid in self._children:
            os.kill(pid, signum)
        for pid in wait_for_children(set(self._children), seconds=20):
            self.counts["processes that did not end when told"] += 1
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self._children.clear()

    # --- Mischief

    def _crash_database(self) -> None:
        self._postgres.crash()
        time.sleep(random.uniform(0, 0.3))
        self._postgres.start()
        self.counts["database crashes"] += 1

    def _crash_queue(self) -> None:
        if self._redis is not None:
            self._redis.crash()
            time.sleep(random.uniform(0, 0.2))
            self._redis.start()
            self.counts["queue crashes"] += 1

    def _step_clock(self) -> None:
        self.clock.step(timedelta(hours=random.uniform(-24, 24)))
        self.counts["clock steps"] += 1

    def _mischief(self, days: int) -> Iterator[tuple[float, Callable[[], None]]]:
        options = self.options
        for act, times in (
            (self._kill_one, options.kills),
            (self._crash_database, options.crashes),
            (self._crash_queue, options.crashes),
            (self._step_clock, options.steps),
        ):
            for _ in range(times):
                yield random.uniform(0, days), partial(self._strikes.append, act)

    def _strike(self) -> None:
        """Do one piece of mischief that is waiting, in the middle of work."""
        if self._strikes:
            time.sleep(random.uniform(0, 0.1))
            self._strikes.pop(0)()

    # --- Time

    def live(self, begin: datetime, acts: list[tuple[float, Callable[[], None]]]) -> None:
        """Let the days pass: first the acts of the day, then the work."""
        end = begin + self.options.days * DAY
        acts = sorted([*acts, *self._mischief(self.options.days)], key=lambda each: each[0])
        while self.clock.now() < end:
            while acts and begin + acts[0][0] * DAY <= self.clock.now():
                self._patiently(acts.pop(0)[1])
            self._let_work()
            self.clock.step(self._next_due() - self.clock.now())

    def settle(self) -> None:
        """Let leases of the dead end, and do what is left."""
        self._strikes.clear()
        # Far enough that jobs by the hour come round, too; and whoever works on one now has the time to end.
        for length in (timedelta(minutes=6), timedelta(minutes=6), timedelta(hours=2), timedelta(minutes=6)):
            self.clock.step(length)
            self._let_work(lease_patience=10.0)

    def _let_work(self, *, lease_patience: float = LEASE_PATIENCE) -> None:
        began = time.monotonic()
        idle_since: float | None = None
        while True:
            due, held = self._patiently(self._load)
            waited = time.monotonic() - began
            if due:
                idle_since = None
                self._strike()
                if waited > PATIENCE:
                    self.counts["times that the clock did not wait any longer"] += 1
                    return
            elif not held or time.monotonic() - (idle_since := idle_since or time.monotonic()) > lease_patience:
                return
            self._restart_the_dead()
            time.sleep(TICK)

    def _load(self) -> tuple[int, int]:
        """Renewals that wait, and such as somebody has in hand."""
        from certificates.models import AutoRenewal
        from pki_portal.background.work import work_on

        now = self.clock.now()
        held = AutoRenewal.objects.filter(leased_until__gt=now, due_at__lte=now)
        return work_on(AutoRenewal).due(now).count(), held.count()

    def _next_due(self) -> datetime:
        """A step further, and to the next renewal if that is later."""
        from django.db.models import Min

        from certificates.models import AutoRenewal

        now = self.clock.now()
        due = self._patiently(lambda: AutoRenewal.objects.filter(due_at__gt=now).aggregate(next=Min("due_at"))["next"])
        soonest = now + timedelta(hours=self.options.hours)
        return max(soonest, min(due or soonest, now + 2 * DAY))

    def _patiently(self, act: Callable[[], Any]) -> Any:
        """What ``act`` returns, once the database lets it."""
        from django.db import Error, connection

        from pki_portal.errors import PortalError

        while True:
            try:
                return act()
            except Error:
                connection.close()
            except PortalError:
                self.counts["acts of people that were tried again"] += 1
            time.sleep(TICK)


def main() -> int:
    """The exit code."""
    options = _options()
    random.seed(options.seed)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers and processes end with this one
    with tempfile.TemporaryDirectory(prefix="year-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "database").mkdir()
        postgres = Postgres(folder / "database")
        redis = Redis(_free_port()) if options.queue == "redis" else None
        with ended_with_us(postgres, redis):
            if redis is not None:
                redis.start()
            _set_up_portal(folder / "var", postgres.url, redis.url if redis else "")
            with _log_in(options.log):
                return simulate(Year(options, folder=folder, postgres=postgres, redis=redis))


def simulate(year: Year) -> int:
    """Issue, live, judge, tell."""
    from tests.simulation import people, verdict
    from tests.simulation.world import World

    options = year.options
    year.journal.touch()
    began = time.monotonic()
    begin = year.clock.now()
    world = World.make(now=begin, days=options.days)
    for share in range(WORKERS):
        year.start(partial(world.issue, range(share, options.certificates, WORKERS)))
    year.join()
    issued = time.monotonic()
    _tell(f"{options.certificates} issued in {issued - began:.0f} s")
    try:
        claim = partial(people.claim_keys, year.journal)
        roles: list[Callable[[], None]] = [
            *[people.work] * WORKERS,
            claim,
            claim,
            people.renew_by_call,
            people.send_hints,
        ]
        for role in roles:
            year.start(role)
        year.live(begin, list(world.acts(days=options.days, count=options.certificates)))
        year.settle()
        year.end_all(signal.SIGTERM)
    finally:
        year.end_all(signal.SIGKILL)
    found = verdict.judge(journal=year.journal, now=year.clock.now(), lineages=options.certificates)
    seconds = {"seconds to issue": round(issued - began), "seconds to live": round(time.monotonic() - issued)}
    _tell(json.dumps({**seconds, **year.counts, **found.counts, "faults": found.faults[:50]}, indent=2))
    return 1 if found.faults else 0


def _set_up_portal(state: Path, database_url: str, redis_url: str) -> None:
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "pki_portal.settings",
        "PKI_PORTAL_VAR": str(state),
        "PKI_PORTAL_MASTER_KEYS": "simulation:" + "A" * 43 + "=",
        "DATABASE_URL": database_url,
        "TASKS_REDIS_URL": redis_url,
        "SITE_URL": "http://pki.test",
    }
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


@contextmanager
def _log_in(path: str) -> Iterator[None]:
    """Send the log of every process to a file; what is told goes to standard output."""
    if path:
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        os.dup2(log, 2)
    else:
        logging.disable(logging.CRITICAL)
    yield


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--certificates", type=int, default=5000)
    parser.add_argument("--days", type=int, default=400)
    parser.add_argument("--queue", choices=("database", "redis"), default="database")
    parser.add_argument("--hours", type=float, default=12, help="how far the clock jumps at least")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--crashes", type=int, default=20, help="of the database, and as many of Redis")
    parser.add_argument("--steps", type=int, default=40, help="of the clock, up to a day back or forward")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--log", default="", help="file for the log of every process")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
