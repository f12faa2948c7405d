"""Running the load generator: `wrk` from Debian, with ``load.lua``."""

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("load.lua")
# The slowest peer takes seconds where eight ask at once.
TIMEOUT = "60s"


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a load; an empty body is none."""

    method: str
    path: str
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to; ``p50`` and ``p99`` in ms, ``refused`` answers are those of 400 and above."""

    requests: int
    seconds: float
    p50: float
    p99: float
    refused: int
    lost: int

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.requests / self.seconds


def write_requests(file: Path, requests: Iterable[Request]) -> None:
    """As ``load.lua`` reads them."""
    lines = (f"{each.method} {each.path} {each.body.hex()}".rstrip() for each in requests)
    file.write_text("".join(f"{line}\n" for line in lines))


def run(
    base_url: str,
    requests: Path,
    *,
    connections: int,
    seconds: int,
    headers: Mapping[str, str],
    answers: Path | None = None,
) -> Outcome:
    """Send the requests of a file in turn for so long, from one thread; keep some bodies in ``answers`` if given."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", TIMEOUT]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    command += ["-s", str(SCRIPT), base_url, "--", str(requests), *([str(answers)] if answers else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"wrk failed: {done.stderr}")
    return parse(done.stdout)


def parse(output: str) -> Outcome:
    """The line that ``load.lua`` printed. Raises ValueError where there is none."""
    line = next((line for line in output.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise ValueError(f"wrk told no result: {output!r}")
    return Outcome(**json.loads(line.removeprefix("RESULT ")))


def read_answers(file: Path) -> list[bytes]:
    """What ``run`` kept; a line that was cut short at its end is left out."""
    lines = file.read_text().split("\n")[:-1] if file.exists() else []
    return [bytes.fromhex(line) for line in lines if line]
