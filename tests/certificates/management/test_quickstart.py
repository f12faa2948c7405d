"""``manage.py quickstart``: from an empty database to a portal that issues, and no further when run again."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from cryptography import x509
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from certificates.keystore.database import forget_keys
from certificates.keystore.sealing import forget_keyring, new_master_key_text
from certificates.models import AuthorityCertificate, CertificateAuthority
from certificates.services.authorities import certification_path_of
from certificates.x509.path import verify_path
from pki_portal.access.models import Membership, Project, Role, SetPasswordLink, User
from pki_portal.audit.models import AuditEvent
from profiles.models import CertificateProfile, CertificateTemplate
from profiles.policy.vocabulary import KeyAlgorithm
from tests.factories import make_project

ROOT = Path(__file__).resolve().parents[3]
KEYS = {
    "baseUrl",
    "projectId",
    "projectSlug",
    "rootCaId",
    "caId",
    "caIds",
    "templateIds",
    "profileIds",
    "clientId",
    "clientSecret",
    "adminUsername",
    "adminSetPasswordUrl",
}


def quickstart(*arguments: str) -> str:
    output = StringIO()
    call_command("quickstart", *arguments, stdout=output)
    return output.getvalue()


def quickstart_json(*arguments: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(quickstart("--json", *arguments))
    return made


@pytest.fixture
def no_master_key(settings: Settings, tmp_path: Path) -> Iterator[Path]:
    """An installation without a master key; the path where one belongs."""
    settings.PKI_PORTAL_MASTER_KEYS = ""
    settings.PKI_PORTAL_MASTER_KEYS_FILE = tmp_path / "state" / "master-keys"
    forget_keyring()
    forget_keys()
    yield settings.PKI_PORTAL_MASTER_KEYS_FILE
    forget_keyring()
    forget_keys()


@pytest.mark.django_db
def test_empty_database_gets_everything() -> None:
    made = quickstart_json()

    assert set(made) == KEYS
    assert (made["baseUrl"], made["projectSlug"]) == ("http://pki.test", "demo")
    project = Project.objects.get(pk=made["projectId"])
    authorities = {authority.name: authority for authority in CertificateAuthority.objects.filter(project=project)}
    assert {name: (each.key_algorithm, each.max_path_length) for name, each in authorities.items()} == {
        "root": (KeyAlgorithm.EC_SECP384R1, 1),
        "issuing-ec": (KeyAlgorithm.EC_PRIME256V1, 0),
        "issuing-rsa": (KeyAlgorithm.RSA_3072, 0),
    }
    assert made["rootCaId"] == str(authorities["root"].pk)
    assert made["caIds"] == {"ec": str(authorities["issuing-ec"].pk), "rsa": str(authorities["issuing-rsa"].pk)}
    assert made["caId"] == made["caIds"]["rsa"]
    for certificate in AuthorityCertificate.objects.all():
        path = [x509.load_der_x509_certificate(der) for der in certification_path_of(certificate)]
        verify_path(path, at=timezone.now())
    assert {name: str(pk) for name, pk in CertificateTemplate.objects.values_list("name", "pk")} == made["templateIds"]
    assert {slug: str(pk) for slug, pk in CertificateProfile.objects.values_list("slug", "pk")} == made["profileIds"]


@pytest.mark.django_db
def test_lives_are_ten_and_five_years() -> None:
    quickstart()

    lives = {
        certificate.authority.name: certificate.not_after.year - certificate.not_before.year
        for certificate in AuthorityCertificate.objects.select_related("authority")
    }
    assert lives == {"root": 10, "issuing-ec": 5, "issuing-rsa": 5}


@pytest.mark.django_db
def test_profiles_renew_by_themselves_on_the_ec_ca() -> None:
    made = quickstart_json()

    for profile in CertificateProfile.objects.select_related("api_enrollment"):
        assert str(profile.certificate_authority_id) == made["caIds"]["ec"]
        assert (profile.api_enrollment.auto_renew, profile.api_enrollment.renew_before_days) == (True, 7)
        assert profile.template.rules().max_validity is not None


@pytest.mark.django_db
def test_client_can_issue_and_make_projects() -> None:
    made = quickstart_json()
    api = APIClient()

    login = api.post(
        "/api/v1/auth/universal-auth/login",
        {"clientId": made["clientId"], "clientSecret": made["clientSecret"]},
    )
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {login.json()['accessToken']}")

    membership = Membership.objects.get(identity__universal_auth__client_id=made["clientId"])
    assert membership.role == Role.ADMIN
    for name in ("tls-server", "tls-client"):
        issued = api.post(
            "/api/v1/cert-manager/certificates",
            {
                "profileId": made["profileIds"][name],
                "attributes": {
                    "commonName": "service.acme.com",
                    "organization": "Acme",
                    "ttl": "398d",
                    "altNames": [
                        {"type": "DNS", "value": "service.acme.com"},
                        {"type": "IP", "value": "192.0.2.1"},
                        {"type": "EMAIL", "value": "a@acme.com"},
                        {"type": "URI", "value": "https://acme.com/"},
                    ],
                },
            },
        )
        assert issued.status_code == 200, issued.json()
        assert issued.json()["certificate"]["certificateChain"]
    assert api.post("/api/v1/projects", {"projectName": "Made by the client"}).status_code == 200


@pytest.mark.django_db
def test_administrator_has_no_password_but_a_link() -> None:
    made = quickstart_json()

    admin = User.objects.get(username=made["adminUsername"])
    assert (admin.is_superuser, admin.is_staff, admin.has_usable_password()) == (True, True, False)
    assert made["adminSetPasswordUrl"].startswith("http://pki.test/accounts/set-password/")


@pytest.mark.django_db
def test_second_run_changes_nothing_and_shows_no_secret() -> None:
    first = quickstart_json()
    before = (AuditEvent.objects.count(), SetPasswordLink.objects.count(), User.objects.count())

    second = quickstart_json()

    assert second == first | {"clientSecret": None, "adminSetPasswordUrl": None}
    assert (AuditEvent.objects.count(), SetPasswordLink.objects.count(), User.objects.count()) == before


@pytest.mark.django_db
def test_deleted_things_stay_deleted() -> None:
    made = quickstart_json()
    CertificateProfile.objects.get(slug="tls-client").delete()

    again = quickstart_json()

    assert again["profileIds"] == made["profileIds"] | {"tls-client": None}


@pytest.mark.django_db
def test_database_in_use_gets_no_demo_project() -> None:
    make_project()

    made = quickstart_json()

    assert (made["projectId"], made["caId"], made["clientId"]) == (None, None, None)
    assert not Project.objects.filter(slug="demo").exists()
    assert "--project SLUG" in quickstart()


@pytest.mark.django_db
def test_another_project_has_an_identity_of_its_own() -> None:
    demo = quickstart_json()

    team = quickstart_json("--project", "team-a")

    assert (team["projectSlug"], team["adminSetPasswordUrl"]) == ("team-a", None)
    assert team["clientSecret"]
    assert team["clientId"] != demo["clientId"]
    assert Project.objects.get(slug="team-a").name == "Team A"
    assert quickstart_json("--project", "team-a") == team | {"clientSecret": None}


@pytest.mark.django_db
def test_empty_project_is_filled_when_named() -> None:
    project = make_project(slug="made-by-hand")

    made = quickstart_json("--project", "made-by-hand")

    assert made["projectId"] == str(project.pk)
    assert made["profileIds"]["tls-server"]


@pytest.mark.django_db
def test_bad_slug_is_told() -> None:
    with pytest.raises(CommandError, match="slug"):
        quickstart("--project", "Not A Slug")

    assert not Project.objects.exists()


@pytest.mark.django_db
def test_new_client_secret_is_added() -> None:
    first = quickstart_json()

    second = quickstart_json("--new-client-secret")

    assert second["clientId"] == first["clientId"]
    assert second["clientSecret"] not in {None, first["clientSecret"]}
    for secret in (first["clientSecret"], second["clientSecret"]):
        body = {"clientId": first["clientId"], "clientSecret": secret}
        assert APIClient().post("/api/v1/auth/universal-auth/login", body).status_code == 200


@pytest.mark.django_db
def test_new_client_secret_without_identity_is_told() -> None:
    make_project()

    with pytest.raises(CommandError, match="identity"):
        quickstart("--new-client-secret")


@pytest.mark.django_db
def test_text_for_people_holds_what_is_needed_once() -> None:
    first, second = quickstart(), quickstart()

    for wanted in ("http://pki.test", "admin", "/accounts/set-password/", "curl -s", "TOKEN=$(", "service.acme.com"):
        assert wanted in first
    assert "/accounts/set-password/" not in second
    assert "curl" not in second
    assert "--new-client-secret" in second


@pytest.mark.django_db
def test_master_key_file_is_made_for_the_owner_alone(no_master_key: Path) -> None:
    quickstart()

    assert no_master_key.stat().st_mode & 0o777 == 0o600
    text = no_master_key.read_text()
    quickstart()
    assert no_master_key.read_text() == text


@pytest.mark.django_db
def test_lost_master_key_is_told_and_not_replaced(no_master_key: Path) -> None:
    quickstart()
    no_master_key.unlink()
    forget_keyring()

    with pytest.raises(CommandError, match="master key"):
        quickstart()

    assert not no_master_key.exists()


@pytest.mark.django_db
def test_wrong_master_key_is_told(no_master_key: Path) -> None:
    quickstart()
    no_master_key.write_text(new_master_key_text())
    forget_keyring()
    forget_keys()

    with pytest.raises(CommandError, match="master key"):
        quickstart()


@pytest.mark.django_db
def test_failure_half_way_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: Any) -> None:
        raise RuntimeError("the power went off")

    monkeypatch.setattr("certificates.services.starter.create_profile", broken)
    with pytest.raises(RuntimeError):
        quickstart()

    assert not Project.objects.exists()
    assert not User.objects.exists()


# --- In processes of their own ----------------------------------------------------------------------------------------


@pytest.fixture
def fresh_database_url() -> Iterator[str]:
    """Empty for the embedded database, else the URL of a new one on the server that the suite runs on."""
    url = os.environ.get("DATABASE_URL", "")
    if not url:
        yield ""
        return
    name = f"quickstart_{secrets.token_hex(6)}"
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
        yield urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
        server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def test_two_at_once_make_one_project(tmp_path: Path, fresh_database_url: str) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PKI_PORTAL", "PYTEST"))}
    environment = kept | {"PKI_PORTAL_VAR": str(tmp_path / "var"), "DATABASE_URL": fresh_database_url}
    racers = [
        subprocess.Popen(
            [sys.executable, "manage.py", "quickstart", "--json"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [racer.communicate(timeout=100) for racer in racers]

    assert [racer.returncode for racer in racers] == [0, 0], outputs
    first, second = (json.loads(output) for output, _ in outputs)
    assert first["projectId"] == second["projectId"]
    assert first["caIds"] == second["caIds"]
    assert [first["clientSecret"], second["clientSecret"]].count(None) == 1
    assert (tmp_path / "var" / "master-keys").stat().st_mode & 0o777 == 0o600
