"""Public keys that were compromised: which they are, and what they make of a request."""

import hashlib
from dataclasses import replace

from django.utils import timezone

from certificates.models import AuthorityKey, BlockedKey, Certificate
from pki_portal.errors import Conflict, Violation
from profiles.policy.request import ApplicantKey, IssuanceRequest


def with_blocked_key_told(request: IssuanceRequest) -> IssuanceRequest:
    """The request, its key's block among the weaknesses by which the rules refuse it. One query where there is a key.

    Every road that certifies an applicant's key asks here, once, before it is judged.
    """
    key = request.applicant_key
    if key is None:
        return request
    blocked = BlockedKey.objects.filter(pk=digest_of(key)).first()
    if blocked is None:
        return request
    weakness = (
        f"this key is compromised: certificate {blocked.serial_number} with it was revoked for keyCompromise"
        f" at {blocked.blocked_at:%Y-%m-%d %H:%M:%S} UTC"
    )
    return replace(request, applicant_key=replace(key, weaknesses=(*key.weaknesses, weakness)))


def require_unblocked(key: ApplicantKey | None) -> None:
    """Return if the key may still be certified by the caller's transaction, which stores what was signed for it.

    Locks the living certificates with that key, as whoever revokes one of them does: either the block is seen here, or
    the revocation waits, and finds the new certificate among the siblings. They are locked before all others of the
    transaction. Two queries where there is a key. Ended ones are left out: a short life renewed for years has many.

    Raises:
        Conflict: the key was revoked for keyCompromise since it was judged.
    """
    if key is None:
        return
    digest = digest_of(key)
    same_key = Certificate.objects.filter(public_key_sha256=digest, not_after__gt=timezone.now()).order_by("pk")
    list(same_key.select_for_update(no_key=True).values_list("pk", flat=True))
    blocked = BlockedKey.objects.filter(pk=digest).first()
    if blocked is not None:
        raise Conflict(
            f"Certificate {blocked.serial_number} with this key was revoked for keyCompromise while this one was made;"
            " none was issued.",
            violations=[
                Violation(
                    field="csr",
                    code="key_blocked",
                    rule="a compromised key is certified never again",
                    asked="a certificate for that key",
                    allowed="keys that are not compromised",
                    fix="Make a new key and CSR.",
                )
            ],
        )


def blocked_key_of(key: AuthorityKey) -> BlockedKey | None:
    """The block of a CA's key, if it is compromised. One query."""
    return BlockedKey.objects.filter(pk=hashlib.sha256(bytes(key.subject_public_key_info)).hexdigest()).first()


def digest_of(key: ApplicantKey) -> str:
    """As ``Certificate.public_key_sha256`` has it."""
    return hashlib.sha256(key.subject_public_key_info).hexdigest()
