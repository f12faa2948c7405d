"""What the image and the composition of containers promise, read without building or running any."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pki_portal import settings as settings_module

ROOT = Path(__file__).resolve().parent.parent
DECLARED = set(settings_module.env.scheme) | set(settings_module.master_key_env.scheme)
# Read by Python or the shell.
OTHERS = {"PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
STATE = {"/var/lib/pki-portal", "/var/lib/pki-portal-journal"}


@pytest.fixture(scope="module")
def dockerfile() -> list[str]:
    """Its instructions, each on one line; the last stage is what is delivered."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return lines[max(number for number, line in enumerate(lines) if line.startswith("FROM ")) :]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return read


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    read: dict[str, dict[str, Any]] = compose["services"]
    return read


@pytest.fixture(scope="module")
def ours(services: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The services of our image."""
    return {name: service for name, service in services.items() if service["image"] == "pki-portal"}


def variable_of(name: str) -> str:
    return name if name in DECLARED else name.removesuffix("_FILE")


def test_the_image_names_only_variables_that_the_settings_know(dockerfile: list[str]) -> None:
    (environment,) = [line for line in dockerfile if line.startswith("ENV ")]
    assert set(re.findall(r"(\w+)=", environment)) <= DECLARED | OTHERS


def test_the_image_runs_as_nobody_special_and_says_how_it_is(dockerfile: list[str]) -> None:
    last_user = [line for line in dockerfile if line.startswith("USER ")][-1]
    assert last_user == "USER 10001:10001"
    command = dockerfile[-1]
    assert command.startswith("CMD ")
    assert "gunicorn.conf.py" in command
    assert any(line.startswith("HEALTHCHECK ") and "/readyz" in line for line in dockerfile)
    (volumes,) = [line for line in dockerfile if line.startswith("VOLUME ")]
    assert set(re.findall(r'"([^"]+)"', volumes)) == STATE


def test_only_what_runs_goes_into_the_image() -> None:
    """An allow-list: whatever somebody puts beside it, a state folder or a secret, stays outside."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    let_in = {rule.strip("!/") for rule in rules if rule.startswith("!")}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    in_the_repository = {name for path in tracked for name in (path, path.split("/")[0])}
    assert let_in <= in_the_repository
    assert let_in & {"var", "tests", ".env", "secrets", ".git"} == set()
    packages = {"pki_portal", "profiles", "certificates", "templates", "static", "manage.py", "gunicorn.conf.py"}
    assert packages <= let_in


def test_services_name_only_variables_and_secrets_that_are_there(
    compose: dict[str, Any], ours: dict[str, dict[str, Any]]
) -> None:
    for name, service in ours.items():
        environment: dict[str, str] = service["environment"]
        assert {variable_of(each) for each in environment} <= DECLARED, name
        files = {value for each, value in environment.items() if each.endswith("_FILE")}
        assert files == {f"/run/secrets/{secret}" for secret in service["secrets"]}, name
        assert set(service["secrets"]) <= set(compose["secrets"]), name


def test_services_refer_to_each_other_and_to_volumes_by_names_that_exist(
    compose: dict[str, Any], services: dict[str, dict[str, Any]]
) -> None:
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in services, name
            if how["condition"] == "service_healthy":
                checks = services[other].get("healthcheck", {"disable": services[other]["image"] != "pki-portal"})
                assert not checks.get("disable"), f"{name} waits for the health of {other}, which nobody looks at"
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (ROOT / source).is_file() if source.startswith("./") else source in compose["volumes"], name


def test_our_containers_write_nowhere_but_in_their_volumes(ours: dict[str, dict[str, Any]]) -> None:
    assert set(ours) == {"migrate", "web-1", "web-2", "worker-1", "worker-2"}
    for name, service in ours.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["tmpfs"] == ["/tmp"], name  # noqa: S108 - the container's own
        if name != "migrate":
            assert {volume.split(":")[1] for volume in service["volumes"]} == STATE, name
            assert service["restart"] == "unless-stopped", name
            assert service["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}, name
    assert ours["migrate"]["restart"] == "no"


def test_nginx_passes_on_to_the_web_nodes(ours: dict[str, dict[str, Any]]) -> None:
    configuration = (ROOT / "deploy" / "nginx.conf").read_text()
    nodes = set(re.findall(r"^\s*server (\S+):8000 ", configuration, re.MULTILINE))
    assert nodes == {name for name in ours if name.startswith("web-")}


def test_secrets_are_made_once_and_for_their_owner(compose: dict[str, Any], tmp_path: Path) -> None:
    def make() -> dict[str, str]:
        subprocess.run(["python3", "scripts/make_secrets.py", tmp_path / "secrets"], cwd=ROOT, check=True)
        return {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}

    made = make()
    assert set(made) == set(compose["secrets"])
    assert made["postgres-password"] in made["database-url"]
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert make() == made
