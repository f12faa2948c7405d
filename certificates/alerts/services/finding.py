"""What a rule finds to tell, told before or not."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from django.conf import settings
from django.db.models import Q, QuerySet

from certificates.alerts.models import AlertKind, AlertRule
from certificates.models import (
    Certificate,
    CertificateAuthority,
    CertificateRequest,
    CertificateRevocationList,
    RevocationListShard,
)
from certificates.models.authority import AuthorityStatus
from certificates.models.certificate import CertificateStatus
from certificates.models.request import RequestStatus
from certificates.models.secret import CLAIM_WINDOW
from certificates.services.approvals.demand import profiles_that_wait
from pki_portal.rest import iso
from profiles.models import CertificateProfile
from profiles.policy.names import matches
from profiles.policy.risks import risks_of
from profiles.policy.vocabulary import KeyRetention, NameType, SubjectAttribute

CHUNK: Final = 500
# A fault that passes is tried again some seconds later; after so many tries it is one that people should know of.
TRIES: Final = 5
# What ended because its renewal failed is still told for a while.
ENDED: Final = timedelta(days=7)
REASON_LENGTH: Final = 300
_COLUMNS: Final = (
    *("pk", "common_name", "subject_alternative_names", "alt_names", "serial_number", "not_after"),
    *("profile_id", "profile__slug"),
)


@dataclass(frozen=True, slots=True)
class Found:
    """One thing to tell: ``subject_id`` names this very thing (a CRL's next one is another)."""

    subject_id: str
    item: Mapping[str, Any]


def find(rule: AlertRule, now: datetime) -> Iterator[Found]:
    """Everything of the project that the rule is about at ``now``, told or not, the soonest end first."""
    finders: Mapping[AlertKind, Callable[[AlertRule, datetime, datetime], Iterator[Found]]] = {
        AlertKind.CERTIFICATE_EXPIRY: _certificates,
        AlertKind.AUTHORITY_EXPIRY: _authorities,
        AlertKind.CRL_EXPIRY: _crls,
        AlertKind.RENEWAL_FAILURE: _failed_renewals,
        AlertKind.RENEWAL_REHEARSAL: _failed_rehearsals,
        AlertKind.UNCLAIMED_KEY: _unclaimed_keys,
        AlertKind.RISKY_ISSUANCE: _risky_profiles,
    }
    yield from finders[AlertKind(rule.kind)](rule, now, now + timedelta(seconds=rule.alert_before_seconds))


def _certificates(rule: AlertRule, now: datetime, until: datetime) -> Iterator[Found]:
    """Certificates in force without a successor."""
    ending = _live(rule).filter(not_after__gt=now, not_after__lte=until).order_by("not_after", "pk")
    for row in _fitting(rule, ending):
        yield _of_certificate(rule, row)


def _failed_renewals(rule: AlertRule, now: datetime, until: datetime) -> Iterator[Found]:
    """Certificates near their end whose last renewal was refused, or failed again and again, ended ones too."""
    keeps_failing = Q(auto_renewal__gave_up_at__isnull=False) | Q(auto_renewal__attempts__gte=TRIES)
    failed = (
        _live(rule)
        .filter(not_after__gt=now - ENDED, not_after__lte=until)
        .filter(~Q(renewal_error="") | (keeps_failing & ~Q(auto_renewal__last_error="")))
        .order_by("not_after", "pk")
    )
    for row in _fitting(rule, failed, "renewal_error", "auto_renewal__last_error"):
        yield _of_certificate(rule, row, reason=row["renewal_error"] or row["auto_renewal__last_error"])


def _failed_rehearsals(rule: AlertRule, now: datetime, until: datetime) -> Iterator[Found]:
    """Certificates whose renewal is due soon and failed in its last rehearsal."""
    failing = (
        _live(rule)
        .filter(not_after__gt=now, auto_renewal__due_at__lte=until)
        .exclude(auto_renewal__rehearsal_error="")
        .order_by("auto_renewal__due_at", "pk")
    )
    for row in _fitting(rule, failing, "auto_renewal__due_at", "auto_renewal__rehearsal_error"):
        told = _of_certificate(rule, row, reason=row["auto_renewal__rehearsal_error"])
        yield Found(told.subject_id, {**told.item, "renewAt": iso(row["auto_renewal__due_at"])})


def _unclaimed_keys(rule: AlertRule, now: datetime, until: datetime) -> Iterator[Found]:
    """Certificates whose key waits for its one claim and is soon destroyed."""
    waiting = (
        Certificate.objects.filter(
            project=rule.project_id,
            secret__retention=KeyRetention.ONCE,
            secret__destroyed_at__isnull=True,
            not_after__gt=now,
        )
        .filter(Q(secret__created_at__lte=until - CLAIM_WINDOW) | Q(not_after__lte=until))
        .order_by("secret__created_at", "pk")
    )
    for row in _fitting(rule, waiting, "secret__created_at"):
        destroyed_at = min(row["secret__created_at"] + CLAIM_WINDOW, row["not_after"])
        told = _of_certificate(rule, row, reason="Nobody has claimed the private key.")
        yield Found(told.subject_id, {**told.item, "destroyedAt": iso(destroyed_at)})


def _risky_profiles(rule: AlertRule, now: datetime, until: datetime) -> Iterator[Found]:
    """Profiles with a risk that issued within the last lead time; each is told once in that time."""
    lead = until - now
    turn = int(now.timestamp() // lead.total_seconds())
    for profile in CertificateProfile.objects.filter(project=rule.project_id).select_related("template").order_by("pk"):
        risks = risks_of(profile.template.rules(), now=now, is_approved=bool(profiles_that_wait([profile])))
        if not risks or not all(_fits(each, profile.slug, SubjectAttribute.COMMON_NAME) for each in rule.filters):
            continue
        issued = CertificateRequest.objects.filter(
            profile=profile, status=RequestStatus.ISSUED, created_at__gt=now - lead
        ).count()
        if issued:
            item = {
                "id": str(profile.pk),
                "name": profile.slug,
                "profileName": profile.slug,
                "issuedCount": issued,
                "risks": [risk.code.value for risk in risks],
                "url": _page(rule, f"profiles/{profile.pk}/"),
                "reason": f"{issued} issued. {' '.join(risk.reason for risk in risks)}"[:REASON_LENGTH],
            }
            yield Found(f"{profile.pk}:{turn}", item)


def _live(rule: AlertRule) -> QuerySet[Certificate]:
    return Certificate.objects.filter(project=rule.project_id, status=CertificateStatus.ACTIVE, renewed_by__isnull=True)


def _fitting(rule: AlertRule, certificates: QuerySet[Certificate], *more: str) -> Iterator[dict[str, Any]]:
    """Rows with the columns that are told, of those certificates that fit every filter."""
    for row in certificates.values(*_COLUMNS, *more).iterator(chunk_size=CHUNK):
        if all(_certificate_fits(row, each) for each in rule.filters):
            yield row


def _of_certificate(rule: AlertRule, row: Mapping[str, Any], *, reason: str = "") -> Found:
    name = row["common_name"] or row["alt_names"].partition(",")[0] or row["serial_number"]
    item = {
        "id": str(row["pk"]),
        "name": name[:255],
        "serialNumber": row["serial_number"],
        "profileName": row["profile__slug"] or "",
        "notAfter": iso(row["not_after"]),
        "url": _page(rule, f"certificates/{row['pk']}/"),
    }
    return Found(str(row["pk"]), {**item, "reason": reason[:REASON_LENGTH]} if reason else item)


def _authorities(rule: AlertRule, now: datetime, until: datetime) -> Iterator[Found]:
    """CAs by their certificate of today: a renewed one is told anew when that one ends."""
    ending = CertificateAuthority.objects.filter(
        project=rule.project_id,
        status=AuthorityStatus.ACTIVE,
        active_certificate__not_after__gt=now,
        active_certificate__not_after__lte=until,
    ).order_by("active_certificate__not_after", "pk")
    for authority in ending.select_related("active_certificate"):
        certificate = authority.active_certificate
        if certificate is not None and _authority_fits(rule, authority):
            yield Found(str(certificate.pk), _of_authority(rule, authority, certificate.not_after))


def _crls(rule: AlertRule, now: datetime, until: datetime) -> Iterator[Found]:
    """CRLs and their shards that nobody has signed anew, a disabled CA's too; one that has ended already as well."""
    ending = CertificateRevocationList.objects.filter(
        key__authority__project=rule.project_id, next_update__lte=until
    ).order_by("next_update", "pk")
    for crl in ending.select_related("key__authority").defer("der"):
        authority = crl.key.authority
        if crl.next_update is not None and _authority_fits(rule, authority):
            yield Found(f"{crl.pk}:{crl.number}", _of_authority(rule, authority, crl.next_update))
    shards = RevocationListShard.objects.filter(
        revocation_list__key__authority__project=rule.project_id, next_update__lte=until
    ).order_by("next_update", "pk")
    for shard in shards.select_related("revocation_list__key__authority").defer("der", "revocation_list__der"):
        authority = shard.revocation_list.key.authority
        if shard.next_update is not None and _authority_fits(rule, authority):
            item = _of_authority(rule, authority, shard.next_update) | {"reason": f"shard {shard.pk} of its CRL"}
            yield Found(f"{shard.pk}:{shard.number}", item)


def _of_authority(rule: AlertRule, authority: CertificateAuthority, not_after: datetime) -> dict[str, Any]:
    return {
        "id": str(authority.pk),
        "name": authority.name,
        "notAfter": iso(not_after),
        "url": _page(rule, f"authorities/{authority.pk}/"),
    }


def _page(rule: AlertRule, path: str) -> str:
    return f"{settings.SITE_URL}/projects/{quote(rule.project.slug)}/{path}"


# --- Filters ----------------------------------------------------------------------------------------------------------


def _certificate_fits(row: Mapping[str, Any], condition: Mapping[str, str]) -> bool:
    if condition["field"] == "profile_name":
        return _fits(condition, row["profile__slug"] or "", SubjectAttribute.COMMON_NAME)
    if condition["field"] == "common_name":
        return _fits(condition, row["common_name"], SubjectAttribute.COMMON_NAME)
    return any(_fits(condition, name["value"], NameType(name["type"])) for name in row["subject_alternative_names"])


def _authority_fits(rule: AlertRule, authority: CertificateAuthority) -> bool:
    return all(_fits(each, authority.name, SubjectAttribute.COMMON_NAME) for each in rule.filters)


def _fits(condition: Mapping[str, str], value: str, kind: NameType | SubjectAttribute) -> bool:
    wanted = condition["value"]
    match condition["operator"]:
        case "equals":
            return value.casefold() == wanted.casefold()
        case "contains":
            return wanted.casefold() in value.casefold()
        case "starts_with":
            return value.casefold().startswith(wanted.casefold())
        case "ends_with":
            return value.casefold().endswith(wanted.casefold())
    return matches(wanted, value, kind)
