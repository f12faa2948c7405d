"""A small instance of the simulation (see ``year.py``), with everything in it that the large one has."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.portal import ROOT

SMALL = "--certificates 16 --days 160 --hours 48 --queue redis --kills 6 --crashes 1 --steps 5"


@pytest.mark.timeout(600)
def test_half_a_year_of_renewals_survives_kills_crashes_and_wrong_clocks(tmp_path: Path) -> None:
    log = tmp_path / "log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "PYTEST"))}
    ran = subprocess.run(
        [sys.executable, "-m", "tests.simulation.year", *SMALL.split(), "--log", str(log)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    said = ran.stdout + log.read_text()[-5000:]
    assert ran.returncode == 0, said
    told: dict[str, Any] = json.loads(ran.stdout[ran.stdout.index("{") :])
    assert told["faults"] == []
    assert told["live heads"] >= 10
    assert told["renewals"] >= 16
    assert told["by_workers"] > 0
    assert told["keys claimed"] > 0
    assert told["processes killed"] >= 3, said
    assert "processes that ended by themselves" not in told, said
