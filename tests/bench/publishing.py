"""Publish the one list of a portal's database in a process of its own, as its worker would.

Started by ``goals/revocation_lists.py`` in the portal's environment. Prints the seconds and the peak of memory (MiB, of
the whole process) as JSON, and writes list and issuer where told.
"""

import json
import os
import sys
import time
from pathlib import Path

from tests.bench.machine import peak_memory


def main(folder: Path) -> None:
    """The list with the most entries."""
    import django

    django.setup()
    from django.db.models import Count
    from django.utils import timezone

    from certificates.models import AuthorityCertificate, CertificateRevocationList
    from certificates.services.crl import document_of, publish_crl

    row = CertificateRevocationList.objects.annotate(count=Count("entries")).order_by("-count").defer("der")[0]
    began = time.monotonic()
    publish_crl(revocation_list=row, now=timezone.now())
    taken = time.monotonic() - began
    peak = peak_memory(os.getpid())
    (folder / "list.der").write_bytes(document_of(row).der)
    issuer = AuthorityCertificate.objects.filter(key=row.key_id).latest("version")
    (folder / "issuer.der").write_bytes(bytes(issuer.der))
    sys.stdout.write(json.dumps({"seconds": taken, "mebibytes": peak}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
