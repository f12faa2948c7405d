"""Making, changing and removing profiles."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

from cryptography import x509
from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, models, transaction
from django.utils import timezone

from pki_portal.access.models import Project
from pki_portal.access.permissions import Action, has_permission, require
from pki_portal.access.requester import Requester
from pki_portal.audit.services import JSON, record, recorded_refusals
from pki_portal.errors import Forbidden, Malformed, NotFound, Violation
from profiles.enrollment import EnrollmentMethod
from profiles.models import (
    AcmeEnrollment,
    ApiEnrollment,
    CertificateProfile,
    CertificateTemplate,
    EstEnrollment,
)
from profiles.policy.errors import DuplicateRule, RuleError
from profiles.policy.rules import ProfileDefaults
from profiles.policy.vocabulary import IssuerType, SubjectAttribute
from profiles.querysets import with_relations
from profiles.services.columns import DESCRIPTION_MAX_LENGTH, apply, shape_violation, text_violations
from profiles.usage import usage

SLUG_MAX_LENGTH = 255
SLUG_PATTERN = "^[a-z0-9-]+$"
RENEW_BEFORE_DAYS_MIN = 1
RENEW_BEFORE_DAYS_MAX = 30
PASSPHRASE_MAX_LENGTH = 1024
CA_CHAIN_MAX_LENGTH = 64 * 1024
SUBJECT_TYPE = "certificate-profile"

_SLUG = re.compile(r"[a-z0-9-]+")
_ENROLLMENT_RULE = "a profile has the settings of its enrollment method and no others"


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Enrollment by page or API call; auto-renewal takes effect where ``renew_before_days`` (1 to 30) is given too."""

    auto_renew: bool = False
    renew_before_days: int | None = None


@dataclass(frozen=True, slots=True)
class EstSettings:
    """Enrollment over Secure Transport (RFC 7030); the pass phrase is stored as a hash, ``ca_chain`` is PEM."""

    passphrase: str = field(repr=False)
    disable_bootstrap_ca_validation: bool = False
    ca_chain: str = ""


@dataclass(frozen=True, slots=True)
class AcmeSettings:
    """Automatic Certificate Management Environment (RFC 8555)."""

    skip_dns_ownership_verification: bool = False
    skip_eab_binding: bool = False


# What an update may name beside the settings of the enrollment methods; the rest of a profile never changes.
COLUMNS = frozenset({"slug", "description", "enrollment_method", "issuer_type", "defaults"})
DEFAULTS = (
    *(attribute.value for attribute in SubjectAttribute),
    *("ttl_days", "ttl", "key_usages", "extended_key_usages", "key_algorithm", "signature_algorithm"),
)
SETTINGS: Mapping[str, type[models.Model]] = {"api": ApiEnrollment, "est": EstEnrollment, "acme": AcmeEnrollment}
_SETTING_NAMES: Mapping[str, frozenset[str]] = {
    "api": frozenset({"auto_renew", "renew_before_days"}),
    "est": frozenset({"passphrase", "disable_bootstrap_ca_validation", "ca_chain"}),
    "acme": frozenset({"skip_dns_ownership_verification", "skip_eab_binding"}),
}


def find_profile(
    *, requester: Requester, profile_id: UUID, action: Action = Action.CERTIFICATE_PROFILES_READ
) -> CertificateProfile:
    """The profile with CA, template and enrollment settings, if the requester may do ``action`` with it. Two queries.

    Raises NotFound (no such profile, or one of a project that the requester is not in) or PermissionDenied.
    """
    missing = NotFound(f"Certificate profile {profile_id} was not found.")
    profile = with_relations(CertificateProfile.objects.filter(pk=profile_id)).select_related("project").first()
    if profile is None:
        raise missing
    try:
        require(requester=requester, action=action, project_id=profile.project_id)
    except NotFound:
        raise missing from None
    return profile


def find_profile_by_slug(
    *, requester: Requester, project: Project, slug: str, action: Action = Action.CERTIFICATE_PROFILES_READ
) -> CertificateProfile:
    """As :func:`find_profile`, by the slug within a project; permission is judged before existence."""
    require(requester=requester, action=action, project_id=project.pk)
    profiles = with_relations(CertificateProfile.objects.filter(project=project, slug=slug))
    # What can be no slug is not asked of the database, which would refuse some of it.
    profile = profiles.first() if _SLUG.fullmatch(slug) else None
    if profile is None:
        raise NotFound(f"Certificate profile {slug[:SLUG_MAX_LENGTH]} was not found in the project.")
    return profile


def find_est_enrollment(*, requester: Requester, profile_id: UUID) -> EstEnrollment:
    """The EST settings of a profile.

    Raises NotFound (no such profile, or one without settings), PermissionDenied, or Forbidden (the profile enrolls by
    another method).
    """
    profile = find_profile(requester=requester, profile_id=profile_id)
    if profile.enrollment_method != EnrollmentMethod.EST:
        raise Forbidden(f"Certificate profile {profile.slug} enrolls by {profile.enrollment_method}, not by est.")
    settings = settings_of(profile, EnrollmentMethod.EST)
    if not isinstance(settings, EstEnrollment):
        raise NotFound(f"Certificate profile {profile.slug} has no EST settings.")
    return settings


def settings_of(profile: CertificateProfile, method: str) -> models.Model | None:
    """The row of settings that the profile has for ``method``, in use or not; None where it has none."""
    row: models.Model | None = getattr(profile, f"{method}_enrollment", None)
    return row


def create_profile(
    *,
    requester: Requester,
    project: Project,
    slug: str,
    template_id: UUID,
    enrollment_method: str,
    certificate_authority_id: UUID | None = None,
    issuer_type: str = IssuerType.CA,
    description: str = "",
    api: ApiSettings | None = None,
    est: EstSettings | None = None,
    acme: AcmeSettings | None = None,
    defaults: Mapping[str, object] | None = None,
    external_settings: Mapping[str, object] | None = None,
) -> CertificateProfile:
    """Store a profile with the settings of its enrollment method.

    ``defaults`` as :meth:`ProfileDefaults.from_json` reads them; ``external_settings`` belong to CAs outside the
    portal and are refused with any CA that it has.

    Raises:
        PermissionDenied, NotFound: the requester may not make profiles here; no such template or CA.
        Malformed: values, or a combination of them, that no profile can have, with every violation.
        Forbidden: the slug is taken, the template belongs to another project, external settings.
    """
    columns: dict[str, Any] = {
        "slug": slug,
        "description": description,
        "enrollment_method": enrollment_method,
        "issuer_type": issuer_type,
        "defaults": _stored_defaults(defaults),
    }
    settings = {
        name: asdict(given) for name, given in (("api", api), ("est", est), ("acme", acme)) if given is not None
    }
    with recorded_refusals(
        event="create-certificate-profile",
        actor=requester.actor,
        project_id=project.pk,
        subject_type=SUBJECT_TYPE,
        subject_id="",
        data={"slug": slug[:SLUG_MAX_LENGTH], "certificateTemplateId": str(template_id)},
    ):
        require(requester=requester, action=Action.CERTIFICATE_PROFILES_CREATE, project_id=project.pk)
        _refuse_if_any(
            [
                *_column_violations(columns),
                *_issuer_violations(columns, certificate_authority_id),
                *_method_violations(enrollment_method, settings),
                *_settings_violations(settings),
            ]
        )
        _refuse_external_settings(external_settings)
        stored = _stored_settings(settings)
        with transaction.atomic():
            template = _usable_template(requester=requester, project=project, template_id=template_id)
            _require_authority(certificate_authority_id, project)
            profile = CertificateProfile(
                project=project, template=template, certificate_authority_id=certificate_authority_id, **columns
            )
            _save_with_free_slug(profile)
            for name, row in stored.items():
                SETTINGS[name]._default_manager.create(profile=profile, **row)
            record(
                event="create-certificate-profile",
                actor=requester.actor,
                project_id=project.pk,
                subject_type=SUBJECT_TYPE,
                subject_id=str(profile.pk),
                data={
                    **columns,
                    "certificateAuthorityId": None
                    if certificate_authority_id is None
                    else str(certificate_authority_id),
                    "certificateTemplateId": str(template_id),
                    "settings": {name: _told(values) for name, values in settings.items()},
                },
            )
    return _loaded(profile.pk)


def update_profile(
    *, requester: Requester, profile: CertificateProfile, changes: Mapping[str, object]
) -> CertificateProfile:
    """Change what ``changes`` names: columns, and single settings under ``api``, ``est`` and ``acme`` (mappings).

    CA and template never change. Settings are changed only where the profile has that row: another enrollment method
    brings none into being, and then they are left out of account. Works on the row as it stands now, under a lock.

    Raises:
        PermissionDenied, NotFound: the requester may not change it, or it is gone.
        Malformed: values, or a combination of them, that no profile can have, with every violation.
        Forbidden: the slug is taken, or the issuer type would change.
    """
    if unknown := changes.keys() - COLUMNS - SETTINGS.keys() - {"external_settings"}:
        raise TypeError(f"a profile has no changeable {', '.join(sorted(unknown))}")
    columns = {name: value for name, value in changes.items() if name in COLUMNS}
    if "defaults" in columns:
        columns["defaults"] = _stored_defaults(columns["defaults"])
    settings = {name: value for name, value in changes.items() if name in SETTINGS}
    with recorded_refusals(
        event="update-certificate-profile",
        actor=requester.actor,
        project_id=profile.project_id,
        subject_type=SUBJECT_TYPE,
        subject_id=str(profile.pk),
        data={"slug": profile.slug, "fields": tuple(sorted(changes))},
    ):
        require(requester=requester, action=Action.CERTIFICATE_PROFILES_EDIT, project_id=profile.project_id)
        stored = _stored_settings(settings)
        with transaction.atomic():
            current = _locked(profile)
            _refuse_if_any(_change_violations(current, columns, settings))
            _require_same_issuer_type(current, columns)
            _refuse_external_settings(changes.get("external_settings"))
            _require_free_slug(current, columns.get("slug", current.slug))
            changed = _applied(current, columns)
            for name, row in stored.items():
                changed |= _change_settings(current, name, row)
            record(
                event="update-certificate-profile",
                actor=requester.actor,
                project_id=current.project_id,
                subject_type=SUBJECT_TYPE,
                subject_id=str(current.pk),
                data={"slug": current.slug, "changed": changed},
            )
    return _loaded(profile.pk)


def delete_profile(*, requester: Requester, profile: CertificateProfile) -> None:
    """Remove a profile with its settings; its certificates stay and lose it. ``profile`` itself keeps its values.

    Raises PermissionDenied or NotFound.
    """
    now = timezone.now()
    with recorded_refusals(
        event="delete-certificate-profile",
        actor=requester.actor,
        project_id=profile.project_id,
        subject_type=SUBJECT_TYPE,
        subject_id=str(profile.pk),
        data={"slug": profile.slug},
    ):
        require(requester=requester, action=Action.CERTIFICATE_PROFILES_DELETE, project_id=profile.project_id)
        with transaction.atomic():
            current = _locked(profile)
            orphaned = usage().count_live_certificates(profile_id=current.pk, now=now)
            CertificateProfile.objects.filter(pk=current.pk).delete()
            record(
                event="delete-certificate-profile",
                actor=requester.actor,
                project_id=current.project_id,
                subject_type=SUBJECT_TYPE,
                subject_id=str(current.pk),
                data={"slug": current.slug, "liveCertificates": orphaned},
            )


def _loaded(profile_id: UUID) -> CertificateProfile:
    return with_relations(CertificateProfile.objects.filter(pk=profile_id)).select_related("project").get()


def _locked(profile: CertificateProfile) -> CertificateProfile:
    current = CertificateProfile.objects.select_for_update().filter(pk=profile.pk).first()
    if current is None:
        raise NotFound(f"Certificate profile {profile.pk} was not found.")
    return current


# --- What refers to other rows ----------------------------------------------------------------------------------------


def _usable_template(*, requester: Requester, project: Project, template_id: UUID) -> CertificateTemplate:
    """The template, locked against removal until the transaction ends."""
    template = CertificateTemplate.objects.select_for_update(no_key=True).filter(pk=template_id).first()
    if template is None:
        raise NotFound(f"Certificate template {template_id} was not found.")
    if template.project_id != project.pk:
        if not has_permission(
            requester=requester, action=Action.CERTIFICATE_TEMPLATES_READ, project_id=template.project_id
        ):
            raise NotFound(f"Certificate template {template_id} was not found.")
        raise Forbidden(f"Certificate template {template.name} belongs to another project.")
    return template


def _require_authority(authority_id: UUID | None, project: Project) -> None:
    if authority_id is None:
        return
    if not usage().is_authority_of_project(authority_id=authority_id, project_id=project.pk):
        raise NotFound(f"Certificate authority {authority_id} was not found in the project.")


def _refuse_external_settings(settings: object) -> None:
    if settings is not None:
        raise Forbidden("External settings are for profiles of an external CA; this portal has internal ones only.")


def _require_free_slug(profile: CertificateProfile, slug: object) -> None:
    others = CertificateProfile.objects.filter(project_id=profile.project_id, slug=slug).exclude(pk=profile.pk)
    if others.exists():
        raise _slug_taken(str(slug))


def _slug_taken(slug: str) -> Forbidden:
    return Forbidden(
        f"The project has a certificate profile {slug} already.",
        violations=[
            Violation(
                field="slug",
                code="taken",
                rule="a slug is unique in its project",
                asked=slug,
                allowed="a slug that no other profile of the project has",
                fix="Choose another slug.",
            )
        ],
    )


def _save_with_free_slug(profile: CertificateProfile) -> None:
    _require_free_slug(profile, profile.slug)
    try:
        with transaction.atomic():
            profile.save(force_insert=True)
    except IntegrityError:
        # Somebody took the slug between the check and here; anything else is a fault and stays one.
        _require_free_slug(profile, profile.slug)
        raise


def _applied(profile: CertificateProfile, columns: Mapping[str, object]) -> dict[str, JSON]:
    try:
        with transaction.atomic():
            return apply(profile, columns)
    except IntegrityError:
        _require_free_slug(profile, profile.slug)
        raise


def _require_same_issuer_type(profile: CertificateProfile, columns: Mapping[str, object]) -> None:
    if columns.get("issuer_type", profile.issuer_type) != profile.issuer_type:
        raise Forbidden(f"The issuer type of a profile does not change: {profile.slug} is {profile.issuer_type}.")


def _stored_defaults(defaults: object) -> object:
    """Defaults without what fills nothing in: unknown keys, null, and empty text; nothing else is judged here."""
    if defaults is None:
        return {}
    if not isinstance(defaults, Mapping):
        return defaults
    return {key: defaults[key] for key in DEFAULTS if defaults.get(key) not in (None, "")}


# --- Settings of enrollment methods -----------------------------------------------------------------------------------


def _stored_settings(settings: Mapping[str, object]) -> dict[str, dict[str, Any]]:
    """Settings as columns by method, a pass phrase as its hash: a tenth of a second, so outside of transactions."""
    return {name: _columns_of(values) for name, values in settings.items() if isinstance(values, Mapping)}


def _columns_of(values: Mapping[str, object]) -> dict[str, Any]:
    columns = {name: value for name, value in values.items() if name != "passphrase"}
    if "passphrase" in values:
        columns["passphrase_hash"] = make_password(str(values["passphrase"]))
    return columns


def _told(values: Mapping[str, object]) -> dict[str, JSON]:
    """Settings as audit data: of a pass phrase only that there is one."""
    return {name: "set" if name == "passphrase" else value for name, value in values.items()}  # type: ignore[misc]


def _change_settings(profile: CertificateProfile, method: str, columns: Mapping[str, Any]) -> dict[str, JSON]:
    row = SETTINGS[method]._default_manager.filter(profile=profile).first()
    if row is None:
        return {}
    changed = apply(row, columns)
    return {
        f"{method}.{'passphrase' if column == 'passphrase_hash' else column}": "set"
        if column == "passphrase_hash"
        else change
        for column, change in changed.items()
    }


# --- What a profile can be --------------------------------------------------------------------------------------------


def _refuse_if_any(violations: list[Violation]) -> None:
    if violations:
        raise Malformed("; ".join(violation.fix for violation in violations), violations=violations)


def _change_violations(
    profile: CertificateProfile, columns: Mapping[str, object], settings: Mapping[str, object]
) -> list[Violation]:
    method = columns.get("enrollment_method", profile.enrollment_method)
    return [
        *_column_violations(columns),
        *_self_signed_violations(profile.issuer_type, method),
        *_foreign_violations(method, settings),
        *_settings_violations(settings),
    ]


def _column_violations(columns: Mapping[str, object]) -> list[Violation]:
    found: list[Violation] = []
    if "slug" in columns:
        found += _slug_violations(columns["slug"])
    if "description" in columns:
        found += text_violations(field="description", value=columns["description"], max_length=DESCRIPTION_MAX_LENGTH)
    for name, options in (
        ("enrollment_method", [method.value for method in EnrollmentMethod]),
        ("issuer_type", [kind.value for kind in IssuerType]),
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
    return found


def _slug_violations(slug: object) -> list[Violation]:
    found = text_violations(field="slug", value=slug, min_length=1, max_length=SLUG_MAX_LENGTH)
    if not found and not _SLUG.fullmatch(str(slug)):
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


def _issuer_violations(columns: Mapping[str, object], authority_id: UUID | None) -> list[Violation]:
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


def _method_violations(method: object, settings: Mapping[str, object]) -> list[Violation]:
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


def _settings_violations(settings: Mapping[str, object]) -> list[Violation]:
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
