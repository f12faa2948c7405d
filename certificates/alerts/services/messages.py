"""A digest as a mail, as a CloudEvent and as a Slack message; and the signature of a webhook's body."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from django.conf import settings

from certificates.alerts.models import AlertDigest, AlertKind, AlertRule
from pki_portal.rest import iso

# The second one is what clients of the reference system look for.
SIGNATURE_HEADERS: Final = ("x-portal-signature", "x-infisical-signature")
LINES: Final = 50


def subject_line(digest: AlertDigest) -> str:
    """One line that says what and how many."""
    return f"[PKI Portal] {_summary(digest)}"


def _summary(digest: AlertDigest) -> str:
    rule = digest.rule
    if digest.is_test:
        return f"Test of the alert {rule.name}"
    one, many = _TOLD[AlertKind(rule.kind)]
    told = (one if digest.total == 1 else many).format(count=digest.total, lead=rule.alert_before)
    return " ".join(f"{rule.project.name}: {told}".split())  # one line, whatever the name


_TOLD: Final = {
    AlertKind.CERTIFICATE_EXPIRY: ("1 certificate ends within {lead}", "{count} certificates end within {lead}"),
    AlertKind.AUTHORITY_EXPIRY: ("1 CA ends within {lead}", "{count} CAs end within {lead}"),
    AlertKind.CRL_EXPIRY: ("1 CRL ends within {lead}", "{count} CRLs end within {lead}"),
    AlertKind.RENEWAL_FAILURE: (
        "1 renewal failed, of a certificate that ends within {lead}",
        "{count} renewals failed, of certificates that end within {lead}",
    ),
    AlertKind.RENEWAL_REHEARSAL: (
        "1 renewal due within {lead} will fail",
        "{count} renewals due within {lead} will fail",
    ),
    AlertKind.UNCLAIMED_KEY: (
        "1 private key is destroyed within {lead} unless somebody claims it",
        "{count} private keys are destroyed within {lead} unless somebody claims them",
    ),
    AlertKind.RISKY_ISSUANCE: (
        "1 risky profile issued certificates in the last {lead}",
        "{count} risky profiles issued certificates in the last {lead}",
    ),
}


def plain_text(digest: AlertDigest) -> str:
    """The message for people."""
    rule = digest.rule
    lines = [f"{_summary(digest)}.", ""]
    if digest.is_test:
        lines += ["This is a test: nothing has happened. What the alert finds will be told here.", ""]
    lines += [_line(item) for item in digest.items[:LINES]]
    if digest.total > LINES:
        lines += ["", f"... and {digest.total - LINES} more."]
    lines += ["", f"Alert: {rule.name}", rule_url(rule)]
    return "\n".join(lines) + "\n"


def _line(item: Mapping[str, Any]) -> str:
    """One thing: the moment that it is about, its name, why, and where to look."""
    moment = next((item[name] for name in ("renewAt", "destroyedAt", "notAfter") if name in item), "")
    reason = "".join(f"\n    {each}" for each in item.get("reason", "").splitlines())
    return f"{moment}  {item['name']}{reason}\n    {item['url']}".lstrip()


def slack_body(digest: AlertDigest) -> bytes:
    """What an incoming webhook of Slack (or of what understands its form) takes."""
    text = plain_text(digest).translate({ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;"})
    return json.dumps({"text": text[:3500]}).encode()


def cloud_event(digest: AlertDigest) -> bytes:
    """The body of a webhook: CloudEvents 1.0 in structured JSON. The same digest is the same bytes at each attempt."""
    rule = digest.rule
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": str(digest.pk),
        "source": f"{settings.SITE_URL}/projects/{quote(rule.project.slug)}",
        "type": "pki-portal.test" if digest.is_test else f"pki-portal.{rule.kind}",
        "time": iso(digest.created_at),
        "subject": str(rule.pk),
        "datacontenttype": "application/json",
        "data": {
            "projectId": str(rule.project_id),
            "alert": {"id": str(rule.pk), "name": rule.name, "type": rule.kind, "alertBefore": rule.alert_before},
            "isTest": digest.is_test,
            "totalCount": digest.total,
            "items": digest.items,
        },
    }
    return json.dumps(event, separators=(",", ":"), sort_keys=True).encode()


def signature(*, secret: str, body: bytes, now: datetime) -> str:
    """``t=<milliseconds>,v1=<hex>``: HMAC-SHA256 under the secret's text over ``<milliseconds>.<body>``."""
    milliseconds = int(now.timestamp() * 1000)
    digest = hmac.new(secret.encode(), f"{milliseconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={milliseconds},v1={digest}"


def rule_url(rule: AlertRule) -> str:
    """Its page."""
    return f"{settings.SITE_URL}/projects/{quote(rule.project.slug)}/alerts/{rule.pk}/"
