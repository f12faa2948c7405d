"""The files of the journal: whole lines, whoever writes beside, and whatever becomes of a writer."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pytest_django import Settings

from pki_portal import journal
from pki_portal.journal import Damage, append, read


@pytest.fixture(autouse=True)
def folder(settings: Settings, tmp_path: Path) -> Path:
    settings.PKI_PORTAL_JOURNAL = tmp_path / "deep" / "journal"
    return tmp_path / "deep" / "journal"


def entries() -> list[object]:
    return [line.entry for line in read()]


def segments(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_nothing_was_written_yet() -> None:
    assert entries() == []


def test_what_was_appended_is_read_in_order(folder: Path) -> None:
    append([{"n": 1}, {"n": 2, "text": "zwei\n\u00fc\ud800"}])
    append([{"n": 3}], is_flushed=False)

    assert entries() == [{"n": 1}, {"n": 2, "text": "zwei\n\u00fc\ud800"}, {"n": 3}]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in segments(folder)] == [0o600]


def test_threads_and_processes_do_not_mix_their_lines(folder: Path) -> None:
    script = (
        "from pathlib import Path; from django.conf import settings;"
        f"settings.configure(PKI_PORTAL_JOURNAL=Path({str(folder)!r}));"
        "from pki_portal.journal import append\n"
        "for n in range(200): append([{'n': n, 'long': 'x' * 9000}], is_flushed=False)"
    )
    others = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(2)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: append([{"n": n, "long": "y" * 9000}], is_flushed=n % 20 == 0), range(200)))

    assert [other.wait() for other in others] == [0, 0]
    lines = list(read())
    assert len(lines) == 600
    assert all(line.damage is None for line in lines)
    assert len(segments(folder)) == 1


def test_a_full_segment_is_followed_by_the_next(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "SEGMENT_BYTES", 100)

    for n in range(12):
        append([{"n": n, "text": "x" * 30}], is_flushed=False)

    assert [entry["n"] for entry in entries()] == list(range(12))  # type: ignore[index]
    assert len(segments(folder)) == 6
    assert all(path.name.startswith(f"{journal.machine()}-") for path in segments(folder))


def test_a_compressed_segment_is_read_too(folder: Path) -> None:
    append([{"n": 1}])
    [path] = segments(folder)
    subprocess.run(["gzip", path], check=True)
    append([{"n": 2}])

    assert {entry["n"] for entry in entries()} == {1, 2}  # type: ignore[index]


@pytest.mark.parametrize("cut", [1, 2, 8, 30])
def test_a_torn_line_is_told_and_the_next_one_is_whole(folder: Path, cut: int) -> None:
    append([{"n": 1}, {"n": 2, "text": "x" * 50}])
    [path] = segments(folder)
    os.truncate(path, path.stat().st_size - cut)
    if cut == 1:  # the line feed alone: nothing of the line is missing
        assert entries() == [{"n": 1}, {"n": 2, "text": "x" * 50}]
    else:
        assert [line.damage for line in read()] == [None, Damage.TORN]

    append([{"n": 3}])

    assert [line.damage for line in read()][-1] is None
    assert entries()[-1] == {"n": 3}
    assert len(entries()) == 3


@pytest.mark.parametrize("tail", [b"\0" * 4096, b"0123", b"", b"0123456789 12"])
def test_room_that_no_data_came_into_is_torn(folder: Path, tail: bytes) -> None:
    append([{"n": 1}])
    with segments(folder)[0].open("ab") as file:
        file.write(tail)

    assert [line.damage for line in read()] == [None] + [Damage.TORN] * bool(tail)


def test_an_altered_line_is_told(folder: Path) -> None:
    append([{"n": 1}, {"n": 2}, {"n": 3}])
    [path] = segments(folder)
    path.write_bytes(path.read_bytes().replace(b'{"n":2}', b'{"n":7}'))

    assert [line.damage for line in read()] == [None, Damage.ALTERED, None]


def test_half_a_line_is_taken_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append([{"n": 1}])
    write = os.write

    def full(descriptor: int, data: memoryview) -> int:
        if len(data) < 30:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[:20])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            append([{"n": 2, "text": "x" * 20}])
    append([{"n": 3}])

    assert entries() == [{"n": 1}, {"n": 3}]


def test_a_segment_that_this_user_may_not_write_is_left_alone(folder: Path) -> None:
    append([{"n": 1}])
    (segment,) = segments(folder)
    segment.chmod(0)
    # Root may write everything: its place takes somebody else.
    script = (
        "import os; from pathlib import Path; from django.conf import settings;"
        f"settings.configure(PKI_PORTAL_JOURNAL=Path({str(folder)!r}));"
        "from pki_portal.journal import append, _line_of; _line_of({'n': 2});"
        "os.geteuid() or os.setuid(65534); append([{'n': 2}])"
    )
    for each in (folder, folder.parent, *folder.parents):
        if each.owner() == "root" and str(each).startswith("/tmp/"):  # noqa: S108 - the test's own folder
            each.chmod(0o777)
    subprocess.run([sys.executable, "-c", script], check=True)

    segment.chmod(0o600)
    assert entries() == [{"n": 1}, {"n": 2}]


def test_a_folder_that_cannot_be_read_is_not_an_empty_one(folder: Path) -> None:
    folder.parent.mkdir(parents=True)
    folder.write_text("no folder")

    with pytest.raises(OSError, match="directory"):
        list(read())
    with pytest.raises(OSError, match="directory"):
        append([{"n": 1}])
