"""Health addresses: alive, ready, and what clients ask before they log in."""

from datetime import datetime, timedelta

import pytest
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from pki_portal import journal
from pki_portal.background.models import ScheduledJob


def test_healthz_answers_without_the_database(client: Client) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.django_db
def test_readyz_is_ready_when_every_migration_is_there(client: Client) -> None:
    ScheduledJob.objects.create(name="renew-crls", last_finished_at=timezone.now())
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "warnings": []})


@pytest.mark.django_db
@pytest.mark.parametrize("minutes", [None, 16])
def test_readyz_warns_where_no_worker_has_been_at_work_and_is_ready_all_the_same(
    client: Client, minutes: int | None
) -> None:
    if minutes is not None:
        ScheduledJob.objects.create(name="renew-crls", last_finished_at=timezone.now() - timedelta(minutes=minutes))
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["warnings"] == ["no background worker has been at work for 15 minutes"]


@pytest.mark.django_db
def test_readyz_warns_while_the_journals_disk_is_nearly_full(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert journal.free_bytes() > 0
    monkeypatch.setattr("pki_portal.health.JOURNAL_ROOM", journal.free_bytes() + 2**40)

    answer = client.get("/readyz")

    assert answer.status_code == 200
    assert any("journal" in warning for warning in answer.json()["warnings"])


@pytest.mark.django_db
def test_readyz_tells_of_a_missing_migration(client: Client) -> None:
    MigrationRecorder(connection).record_unapplied("sessions", "0001_initial")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["reason"]) == (503, "1 migrations are missing")


def test_readyz_tells_of_a_database_that_does_not_answer(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pki_portal.health.MigrationExecutor", _refuse)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["reason"]) == (503, "the database does not answer")


def _refuse(*_: object) -> None:
    raise OperationalError


@pytest.mark.django_db
def test_status_tells_the_time_and_asks_no_database(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(0):
        answer = client.get("/api/status")
    body = answer.json()
    assert body["message"] == "Ok"
    assert datetime.fromisoformat(body["date"]).tzinfo is not None


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/api/status", "/metrics"])
def test_only_reading_is_answered(client: Client, path: str) -> None:
    assert client.post(path).status_code == 405


@pytest.fixture
def local(settings: Settings) -> Settings:
    """A portal for this machine only."""
    settings.HOST = "127.0.0.1"
    settings.SITE_URL = "http://127.0.0.1:8000"
    return settings


@pytest.mark.django_db
def test_metrics_of_a_portal_for_this_machine_are_open_on_it(client: Client, local: Settings) -> None:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain; version=")
    assert b"pki_background_due_rows" in answer.content
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.parametrize(
    ("setting", "headers"),
    [
        ({"SITE_URL": "https://pki.example.com"}, {}),
        ({"HOST": "0.0.0.0"}, {}),  # noqa: S104 - compared, not bound
        ({}, {"REMOTE_ADDR": "192.0.2.1"}),
        ({}, {"HTTP_X_FORWARDED_FOR": "127.0.0.1"}),
        ({"METRICS_TOKEN": "0123"}, {}),
        ({"METRICS_TOKEN": "0123"}, {"HTTP_AUTHORIZATION": "Bearer 0124"}),
        ({"METRICS_TOKEN": "0123"}, {"HTTP_AUTHORIZATION": "0123"}),
        ({"METRICS_TOKEN": "0123"}, {"HTTP_AUTHORIZATION": "Bearer \u00e9"}),
    ],
)
def test_metrics_do_not_exist_for_anyone_else(
    client: Client, local: Settings, setting: dict[str, str], headers: dict[str, str]
) -> None:
    for name, value in setting.items():
        setattr(local, name, value)
    assert client.get("/metrics", **headers).status_code == 404  # type: ignore[arg-type]


@pytest.mark.django_db
def test_metrics_answer_the_token_from_anywhere(client: Client, settings: Settings) -> None:
    settings.METRICS_TOKEN = "0123"
    assert client.get("/metrics", HTTP_AUTHORIZATION="Bearer 0123", REMOTE_ADDR="192.0.2.1").status_code == 200


def test_metrics_tell_of_a_database_that_does_not_answer(
    client: Client, local: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pki_portal.health.exposition", _refuse)
    assert client.get("/metrics").status_code == 503
