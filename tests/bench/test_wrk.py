"""What is handed to the load generator, and what is read back."""

from pathlib import Path

import pytest

from tests.bench.wrk import Outcome, Request, parse, read_answers, write_requests

OUTPUT = """Running 4s test @ http://127.0.0.1:8000
  1 threads and 8 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.59ms    1.42ms  10.73ms   88.50%

RESULT {"requests": 2000, "seconds": 4.000000, "p50": 7.500, "p99": 31.250, "refused": 1, "lost": 0}
"""


def test_the_result_is_the_line_of_our_own() -> None:
    outcome = parse(OUTPUT)
    assert outcome == Outcome(requests=2000, seconds=4.0, p50=7.5, p99=31.25, refused=1, lost=0)
    assert outcome.rate == 500


def test_no_result_is_no_figure() -> None:
    with pytest.raises(ValueError, match="unable to connect"):
        parse("unable to connect to 127.0.0.1:1")


def test_requests_are_written_a_line_each(tmp_path: Path) -> None:
    file = tmp_path / "requests"
    write_requests(file, [Request("GET", "/a?b=c"), Request("POST", "/d", b"\x00\n")])
    assert file.read_text() == "GET /a?b=c\nPOST /d 000a\n"


def test_an_answer_that_was_cut_short_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "answers"
    assert read_answers(file) == []
    file.write_text("6162\n\n6")
    assert read_answers(file) == [b"ab"]
