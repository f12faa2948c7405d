import pytest
from django.test import Client

from pki_portal.audit.models import AuditEvent
from pki_portal.audit.services import record
from tests.factories import make_actor, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.ignore_template_errors]

LIST = "/admin/audit/auditevent/"


def test_events_are_read_and_nothing_else(client: Client) -> None:
    record(event="create-ca", actor=make_actor(), project_id=None, subject_type="ca", subject_id="1")
    event = AuditEvent.objects.get()
    client.force_login(make_user(is_superuser=True))
    assert b"create-ca" in client.get(LIST).content
    assert client.get(f"{LIST}{event.pk}/change/").status_code == 200
    assert client.post(f"{LIST}{event.pk}/change/", {"event": "x"}).status_code == 403
    assert client.get(f"{LIST}add/").status_code == 403
    assert client.post(f"{LIST}{event.pk}/delete/", {"post": "yes"}).status_code == 403
    client.post(LIST, {"action": "delete_selected", "_selected_action": event.pk, "post": "yes"})
    assert AuditEvent.objects.get(pk=event.pk).event == "create-ca"


def test_search_finds_by_request_id(client: Client) -> None:
    record(event="create-ca", actor=make_actor(), project_id=None, subject_type="ca", subject_id="1")
    client.force_login(make_user(is_superuser=True))
    assert b"create-ca" in client.get(LIST, {"q": "req-0123456789abcdef"}).content
    assert b"0 audit events" in client.get(LIST, {"q": "req-unknown"}).content


def test_people_without_the_right_do_not_reach_it(client: Client) -> None:
    client.force_login(make_user())
    assert client.get(LIST).status_code == 302
