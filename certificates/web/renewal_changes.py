"""What a renewal changed, in words."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from certificates.models import Certificate
from certificates.services.renewal_difference import renewal_difference
from pki_portal.access.templatetags.portal import words
from profiles.policy.difference import Difference

_LABELS = {
    "subject_alternative_names": "Alternative names",
    "key": "Key",
    "issuer/name": "Issuer",
    "issuer/key_identifier": "Key of the issuer",
    "basic_constraints/is_ca": "CA",
    "basic_constraints/path_length": "Path length",
    "extensions/crl_urls": "Addresses of the CRL",
    "extensions/ca_issuer_urls": "Address of the issuer",
    "extensions/ocsp_urls": "Address of OCSP",
    "extensions/critical": "Critical extensions",
}
_VOCABULARY = ("key_usages", "extended_key_usages")


@dataclass(frozen=True, slots=True)
class ChangedLine:
    """One difference; values as a list of texts, empty where nothing is said."""

    label: str
    before: Sequence[str]
    after: Sequence[str]


@dataclass(frozen=True, slots=True)
class Changes:
    """What the page of a renewed certificate shows."""

    predecessor: Certificate
    has_same_key: bool
    lines: Sequence[ChangedLine]
    unchanged: Sequence[str]


def changes_of(certificate: Certificate) -> Changes | None:
    """None where the certificate renewed none."""
    if certificate.renewed_from_id is None:
        return None
    found = renewal_difference(certificate)
    return Changes(
        predecessor=found.predecessor,
        has_same_key=found.has_same_key,
        # A new key is what renewing is for: the heading says it.
        lines=[_line(each) for each in found.differences if each.path != "key"],
        unchanged=[_label(field).lower() for field in found.unchanged if field != "key"],
    )


def _line(difference: Difference) -> ChangedLine:
    is_vocabulary = difference.path in _VOCABULARY
    return ChangedLine(
        _label(difference.path),
        _texts(difference.before, is_vocabulary=is_vocabulary),
        _texts(difference.after, is_vocabulary=is_vocabulary),
    )


def _label(path: str) -> str:
    if path in _LABELS:
        return _LABELS[path]
    outer, _, inner = path.partition("/")
    first = _LABELS.get(outer) or words(outer)
    return f"{first}: {words(inner)}" if inner else first


def _texts(value: object, *, is_vocabulary: bool) -> list[str]:
    members = value if isinstance(value, list) else [value]
    texts = [
        "yes" if each is True else "no" if each is False else each if isinstance(each, str) else json.dumps(each)
        for each in members
        if each not in (None, "")
    ]
    return [words(each) for each in texts] if is_vocabulary else texts
