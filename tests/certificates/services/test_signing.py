"""CA keys: sealed at rest, bound to their row, refused when anything is wrong."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from pytest_django import Settings

from certificates.keystore.database import forget_keys
from certificates.keystore.sealing import forget_keyring
from certificates.models import AuthorityKey, Certificate, CertificateAuthority
from certificates.services import signing
from certificates.services.authorities import AuthoritySubject, create_root
from certificates.services.signing import signer_of, signer_of_key
from certificates.x509.keys import public_key_info
from pki_portal.errors import Unavailable
from profiles.policy.vocabulary import KeyAlgorithm
from tests.factories import SYSTEM, make_authority, make_project, make_user
from tests.scenery import make_issuing_profile
from tests.wire import CERTIFICATES, issue_body, make_client, post_json

pytestmark = pytest.mark.django_db


@pytest.fixture
def no_master_key(settings: Settings, tmp_path: Path) -> Iterator[Path]:
    """Nothing is configured; the path where the file would be."""
    settings.PKI_PORTAL_MASTER_KEYS = ""
    settings.PKI_PORTAL_MASTER_KEYS_FILE = tmp_path / "master-keys"
    forget_keyring()
    forget_keys()
    yield settings.PKI_PORTAL_MASTER_KEYS_FILE
    forget_keyring()
    forget_keys()


def test_signer_holds_the_key_of_the_certificate() -> None:
    authority = make_authority(make_project())
    assert authority.active_certificate is not None

    signer = signer_of(authority.active_certificate)

    assert public_key_info(signer.public_key()) == bytes(authority.keys.get().subject_public_key_info)


def test_key_moved_to_another_row_does_not_open() -> None:
    project = make_project()
    first, second = (make_authority(project).keys.get() for _ in range(2))
    first.sealed_private_key = second.sealed_private_key
    first.subject_public_key_info = second.subject_public_key_info
    first.save(update_fields=["sealed_private_key", "subject_public_key_info"])

    with pytest.raises(Unavailable):
        signer_of_key(first)


def test_wrong_master_key_makes_no_signature(settings: Settings) -> None:
    key = make_authority(make_project()).keys.get()
    settings.PKI_PORTAL_MASTER_KEYS = "test:" + "A" * 43 + "="
    forget_keyring()
    forget_keys()

    try:
        with pytest.raises(Unavailable, match="master key"):
            signer_of_key(key)
    finally:
        forget_keyring()


def test_ca_without_master_key_is_not_made(no_master_key: Path) -> None:
    with pytest.raises(Unavailable, match="quickstart"):
        create_root(
            requester=SYSTEM,
            project=make_project(),
            name="root",
            subject=AuthoritySubject(common_name="Root"),
            key_algorithm=KeyAlgorithm.EC_PRIME256V1,
        )

    assert not CertificateAuthority.objects.exists()
    assert not AuthorityKey.objects.exists()


@pytest.mark.parametrize(
    "table", ["certificates_authoritykey", "certificates_authoritycertificate", "audit_auditevent"]
)
def test_a_full_disk_leaves_no_ca_and_is_a_503(table: str) -> None:
    project = make_project()
    client = make_client(project)
    body = {
        "projectId": str(project.pk),
        "name": "root",
        "configuration": {"type": "root", "commonName": "Root", "keyAlgorithm": "EC_prime256v1"},
    }

    with full_disk(table):
        answer = post_json(client, "/api/v1/cert-manager/ca/internal", body)

    assert answer.status_code == 503
    assert answer.json()["reqId"] == answer["X-Request-Id"]
    assert not CertificateAuthority.objects.exists()
    assert not AuthorityKey.objects.exists()
    assert post_json(client, "/api/v1/cert-manager/ca/internal", body).status_code == 200


@pytest.mark.parametrize("table", ["certificates_certificate", "audit_auditevent"])
def test_a_full_disk_lets_no_certificate_out(table: str) -> None:
    profile = make_issuing_profile(make_project())
    client = make_client(profile.project)

    with full_disk(table):
        answer = post_json(client, CERTIFICATES, issue_body(profile))

    assert answer.status_code == 503
    assert b"BEGIN" not in answer.content
    assert not Certificate.objects.exists()
    assert post_json(client, CERTIFICATES, issue_body(profile)).status_code == 200


def test_a_full_disk_is_told_on_the_page_with_the_requests_id() -> None:
    project = make_project()
    client = Client()
    client.force_login(make_user(project=project))
    typed = {"kind": "root", "name": "root", "common_name": "Root", "key_algorithm": "EC_prime256v1"}

    with full_disk("certificates_authoritykey"):
        answer = client.post(f"/projects/{project.slug}/authorities/create/", typed)

    assert answer.status_code == 503
    assert answer["X-Request-Id"] in answer.content.decode()
    assert not CertificateAuthority.objects.exists()


def test_a_wrong_master_key_is_told_with_the_cas_name_by_api_page_and_log(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    profile = make_issuing_profile(make_project())
    client, alice = make_client(profile.project), Client()
    alice.force_login(make_user(project=profile.project))
    settings.PKI_PORTAL_MASTER_KEYS = "test:" + "A" * 43 + "="

    by_api = post_json(client, CERTIFICATES, issue_body(profile))
    by_page = alice.post(
        f"/projects/{profile.project.slug}/certificates/issue/",
        {"profile": str(profile.pk), "token": "t" * 22, "common_name": "a.example.com", "dns_names": "a.example.com"},
    )

    told = "The key of CA server-root cannot be used: A secret does not open with the configured master key test"
    assert by_api.status_code == by_page.status_code == 503
    assert by_api.json()["message"].startswith(told)
    for answer in (by_api, by_page):
        assert told in answer.content.decode()
        assert answer["X-Request-Id"] in answer.content.decode()
        assert "A" * 43 not in answer.content.decode()
    assert [record.levelname for record in caplog.records if told in record.getMessage()] == ["ERROR"] * 2
    assert not Certificate.objects.exists()


@contextmanager
def full_disk(table: str) -> Iterator[None]:
    """Nothing more can be written to that table."""

    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if f'INSERT INTO "{table}"' in sql or f'UPDATE "{table}"' in sql:
            raise OperationalError("database or disk is full")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        yield


def test_one_module_signs_certificates() -> None:
    """Whoever else imported the signing would have a road of his own past lint and verification."""
    importing = re.compile(
        r"^from certificates\.x509\.tbs import (?:\([^)]*|.*)\b(sign|draft|build|build_authority)\b", re.MULTILINE
    )
    root = Path(signing.__file__).parents[2]

    signing_modules = {
        path.relative_to(root).as_posix()
        for path in (root / "certificates").rglob("*.py")
        if importing.search(path.read_text(encoding="utf-8"))
    }

    assert signing_modules == {"certificates/services/signing.py"}
