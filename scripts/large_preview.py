#!/usr/bin/env python3
"""Preview a change of a template over many certificates in a database of its own, and count the same by hand.

    DATABASE_URL= .venv/bin/python scripts/large_preview.py [certificates, by default 100000]
    .venv/bin/python scripts/with_postgres.py .venv/bin/python scripts/large_preview.py

Prints the seconds of each preview; exit code 1 where one took more than two seconds, or a count is not that of a plain
replay: every row looked at for the totals, the newest of them judged one by one for the rest.
"""

import os
import sys
import tempfile
import time
import uuid
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 2
BATCH = 2_000
KINDS = 300
NARROW: dict[str, Any] = {
    "subject": [{"type": "common_name", "allowed": ["*.acme.com"]}],
    "sans": [{"type": "dns_name", "allowed": ["*.acme.com"]}],
    "validity": {"max": "90d"},
}


def main() -> int:
    """Fill, preview, count."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory(prefix="large-preview-") as folder:
        os.environ["PKI_PORTAL_VAR"] = folder
        os.environ["PKI_PORTAL_MASTER_KEYS"] = "bench:" + "A" * 43 + "="
        os.environ["DJANGO_SETTINGS_MODULE"] = "pki_portal.settings"
        sys.path.insert(0, str(ROOT))
        import django

        django.setup()
        return preview(count)


def preview(count: int) -> int:
    """One template, ``count`` certificates of one profile, three previews of one change."""
    from django.core.management import call_command
    from django.db import connection
    from django.utils import timezone

    from profiles.models import CertificateProfile
    from profiles.services.templates import preview_template
    from tests.factories import SYSTEM, make_project
    from tests.scenery import make_issuing_profile

    call_command("migrate", verbosity=0)
    profile = make_issuing_profile(make_project())
    begun = time.monotonic()
    originals = issue_originals(profile)
    multiply(originals, count)
    if connection.vendor == "postgresql":
        connection.cursor().execute("ANALYZE")
    tell(f"{count} certificates stored in {time.monotonic() - begun:.1f} s ({connection.vendor})")

    slowest = 0.0
    for _ in range(3):
        fresh = CertificateProfile.objects.get(pk=profile.pk)
        now = timezone.now()
        begun, worked = time.monotonic(), time.process_time()
        found = preview_template(requester=SYSTEM, template=fresh.template, changes=NARROW, now=now)
        took, worked = time.monotonic() - begun, time.process_time() - worked
        slowest = max(slowest, took)
        tell(f"previewed in {took:.2f} s, {worked:.2f} s of them work of this process")
    for name, tally in (("requests", found.requests), ("renewals", found.renewals)):
        tell(
            f"{name}: {tally.looked_at} of {tally.total} looked at; {tally.passing} pass, {tally.newly_passing} of them"
            f" newly, {tally.newly_refused} newly refused, {tally.refused_anyway} refused anyway"
        )
    begun = time.monotonic()
    wrong = differences(profile, found, now)
    tell(f"counted by hand in {time.monotonic() - begun:.1f} s: {', '.join(wrong) or 'the same'}")
    return 0 if slowest <= SECONDS and not wrong else 1


def issue_originals(profile: Any) -> list[Any]:
    """Rows of requests of every kind, issued and refused, by the one road."""
    from certificates.models import CertificateRequest
    from certificates.services.issuance import issue_certificate
    from pki_portal.errors import Invalid
    from profiles.policy.request import AttributeValue, GeneralName, IssuanceRequest
    from profiles.policy.vocabulary import NameType, SubjectAttribute
    from tests.factories import SYSTEM

    for number in range(KINDS):
        host = f"host-{number}.{'other' if number % 7 == 0 else 'acme'}.com"
        # Some too long for the new rules, some for the old ones too.
        days = 400 if number % 20 == 9 else 200 if number % 11 == 5 else 30 + number % 60
        request = IssuanceRequest(
            subject=(AttributeValue(SubjectAttribute.COMMON_NAME, host),),
            subject_alternative_names=tuple(
                GeneralName(NameType.DNS_NAME, f"{prefix}{host}") for prefix in ("", "www.", "api.")[: 1 + number % 3]
            ),
            ttl=timedelta(days=days),
        )
        try:
            issue_certificate(profile=profile, request=request, requester=SYSTEM)
        except Invalid:
            continue
    return list(CertificateRequest.objects.select_related("certificate").order_by("created_at"))


def multiply(originals: list[Any], count: int) -> None:
    """Copies until there are ``count`` certificates, over the last 120 days: some ended, revoked or renewed by hand."""
    from certificates.models import Certificate, CertificateRequest
    from certificates.models.certificate import CertificateStatus

    for model in (CertificateRequest, Certificate):
        # It would put all the copies in this moment.
        model._meta.get_field("created_at").auto_now_add = False
    made = sum(hasattr(each, "certificate") for each in originals)
    number = 0
    while made < count:
        requests: list[Any] = []
        certificates: list[Any] = []
        while len(requests) < BATCH and made < count:
            original = originals[number % len(originals)]
            ago = timedelta(seconds=(number * 7919) % (120 * 86_400) + 1)
            request = copy_of(original, created_at=original.created_at - ago)
            requests.append(request)
            number += 1
            if not hasattr(original, "certificate"):
                continue
            old = original.certificate
            changes: dict[str, Any] = {
                "request": request,
                "serial_number": f"{number:040x}",
                "fingerprint_sha256": f"{number:064x}",
                "created_at": old.created_at - ago,
                "not_before": old.not_before - ago,
                "not_after": old.not_after - ago,
                "renew_at": old.renew_at - ago,
            }
            if number % 10 == 0:
                changes |= {"renew_at": None, "renew_before_days": None}
            elif number % 23 == 0:
                changes |= {"status": CertificateStatus.REVOKED, "revoked_at": old.not_before, "revocation_reason": 4}
            certificates.append(copy_of(old, **changes))
            made += 1
        CertificateRequest.objects.bulk_create(requests)
        Certificate.objects.bulk_create(certificates)


def copy_of(row: Any, **changes: Any) -> Any:
    """The row under a new id."""
    values = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    copied = type(row)(**(values | {"id": uuid.uuid4()}))
    for name, value in changes.items():
        setattr(copied, name, value)
    return copied


def differences(profile: Any, found: Any, now: Any) -> list[str]:
    """What a plain replay of whole rows, without the preview's own code, counts otherwise."""
    from certificates.models import Certificate, CertificateRequest
    from certificates.services.authorities.rules import issuer_facts_of
    from certificates.services.renewal import renewal_of
    from certificates.services.requests import request_of
    from profiles.policy.decide import decide
    from profiles.policy.rules import TemplateRules

    issuer = issuer_facts_of(profile.certificate_authority)
    old, new = profile.template.rules(), TemplateRules.from_json(profile.template.document() | NARROW)

    def verdict(request: Any, defaults: Any, at: Any) -> str:
        today, then = (
            not decide(rules=rules, defaults=defaults, request=request, issuer=issuer, now=at).violations
            for rules in (old, new)
        )
        return ("newly_passing" if not today else "passing") if then else "newly_refused" if today else "refused_anyway"

    wrong: list[str] = []
    recent = [
        pk
        for pk, moment, status in CertificateRequest.objects.order_by("-created_at", "id").values_list(
            "pk", "created_at", "status"
        )
        if now - moment < timedelta(days=90) and status in {"issued", "failed"}
    ]
    renewed = set(Certificate.objects.exclude(renewed_from=None).values_list("renewed_from", flat=True))
    alive = [
        pk
        for pk, status, end, due in Certificate.objects.order_by("-created_at", "id").values_list(
            "pk", "status", "not_after", "renew_at"
        )
        if status == "active" and end > now and due is not None and pk not in renewed
    ]
    for name, keys, tally, model in (
        ("requests", recent, found.requests, CertificateRequest),
        ("renewals", alive, found.renewals, Certificate),
    ):
        counts: Counter[str] = Counter()
        refused = []
        for pk in keys[: tally.looked_at]:
            row: Any = model._default_manager.get(pk=pk)
            if name == "requests":
                told = verdict(request_of(row), profile.profile_defaults(), now)
            else:
                told = verdict(*renewal_of(row), max(now, row.renew_at))
            counts[told] += 1
            if told == "newly_refused":
                refused.append(pk)
        named = (
            [each.request_id for each in found.refused_requests]
            if name == "requests"
            else [each.certificate_id for each in found.refused_renewals]
        )
        counts["passing"] += counts["newly_passing"]
        if tally.total != len(keys):
            wrong.append(f"{len(keys)} {name}, not {tally.total}")
        wrong += [
            f"{counts[kind]} {name} {kind}, not {getattr(tally, kind)}"
            for kind in ("passing", "newly_passing", "newly_refused", "refused_anyway")
            if counts[kind] != getattr(tally, kind)
        ]
        if named != refused[: len(named)] or len(named) != min(len(refused), 100):
            wrong.append(f"other {name} are named")
    return wrong


def tell(line: str) -> None:
    """One line of the report."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
