"""Secrets in the state folder: one text for all, complete, and for its owner only."""

from pathlib import Path

import pytest

from pki_portal.state import read_or_create_secret


def test_a_secret_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "var" / "secret"
    assert read_or_create_secret(path, lambda: "first") == "first"
    assert read_or_create_secret(path, lambda: "second") == "first"


def test_file_and_folder_are_for_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "var" / "secret"
    read_or_create_secret(path, lambda: "text")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_whoever_loses_the_race_takes_the_winners_text(tmp_path: Path) -> None:
    path = tmp_path / "var" / "secret"

    def make_late() -> str:
        assert read_or_create_secret(path, lambda: "winner") == "winner"
        return "loser"

    assert read_or_create_secret(path, make_late) == "winner"
    assert [entry.name for entry in path.parent.iterdir()] == ["secret"]


def test_a_failed_making_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail() -> str:
        raise RuntimeError("no randomness")

    with pytest.raises(RuntimeError, match="no randomness"):
        read_or_create_secret(tmp_path / "secret", fail)
    assert list(tmp_path.iterdir()) == []
