"""The processes of a simulation: workers as they are, and programs that claim keys, renew by call and send hints."""

import hashlib
import logging
import random
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from django.db import Error, close_old_connections, connection
from django.utils import timezone

from certificates.models import AutoRenewal, Certificate, CertificateSecret
from certificates.services.idempotency import IdempotencyKey
from certificates.services.kept_keys import read_private_key
from certificates.services.renewal import renew_certificate
from pki_portal.background import schedule, worker
from pki_portal.background.tasks import hint
from pki_portal.errors import PortalError
from profiles.policy.vocabulary import KeyRetention
from tests.factories import SYSTEM

logger = logging.getLogger(__name__)

# One key of so many is claimed by nobody.
UNWANTED = 10


def work() -> None:
    """``manage.py worker`` in a hurry: a second of a year in a minute is long.

    It rehearses nothing, which would take longer than all else: every renewal of the year on each of 45 nights.
    """
    schedule._jobs.pop("rehearse-renewals")
    worker.HINT_SECONDS, worker.SWEEP_SECONDS, worker.PAUSE_SECONDS = 0.1, 0.3, 0.2  # type: ignore[misc]
    worker.Worker().run()


def claim_keys(journal: Path) -> None:
    """Claim every key that waits, beside others who do the same, and write down what was got: certificate, key."""
    with journal.open("ab", buffering=0) as written:

        def claim_some() -> None:
            waiting = CertificateSecret.objects.filter(retention=KeyRetention.ONCE, destroyed_at__isnull=True)
            for key in _some(list(waiting.order_by().values_list("certificate", flat=True)), 10):
                if key.int % UNWANTED:
                    written.write(f"{key} {_claimed(key)}\n".encode())

        _forever(claim_some)


def _claimed(key: UUID) -> str:
    """SHA-256 of the public key that belongs to the claimed one, or why there was none."""
    certificate = Certificate.objects.select_related("request").get(pk=key)
    try:
        pem = read_private_key(requester=SYSTEM, certificate=certificate, via="private-key")
    except PortalError as refusal:
        return refusal.kind
    public = load_pem_private_key(pem.encode(), None).public_key()
    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def renew_by_call() -> None:
    """Renew now and then what is due, or soon will be, in a race with the workers."""

    def renew_one() -> None:
        soon = AutoRenewal.objects.filter(due_at__lte=timezone.now() + timedelta(days=2))
        for key in _some(list(soon.order_by().values_list("pk", flat=True)), 1):
            certificate = Certificate.objects.select_related("request", "profile", "authority").get(pk=key)
            twice = IdempotencyKey(key=str(uuid4()), body_digest="0" * 64)
            for _ in range(2):
                renew_certificate(certificate=certificate, requester=SYSTEM, idempotency=twice)
        time.sleep(0.5)

    _forever(renew_one)


def send_hints() -> None:
    """Say of some rows that they are due now, which is true of most of them."""

    def send_some() -> None:
        rows = AutoRenewal.objects.filter(due_at__isnull=False)
        for row in [*rows.filter(due_at__lte=timezone.now())[:5], *rows.order_by("-due_at")[:1]]:
            hint(row)
        time.sleep(0.5)

    _forever(send_some)


def _some(keys: list[UUID], most: int) -> list[UUID]:
    return random.sample(keys, min(most, len(keys)))


def _forever(act: Callable[[], None]) -> None:
    """Until killed; what the database or the portal refuses is tried again."""
    while True:
        try:
            close_old_connections()
            act()
        except PortalError as refusal:
            logger.info("refused: %s", refusal.message)
        except Error:
            connection.close()
        time.sleep(0.2)
