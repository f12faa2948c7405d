"""The machine as /proc shows it: what processes cost, what memory they hold, and how busy the rest is."""

import os
import platform
import resource
import time
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
# More than this of one core by others while something is measured, and the figure is marked.
QUIET = 0.35
MEBIBYTE = 1024


@dataclass(frozen=True, slots=True)
class Memory:
    """MiB of a process tree. ``pss`` counts what is shared once; ``rss`` in every process."""

    rss: float
    pss: float


def _processes() -> dict[int, tuple[int, float]]:
    """Parent and CPU seconds, those of children that ended included, of each process."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                # The name in brackets may hold anything.
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # ended meanwhile
            found[int(folder.name)] = (int(fields[1]), sum(map(int, fields[11:15])) / TICKS)
    return found


def _tree(root: int, processes: dict[int, tuple[int, float]]) -> set[int]:
    members, grown = set[int](), {root}
    while grown:
        members |= grown
        grown = {pid for pid, (parent, _) in processes.items() if parent in grown} - members
    return members


def cpu_seconds(root: int) -> float:
    """User and system time of a process and all that it started, so far."""
    processes = _processes()
    return sum(processes[pid][1] for pid in _tree(root, processes) if pid in processes)


def own_cpu_seconds() -> float:
    """Those of this process and of the load generators that it ran."""
    usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def busy_seconds() -> float:
    """CPU time of everything on this machine since it started, waiting left out."""
    values = list(map(int, Path("/proc/stat").read_text().partition("\n")[0].split()[1:]))
    user, nice, system, _idle, _waiting, irq, softirq = values[:7]
    return (user + nice + system + irq + softirq) / TICKS


def memory(root: int) -> Memory:
    """Of a process and all that it started, now."""
    rss = pss = 0
    for pid in _tree(root, _processes()):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue  # ended meanwhile
        values = {line.split()[0]: int(line.split()[1]) for line in lines[1:]}
        rss, pss = rss + values["Rss:"], pss + values["Pss:"]
    return Memory(rss / MEBIBYTE, pss / MEBIBYTE)


def peak_memory(pid: int) -> float:
    """The greatest memory of one process so far, MiB; 0 where it has ended.

    Not from getrusage, which begins with what the process held before it became the program that it is.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / MEBIBYTE for line in lines if line.startswith("VmHWM:")), 0.0)


def other_load(root: int, *, seconds: float = 1.0) -> float:
    """Cores that others than the tree of ``root`` (this process, mostly) use now, as a mean of so many seconds."""
    began, busy, ours = time.monotonic(), busy_seconds(), cpu_seconds(root)
    time.sleep(seconds)
    return (busy_seconds() - busy - (cpu_seconds(root) - ours)) / (time.monotonic() - began)


def wait_until_quiet(*, patience: float) -> None:
    """Return as soon as the others leave the machine alone, or ``patience`` seconds have passed."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and other_load(os.getpid()) > QUIET:
        pass


def wait_until_idle(*roots: int, patience: float = 30.0) -> None:
    """Return when these trees do next to nothing any more: whatever was asked is done."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        before = sum(map(cpu_seconds, roots))
        time.sleep(0.25)
        if sum(map(cpu_seconds, roots)) - before <= 0.03:  # three ticks
            return


def description() -> str:
    """Processor, cores, memory and system in one line."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    kernel = platform.release().partition("-")[0]
    return f"{os.cpu_count()} cores of {model}, {total:.0f} GiB, Linux {kernel}"
