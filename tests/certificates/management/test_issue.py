"""The command door: what it prints, what it writes, and how it refuses."""

import stat
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import DNSName, IPAddress, RFC822Name, SubjectAlternativeName, load_pem_x509_certificates
from django.core.management import CommandError, call_command

from certificates.models import Certificate, CertificateRequest
from pki_portal.audit.models import AuditEvent
from profiles.services import update_profile
from tests.factories import SYSTEM
from tests.wire import Pki, load_pem, make_csr, make_pki

pytestmark = pytest.mark.django_db


@pytest.fixture
def pki() -> Pki:
    return make_pki()


def run(pki: Pki, *arguments: str, **options: Any) -> tuple[str, str]:
    """Stdout and stderr of one run."""
    out, err = StringIO(), StringIO()
    call_command(
        "issue", "--project", pki.project.slug, "--profile", pki.profile.slug, *arguments,
        stdout=out, stderr=err, no_color=True, **options,
    )  # fmt: skip
    return out.getvalue(), err.getvalue()


def test_prints_certificate_path_and_key(pki: Pki) -> None:
    out, err = run(pki, "--common-name", "service.acme.com", "--dns", "service.acme.com", "--ttl", "90d")

    certificate, issuing, root = load_pem_x509_certificates(out.encode())
    certificate.verify_directly_issued_by(issuing)
    issuing.verify_directly_issued_by(root)
    key = load_pem_private_key(out[out.index("-----BEGIN PRIVATE KEY") :].encode(), password=None)
    assert key.public_key() == certificate.public_key()
    assert Certificate.objects.get().serial_number in err
    assert "BEGIN" not in err


def test_the_system_is_the_requester(pki: Pki) -> None:
    run(pki, "--common-name", "service.acme.com", "--ttl", "1d")

    request = CertificateRequest.objects.get()
    assert (request.requester_kind, request.requester_name) == ("system", "manage.py issue")
    assert AuditEvent.objects.filter(event="issue-certificate-from-profile", actor_kind="system").count() == 1


def test_every_option_reaches_the_certificate(pki: Pki) -> None:
    out, _ = run(
        pki, "--common-name", "service.acme.com", "--organization", "Acme", "--ip", "192.0.2.7", "--dns", "b.acme.com",
        "--dns", "a.acme.com", "--email", "ops@acme.com", "--key-algorithm", "P-384", "--signature-algorithm",
        "SHA384-ECDSA", "--key-usage", "digitalSignature", "--extended-key-usage", "server_auth",
        "--not-after", "2027-01-31",
    )  # fmt: skip

    certificate = load_pem_x509_certificates(out.encode())[0]
    assert certificate.subject.rfc4514_string() == "CN=service.acme.com,O=Acme"
    names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    # The last is the common name of a TLS server.
    assert [type(name) for name in names] == [IPAddress, DNSName, DNSName, RFC822Name, DNSName]
    assert names.get_values_for_type(DNSName) == ["b.acme.com", "a.acme.com", "service.acme.com"]
    row = Certificate.objects.get()
    assert (row.key_algorithm, row.signature_algorithm) == ("EC_secp384r1", "ECDSA-SHA384")
    assert row.not_after.isoformat() == "2027-01-31T00:00:00+00:00"


def test_writes_files_and_the_key_for_its_owner_only(pki: Pki, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"

    out, err = run(pki, "--common-name", "service.acme.com", "--ttl", "1d", "--out-dir", str(folder))

    assert "BEGIN" not in out + err
    certificate = load_pem((folder / "certificate.pem").read_text())
    key = load_pem_private_key((folder / "private-key.pem").read_bytes(), password=None)
    assert key.public_key() == certificate.public_key()
    assert len(load_pem_x509_certificates((folder / "chain.pem").read_bytes())) == 2
    assert stat.S_IMODE((folder / "private-key.pem").stat().st_mode) == 0o600


def test_a_csr_yields_no_key(pki: Pki, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "request.csr").write_text(make_csr(key))
    folder = tmp_path / "out"

    run(pki, "--csr", str(tmp_path / "request.csr"), "--ttl", "30d", "--out-dir", str(folder))

    assert load_pem((folder / "certificate.pem").read_text()).public_key() == key.public_key()
    assert not (folder / "private-key.pem").exists()


def test_a_refusal_lists_every_violation_with_its_fix_and_leaves_no_file(pki: Pki, tmp_path: Path) -> None:
    with pytest.raises(CommandError) as refusal:
        run(pki, "--common-name", "a.acme.com", "--country", "US", "--ttl", "400d", "--out-dir", str(tmp_path))

    text = str(refusal.value)
    assert refusal.value.returncode == 1
    assert "subject/country" in text
    assert "ttl" in text
    assert text.count("fix:") == 2
    assert list(tmp_path.iterdir()) == []
    assert Certificate.objects.count() == 0


def test_nothing_is_issued_where_the_key_could_not_be_written(pki: Pki, tmp_path: Path) -> None:
    (tmp_path / "private-key.pem").write_text("older")

    with pytest.raises(CommandError, match="private-key"):
        run(pki, "--common-name", "a.acme.com", "--ttl", "1d", "--out-dir", str(tmp_path))

    assert [path.name for path in tmp_path.iterdir()] == ["private-key.pem"]
    assert (tmp_path / "private-key.pem").read_text() == "older"
    assert Certificate.objects.count() == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--ttl", "soon"], "length of time"),
        (["--not-after", "tomorrow"], "no date"),
        (["--key-algorithm", "RSA_1024"], "RSA_2048"),
        (["--key-usage", "everything"], "digital_signature"),
        (["--ttl", "1d", "--not-after", "2027-01-01"], "not both"),
        (["--csr", "missing.csr"], "cannot be read"),
        (["--csr", "missing.csr", "--dns", "a.acme.com"], "the CSR says the rest"),
    ],
)
def test_unusable_arguments_are_named(pki: Pki, arguments: list[str], reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        run(pki, *arguments)


def test_a_broken_csr_is_refused(pki: Pki, tmp_path: Path) -> None:
    (tmp_path / "broken.csr").write_bytes(b"\xff\x00 no CSR")

    with pytest.raises(CommandError, match="csr"):
        run(pki, "--csr", str(tmp_path / "broken.csr"), "--ttl", "1d")


@pytest.mark.parametrize(("project", "profile"), [("no-such", "server"), (None, "no-such")])
def test_unknown_project_and_profile_are_named(pki: Pki, project: str | None, profile: str) -> None:
    with pytest.raises(CommandError, match=r"slug|not found"):
        call_command("issue", "--project", project or pki.project.slug, "--profile", profile, "--common-name", "a")


def test_a_request_that_waits_writes_nothing_and_ends_with_a_status_of_its_own(pki: Pki, tmp_path: Path) -> None:
    update_profile(requester=SYSTEM, profile=pki.profile, changes={"requires_approval": True})

    with pytest.raises(SystemExit) as ended:
        run(pki, "--common-name", "service.acme.com", "--ttl", "1d", "--out-dir", str(tmp_path / "out"))

    assert ended.value.code == 3
    assert list(tmp_path.glob("out/*")) == []
    assert CertificateRequest.objects.get().status == "pending_approval"
