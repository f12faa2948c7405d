from typing import TypedDict
from uuid import uuid4

import pytest
from django.db import transaction

from pki_portal.audit.models import AuditEvent, Outcome
from pki_portal.audit.services import Actor, record, recorded_refusals
from pki_portal.errors import Forbidden, Invalid, Violation
from tests.factories import make_actor


class About(TypedDict):
    subject_type: str
    subject_id: str


ABOUT = About(subject_type="certificate", subject_id="1")


@pytest.mark.django_db
def test_record_keeps_who_what_where() -> None:
    project_id = uuid4()
    actor = Actor(kind="user", id="7", name="alice", address="2001:db8::1", request_id="req-1")
    record(event="issue-cert", actor=actor, project_id=project_id, data={"a": [1, {"b": None}]}, **ABOUT)
    event = AuditEvent.objects.get()
    assert (event.event, event.outcome, event.project_id) == ("issue-cert", Outcome.DONE, project_id)
    assert (event.actor_kind, event.actor_id, event.actor_name) == ("user", "7", "alice")
    assert (event.address, event.request_id) == ("2001:db8::1", "req-1")
    assert (event.subject_type, event.subject_id) == ("certificate", "1")
    assert event.data == {"a": [1, {"b": None}]}
    assert event.chain_position is None
    assert event.chain_hash is None


@pytest.mark.django_db(transaction=True)
def test_event_goes_with_the_act_that_is_rolled_back() -> None:
    def act() -> None:
        with transaction.atomic():
            record(event="issue-cert", actor=make_actor(), project_id=None, **ABOUT)
            raise Invalid("no")

    with pytest.raises(Invalid):
        act()
    assert not AuditEvent.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_refusal_outlives_the_rollback_of_the_act() -> None:
    def act() -> None:
        violation = Violation("ttl", "too_long", "max 90d", "100d", "90d", "Ask for 90d.")
        with (
            recorded_refusals(event="issue-cert", actor=make_actor(), project_id=None, **ABOUT, data={"profile": "x"}),
            transaction.atomic(),
        ):
            record(event="issue-cert", actor=make_actor(), project_id=None, **ABOUT)
            raise Invalid("no", violations=[violation])

    with pytest.raises(Invalid):
        act()
    event = AuditEvent.objects.get()
    assert event.outcome == Outcome.REFUSED
    assert event.data["profile"] == "x"
    assert (event.data["kind"], event.data["message"]) == ("invalid", "no")
    assert event.data["violations"] == [
        {
            "field": "ttl",
            "code": "too_long",
            "rule": "max 90d",
            "asked": "100d",
            "allowed": "90d",
            "fix": "Ask for 90d.",
        }
    ]


@pytest.mark.django_db
def test_what_is_no_refusal_is_not_recorded_as_one() -> None:
    with (
        pytest.raises(ZeroDivisionError),
        recorded_refusals(event="issue-cert", actor=make_actor(), project_id=None, **ABOUT),
    ):
        raise ZeroDivisionError
    with recorded_refusals(event="issue-cert", actor=make_actor(), project_id=None, **ABOUT):
        pass
    assert not AuditEvent.objects.exists()


@pytest.mark.django_db
def test_hostile_text_is_stored_without_what_databases_refuse() -> None:
    hostile = "a\x00b\ud800"
    record(
        event="issue-cert",
        actor=Actor(kind="anonymous", id="", name=hostile, address=None, request_id=""),
        project_id=None,
        subject_type="client",
        subject_id=hostile * 200,
        data={hostile: [hostile, {"x": hostile}]},
    )
    event = AuditEvent.objects.get()
    assert event.actor_name == "a\ufffdb\ufffd"
    assert len(event.subject_id) == 255
    assert event.data == {"a\ufffdb\ufffd": ["a\ufffdb\ufffd", {"x": "a\ufffdb\ufffd"}]}


@pytest.mark.django_db
def test_endless_refusals_are_cut() -> None:
    endless = "x" * 100_000
    violations = [Violation("san", "c", "r", endless, endless, endless) for _ in range(5_000)]
    with pytest.raises(Forbidden), recorded_refusals(event="issue-cert", actor=make_actor(), project_id=None, **ABOUT):
        raise Forbidden(endless, violations=violations)
    data = AuditEvent.objects.get().data
    assert len(data["violations"]) == 50
    assert data["violationCount"] == 5_000
    assert len(str(data)) < 200_000
