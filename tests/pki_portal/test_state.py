"""Secrets in the state folder: one text for all, complete, and for its owner only."""

import threading
from pathlib import Path

import pytest

from pki_portal.state import change_secret, read_or_create_secret


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


def test_a_change_keeps_mode_and_place_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "real"
    path.write_text("old\n")
    path.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(path)
    assert change_secret(link, lambda text: f"new,{text}") == "new,old"
    assert link.is_symlink()
    assert path.read_text() == "new,old\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["link", "real"]


def test_changes_at_once_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("0")
    threads = [threading.Thread(target=change_secret, args=(path, lambda text: text + "+")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() == "0++++++++\n"


def test_what_is_not_there_is_not_changed_and_a_failed_change_changes_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        change_secret(tmp_path / "secret", lambda text: text)
    path = tmp_path / "kept"
    path.write_text("text")

    def fail(_: str) -> str:
        raise RuntimeError("no randomness")

    with pytest.raises(RuntimeError, match="no randomness"):
        change_secret(path, fail)
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("kept", "text")]
