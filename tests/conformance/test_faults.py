"""No log, no signature: whatever fails at whatever step, what was signed is recorded, and what was told is kept.

The harness enumerates the steps of an act by watching it once: every statement, every commit, every write into the
journal and every signature. Then the act is done once for each step and each way to fail there.
"""

import errno
import gc
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, OperationalError, connection

from certificates.models import (
    AuthorityCertificate,
    Certificate,
    CertificateAuthority,
    CertificateRequest,
    RevocationEntry,
)
from certificates.models.certificate import CertificateStatus, RevocationReason
from certificates.services import signing
from certificates.services.idempotency import IdempotencyKey
from certificates.services.issuance import issue_certificate
from certificates.services.renewal import renew_certificate
from certificates.services.revocation import revoke_certificate
from certificates.x509 import tbs
from certificates.x509.inspect import serial_number_hex
from pki_portal import journal
from pki_portal.errors import PortalError, Unavailable
from pki_portal.rows import column_value
from profiles.models import CertificateProfile
from profiles.policy.request import AttributeValue, GeneralName, IssuanceRequest
from profiles.policy.vocabulary import NameType, SubjectAttribute
from profiles.services import find_profile
from tests.factories import SYSTEM, make_authority, make_project
from tests.pages import make_issued
from tests.scenery import make_issuing_profile
from tests.wire import CERTIFICATES, issue_body, make_client, post_json

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(300),
    # A cursor whose statement was made to fail is closed by nobody.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class Killed(BaseException):
    """The process is no more: nothing catches this, and nothing is written after it."""


class Way(Enum):
    """How a step fails: not done or done, and then this once, the database for good, or the whole process."""

    ONCE_BEFORE = ("once", False)
    ONCE_AFTER = ("once", True)
    GONE_BEFORE = ("gone", False)
    GONE_AFTER = ("gone", True)
    KILLED_BEFORE = ("killed", False)
    KILLED_AFTER = ("killed", True)

    @property
    def lasts(self) -> str:
        return self.value[0]

    @property
    def is_done(self) -> bool:
        return self.value[1]


@dataclass
class Steps:
    """Counts the steps, fails at one of them, and keeps what was signed.

    Attributes:
        made: every signature; ``signed``: those without the one that a key made and did not give, of which the process
            knows that nobody has it.
    """

    fail_at: int = 0
    way: Way = Way.ONCE_BEFORE
    seen: list[str] = field(default_factory=list)
    made: list[x509.Certificate] = field(default_factory=list)
    signed: list[x509.Certificate] = field(default_factory=list)
    has_failed: bool = False

    def step(self, name: str, do: Callable[[], Any]) -> Any:
        """Do one step, or fail there."""
        self.seen.append(name)
        if self.has_failed and self._still_fails(name):
            raise self._failure(name)
        if len(self.seen) != self.fail_at:
            return do()
        self.has_failed = True
        if self.way.is_done:
            do()
        raise self._failure(name)

    def _still_fails(self, name: str) -> bool:
        return self.way.lasts == "killed" or (self.way.lasts == "gone" and name.startswith("database"))

    def _failure(self, name: str) -> BaseException:
        if self.way.lasts == "killed":
            return Killed(name)
        if name.startswith("database"):
            return OperationalError(f"injected: {name}")
        if name.startswith("journal"):
            return OSError(errno.ENOSPC, "No space left on device")
        return Unavailable(f"injected: {name}")

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Every step of the block goes through here."""
        write, fdatasync, commit = journal._write, os.fdatasync, connection.commit

        def statement(execute: Any, sql: str, *arguments: Any) -> Any:
            return self.step(f"database: {sql[:60]}", lambda: execute(sql, *arguments))

        def sign(*arguments: Any) -> x509.Certificate:
            def do() -> x509.Certificate:
                self.made.append(tbs.sign(*arguments))
                return self.made[-1]

            try:
                certificate: x509.Certificate = self.step("sign", do)
            except Killed:
                self.signed += self.made[-1:]
                raise
            self.signed.append(certificate)
            return certificate

        with ExitStack() as stack, pytest.MonkeyPatch.context() as patched:
            patched.setattr(journal, "_write", lambda *a: self.step("journal: write", lambda: write(*a)))
            patched.setattr(os, "fdatasync", lambda *a: self.step("journal: flush", lambda: fdatasync(*a)))
            patched.setattr(connection, "commit", lambda: self.step("database: COMMIT", commit))
            patched.setattr(signing, "sign", sign)
            stack.enter_context(connection.execute_wrapper(statement))
            yield


Act = Callable[[int], Any]
Check = Callable[[int, Any], None]


def fail_everywhere(act: Act, check: Check, tmp_path: Path) -> list[str]:
    """Do the act once for each step and way, and hold what must always hold; the steps.

    ``act`` gets a number that is new each time, ``check`` that number and what the act returned, or None where it
    failed.
    """
    act(0)  # what is remembered after that is not asked for again
    first = Steps()
    with first.watched():
        act(1)
    number = 1
    for fail_at in range(1, len(first.seen) + 1):
        for way in ways_at(first.seen, fail_at):
            number += 1
            settings.PKI_PORTAL_JOURNAL = tmp_path / str(number)
            steps = Steps(fail_at=fail_at, way=way)
            before = certificates()
            result = None
            with steps.watched(), suppress(Killed, DatabaseError, PortalError):
                result = act(number)
            connection.close()
            if "BEGIN" in first.seen[fail_at - 1]:
                gc.collect()  # SQLite closes a connection once nobody holds a statement of it
            where = f"{way} at step {fail_at}, {first.seen[fail_at - 1]}"
            assert steps.has_failed, where
            hold_invariants(steps, before, where)
            check(number, result)
    return first.seen


def ways_at(seen: list[str], fail_at: int) -> Iterable[Way]:
    """All of them where something was signed or is told; before that, and where nothing is changed, fewer differ."""
    if "journal: flush" not in seen[: fail_at - 1]:
        return (Way.ONCE_BEFORE, Way.KILLED_AFTER)
    if seen[fail_at - 1].startswith("database: SELECT"):
        return (Way.ONCE_BEFORE, Way.GONE_BEFORE, Way.KILLED_BEFORE)
    return Way


def certificates() -> dict[Any, tuple[Any, ...]]:
    return {row[0]: row for row in Certificate.objects.values_list("pk", "status", "fingerprint_sha256")}


def hold_invariants(steps: Steps, before: dict[Any, tuple[Any, ...]], where: str) -> None:
    """All that was signed was in the journal before; what there was is untouched; nothing is half there."""
    announced = {
        line.entry["tbs"] for line in journal.read() if line.entry is not None and line.entry["kind"] == "sign"
    }
    for certificate in steps.made:
        assert column_value(BINARY, certificate.tbs_certificate_bytes) in announced, where
    after = certificates()
    assert {pk: row for pk, row in after.items() if pk in before}.keys() == before.keys(), where
    issued = CertificateRequest.objects.filter(status="issued")
    assert issued.count() == issued.filter(certificate__isnull=False).count() == len(after), where
    out = StringIO()
    call_command("reconcile", stdout=out)
    for certificate in steps.signed:
        assert is_known(certificate), f"{where}\n{out.getvalue()}"
    out = StringIO()
    call_command("reconcile", stdout=out)
    assert "mended: nothing." in out.getvalue(), where


BINARY = Certificate._meta.get_field("der")


def is_known(certificate: x509.Certificate) -> bool:
    """By its row, or as a serial number on hold; a root that signed itself and was not kept is nobody's."""
    serial = serial_number_hex(certificate.serial_number)
    return certificate.issuer == certificate.subject or any(
        model._base_manager.filter(serial_number=serial).exists()
        for model in (Certificate, AuthorityCertificate, RevocationEntry)
    )


@pytest.fixture
def profile() -> CertificateProfile:
    return make_issuing_profile(make_project())


def test_issuing(profile: CertificateProfile, tmp_path: Path) -> None:
    def act(number: int) -> Certificate:
        name = f"{number}.acme.com"
        return issue_certificate(
            profile=find_profile(requester=SYSTEM, profile_id=profile.pk),
            requester=SYSTEM,
            request=IssuanceRequest(
                subject=(AttributeValue(SubjectAttribute.COMMON_NAME, name),),
                subject_alternative_names=(GeneralName(NameType.DNS_NAME, name),),
            ),
            idempotency=IdempotencyKey(key=name, body_digest="0" * 64),
        ).certificate

    def check(number: int, result: Certificate | None) -> None:
        stored = Certificate.objects.filter(common_name=f"{number}.acme.com")
        if result is not None:  # told
            assert stored.get().fingerprint_sha256 == result.fingerprint_sha256
        assert stored.count() <= 1

    seen = fail_everywhere(act, check, tmp_path)

    assert seen.count("sign") == 1
    assert seen.count("journal: flush") == 1
    assert seen.index("journal: flush") < seen.index("sign")
    assert "database: COMMIT" in seen[seen.index("sign") :]


def test_renewing(profile: CertificateProfile, tmp_path: Path) -> None:
    made = {number: make_issued(profile) for number in range(3)}

    def act(number: int) -> Certificate:
        return renew_certificate(requester=SYSTEM, certificate=made[number]).certificate

    def check(number: int, result: Certificate | None) -> None:
        stored = Certificate.objects.filter(renewed_from=made[number])
        if result is not None:  # told
            assert stored.get().fingerprint_sha256 == result.fingerprint_sha256
        made[number + 1] = make_issued(profile)

    fail_everywhere(act, check, tmp_path)


def test_revoking(profile: CertificateProfile, tmp_path: Path) -> None:
    made = {number: make_issued(profile) for number in range(3)}

    def act(number: int) -> Any:
        return revoke_certificate(requester=SYSTEM, certificate=made[number], reason=RevocationReason.SUPERSEDED)

    def check(number: int, result: Any) -> None:
        stored = Certificate.objects.get(pk=made[number].pk)
        if result is not None:  # told
            assert stored.status == CertificateStatus.REVOKED
        entry = RevocationEntry.objects.filter(certificate=stored, released_at__isnull=True)
        assert (stored.status == CertificateStatus.REVOKED) is entry.exists()
        made[number + 1] = make_issued(profile)

    fail_everywhere(act, check, tmp_path)


def test_making_an_intermediate(tmp_path: Path) -> None:
    root = make_authority(make_project())

    def act(number: int) -> CertificateAuthority:
        return make_authority(root.project, parent=root, name=f"below-{number}")

    def check(number: int, result: CertificateAuthority | None) -> None:
        stored = CertificateAuthority.objects.filter(name=f"below-{number}")
        if result is not None:  # told
            assert stored.get().active_certificate is not None
        assert stored.count() <= 1

    fail_everywhere(act, check, tmp_path)


@pytest.fixture
def read_only_audit() -> Iterator[None]:
    """No row can be added to the audit table, by the database's own word."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(
                "CREATE TRIGGER read_only BEFORE INSERT ON audit_auditevent"
                " BEGIN SELECT RAISE(ABORT, 'the audit table is read-only'); END"
            )
        else:
            cursor.execute(
                "CREATE FUNCTION read_only() RETURNS trigger LANGUAGE plpgsql AS"
                " $$ BEGIN RAISE EXCEPTION 'the audit table is read-only' USING ERRCODE = '25006'; END $$"
            )
            cursor.execute(
                "CREATE TRIGGER read_only BEFORE INSERT ON audit_auditevent FOR EACH ROW EXECUTE FUNCTION read_only()"
            )
    yield
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("DROP TRIGGER read_only")
        else:
            cursor.execute("DROP FUNCTION read_only() CASCADE")


def test_nothing_is_issued_or_revoked_where_it_cannot_be_audited(
    profile: CertificateProfile, request: pytest.FixtureRequest
) -> None:
    robot = make_client(profile.project)
    issued = make_issued(profile)
    request.getfixturevalue("read_only_audit")

    answers = [
        post_json(robot, CERTIFICATES, issue_body(profile)),
        post_json(robot, f"{CERTIFICATES}/{issued.pk}/revoke", {"revocationReason": "SUPERSEDED"}),
    ]

    assert all(answer.status_code in {409, 503} for answer in answers), [answer.content for answer in answers]
    assert Certificate.objects.get().status == CertificateStatus.ACTIVE
    assert CertificateRequest.objects.filter(status="issued").count() == 1


def test_a_journal_that_cannot_be_written_is_a_503_with_its_cause(profile: CertificateProfile, tmp_path: Path) -> None:
    robot = make_client(profile.project)
    issued = make_issued(profile)
    (tmp_path / "file").touch()
    settings.PKI_PORTAL_JOURNAL = tmp_path / "file"

    for answer in (
        post_json(robot, CERTIFICATES, issue_body(profile)),
        post_json(robot, f"{CERTIFICATES}/{issued.pk}/revoke", {"revocationReason": "SUPERSEDED"}),
    ):
        assert answer.status_code == 503
        assert "Retry-After" in answer.headers
        assert "journal" in answer.json()["message"]
        assert "Not a directory" in answer.json()["message"]
    assert Certificate.objects.get().status == CertificateStatus.ACTIVE
