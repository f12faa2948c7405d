"""Making, changing and removing rules with their channels."""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID, uuid4

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from certificates.alerts.models import (
    NAME_MAX_LENGTH,
    AlertChannel,
    AlertDelivery,
    AlertDigest,
    AlertKind,
    AlertRule,
    ChannelKind,
)
from certificates.alerts.services.delivery import PURPOSE
from certificates.alerts.services.evaluation import make_digest
from certificates.alerts.services.outbound import problem_with_url
from certificates.services.sealed_text import seal_text
from pki_portal.access.models import Project
from pki_portal.access.permissions import Action, require
from pki_portal.access.requester import Requester
from pki_portal.audit.services import JSON, record, recorded_refusals
from pki_portal.background.tasks import hint
from pki_portal.errors import Forbidden, Invalid, Malformed, NotFound, Violation
from pki_portal.storable import is_storable
from profiles.policy.validity import InvalidDuration, parse_ttl

SUBJECT_TYPE: Final = "pki-alert"
CHANNELS_LIMIT: Final = 10
FILTERS_LIMIT: Final = 10
RECIPIENTS_LIMIT: Final = 20
RULES_LIMIT: Final = 1000
TEXT_LIMIT: Final = 255
DESCRIPTION_LIMIT: Final = 1000
URL_LIMIT: Final = 2000
SECRET_LENGTHS: Final = range(16, 257)
SHORTEST: Final = timedelta(hours=1)
LONGEST: Final = timedelta(days=3650)
_NAME: Final = re.compile(r"[^\x00-\x1f\x7f]+")


class FilterField(StrEnum):
    """What of a certificate or a CA a filter looks at."""

    PROFILE_NAME = "profile_name"
    COMMON_NAME = "common_name"
    SAN = "san"
    CA_NAME = "ca_name"


class FilterOperator(StrEnum):
    """How it compares; case never counts, and ``matches`` knows ``*`` as templates do."""

    EQUALS = "equals"
    CONTAINS = "contains"
    STARTS_WITH = "starts_with"
    ENDS_WITH = "ends_with"
    MATCHES = "matches"


_OF_CERTIFICATES: Final = frozenset({FilterField.PROFILE_NAME, FilterField.COMMON_NAME, FilterField.SAN})
FIELDS_OF_KIND: Final[Mapping[AlertKind, frozenset[FilterField]]] = {
    AlertKind.CERTIFICATE_EXPIRY: _OF_CERTIFICATES,
    AlertKind.RENEWAL_FAILURE: _OF_CERTIFICATES,
    AlertKind.RENEWAL_REHEARSAL: _OF_CERTIFICATES,
    AlertKind.UNCLAIMED_KEY: _OF_CERTIFICATES,
    AlertKind.RISKY_ISSUANCE: frozenset({FilterField.PROFILE_NAME}),
    AlertKind.AUTHORITY_EXPIRY: frozenset({FilterField.CA_NAME}),
    AlertKind.CRL_EXPIRY: frozenset({FilterField.CA_NAME}),
}


@dataclass(frozen=True, slots=True)
class ChannelDocument:
    """A channel as it is asked for. With ``id`` it is one that the rule has: then a missing secret stays as it is.

    ``secret`` is a webhook's signing secret, or the whole address of a Slack webhook.
    """

    kind: ChannelKind
    recipients: tuple[str, ...] = ()
    url: str = ""
    secret: str = field(default="", repr=False)
    is_enabled: bool = True
    id: UUID | None = None


@dataclass(frozen=True, slots=True)
class RuleDocument:
    """A rule as it is asked for; filters as they are stored."""

    name: str
    kind: AlertKind
    alert_before: str
    channels: tuple[ChannelDocument, ...]
    description: str = ""
    filters: tuple[Mapping[str, str], ...] = ()
    is_enabled: bool = True


@dataclass(frozen=True, slots=True)
class SavedRule:
    """A rule, and the signing secrets made for its new webhooks: by channel id, told this once."""

    rule: AlertRule
    new_secrets: Mapping[UUID, str] = field(default_factory=dict, repr=False)


# --- Reading ----------------------------------------------------------------------------------------------------------


def rules_visible_to(requester: Requester, project: Project) -> QuerySet[AlertRule]:
    """The rules of the project with their channels, newest first. Raises PermissionDenied, NotFound."""
    require(requester=requester, action=Action.PKI_ALERTS_READ, project_id=project.pk)
    return AlertRule.objects.filter(project=project).prefetch_related("channels")


def find_rule(*, requester: Requester, rule_id: UUID, action: Action = Action.PKI_ALERTS_READ) -> AlertRule:
    """The rule, if the requester may do ``action`` with it. Raises NotFound, PermissionDenied."""
    missing = NotFound(f"Alert {rule_id} was not found.")
    rule = AlertRule.objects.select_related("project").prefetch_related("channels").filter(pk=rule_id).first()
    if rule is None:
        raise missing
    try:
        require(requester=requester, action=action, project_id=rule.project_id)
    except NotFound:
        raise missing from None
    return rule


def deliveries_of(rule: AlertRule) -> QuerySet[AlertDelivery]:
    """What was sent for the rule, newest first."""
    deliveries = AlertDelivery.objects.filter(digest__rule=rule).select_related("digest")
    return deliveries.order_by("-digest__created_at", "digest_id", "pk")


# --- Changing ---------------------------------------------------------------------------------------------------------


def create_rule(*, requester: Requester, project: Project, document: RuleDocument) -> SavedRule:
    """Store a rule; it is looked at for the first time at once.

    Raises:
        PermissionDenied, NotFound: the requester may not make alerts here.
        Malformed: values, or a combination of them, that no rule can have, with every violation.
        Forbidden: the name is taken, or the project has too many rules.
    """
    with recorded_refusals(
        event="create-pki-alert",
        actor=requester.actor,
        project_id=project.pk,
        subject_type=SUBJECT_TYPE,
        subject_id="",
        data={"name": document.name[:NAME_MAX_LENGTH]},
    ):
        require(requester=requester, action=Action.PKI_ALERTS_CREATE, project_id=project.pk)
        _refuse(_violations(document, known=frozenset()))
        with transaction.atomic():
            Project.objects.select_for_update(no_key=True).get(pk=project.pk)
            if AlertRule.objects.filter(project=project).count() >= RULES_LIMIT:
                raise Forbidden(f"A project has at most {RULES_LIMIT} alerts.")
            rule = AlertRule(project=project, **_columns(document, timezone.now()))
            _save(rule, force_insert=True)
            new_secrets = _store_channels(rule, document.channels)
            _record(requester, "create-pki-alert", rule)
            if rule.is_enabled:
                hint(rule)
    return SavedRule(find_rule(requester=requester, rule_id=rule.pk), new_secrets)


def update_rule(*, requester: Requester, rule: AlertRule, changes: Mapping[str, Any]) -> SavedRule:
    """Change what ``changes`` names (fields of :class:`RuleDocument`); the kind never changes. What it told stays told.

    Works on the rule as it stands now, under a lock. Raises as :func:`create_rule`.
    """
    with _refusals(requester, "update-pki-alert", rule):
        require(requester=requester, action=Action.PKI_ALERTS_EDIT, project_id=rule.project_id)
        with transaction.atomic():
            current = _locked(rule)
            document = replace(document_of(current), **changes)
            if document.kind != current.kind:
                raise Forbidden(f"The type of an alert does not change: {current.name} is {current.kind}.")
            known = {channel.pk: channel for channel in current.channels.all()}
            _refuse(_violations(document, known=frozenset((pk, each.kind) for pk, each in known.items())))
            columns = _columns(document, timezone.now())
            for name, value in columns.items():
                setattr(current, name, value)
            _save(current, update_fields=[*columns, "updated_at"])
            current.channels.exclude(pk__in=[each.id for each in document.channels if each.id]).delete()
            new_secrets = _store_channels(current, document.channels)
            _record(requester, "update-pki-alert", current)
            if current.is_enabled:
                hint(current)
    return SavedRule(find_rule(requester=requester, rule_id=rule.pk), new_secrets)


def document_of(rule: AlertRule) -> RuleDocument:
    """A stored rule as a document that changes nothing."""
    return RuleDocument(
        name=rule.name,
        kind=AlertKind(rule.kind),
        alert_before=rule.alert_before,
        description=rule.description,
        filters=tuple(rule.filters),
        is_enabled=rule.is_enabled,
        channels=tuple(
            ChannelDocument(
                kind=ChannelKind(channel.kind),
                recipients=tuple(channel.recipients),
                url=channel.url,
                is_enabled=channel.is_enabled,
                id=channel.pk,
            )
            for channel in rule.channels.all()
        ),
    )


def delete_rule(*, requester: Requester, rule: AlertRule) -> None:
    """Remove a rule with its channels and its log. ``rule`` itself keeps its values. Raises PermissionDenied,
    NotFound.
    """
    with _refusals(requester, "delete-pki-alert", rule):
        require(requester=requester, action=Action.PKI_ALERTS_DELETE, project_id=rule.project_id)
        with transaction.atomic():
            _locked(rule).delete()
            record(
                event="delete-pki-alert",
                actor=requester.actor,
                project_id=rule.project_id,
                subject_type=SUBJECT_TYPE,
                subject_id=str(rule.pk),
                data={"name": rule.name},
            )


def send_test(*, requester: Requester, rule: AlertRule) -> AlertDigest:
    """Send a message that says it is a test to every enabled channel; the delivery log tells what became of it.

    Raises:
        PermissionDenied, NotFound: the requester may not change the rule.
        Invalid: no channel is enabled.
    """
    with _refusals(requester, "test-pki-alert", rule):
        require(requester=requester, action=Action.PKI_ALERTS_EDIT, project_id=rule.project_id)
        with transaction.atomic():
            _locked(rule)
            if not rule.channels.filter(is_enabled=True).exists():
                raise Invalid(f"Alert {rule.name} has no channel that is enabled.")
            digest = make_digest(rule=rule, items=[], total=0, now=timezone.now(), is_test=True)
            _record(requester, "test-pki-alert", rule)
    return digest


def _locked(rule: AlertRule) -> AlertRule:
    """The rule as it stands now, locked before its parts are: whoever changes one of them waits. Raises NotFound."""
    current = AlertRule.objects.select_for_update().filter(pk=rule.pk).first()
    if current is None:
        raise NotFound(f"Alert {rule.pk} was not found.")
    return current


def _refusals(requester: Requester, event: str, rule: AlertRule) -> Any:
    return recorded_refusals(
        event=event,
        actor=requester.actor,
        project_id=rule.project_id,
        subject_type=SUBJECT_TYPE,
        subject_id=str(rule.pk),
        data={"name": rule.name},
    )


def _record(requester: Requester, event: str, rule: AlertRule) -> None:
    channels: list[JSON] = [
        {"type": channel.kind, "target": channel.target, "enabled": channel.is_enabled}
        for channel in rule.channels.all()
    ]
    record(
        event=event,
        actor=requester.actor,
        project_id=rule.project_id,
        subject_type=SUBJECT_TYPE,
        subject_id=str(rule.pk),
        data={
            "name": rule.name,
            "type": rule.kind,
            "alertBefore": rule.alert_before,
            "enabled": rule.is_enabled,
            "channels": channels,
        },
    )


def _columns(document: RuleDocument, now: datetime) -> dict[str, Any]:
    return {
        "name": document.name,
        "description": document.description,
        "kind": document.kind.value,
        "alert_before": document.alert_before.strip(),
        "alert_before_seconds": int(parse_ttl(document.alert_before).total_seconds()),
        "filters": [dict(each) for each in document.filters],
        "is_enabled": document.is_enabled,
        "due_at": now if document.is_enabled else None,
    }


def _save(rule: AlertRule, **options: Any) -> None:
    others = AlertRule.objects.filter(project_id=rule.project_id, name=rule.name).exclude(pk=rule.pk)
    try:
        with transaction.atomic():
            if others.exists():
                raise _name_taken(rule.name)
            rule.save(**options)
    except IntegrityError:
        if others.exists():
            raise _name_taken(rule.name) from None
        raise


def _name_taken(name: str) -> Forbidden:
    return Forbidden(
        f"The project has an alert {name} already.",
        violations=[
            Violation(
                field="name",
                code="taken",
                rule="a name is unique in its project",
                asked=name,
                allowed="a name that no other alert of the project has",
                fix="Choose another name.",
            )
        ],
    )


def _store_channels(rule: AlertRule, documents: Sequence[ChannelDocument]) -> dict[UUID, str]:
    """Store the channels in their order; the signing secrets that were made for new webhooks."""
    made: dict[UUID, str] = {}
    for position, document in enumerate(documents):
        channel_id = document.id or uuid4()
        columns: dict[str, Any] = {
            "position": position,
            "kind": document.kind.value,
            "recipients": list(document.recipients),
            "url": document.url if document.kind == ChannelKind.WEBHOOK else "",
            "is_enabled": document.is_enabled,
        }
        secret = document.secret
        if document.kind == ChannelKind.WEBHOOK and not secret and document.id is None:
            secret = made[channel_id] = f"pks_{secrets.token_urlsafe(32)}"
        if secret:
            columns["sealed_secret"] = seal_text(secret, purpose=PURPOSE, row_id=channel_id)
        AlertChannel.objects.update_or_create(pk=channel_id, defaults=columns, create_defaults=columns | {"rule": rule})
    return made


# --- What a rule can be -----------------------------------------------------------------------------------------------


def _refuse(violations: Sequence[Violation]) -> None:
    if violations:
        raise Malformed("; ".join(violation.fix for violation in violations), violations=violations)


def _wrong(at: str, asked: str, allowed: str, fix: str, *, code: str = "custom") -> Violation:
    return Violation(
        field=at, code=code, rule="the form of an alert", asked=asked[:TEXT_LIMIT], allowed=allowed, fix=fix
    )


def _violations(document: RuleDocument, *, known: frozenset[tuple[UUID, str]]) -> list[Violation]:
    found: list[Violation] = []
    if not 0 < len(document.name) <= NAME_MAX_LENGTH or not _NAME.fullmatch(document.name):
        allowed = f"1 to {NAME_MAX_LENGTH} characters in one line"
        found.append(_wrong("name", document.name, allowed, f"Give it a name of {allowed}."))
    if len(document.description) > DESCRIPTION_LIMIT:
        found.append(
            _wrong(
                "description",
                f"{len(document.description)} characters",
                f"at most {DESCRIPTION_LIMIT} characters",
                f"Shorten it to {DESCRIPTION_LIMIT} characters.",
            )
        )
    texts = {"name": document.name, "description": document.description}
    found += [
        _wrong(at, "a character that no database stores", "text without NUL", "Leave such characters out.")
        for at, text in texts.items()
        if not is_storable(text)
    ]
    found += _lead_violations(document.alert_before)
    if len(document.filters) > FILTERS_LIMIT:
        found.append(_too_many("filters", len(document.filters), FILTERS_LIMIT))
    for index, condition in enumerate(document.filters[:FILTERS_LIMIT]):
        found += _filter_violations(f"filters/{index}", document.kind, condition)
    if not 1 <= len(document.channels) <= CHANNELS_LIMIT:
        count = len(document.channels)
        allowed = f"1 to {CHANNELS_LIMIT} channels"
        found.append(_wrong("channels", f"{count} channels", allowed, f"Give it {allowed}."))
    ids = [channel.id for channel in document.channels if channel.id]
    for index, channel in enumerate(document.channels[:CHANNELS_LIMIT]):
        if channel.id and ((channel.id, channel.kind.value) not in known or ids.count(channel.id) > 1):
            at = f"channels/{index}/id"
            found.append(
                _wrong(at, str(channel.id), "a channel of this alert and type, once", "Leave the id out for a new one.")
            )
        found += _channel_violations(f"channels/{index}", channel)
    return found


def _too_many(at: str, count: int, limit: int) -> Violation:
    return _wrong(at, f"{count}", f"at most {limit}", f"Send at most {limit}.")


def _lead_violations(text: str) -> list[Violation]:
    allowed = "a length of time from 1h to 3650d, such as 30d"
    try:
        lead = parse_ttl(text)
    except InvalidDuration as problem:
        return [_wrong("alert_before", text, allowed, str(problem))]
    if not SHORTEST <= lead <= LONGEST or len(text) > 32:
        return [_wrong("alert_before", text, allowed, f"Give {allowed}.")]
    return []


def _filter_violations(at: str, kind: AlertKind, condition: Mapping[str, str]) -> list[Violation]:
    found = []
    fields = sorted(FIELDS_OF_KIND[kind])
    if condition["field"] not in fields:
        listed = ", ".join(fields)
        found.append(_wrong(f"{at}/field", condition["field"], listed, f"For {kind.value} filter by: {listed}."))
    value = condition["value"]
    if not 0 < len(value) <= TEXT_LIMIT or not is_storable(value):
        allowed = f"1 to {TEXT_LIMIT} characters"
        found.append(_wrong(f"{at}/value", value, allowed, f"Give it {allowed}."))
    return found


def _channel_violations(at: str, channel: ChannelDocument) -> list[Violation]:
    if channel.kind == ChannelKind.EMAIL:
        return _recipient_violations(f"{at}/recipients", channel.recipients)
    if channel.kind == ChannelKind.SLACK:
        # Never repeated: whoever knows it may post.
        needs_one = channel.id is None or channel.secret
        return _url_violations(f"{at}/webhook_url", channel.secret, shown=False) if needs_one else []
    # A password in it would go into the audit log.
    found = _url_violations(f"{at}/url", channel.url, shown="@" not in channel.url)
    if channel.secret and (len(channel.secret) not in SECRET_LENGTHS or not is_storable(channel.secret)):
        allowed = f"{SECRET_LENGTHS.start} to {SECRET_LENGTHS.stop - 1} characters"
        found.append(_wrong(f"{at}/signing_secret", "", allowed, f"Give it {allowed}, or none: then one is made."))
    return found


def _recipient_violations(at: str, recipients: Sequence[str]) -> list[Violation]:
    if not 1 <= len(recipients) <= RECIPIENTS_LIMIT:
        allowed = f"1 to {RECIPIENTS_LIMIT} mail addresses"
        return [_wrong(at, f"{len(recipients)} addresses", allowed, f"Name {allowed}.")]
    found = []
    for index, address in enumerate(recipients):
        try:
            validate_email(address)
        except ValidationError:
            found.append(_wrong(f"{at}/{index}", address, "a mail address", "Write it as name@example.com."))
    return found


def _url_violations(at: str, url: str, *, shown: bool) -> list[Violation]:
    problem = f"is longer than {URL_LIMIT} characters" if len(url) > URL_LIMIT else problem_with_url(url)
    if not problem:
        return []
    allowed = "an https address on the public internet, or in a network of WEBHOOK_ALLOWED_NETWORKS"
    return [_wrong(at, url if shown else "", allowed, f"The address {problem}.")]
