"""Tags and filters of the portal's pages; each gives its template every name that it reads."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django import template
from django.forms import BoundField, CheckboxInput, ClearableFileInput, Select, Textarea
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince, timeuntil

from pki_portal.errors import Change, Violation
from pki_portal.keyset import KeysetPage

register = template.Library()

SHORT_SERIAL_ENDS = 6
LONGEST_IN_BUTTON = 40
DEFAULT_TONE = "grey"
TONES: Mapping[str, str] = {
    "active": "good",
    "issued": "good",
    "done": "good",
    "delivered": "good",
    "renewed": "good",
    "open": "warn",
    "waiting": "info",
    "expiring": "warn",
    "pending": "info",
    "pending_approval": "warn",
    "pending-approval": "warn",
    "rejected": "bad",
    "pending-certificate": "warn",
    "expired": "grey",
    "disabled": "grey",
    "revoked": "bad",
    "on-hold": "warn",
    "unclaimed": "warn",
    "failed": "bad",
    "refused": "bad",
    "pass": "good",
    "fail": "bad",
    "filled": "info",
    "good": "good",
    "warning": "warn",
    "bad": "bad",
}
LABELS: Mapping[str, str] = {
    "expiring": "Expiring soon",
    "pending_approval": "Waits for approval",
    "pending-approval": "Waits for approval",
    "pending-certificate": "Needs a certificate",
    "pass": "Met",
    "fail": "Not met",
    "filled": "Filled in",
    "warning": "Attention",
    "bad": "Trouble",
}


@register.simple_tag
def icon(name: str) -> SafeString:
    """One symbol of the sprite, hidden from screen readers: the words beside it say the same."""
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>', static("icons.svg"), name)


@register.simple_tag
def badge(status: str) -> SafeString:
    """A state as a coloured word."""
    label = LABELS.get(status, status.replace("-", " ").capitalize())
    return format_html('<span class="badge-status badge-{}">{}</span>', TONES.get(status, DEFAULT_TONE), label)


@register.filter
def short_serial(serial_number: str) -> str:
    """Both ends of a serial number."""
    if len(serial_number) <= 2 * SHORT_SERIAL_ENDS + 1:
        return serial_number
    return f"{serial_number[:SHORT_SERIAL_ENDS]}…{serial_number[-SHORT_SERIAL_ENDS:]}"


@register.filter
def colons(digits: str) -> str:
    """Hex digits in pairs, as certificate tools print them."""
    return ":".join(digits[start : start + 2] for start in range(0, len(digits), 2))


@register.filter
def words(name: str) -> str:
    """A name of the vocabulary (``digital_signature``) as words."""
    fixed = {
        "dns_name": "DNS name",
        "ip_address": "IP address",
        "email": "Email",
        "uri": "URI",
        "upn": "UPN",
        "crl_sign": "CRL sign",
        "ocsp_signing": "OCSP signing",
        "EC_prime256v1": "ECDSA P-256",
        "EC_secp384r1": "ECDSA P-384",
        "EC_secp521r1": "ECDSA P-521",
        "ED25519": "Ed25519",
    }
    if name in fixed:
        return fixed[name]
    plain = name.replace("_", " ")
    if name.islower():
        plain = plain.replace("-", " ")
    return plain[:1].upper() + plain[1:]


@register.simple_tag
def day(moment: datetime | None) -> SafeString:
    """A date as yyyy-mm-dd with the full instant on hover; a dash where there is none."""
    if moment is None:
        return format_html('<span class="muted">{}</span>', "—")
    moment = moment.astimezone(timezone.get_current_timezone())
    return format_html(
        '<time datetime="{}" title="{}" class="nowrap">{}</time>',
        moment.isoformat(),
        moment.strftime("%Y-%m-%d %H:%M:%S %Z"),
        moment.strftime("%Y-%m-%d"),
    )


@register.simple_tag
def instant(moment: datetime | None) -> SafeString:
    """A date with its time of day to the second."""
    if moment is None:
        return format_html('<span class="muted">{}</span>', "—")
    moment = moment.astimezone(timezone.get_current_timezone())
    return format_html('<time datetime="{}">{}</time>', moment.isoformat(), moment.strftime("%Y-%m-%d %H:%M:%S %Z"))


@register.filter
def distance(moment: datetime) -> str:
    """How far away an instant is (``in 3 weeks``, ``2 days ago``)."""
    now = timezone.now()
    return f"in {timeuntil(moment, now, depth=1)}" if moment > now else f"{timesince(moment, now, depth=1)} ago"


@register.filter
def pretty_json(value: object) -> str:
    """A JSON value, indented."""
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)


@register.inclusion_tag("components/field.html")
def field(bound: BoundField, optional: bool = False) -> dict[str, Any]:
    """A labelled control with its hint and, bound to it by aria-describedby, every violation with its fix."""
    widget = bound.field.widget
    violations = violations_of(bound)
    described = [f"{bound.auto_id}-hint"] if bound.help_text else []
    attributes: dict[str, Any] = {}
    classes = (
        "form-check-input"
        if isinstance(widget, CheckboxInput)
        else "form-select"
        if isinstance(widget, Select)
        else "form-control"
    )
    if isinstance(widget, Textarea):
        classes += " mono"
    if violations:
        described.append(f"{bound.auto_id}-violations")
        classes += " is-invalid"
        attributes["aria-invalid"] = "true"
    if described:
        attributes["aria-describedby"] = " ".join(described)
    attributes["class"] = f"{classes} {widget.attrs.get('class', '')}".strip()
    return {
        "control": bound.as_widget(attrs=attributes),
        "id": bound.auto_id,
        "label": bound.label,
        "hint": bound.help_text,
        "is_hidden": bound.is_hidden,
        "is_check": isinstance(widget, CheckboxInput),
        "is_file": isinstance(widget, ClearableFileInput),
        "optional": optional,
        "violations": violations,
    }


@register.inclusion_tag("components/violations.html")
def violations(found: list[Violation] | tuple[Violation, ...], owner: str) -> dict[str, Any]:
    """Violations as a list that a control can name in aria-describedby; nothing when there are none."""
    return {"violations": found, "id": owner}


@register.inclusion_tag("components/fix.html")
def fix_button(changes: Sequence[Change]) -> dict[str, Any]:
    """A button that sends the changes of a violation with its form, as ``apply``; nothing where there are none."""
    if not changes:
        return {"label": ""}
    steps = [{"op": change.op, "field": change.field, "value": change.value} for change in changes]
    return {"label": fix_label(changes), "value": json.dumps(steps)}


def fix_label(changes: Sequence[Change]) -> str:
    """What the changes do, in a few words (``Use 90d``); the last step is what they come to."""
    change = changes[-1]
    if change.op == "remove":
        return "Leave it out"
    verb, value = "Use" if change.op == "set" else "Add", change.value
    if isinstance(value, Mapping) and "is_ca" in value:
        return _constraints_label(value)
    if isinstance(value, Mapping):
        value = value["value"]
    if isinstance(value, list | tuple):
        return _usages_label([words(str(each)) for each in value])
    text = str(value)
    text = words(text) if change.field == "key_algorithm" else text
    return f"{verb} {text if len(text) <= LONGEST_IN_BUTTON else text[: LONGEST_IN_BUTTON - 1] + '…'}"


def _constraints_label(constraints: Mapping[str, Any]) -> str:
    if not constraints["is_ca"]:
        return "Make it no CA"
    length = constraints.get("path_length")
    return "Make it a CA" if length is None else f"Make it a CA, path length {length}"


def _usages_label(usages: Sequence[str]) -> str:
    if not usages:
        return "Leave them out"
    first, *others = usages
    told = ", ".join([first, *(other[:1].lower() + other[1:] for other in others[:2])])
    return f"Use {told[:1].lower() + told[1:]}" + (f" and {len(others) - 2} more" if len(others) > 2 else "")


@register.inclusion_tag("components/violations.html")
def row_violations(found: list[Violation], number: int) -> dict[str, Any]:
    """Violations of one line of names."""
    return {"violations": found, "id": f"name-{number}"}


def violations_of(bound: BoundField) -> list[Violation]:
    """What a form's field is refused for: the service's violations first, then the form's own errors."""
    refused: Mapping[str, list[Violation]] = getattr(bound.form, "violations", {})
    own = [
        Violation(field=bound.name, code="shape", rule="", asked="", allowed=str(error), fix="")
        for error in bound.errors
    ]
    return [*refused.get(bound.name, []), *own]


@register.inclusion_tag("components/pem.html")
def pem(
    text: str, title: str, filename: str, element_id: str, download_url: str = "", secret: bool = False
) -> dict[str, Any]:
    """A PEM text with copy and download; a secret one is downloaded from the page itself, for no address serves it."""
    return {
        "text": text,
        "title": title,
        "filename": filename,
        "id": element_id,
        "download_url": download_url,
        "secret": secret,
    }


@register.inclusion_tag("components/pagination.html", takes_context=True)
def pagination(context: Mapping[str, Any], page_obj: Any, target: str = "") -> dict[str, Any]:
    """Previous and next for a Django page, with the rest of the query; ``target`` is what htmx replaces."""
    return {"page_obj": page_obj, "target": target, "request": context["request"]}


@register.inclusion_tag("components/pager.html", takes_context=True)
def pager(context: Mapping[str, Any], listed: KeysetPage[Any], total: str, target: str) -> dict[str, Any]:
    """The same for a page by cursor."""
    return {"listed": listed, "total": total, "target": target, "request": context["request"]}
