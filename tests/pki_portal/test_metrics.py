"""Counters: shared by processes, kept when one ends, and never in the way of what is counted."""

import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from pki_portal import metrics
from tests.portal import ROOT

COUNT = """
import os, django
django.setup()
from pki_portal import metrics
for _ in range({times}):
    metrics.count(metrics.KEY_CACHE, result="hit")
{then}
"""


def counting(state: Path, times: int, then: str = "") -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", COUNT.format(times=times, then=then)],
        cwd=ROOT,
        env={"DJANGO_SETTINGS_MODULE": "pki_portal.settings", "PKI_PORTAL_VAR": str(state), "SECRET_KEY": "x"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def counted_out(state: Path, times: int, then: str = "") -> str:
    """What such a process wrote; it has ended well."""
    process = counting(state, times, then)
    written, _ = process.communicate()
    assert process.returncode == 0
    return written


def counted(text: str, sample: str, **labels: str) -> float | None:
    """The value of one sample of an exposition; None where it is missing."""
    found = [
        each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
        if each.name == sample and each.labels == labels
    ]
    return found[0] if found else None


def hits(state: Path) -> float | None:
    collector = MultiProcessCollector(None, path=str(state / "metrics"))  # type: ignore[no-untyped-call]
    samples = [sample for family in collector.collect() for sample in family.samples]  # type: ignore[no-untyped-call]
    return next((sample.value for sample in samples if sample.name == "pki_ca_key_cache_total"), None)


def test_what_processes_count_is_added_up_and_outlives_them(tmp_path: Path) -> None:
    wait = "print('counted', flush=True); input()"
    running = [counting(tmp_path, times, wait) for times in (3, 4)]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "counted\n"
    assert hits(tmp_path) == 7
    running[0].kill()
    running[1].communicate("\n")
    running[0].communicate()
    # The next process goes on where the dead one's file ends: no file more, no count less.
    files = {path.name for path in (tmp_path / "metrics").iterdir()}
    counted_out(tmp_path, 5)
    assert {path.name for path in (tmp_path / "metrics").iterdir()} == files
    assert hits(tmp_path) == 12


def test_a_fork_counts_in_a_file_of_its_own(tmp_path: Path) -> None:
    fork = """
if os.fork() == 0:
    metrics.count(metrics.KEY_CACHE, result="hit")
    os._exit(0)
os.wait()
metrics.count(metrics.KEY_CACHE, result="hit")
"""
    counted_out(tmp_path, 2, fork)
    assert hits(tmp_path) == 4


def test_a_file_in_pieces_is_begun_again(tmp_path: Path) -> None:
    counted_out(tmp_path, 2)
    (tmp_path / "metrics" / "counter_0.db").write_bytes(b"\xff" * 100)
    counted_out(tmp_path, 3)
    assert hits(tmp_path) == 3


def test_a_state_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "metrics").write_text("a file where the folder should be")
    assert counted_out(tmp_path, 2, "print('still here')") == "still here\n"


def test_labels_that_clients_can_make_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_seen", {})
    labels = [metrics.bounded("project", str(number)) for number in range(metrics.LABEL_LIMIT + 10)]
    assert labels[-10:] == [metrics.OTHER] * 10
    assert metrics.bounded("project", "0") == "0"
    assert metrics.bounded("code", "new") == "new"


def test_importing_and_asking_writes_nothing(tmp_path: Path) -> None:
    counted_out(tmp_path / "var", 0)
    assert not (tmp_path / "var").exists()
