"""Bad configuration: each check has an id and a remedy, and good configuration passes them all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_django import Settings

from pki_portal import checks
from pki_portal.settings import BASE_DIR


def test_the_configuration_of_the_tests_is_good(settings: Settings, tmp_path: Path) -> None:
    settings.PKI_PORTAL_VAR = tmp_path / "not-there-yet"
    found = [
        *checks.check_state_folder(),
        *checks.check_journal_folder(),
        *checks.check_values(),
        *checks.check_site_url(),
        *checks.check_debug_stays_local(),
        *checks.check_allowed_hosts(),
        *checks.check_proxy_in_front(),
        *checks.check_database_engine(),
    ]
    assert found == []


def test_a_state_folder_that_cannot_be_made_is_an_error(settings: Settings) -> None:
    settings.PKI_PORTAL_VAR = Path("/dev/null/var")
    (problem,) = checks.check_state_folder()
    assert problem.id == "pki_portal.E001"
    assert "PKI_PORTAL_VAR" in (problem.hint or "")


def test_a_journal_that_cannot_be_written_is_an_error(settings: Settings) -> None:
    settings.PKI_PORTAL_JOURNAL = Path("/dev/null/journal")
    (problem,) = checks.check_journal_folder()
    assert problem.id == "pki_portal.E011"
    assert "PKI_PORTAL_JOURNAL" in (problem.hint or "")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("PORT", "abc", "PORT is no whole number from 1 to 65535"),
        ("PORT", "99999", "PORT is no whole number from 1 to 65535"),
        ("WEB_CONCURRENCY", "-1", "WEB_CONCURRENCY is no whole number"),
        ("TRUSTED_PROXIES", "one", "TRUSTED_PROXIES is no whole number"),
        ("DEBUG", "perhaps", "DEBUG is neither true nor false"),
        ("WORKER", "maybe", "WORKER is neither true nor false"),
        ("EMAIL_URL", "nonsense", "EMAIL_URL is no address"),
        ("SECRET_KEY_FILE", "/not/there", "SECRET_KEY_FILE names /not/there, which cannot be read"),
    ],
)
def test_a_value_that_cannot_be_read_stops_the_start_and_is_named(name: str, value: str, told: str) -> None:
    problem = _ended_with(["manage.py", "check"], name, value)
    assert told in problem
    assert "Traceback" not in problem


def test_nor_is_anything_served_then() -> None:
    served = ["-m", "gunicorn", "--check-config", "--config", "gunicorn.conf.py"]
    problem = _ended_with(served, "WORKER", "maybe")
    assert "WORKER is neither true nor false." in problem
    assert "Traceback" not in problem


def _ended_with(command: list[str], name: str, value: str) -> str:
    ended = subprocess.run(
        [sys.executable, *command], env={**os.environ, name: value}, cwd=BASE_DIR, capture_output=True, text=True
    )
    assert ended.returncode != 0
    return ended.stderr


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("PORT", "", 8000),
        ("PORT", "81\n", 81),
        ("WORKER", "", True),
        ("WORKER", "No", False),
        ("WORKER", "yes\n", True),
        ("DEBUG", "off", False),
    ],
)
def test_what_is_empty_is_the_default_and_flags_have_several_words(name: str, value: str, read: object) -> None:
    told = subprocess.run(
        [sys.executable, "-c", f"from pki_portal import settings; print(settings.{name}, settings.UNREADABLE)"],
        env={**os.environ, name: value},
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert told.strip() == f"{read} {{}}"


def test_a_state_folder_open_to_all_is_pointed_out(settings: Settings, tmp_path: Path) -> None:
    settings.PKI_PORTAL_VAR = tmp_path
    tmp_path.chmod(0o755)
    (problem,) = checks.check_state_folder()
    assert problem.id == "pki_portal.W001"
    tmp_path.chmod(0o700)
    assert list(checks.check_state_folder()) == []


@pytest.mark.parametrize(
    ("site_url", "check_id"),
    [
        ("pki.example.com", "pki_portal.E002"),
        ("ftp://pki.example.com", "pki_portal.E002"),
        ("https://", "pki_portal.E002"),
        ("https://user@pki.example.com", "pki_portal.E002"),
        ("https://pki.example.com?x=1", "pki_portal.E002"),
        ("https://example.com/pki", "pki_portal.E003"),
    ],
)
def test_an_address_that_certificates_cannot_carry_is_an_error(
    settings: Settings, site_url: str, check_id: str
) -> None:
    settings.SITE_URL = site_url
    (problem,) = checks.check_site_url()
    assert problem.id == check_id
    assert problem.hint


@pytest.mark.parametrize(
    ("host", "site_url"),
    [("127.0.0.1", "https://pki.example.com"), ("0.0.0.0", "http://localhost:8000")],  # noqa: S104
)
def test_debug_where_others_come_is_an_error(settings: Settings, host: str, site_url: str) -> None:
    settings.DEBUG, settings.HOST, settings.SITE_URL = True, host, site_url
    (problem,) = checks.check_debug_stays_local()
    assert problem.id == "pki_portal.E004"


def test_debug_on_the_own_machine_is_allowed(settings: Settings) -> None:
    settings.DEBUG, settings.HOST, settings.SITE_URL = True, "::1", "http://localhost:8000"
    assert list(checks.check_debug_stays_local()) == []


def test_any_host_name_is_an_error(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["pki.example.com", "*"]
    (problem,) = checks.check_allowed_hosts()
    assert problem.id == "pki_portal.E005"


@pytest.mark.parametrize("host", ["0.0.0.0", "", "192.0.2.1", "::"])  # noqa: S104 - compared, not bound
def test_a_portal_that_others_reach_without_a_proxy_is_pointed_out(settings: Settings, host: str) -> None:
    settings.HOST = host
    (problem,) = checks.check_proxy_in_front()
    assert problem.id == "pki_portal.W002"
    assert "TRUSTED_PROXIES=1" in (problem.hint or "")
    settings.TRUSTED_PROXIES = 1
    assert list(checks.check_proxy_in_front()) == []


def test_a_negative_number_of_proxies_is_an_error(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = -1
    (problem,) = checks.check_proxy_in_front()
    assert problem.id == "pki_portal.E007"


def test_a_queue_in_redis_needs_rq(settings: Settings) -> None:
    settings.TASKS_REDIS_URL = "redis://localhost:6379/0"
    assert list(checks.check_queue_in_redis()) == []
    settings.HAS_RQ = False
    (problem,) = checks.check_queue_in_redis()
    assert problem.id == "pki_portal.E009"
    assert "requirements/rq.txt" in (problem.hint or "")


def test_networks_of_webhooks_are_networks(settings: Settings) -> None:
    settings.WEBHOOK_ALLOWED_NETWORKS = ["10.0.0.0/8", "fd00::/8", "10.1.2.3/8", "intranet"]
    assert [problem.id for problem in checks.check_webhook_networks()] == ["pki_portal.E008"] * 2
