"""Pages by where the last one ended: every row once, in both directions, whatever is equal and whatever comes."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest

from pki_portal.access.models import Project
from pki_portal.audit.models import AuditEvent
from pki_portal.keyset import CursorMalformed, KeysetPage, count_up_to, keyset_page
from tests.factories import make_project

pytestmark = pytest.mark.django_db

ORDER = ("-created_at", "name")
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


@pytest.fixture
def names() -> list[str]:
    """Seven projects, newest first; the times of some are the same."""
    for number in range(7):
        project = make_project(f"p{number}")
        Project.objects.filter(pk=project.pk).update(created_at=NOON + timedelta(hours=number // 3))
    return ["p6", "p3", "p4", "p5", "p0", "p1", "p2"]


def page(cursor: str | None = "", *, size: int = 2, offset: int = 0) -> KeysetPage[Project]:
    return keyset_page(Project.objects.order_by(*ORDER), size=size, cursor=cursor or "", offset=offset)


def named(listed: KeysetPage[Project]) -> list[str]:
    return [row.name for row in listed.rows]


def encoded(*values: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode()


def test_forth_and_back_each_row_comes_once(names: list[str]) -> None:
    forth, back = [page()], []
    while forth[-1].next:
        forth.append(page(forth[-1].next))
    back.append(forth[-1])
    while back[-1].previous:
        back.append(page(back[-1].previous))

    assert [name for each in forth for name in named(each)] == names
    assert [named(each) for each in reversed(back)] == [named(each) for each in forth]
    assert [each.start_index for each in forth] == [each.start_index for each in reversed(back)] == [1, 3, 5, 7]
    assert [each.end_index for each in forth] == [2, 4, 6, 7]


def test_what_is_new_moves_nothing(names: list[str]) -> None:
    first = page()
    Project.objects.filter(pk=make_project("newest").pk).update(created_at=NOON + timedelta(days=1))

    assert named(page(first.next)) == names[2:4]
    back = page(page(first.next).previous)
    assert (named(back), back.start_index) == (names[:2], 1)
    assert named(page(back.previous)) == ["newest"]


def test_one_can_go_on_from_an_offset(names: list[str]) -> None:
    listed = page(offset=3)

    assert (named(listed), named(page(listed.next)), named(page(listed.previous))) == (
        names[3:5],
        names[5:],
        names[1:3],
    )
    assert page(offset=9).rows == []


def test_a_list_by_number_goes_on_by_number() -> None:
    for number in range(3):
        AuditEvent.objects.create(occurred_at=NOON, event=f"e{number}", actor_kind="system", subject_type="x")
    events = AuditEvent.objects.all()

    first = keyset_page(events, size=2)
    assert [each.event for each in keyset_page(events, size=2, cursor=first.next or "").rows] == ["e0"]
    assert count_up_to(events, 2) == 3
    assert count_up_to(events, 9) == 3


@pytest.mark.parametrize(
    "cursor",
    [
        *("x", "é", "%%%", "bnVsbA", encoded(), encoded(0, 0), encoded(0, 0, "2026-01-01T00:00:00")),
        *(encoded(0, 0, "2026-01-01T00:00:00", "a", "b"), encoded(2, 0, "2026-01-01T00:00:00", "a")),
        *(encoded(0, -1, "2026-01-01T00:00:00", "a"), encoded(0, 1e99, "2026-01-01T00:00:00", "a")),
        *(encoded(0, 0, "0001-01-01T00:00:00+14:00", "a"), encoded(0, 0, "soon", "a"), encoded(0, 0, 7, "a")),
        *(encoded(0, 0, "2026-01-01T00:00:00", "\x00"), encoded(0, 0, "2026-01-01T00:00:00", ["a"])),
        *(encoded([], 0, "2026-01-01T00:00:00", "a"), encoded(0, 0, "2026-01-01T00:00:00", "\ud800")),
        base64.urlsafe_b64encode(b"[" * 700).decode(),
    ],
)
def test_nonsense_is_no_cursor(cursor: str) -> None:
    with pytest.raises(CursorMalformed):
        page(cursor)


@pytest.mark.parametrize("number", [2**63, -(2**70), 1.5, "1"])
def test_nor_is_a_number_that_no_row_has(number: object) -> None:
    with pytest.raises(CursorMalformed):
        keyset_page(AuditEvent.objects.all(), size=2, cursor=encoded(0, 0, number))
