"""Public keys that were compromised: which they are, and what they make of a request."""

import hashlib
from dataclasses import replace

from certificates.models import AuthorityKey, BlockedKey
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


def blocked_key_of(key: AuthorityKey) -> BlockedKey | None:
    """The block of a CA's key, if it is compromised. One query."""
    return BlockedKey.objects.filter(pk=hashlib.sha256(bytes(key.subject_public_key_info)).hexdigest()).first()


def digest_of(key: ApplicantKey) -> str:
    """As ``Certificate.public_key_sha256`` has it."""
    return hashlib.sha256(key.subject_public_key_info).hexdigest()
