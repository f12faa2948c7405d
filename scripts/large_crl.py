#!/usr/bin/env python3
"""Publish a CRL of many entries from a database of its own, and have openssl verify it.

    DATABASE_URL= .venv/bin/python scripts/large_crl.py [entries, by default 1000000]
    .venv/bin/python scripts/with_postgres.py .venv/bin/python scripts/large_crl.py

Prints the seconds and the peak of memory (MiB, of the whole process) of the publication; exit code 1 where it took more
than 60 s or 1 GiB, or openssl does not accept the list.
"""

import os
import resource
import secrets
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SECONDS, MEBIBYTES = 60, 1024
BATCH = 20_000


def main() -> int:
    """Fill, publish, verify."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory(prefix="large-crl-") as folder:
        os.environ["PKI_PORTAL_VAR"] = folder
        os.environ["PKI_PORTAL_MASTER_KEYS"] = "bench:" + "A" * 43 + "="
        os.environ["DJANGO_SETTINGS_MODULE"] = "pki_portal.settings"
        sys.path.insert(0, str(ROOT))
        import django

        django.setup()
        return publish(count, Path(folder))


def publish(count: int, folder: Path) -> int:
    """One CA, ``count`` entries, one publication."""
    from django.core.management import call_command
    from django.db import connection
    from django.utils import timezone

    from certificates.models import CertificateRevocationList, RevocationEntry
    from certificates.services.crl import current_crl, document_of, publish_crl
    from certificates.x509.crl import RevocationReason, RevokedEntry, encode_entry
    from tests.factories import make_authority, make_project

    call_command("migrate", verbosity=0)
    authority = make_authority(make_project())
    row = CertificateRevocationList.objects.get()
    now = timezone.now().replace(microsecond=0)
    # Entries without their certificates: only the former are read.
    connection.cursor().execute(
        "PRAGMA foreign_keys=OFF" if connection.vendor == "sqlite" else "SET session_replication_role = replica"
    )
    begun = time.monotonic()
    for start in range(0, count, BATCH):
        entries = []
        for number in range(start, min(start + BATCH, count)):
            serial_number = secrets.randbits(158) | 1 << 158
            revoked_at = now - timedelta(seconds=count - number)
            reason = RevocationReason.SUPERSEDED
            encoded = encode_entry(RevokedEntry(serial_number, revoked_at, reason))
            entries.append(
                RevocationEntry(
                    revocation_list=row,
                    certificate_id=_id(number),
                    serial_number=f"{serial_number:040x}",
                    not_after=now + timedelta(days=90),
                    revoked_at=revoked_at,
                    reason=reason,
                    revision=number,
                    der=encoded,
                )
            )
        RevocationEntry.objects.bulk_create(entries)
    CertificateRevocationList.objects.update(revision=count)
    tell(f"{count} entries stored in {time.monotonic() - begun:.1f} s ({connection.vendor})")

    row.refresh_from_db()
    before = peak()
    begun = time.monotonic()
    publish_crl(revocation_list=row, now=timezone.now())
    took, memory = time.monotonic() - begun, peak()
    tell(f"published in {took:.1f} s; peak memory {memory} MiB, {before} MiB before")
    document = document_of(current_crl(crl_id=row.pk, now=timezone.now()))
    verdict = verify(folder, bytes(authority.active_certificate.der), document.der)  # type: ignore[union-attr]
    tell(f"{len(document.der)} bytes, {row.entry_count} entries; openssl: {verdict}")
    is_good = took <= SECONDS and memory <= MEBIBYTES and verdict == "verify OK" and row.entry_count == count
    return 0 if is_good else 1


def tell(line: str) -> None:
    """One line of the report."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


def peak() -> int:
    """The greatest memory of this process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def verify(folder: Path, issuer: bytes, crl: bytes) -> str:
    """What openssl says of the list's signature."""
    (folder / "ca.der").write_bytes(issuer)
    (folder / "crl.der").write_bytes(crl)
    pem = ["openssl", "x509", "-inform", "DER", "-in", "ca.der", "-out", "ca.pem"]
    subprocess.run(pem, cwd=folder, check=True)  # noqa: S603 - our own files
    command = ["openssl", "crl", "-inform", "DER", "-in", "crl.der", "-CAfile", "ca.pem", "-noout"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    return (done.stdout + done.stderr).strip()


if __name__ == "__main__":
    sys.exit(main())
