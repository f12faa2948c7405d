"""Dates on the wire: what JavaScript reads of ISO 8601, and nothing looser."""

from datetime import UTC, datetime

import pytest

from certificates.api.dates import parse_wire_datetime


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2029", datetime(2029, 1, 1, tzinfo=UTC)),
        ("2029-06", datetime(2029, 6, 1, tzinfo=UTC)),
        ("2029-06-12", datetime(2029, 6, 12, tzinfo=UTC)),
        (" 2035-11-07 ", datetime(2035, 11, 7, tzinfo=UTC)),
        ("2029-06-12T10:20", datetime(2029, 6, 12, 10, 20, tzinfo=UTC)),
        ("2029-06-12T10:20:30Z", datetime(2029, 6, 12, 10, 20, 30, tzinfo=UTC)),
        ("2029-06-12t10:20:30z", datetime(2029, 6, 12, 10, 20, 30, tzinfo=UTC)),
        ("2029-06-12 10:20:30+02:00", datetime(2029, 6, 12, 8, 20, 30, tzinfo=UTC)),
        ("2029-06-12T10:20:30-0530", datetime(2029, 6, 12, 15, 50, 30, tzinfo=UTC)),
        ("2029-06-12T10:20:30.123Z", datetime(2029, 6, 12, 10, 20, 30, 123000, tzinfo=UTC)),
        ("2029-06-12T10:20:30.123456789Z", datetime(2029, 6, 12, 10, 20, 30, 123456, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("1950", datetime(1950, 1, 1, tzinfo=UTC)),
    ],
)
def test_forms_that_clients_send(text: str, moment: datetime) -> None:
    assert parse_wire_datetime(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "29",
        "2029-6-12",
        "2029-00",
        "2029-13",
        "2029-02-30",
        "2029-06-00",
        "2029-06-12Z",
        "2029-06-12T25:00Z",
        "2029-06-12T10:60Z",
        "2029-06-12T10:20:60Z",
        "2029-06-12T10:20:30+24:00",
        "9999-12-31T23:59:59-05:00",
        "0001-01-01T00:00:00+10:00",
        "0000",
        "1949-12-31",
        "12/06/2029",
        "\uff12\uff10\uff12\uff19",
        "1893456000000",
    ],
)
def test_everything_else_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(ValueError, match=r"date|1950"):
        parse_wire_datetime(text)
