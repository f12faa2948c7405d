from collections.abc import Callable
from typing import Any

import pytest

from pki_portal.audit.models import AppendOnlyError, AuditEvent
from pki_portal.audit.services import record
from tests.factories import make_actor

pytestmark = pytest.mark.django_db


def make_event() -> AuditEvent:
    record(event="create-ca", actor=make_actor(), project_id=None, subject_type="ca", subject_id="1", data={})
    return AuditEvent.objects.get()


def test_saving_an_event_again_is_refused() -> None:
    event = make_event()
    event.event = "nothing-happened"
    with pytest.raises(AppendOnlyError):
        event.save()
    with pytest.raises(AppendOnlyError):
        event.save(update_fields=["event"])


def test_deleting_an_event_is_refused() -> None:
    with pytest.raises(AppendOnlyError):
        make_event().delete()


@pytest.mark.parametrize(
    "act",
    [
        lambda events: events.update(event="x"),
        lambda events: events.delete(),
        lambda events: events.all().delete(),
        lambda events: events.filter(event="create-ca").update(outcome="refused"),
        lambda events: events.bulk_update(list(events.all()), ["event"]),
        lambda events: events.update_or_create(id=1, defaults={"event": "x"}),
    ],
)
def test_bulk_changes_are_refused(act: Callable[[Any], Any]) -> None:
    make_event()
    with pytest.raises(AppendOnlyError):
        act(AuditEvent.objects)
    assert AuditEvent.objects.get().event == "create-ca"


def test_events_are_listed_newest_first() -> None:
    for number in range(3):
        record(event=f"act-{number}", actor=make_actor(), project_id=None, subject_type="x", subject_id="1")
    assert [event.event for event in AuditEvent.objects.all()] == ["act-2", "act-1", "act-0"]
