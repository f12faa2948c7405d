"""Backups: every row comes back, of whichever database; what is no whole backup of ours is refused before anything."""

import gzip
import hashlib
import json
import os
import shutil
import threading
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection

from certificates.models import AuthorityKey, Certificate, CertificateRevocationList
from certificates.models.certificate import RevocationReason
from certificates.services import crl_segments
from certificates.services.crl import document_of
from certificates.services.revocation import revoke_certificate
from certificates.services.signing import check_authority_key
from pki_portal import backup as backups
from pki_portal.access.models import AccessToken, Project
from pki_portal.audit.models import AuditEvent
from pki_portal.backup import LEFT_OUT, BackupRefused, make_backup, restore_backup
from tests.factories import SYSTEM, make_identity, make_project, make_token, make_user
from tests.pages import make_issued
from tests.scenery import make_issuing_profile

pytestmark = pytest.mark.django_db(transaction=True)

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "backups"


def everything() -> dict[str, list[tuple[Any, ...]]]:
    """Every row that a backup keeps, as Python values."""
    return {
        model._meta.label_lower: [
            tuple(bytes(value) if isinstance(value, memoryview) else value for value in row)
            for row in model._base_manager.order_by("pk").values_list()
        ]
        for model in apps.get_models(include_auto_created=True)
        if model._meta.label_lower not in LEFT_OUT
    }


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """Of a project with members, a CA, certificates, a revocation and a kept key."""
    project = make_project("Ac\u00fcme \U0001f512")
    make_user(project=project)
    identity, _, _ = make_identity(project)
    make_token(identity)
    profile = make_issuing_profile(project)
    issued = make_issued(profile)
    revoke_certificate(requester=SYSTEM, certificate=issued, reason=RevocationReason.SUPERSEDED)
    make_issued(make_issuing_profile(project, slug="alone", is_self_signed=True))
    make_backup(tmp_path / "backup")
    return tmp_path / "backup"


def lines_of(path: Path) -> list[bytes]:
    return gzip.decompress(path.read_bytes()).splitlines(keepends=True)


def test_every_row_comes_back(backup: Path) -> None:
    before = everything()
    make_project("Later")

    out = StringIO()
    call_command("restore", str(backup), "--force", stdout=out, stderr=StringIO())

    assert everything() == before
    assert not AccessToken.objects.exists()
    assert "Now run manage.py reconcile" in out.getvalue()
    assert AuditEvent.objects.exists()
    # New rows get new numbers, and the tables that hold no rows of a backup are there.
    make_token(make_identity(Project.objects.get(), name="another")[0])
    call_command("check_certificates", stdout=StringIO(), stderr=StringIO())


def test_a_crl_of_segments_comes_back_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crl_segments, "ENTRIES_PER_SEGMENT", 2)
    profile = make_issuing_profile(make_project())
    for number in range(5):
        revoke_certificate(
            requester=SYSTEM, certificate=make_issued(profile, f"{number}.acme.com"), reason=RevocationReason.SUPERSEDED
        )
    later = make_issued(profile, "later.acme.com")
    published = CertificateRevocationList.objects.get()
    before, whole = everything(), document_of(published)
    assert len(published.segments) == 2
    encoded = whole.der
    make_backup(tmp_path / "backup")

    call_command("restore", str(tmp_path / "backup"), "--force", stdout=StringIO(), stderr=StringIO())

    assert everything() == before
    assert document_of(published) == whole
    assert document_of(published).der == encoded
    call_command("check_certificates", stdout=StringIO(), stderr=StringIO())
    revoke_certificate(requester=SYSTEM, certificate=later, reason=RevocationReason.SUPERSEDED)
    listed = [entry.serial_number for entry in x509.load_der_x509_crl(document_of(published).der)]
    assert sorted(listed) == sorted(int(each.serial_number, 16) for each in Certificate.objects.all())
    assert len(listed) == 6


def rewrite(path: Path, lines: list[bytes]) -> None:
    """A backup with other lines, whole and with its checksum."""
    end = {"rows": sum(line.startswith(b"[") for line in lines), "sha256": hashlib.sha256(b"".join(lines)).hexdigest()}
    path.write_bytes(gzip.compress(b"".join([*lines, json.dumps(end).encode() + b"\n"])))


def refused(path: Path, *options: str) -> str:
    """Why, and that nothing was touched."""
    before = everything()
    with pytest.raises(CommandError) as failure:
        call_command("restore", str(path), *options, stdout=StringIO())
    assert everything() == before
    return str(failure.value)


def test_a_database_with_rows_is_kept(backup: Path) -> None:
    assert "not empty" in refused(backup)


def test_what_is_no_whole_backup_is_refused(backup: Path, tmp_path: Path) -> None:
    whole = backup.read_bytes()
    lines = lines_of(backup)
    bad = tmp_path / "bad"
    for content, reason in (
        (b"", "no backup"),
        (b"rubbish", "no backup"),
        (whole[: len(whole) // 2], "no backup"),
        (whole[:1024] + bytes(512) + whole[1536:], "no backup"),  # a sector that a disk has lost
        (whole[:1024] + b"\xff" * 512 + whole[1536:], "no backup"),
        (gzip.compress(b"{}\n"), "no backup"),
        (gzip.compress(b'{"a": 1}\n{"rows": 0}\n'), "no backup that this version knows"),
        (gzip.compress(b"".join(lines[:-2] + lines[-1:])), "checksum"),
        (
            gzip.compress(b"".join(lines).replace(b"superseded", b"unspecific").replace(b"SUPERSEDED", b"unspecific")),
            "checksum",
        ),
        (gzip.compress(b"".join(lines[:-1])), "checksum"),
    ):
        bad.write_bytes(content)
        assert reason in refused(bad, "--force"), reason
    assert "could not be restored" in refused(tmp_path / "missing", "--force")


def test_a_later_version_is_refused(backup: Path) -> None:
    lines = lines_of(backup)
    header = json.loads(lines[0])
    header["migrations"].append(["certificates", "9999_later"])
    rewrite(backup, [json.dumps(header).encode() + b"\n", *lines[1:-1]])

    assert "certificates.9999_later" in refused(backup, "--force")


def test_a_backup_into_a_folder_that_is_not_there_says_how_it_is_made(tmp_path: Path) -> None:
    with pytest.raises(BackupRefused, match=f"mkdir -m 700 {tmp_path}/away"):
        make_backup(tmp_path / "away" / "portal")


def test_after_one_that_does_not_fit_another_is_restored_as_old_as_it_may_be(tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copyfile(VECTORS / "2026-11.backup", old)
    whole = lines_of(old)[:-1]
    for amiss in (
        [line for line in whole if b'"demo"' not in line],  # the project that the rest points to
        [line.replace(b'"username"', b'"nickname"') for line in whole],
    ):
        rewrite(old, amiss)
        with pytest.raises(BackupRefused, match="left empty"):
            restore_backup(old, is_forced=True)

    assert not Certificate.objects.exists()
    rewrite(old, whole)
    restore_backup(old, is_forced=False)
    assert Certificate.objects.get().common_name == "a.example.com"
    for key in AuthorityKey.objects.all():
        check_authority_key(key)


def test_it_is_for_nobody_else_to_read_and_replaces_in_one_step(backup: Path) -> None:
    assert backup.stat().st_mode & 0o777 == 0o600
    first = backup.stat().st_ino

    call_command("backup", str(backup), stdout=StringIO())

    assert backup.stat().st_ino != first
    assert [path.name for path in backup.parent.iterdir() if "backup" in path.name] == ["backup"]


def test_no_key_and_no_master_key_is_in_it(backup: Path, settings: Any) -> None:
    text = b"".join(lines_of(backup))

    assert settings.PKI_PORTAL_MASTER_KEYS.partition(":")[2].encode() not in text
    assert b"PRIVATE KEY" not in text


def test_one_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(CommandError, match="There is no backup"):
        call_command("backup", str(tmp_path / "taken"), stdout=StringIO())

    assert os.listdir(tmp_path) == ["taken"]


def test_it_is_of_one_moment_and_keeps_no_writer_waiting(backup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another connection commits while rows are read is not in it, anywhere."""
    kept = backups._models
    calls = count()

    def write_meanwhile(registry: Any) -> Any:
        is_writing = next(calls) == 1  # not while migrations are looked at
        for number, model in enumerate(kept(registry)):
            yield model
            if is_writing and number == 0:
                thread = threading.Thread(target=in_another_connection)
                thread.start()
                thread.join(timeout=30)
                assert not thread.is_alive()

    def in_another_connection() -> None:
        try:
            make_project("Meanwhile")
        finally:
            connection.close()

    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    monkeypatch.setattr(backups, "_models", write_meanwhile)
    make_backup(backup)

    assert Project.objects.filter(name="Meanwhile").exists()
    assert b"Meanwhile" not in b"".join(lines_of(backup))
