"""Promises of the project as a whole: what a fresh clone, a linter and a cautious operator rely on."""

import hashlib
import os
import re
import socket
import subprocess
import sys
import tomllib
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.views.debug import get_default_exception_reporter_filter

from pki_portal import settings as settings_module

ROOT = Path(__file__).resolve().parent.parent


def run_manage(*arguments: str, state: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """manage.py in an environment that holds nothing but PATH, the state folder and what is given."""
    clean = {"PATH": os.environ["PATH"], "PKI_PORTAL_VAR": str(state)} | environment
    return subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=ROOT, env=clean, capture_output=True, text=True, check=False
    )


def python_with(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "pki_portal.settings"} | environment
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=clean, capture_output=True, text=True, check=False
    )


def test_settings_import_without_secrets_and_write_nothing(tmp_path: Path) -> None:
    state = tmp_path / "var"
    done = python_with("import django; django.setup()", PKI_PORTAL_VAR=str(state))
    assert done.returncode == 0, done.stderr
    assert not state.exists()


def test_secret_key_is_made_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    code = "from django.conf import settings; print(str(settings.SECRET_KEY))"
    first, second = (python_with(code, PKI_PORTAL_VAR=str(tmp_path / "var")).stdout for _ in range(2))
    assert first == second
    assert len(first.strip()) >= 50
    assert (tmp_path / "var" / "secret-key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "var").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("start", [["manage.py", "showmigrations", "audit"], ["-c", "import pki_portal.wsgi"]])
def test_what_the_database_makes_is_readable_by_its_owner_only(tmp_path: Path, start: list[str]) -> None:
    if start[0] == "-c":
        start = ["-c", f"{start[1]}; from django.db import connection; connection.ensure_connection()"]
    environment = {"PATH": os.environ["PATH"], "PKI_PORTAL_VAR": str(tmp_path)}
    subprocess.run([sys.executable, *start], cwd=ROOT, env=environment, check=True, capture_output=True, umask=0o022)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes["db.sqlite3"] == 0o600
    assert set(modes.values()) == {0o600}


def test_secret_key_from_the_environment_is_kept_out_of_the_state_folder(tmp_path: Path) -> None:
    code = "from django.conf import settings; print(settings.SECRET_KEY)"
    done = python_with(code, PKI_PORTAL_VAR=str(tmp_path / "var"), SECRET_KEY="given")
    assert done.stdout == "given\n"
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize(
    ("environment", "site_url", "hosts"),
    [
        ({}, "http://127.0.0.1:8000", {"localhost", "127.0.0.1", "[::1]"}),
        ({"HOST": "0.0.0.0", "PORT": "81"}, "http://localhost:81", {"localhost", "127.0.0.1", "[::1]"}),  # noqa: S104
        (
            {"SITE_URL": "https://pki.example.com/"},
            "https://pki.example.com",
            {"pki.example.com", "localhost", "127.0.0.1", "[::1]"},
        ),
        ({"HOST": "::1"}, "http://[::1]:8000", {"::1", "[::1]", "localhost", "127.0.0.1"}),
    ],
)
def test_site_url_and_hosts_follow_from_what_is_given(
    environment: dict[str, str], site_url: str, hosts: set[str]
) -> None:
    code = "from django.conf import settings as s; print(s.SITE_URL, *s.ALLOWED_HOSTS)"
    done = python_with(code, **environment)
    assert done.returncode == 0, done.stderr
    address, *names = done.stdout.split()
    assert (address, set(names)) == (site_url, hosts)


def test_a_port_that_is_taken_stops_the_start_before_anything_is_made(tmp_path: Path) -> None:
    def start(port: int) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "PKI_PORTAL_VAR": str(tmp_path / "var"), "PORT": str(port)}
        return subprocess.run(
            [sys.executable, "scripts/require_free_port.py"], cwd=ROOT, env=environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        taken = start(port)
    assert taken.returncode == 1
    assert "nothing was made" in taken.stderr
    assert start(port).returncode == 0
    assert not (tmp_path / "var").exists()


def test_every_environment_variable_is_in_the_example_and_the_readme() -> None:
    declared = set(settings_module.env.scheme) | set(settings_module.master_key_env.scheme)
    for document in (".env.example", "README.md"):
        text = (ROOT / document).read_text()
        assert {name for name in declared if not re.search(rf"\b{name}\b", text)} == set(), document


def test_deployment_checks_are_clean_for_a_site_with_https(tmp_path: Path) -> None:
    done = run_manage(
        "check", "--deploy", "--fail-level", "WARNING", state=tmp_path / "var", SITE_URL="https://pki.example.com"
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("url", ["mysql://root@127.0.0.1/x", "nonsense"])
def test_a_wrong_database_stops_the_start_and_says_how_to_mend_it(tmp_path: Path, url: str) -> None:
    done = run_manage("check", state=tmp_path / "var", DATABASE_URL=url)
    assert done.returncode == 1
    assert "pki_portal.E006" in done.stderr
    assert "HINT" in done.stderr


@pytest.mark.django_db
def test_no_migration_is_missing() -> None:
    out = StringIO()
    call_command("makemigrations", "--check", "--dry-run", stdout=out)
    assert "No changes detected" in out.getvalue()


def test_pin_and_master_keys_are_hidden_on_the_page_of_a_traceback() -> None:
    shown = get_default_exception_reporter_filter().get_safe_settings()
    secrets = {"PKCS11_PIN", "PKI_PORTAL_MASTER_KEYS", "SECRET_KEY"}
    assert {shown[name] for name in secrets} == {"********************"}


def test_a_pin_is_read_from_a_file_without_its_line_feed(tmp_path: Path) -> None:
    (tmp_path / "pin").write_text("1234\n")
    code = "from django.conf import settings as s; print(repr(s.PKCS11_PIN))"
    assert python_with(code, PKCS11_PIN_FILE=str(tmp_path / "pin")).stdout == "'1234'\n"


@pytest.mark.parametrize(("name", "least"), [("base", 30), ("hsm", 1), ("rq", 1), ("dev", 30), ("bench", 20)])
def test_requirements_are_pinned_hashed_and_name_no_host(name: str, least: int) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert "://" not in text
    assert "--index-url" not in text
    pins = re.split(r"\n(?=[a-z])", text.strip())
    assert len(pins) > least
    for pin in pins:
        assert re.match(r"[a-z0-9.\-]+(\[[a-z,\-]+\])?==\S+", pin), pin
        assert "--hash=sha256:" in pin, pin


def test_tests_run_on_the_versions_that_are_served() -> None:
    def pins(name: str) -> set[str]:
        return set(
            re.findall(
                r"^([a-z0-9.\-]+(?:\[[a-z,\-]+\])?==\S+)",
                (ROOT / "requirements" / f"{name}.txt").read_text(),
                re.MULTILINE,
            )
        )

    assert (pins("base") | pins("hsm") | pins("rq")) - pins("dev") == set()


def test_version_is_the_same_in_its_two_places() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == settings.VERSION


def test_make_tells_every_target_that_it_has() -> None:
    text = (ROOT / "Makefile").read_text()
    targets = set(re.search(r"^\.PHONY: (.+)$", text, re.MULTILINE)[1].split())  # type: ignore[index]
    assert targets - set(re.findall(r"^([a-z-]+):", text, re.MULTILINE)) == set()
    untold = {"help", "chromium", "programs", "bench-programs"}
    told = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^make ([a-z-]+) ", told, re.MULTILINE)) == targets - untold


def test_vendored_files_are_those_that_were_reviewed() -> None:
    vendor = ROOT / "static" / "vendor"
    lines = (vendor / "SHA256SUMS").read_text().splitlines()
    listed = {name: digest for digest, name in (line.split(maxsplit=1) for line in lines)}
    found = {
        str(path.relative_to(vendor)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in vendor.rglob("*")
        if path.is_file() and path.name != "SHA256SUMS"
    }
    assert listed == found


def test_every_template_and_script_is_served_from_here() -> None:
    pages = [*(ROOT / "templates").rglob("*.html")]
    assert pages
    for page in pages:
        text = page.read_text()
        assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", text), page
        assert not re.search(r"\son[a-z]+=", text), f"{page}: inline handlers are refused by the policy"
        assert not re.search(r"<script(?![^>]*\ssrc=)(?![^>]*application/json)[^>]*>", text), page


def test_state_and_secrets_are_never_committed() -> None:
    ignored = subprocess.run(
        ["git", "check-ignore", "var/db.sqlite3", "var/master-keys", ".env", ".venv/x"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ignored.stdout.split() == ["var/db.sqlite3", "var/master-keys", ".env", ".venv/x"]
