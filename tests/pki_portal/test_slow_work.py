"""Slow work takes one of a few places, which all processes of a machine share."""

import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from pki_portal import slow_work
from pki_portal.errors import Busy

HOLD = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Limited to one, in a state folder of its own."""
    monkeypatch.setattr(settings, "PKI_PORTAL_VAR", tmp_path)
    monkeypatch.setattr(slow_work, "_places", 1)
    return tmp_path / "slow-work" / "0.lock"


def test_who_finds_no_place_is_refused_and_told_when_to_come_back() -> None:
    with slow_work.in_a_free_place(), pytest.raises(Busy) as refusal, slow_work.in_a_free_place():
        pytest.fail("it was let in")
    assert refusal.value.retry_after > 0
    with slow_work.in_a_free_place():
        pass


def test_there_are_as_many_places_as_were_told() -> None:
    slow_work.limit_to(2)
    with slow_work.in_a_free_place(), slow_work.in_a_free_place(), pytest.raises(Busy), slow_work.in_a_free_place():
        pytest.fail("it was let in")


def test_a_place_is_given_back_when_the_work_fails() -> None:
    with pytest.raises(ValueError, match=r"^$"), slow_work.in_a_free_place():
        raise ValueError
    with slow_work.in_a_free_place():
        pass


def test_another_process_takes_part_until_it_ends(one_place: Path) -> None:
    with slow_work.in_a_free_place():
        pass
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, one_place], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(Busy), slow_work.in_a_free_place():
        pytest.fail("it was let in")
    holder.kill()
    holder.communicate()
    with slow_work.in_a_free_place():
        pass


def test_who_serves_nobody_is_not_limited(monkeypatch: pytest.MonkeyPatch, one_place: Path) -> None:
    monkeypatch.setattr(slow_work, "_places", None)
    with slow_work.in_a_free_place(), slow_work.in_a_free_place():
        pass
    assert not one_place.exists()


def test_without_a_state_folder_that_can_be_written_work_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(settings, "PKI_PORTAL_VAR", tmp_path / "file")
    with slow_work.in_a_free_place(), slow_work.in_a_free_place():
        pass
