"""What a profile can be, and every way in which one that is asked for cannot."""

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from uuid import UUID

from cryptography import x509

from pki_portal.errors import Malformed, Violation
from profiles.enrollment import EnrollmentMethod
from profiles.models import (
    CertificateProfile,
)
from profiles.policy.errors import DuplicateRule, RuleError
from profiles.policy.rules import DOMAIN_COMPONENTS, ProfileDefaults
from profiles.policy.vocabulary import IssuerType, KeyRetention, SubjectAttribute
from profiles.policy.waivers import read_waivers
from profiles.services.columns import DESCRIPTION_MAX_LENGTH, shape_violation, text_violations
from profiles.services.settings import (
    CA_CHAIN_MAX_LENGTH,
    PASSPHRASE_MAX_LENGTH,
    RENEW_BEFORE_DAYS_MAX,
    RENEW_BEFORE_DAYS_MIN,
    SETTINGS,
)
from profiles.usage import usage

SLUG_MAX_LENGTH = 255
SLUG_PATTERN = "^[a-z0-9-]+$"
DEFAULTS = (
    DOMAIN_COMPONENTS,
    *(attribute.value for attribute in SubjectAttribute if attribute is not SubjectAttribute.DOMAIN_COMPONENT),
    *("ttl_days", "ttl", "key_usages", "extended_key_usages", "key_algorithm", "signature_algorithm"),
)
SLUG_FORM = re.compile(r"[a-z0-9-]+")
_ENROLLMENT_RULE = "a profile has the settings of its enrollment method and no others"
_SETTING_NAMES: Mapping[str, frozenset[str]] = {
    "api": frozenset({"auto_renew", "renew_before_days"}),
    "est": frozenset({"passphrase", "disable_bootstrap_ca_validation", "ca_chain"}),
    "acme": frozenset({"skip_dns_ownership_verification", "skip_eab_binding"}),
}


def refuse_if_any(violations: list[Violation]) -> None:
    """Return if there are none. Raises Malformed."""
    if violations:
        raise Malformed("; ".join(violation.fix for violation in violations), violations=violations)


def change_violations(
    profile: CertificateProfile, columns: Mapping[str, object], settings: Mapping[str, object]
) -> list[Violation]:
    """What forbids these changes of a profile."""
    method = columns.get("enrollment_method", profile.enrollment_method)
    return [
        *column_violations(columns),
        *_self_signed_violations(profile.issuer_type, method),
        *_foreign_violations(method, settings),
        *settings_violations(settings),
    ]


def column_violations(columns: Mapping[str, object]) -> list[Violation]:
    """What forbids these columns, each by itself."""
    found: list[Violation] = []
    if "slug" in columns:
        found += _slug_violations(columns["slug"])
    if "description" in columns:
        found += text_violations(field="description", value=columns["description"], max_length=DESCRIPTION_MAX_LENGTH)
    for name, options in (
        ("enrollment_method", [method.value for method in EnrollmentMethod]),
        ("issuer_type", [kind.value for kind in IssuerType]),
        ("key_retention", [retention.value for retention in KeyRetention]),
    ):
        if name in columns and columns[name] not in options:
            allowed = ", ".join(options)
            found.append(
                shape_violation(
                    field=name,
                    code="invalid_choice",
                    asked=str(columns[name])[:100],
                    allowed=allowed,
                    fix=f"Use one of {allowed}.",
                )
            )
    if "defaults" in columns:
        found += _defaults_violations(columns["defaults"])
    if "lint_waivers" in columns:
        found += _waiver_violations(columns["lint_waivers"])
    return found


def _waiver_violations(document: object) -> list[Violation]:
    try:
        waivers = read_waivers(document)
    except (RuleError, DuplicateRule) as refusal:
        return list(refusal.violations)
    known = usage().lint_codes() if waivers else frozenset()
    return [
        shape_violation(
            field=f"lint_waivers/{index}/code",
            code="unknown_finding",
            asked=waiver.code,
            allowed="a finding of the linter of severity FATAL, ERROR or WARNING",
            fix=_nearest_code(waiver.code, known),
        )
        for index, waiver in enumerate(waivers)
        if waiver.code not in known
    ]


def _nearest_code(code: str, known: Collection[str]) -> str:
    near = get_close_matches(code, known, n=3)
    named = " or ".join(near) if near else "pkix.invalid_uri_syntax, as a refusal names it"
    return f"Use the id of a finding: {named}."


def _slug_violations(slug: object) -> list[Violation]:
    found = text_violations(field="slug", value=slug, min_length=1, max_length=SLUG_MAX_LENGTH)
    if not found and not SLUG_FORM.fullmatch(str(slug)):
        found = [
            shape_violation(
                field="slug",
                code="invalid_string",
                asked=str(slug),
                allowed=SLUG_PATTERN,
                fix="Use lower-case letters, digits and hyphens only.",
            )
        ]
    return found


def _defaults_violations(defaults: object) -> list[Violation]:
    if not isinstance(defaults, Mapping):
        return [
            shape_violation(
                field="defaults",
                code="invalid_type",
                asked=type(defaults).__name__,
                allowed="an object",
                fix="Give an object.",
            )
        ]
    try:
        ProfileDefaults.from_json(defaults)
    except (RuleError, DuplicateRule) as refusal:
        return [
            Violation(
                field=f"defaults/{violation.field}",
                code=violation.code,
                rule=violation.rule,
                asked=violation.asked,
                allowed=violation.allowed,
                fix=violation.fix,
            )
            for violation in refusal.violations
        ]
    return []


def issuer_violations(columns: Mapping[str, object], authority_id: UUID | None) -> list[Violation]:
    """What forbids this kind of issuer with this CA."""
    issuer_type = columns["issuer_type"]
    rule = "a profile has a CA unless it is self-signed"
    found: list[Violation] = []
    if issuer_type == IssuerType.CA and authority_id is None:
        found.append(
            Violation(
                "certificate_authority_id", "required", rule, "no CA", "the id of a CA of the project", "Name a CA."
            )
        )
    if issuer_type == IssuerType.SELF_SIGNED and authority_id is not None:
        found.append(
            Violation("certificate_authority_id", "not_allowed", rule, str(authority_id), "no CA", "Leave the CA out.")
        )
    return found + _self_signed_violations(issuer_type, columns["enrollment_method"])


def _self_signed_violations(issuer_type: object, method: object) -> list[Violation]:
    if issuer_type != IssuerType.SELF_SIGNED or method == EnrollmentMethod.API or method not in SETTINGS:
        return []
    return [
        Violation(
            field="enrollment_method",
            code="not_allowed",
            rule="self-signed certificates are enrolled by API only",
            asked=str(method),
            allowed=EnrollmentMethod.API.value,
            fix="Use the enrollment method api, or a CA.",
        )
    ]


def method_violations(method: object, settings: Mapping[str, object]) -> list[Violation]:
    """Of a new profile: the settings of its method are there, and no others."""
    missing = method in SETTINGS and method not in settings
    found = [
        Violation(
            field=str(method),
            code="required",
            rule=_ENROLLMENT_RULE,
            asked="no settings",
            allowed=f"the settings of the enrollment method {method}",
            fix=f"Give the settings of the enrollment method {method}.",
        )
    ]
    return (found if missing else []) + _foreign_violations(method, settings)


def _foreign_violations(method: object, settings: Mapping[str, object]) -> list[Violation]:
    return [
        Violation(
            field=name,
            code="not_allowed",
            rule=_ENROLLMENT_RULE,
            asked=f"settings of {name}",
            allowed=f"settings of {method} alone",
            fix=f"Leave the settings of {name} out: the enrollment method is {method}.",
        )
        for name in settings
        if method in SETTINGS and name != method
    ]


def settings_violations(settings: Mapping[str, object]) -> list[Violation]:
    """What forbids these settings, each by itself."""
    found: list[Violation] = []
    for method, values in settings.items():
        if not isinstance(values, Mapping):
            found.append(
                shape_violation(
                    field=method,
                    code="invalid_type",
                    asked=type(values).__name__,
                    allowed="an object",
                    fix="Give an object.",
                )
            )
            continue
        if unknown := values.keys() - _SETTING_NAMES[method]:
            raise TypeError(f"the enrollment method {method} has no {', '.join(sorted(unknown))}")
        for name, value in values.items():
            found += _setting_violations(f"{method}/{name}", name, value)
    return found


def _setting_violations(field: str, name: str, value: object) -> list[Violation]:
    if name == "renew_before_days":
        return _days_violations(field, value)
    if name == "passphrase":
        # Whatever is wrong with it, its text stays out of the message.
        return text_violations(field=field, value=value, min_length=1, max_length=PASSPHRASE_MAX_LENGTH)
    if name == "ca_chain":
        found = text_violations(field=field, value=value, max_length=CA_CHAIN_MAX_LENGTH)
        return found or _chain_violations(field, str(value))
    if not isinstance(value, bool):
        return [
            shape_violation(
                field=field,
                code="invalid_type",
                asked=type(value).__name__,
                allowed="true or false",
                fix="Give true or false.",
            )
        ]
    return []


def _days_violations(field: str, value: object) -> list[Violation]:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if value is None or (whole and RENEW_BEFORE_DAYS_MIN <= value <= RENEW_BEFORE_DAYS_MAX):  # type: ignore[operator]
        return []
    return [
        shape_violation(
            field=field,
            code="out_of_range",
            asked=str(value)[:100],
            allowed=f"{RENEW_BEFORE_DAYS_MIN} to {RENEW_BEFORE_DAYS_MAX} days, whole",
            fix=f"Give a whole number of days from {RENEW_BEFORE_DAYS_MIN} to {RENEW_BEFORE_DAYS_MAX}.",
        )
    ]


def _chain_violations(field: str, pem: str) -> list[Violation]:
    if not pem:
        return []
    try:
        x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        return [
            shape_violation(
                field=field,
                code="invalid_pem",
                asked=f"{len(pem)} characters",
                allowed="one or more certificates as PEM",
                fix="Give whole PEM blocks, from BEGIN CERTIFICATE to END CERTIFICATE.",
            )
        ]
    return []
