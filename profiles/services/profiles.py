"""Making, changing and removing profiles."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from pki_portal.access.models import Project
from pki_portal.access.permissions import Action, has_permission, require
from pki_portal.access.remembering import Scope, remembered
from pki_portal.access.requester import Requester
from pki_portal.audit.services import JSON, record, recorded_refusals
from pki_portal.errors import Forbidden, NotFound, Violation
from profiles.enrollment import EnrollmentMethod
from profiles.impact import Impact, Proposal
from profiles.models import (
    CertificateProfile,
    CertificateTemplate,
    EstEnrollment,
)
from profiles.policy.errors import DuplicateRule, RuleError
from profiles.policy.rules import ProfileDefaults
from profiles.policy.vocabulary import IssuerType, KeyRetention
from profiles.policy.waivers import read_waivers, waivers_as_json
from profiles.querysets import with_relations
from profiles.services.columns import apply
from profiles.services.settings import (
    SETTINGS,
    AcmeSettings,
    ApiSettings,
    EstSettings,
    change_settings,
    settings_as_data,
    settings_of,
    stored_settings,
)
from profiles.services.versions import keep_profile_version
from profiles.services.violations import (
    DEFAULTS,
    SLUG_FORM,
    SLUG_MAX_LENGTH,
    change_violations,
    column_violations,
    issuer_violations,
    method_violations,
    refuse_if_any,
    settings_violations,
)
from profiles.usage import usage

SUBJECT_TYPE = "certificate-profile"

# What an update may name beside the settings of the enrollment methods and the move.
COLUMNS = frozenset(
    {
        *("slug", "description", "enrollment_method", "issuer_type", "defaults", "key_retention", "lint_waivers"),
        "requires_approval",
    }
)


@dataclass(frozen=True, slots=True)
class MoveTo:
    """Where a profile goes: another CA, another template, or both; None stays as it is."""

    certificate_authority_id: UUID | None = None
    template_id: UUID | None = None


def find_profile(
    *, requester: Requester, profile_id: UUID, action: Action = Action.CERTIFICATE_PROFILES_READ
) -> CertificateProfile:
    """The profile with CA, template and enrollment settings, if the requester may do ``action`` with it. Two queries.

    In a block of ``remembering`` all who ask get the same row, and none may change it.

    Raises NotFound (no such profile, or one of a project that the requester is not in) or PermissionDenied.
    """
    missing = NotFound(f"Certificate profile {profile_id} was not found.")
    profile = profile_by_id(profile_id)
    if profile is None:
        raise missing
    try:
        require(requester=requester, action=action, project_id=profile.project_id)
    except NotFound:
        raise missing from None
    return profile


@remembered(Scope.RULES)
def profile_by_id(profile_id: UUID) -> CertificateProfile | None:
    """The profile with CA, template, project and enrollment settings, whoever asks. One query."""
    return with_relations(CertificateProfile.objects.filter(pk=profile_id)).select_related("project").first()


def find_profile_by_slug(
    *, requester: Requester, project: Project, slug: str, action: Action = Action.CERTIFICATE_PROFILES_READ
) -> CertificateProfile:
    """As :func:`find_profile`, by the slug within a project; permission is judged before existence."""
    require(requester=requester, action=action, project_id=project.pk)
    profiles = with_relations(CertificateProfile.objects.filter(project=project, slug=slug))
    # What can be no slug is not asked of the database, which would refuse some of it.
    profile = profiles.first() if SLUG_FORM.fullmatch(slug) else None
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
    key_retention: str = KeyRetention.ONCE,
    lint_waivers: Sequence[Mapping[str, object]] = (),
    requires_approval: bool = False,
    external_settings: Mapping[str, object] | None = None,
) -> CertificateProfile:
    """Store a profile with the settings of its enrollment method.

    ``defaults`` as :meth:`ProfileDefaults.from_json` reads them, ``lint_waivers`` as :func:`read_waivers` does;
    ``external_settings`` belong to CAs outside the portal and are refused with any CA that it has.

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
        "key_retention": key_retention,
        "lint_waivers": _stored_waivers(lint_waivers),
        "requires_approval": requires_approval,
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
        refuse_if_any(
            [
                *column_violations(columns),
                *issuer_violations(columns, certificate_authority_id),
                *method_violations(enrollment_method, settings),
                *settings_violations(settings),
            ]
        )
        _refuse_external_settings(external_settings)
        stored = stored_settings(settings)
        with transaction.atomic():
            template = _usable_template(requester=requester, project=project, template_id=template_id)
            _require_authority(certificate_authority_id, project)
            profile = CertificateProfile(
                project=project, template=template, certificate_authority_id=certificate_authority_id, **columns
            )
            _save_with_free_slug(profile)
            for name, row in stored.items():
                SETTINGS[name]._default_manager.create(profile=profile, **row)
            keep_profile_version(profile, requester=requester)
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
                    "settings": {name: settings_as_data(values) for name, values in settings.items()},
                },
            )
    return _loaded(profile.pk)


def update_profile(
    *,
    requester: Requester,
    profile: CertificateProfile,
    changes: Mapping[str, object],
    move_to: MoveTo | None = None,
) -> CertificateProfile:
    """Change what ``changes`` names: columns, and single settings under ``api``, ``est`` and ``acme`` (mappings).

    CA and template change by ``move_to`` alone, for what is issued from then on. Settings are changed only where the
    profile has that row: another enrollment method brings none into being, and then they are left out of account. Works
    on the row as it stands now, under a lock. Whatever changes, but for a pass phrase, makes
    the next version.

    Raises:
        PermissionDenied, NotFound: the requester may not change it, or it is gone.
        Malformed: values, or a combination of them, that no profile can have, with every violation.
        Forbidden: the slug is taken, the issuer type would change, the template belongs to another project.
    """
    columns, settings = _told_apart(changes)
    with recorded_refusals(
        event="update-certificate-profile",
        actor=requester.actor,
        project_id=profile.project_id,
        subject_type=SUBJECT_TYPE,
        subject_id=str(profile.pk),
        data={"slug": profile.slug, "fields": tuple(sorted(changes)), **_move_as_data(move_to)},
    ):
        require(requester=requester, action=Action.CERTIFICATE_PROFILES_EDIT, project_id=profile.project_id)
        stored = stored_settings(settings)
        with transaction.atomic():
            current = _locked(profile)
            _refuse_unfit(current, columns, settings, move_to, external_settings=changes.get("external_settings"))
            changed = _applied(current, columns)
            for name, row in stored.items():
                changed |= change_settings(current, name, row)
            if move_to is not None:
                changed |= _moved(current, move_to, requester=requester)
            # A pass phrase is in no version, so it makes none.
            if changed.keys() - {"est.passphrase"}:
                apply(current, {"version": current.version + 1})
                keep_profile_version(current, requester=requester)
            record(
                event="update-certificate-profile",
                actor=requester.actor,
                project_id=current.project_id,
                subject_type=SUBJECT_TYPE,
                subject_id=str(current.pk),
                data={"slug": current.slug, "changed": changed, "version": current.version},
            )
            # Before the commit: what is answered is what this act made, not the next one.
            return _loaded(profile.pk)


def preview_profile(
    *,
    requester: Requester,
    profile: CertificateProfile,
    changes: Mapping[str, object],
    move_to: MoveTo | None = None,
    now: datetime,
) -> Impact:
    """What :func:`update_profile` with these changes would do to requests and renewals; changes nothing.

    Raises as :func:`update_profile`.
    """
    columns, settings = _told_apart(changes)
    require(requester=requester, action=Action.CERTIFICATE_PROFILES_EDIT, project_id=profile.project_id)
    stored_settings(settings)
    with transaction.atomic():
        current = _loaded(_locked(profile).pk)
        _refuse_unfit(current, columns, settings, move_to, external_settings=changes.get("external_settings"))
        authority_id, template = _destination(current, move_to, requester=requester)
    proposal = Proposal(
        profile=current,
        rules=template.rules(),
        defaults=ProfileDefaults.from_json(cast("dict[str, object]", columns.get("defaults", current.defaults))),
        authority_id=authority_id,
    )
    return usage().impact_of(proposals=[proposal], now=now)


def _told_apart(changes: Mapping[str, object]) -> tuple[dict[str, object], dict[str, Any]]:
    """Columns as they are stored, and settings by enrollment method. Raises TypeError for what is neither."""
    if unknown := changes.keys() - COLUMNS - SETTINGS.keys() - {"external_settings"}:
        raise TypeError(f"a profile has no changeable {', '.join(sorted(unknown))}")
    columns = {name: value for name, value in changes.items() if name in COLUMNS}
    if "defaults" in columns:
        columns["defaults"] = _stored_defaults(columns["defaults"])
    if "lint_waivers" in columns:
        columns["lint_waivers"] = _stored_waivers(columns["lint_waivers"])
    return columns, {name: value for name, value in changes.items() if name in SETTINGS}


def _refuse_unfit(
    profile: CertificateProfile,
    columns: Mapping[str, object],
    settings: Mapping[str, Any],
    move_to: MoveTo | None,
    *,
    external_settings: object,
) -> None:
    """Return if the profile can be changed so. Raises Malformed, Forbidden."""
    refuse_if_any([*change_violations(profile, columns, settings), *_move_violations(profile, move_to)])
    _require_same_issuer_type(profile, columns)
    _refuse_external_settings(external_settings)
    _require_free_slug(profile, columns.get("slug", profile.slug))


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
    current = CertificateProfile.objects.select_for_update(no_key=True).filter(pk=profile.pk).first()
    if current is None:
        raise NotFound(f"Certificate profile {profile.pk} was not found.")
    return current


# --- Moving -----------------------------------------------------------------------------------------------------------


def _move_as_data(move_to: MoveTo | None) -> dict[str, JSON]:
    if move_to is None:
        return {}
    asked = {
        "certificateAuthorityId": move_to.certificate_authority_id,
        "certificateTemplateId": move_to.template_id,
    }
    return {"moveTo": {name: str(value) for name, value in asked.items() if value is not None}}


def _move_violations(profile: CertificateProfile, move_to: MoveTo | None) -> list[Violation]:
    if move_to is None:
        return []
    if move_to == MoveTo():
        rule = "a move names a CA or a template"
        return [Violation("move_to", "required", rule, "neither", "a CA, a template, or both", "Name where to move.")]
    if move_to.certificate_authority_id is not None and profile.issuer_type == IssuerType.SELF_SIGNED:
        return [
            Violation(
                field="move_to/certificate_authority_id",
                code="not_allowed",
                rule="a self-signed profile has no CA",
                asked=str(move_to.certificate_authority_id),
                allowed="another template only",
                fix="Leave the CA out, or create a profile of that CA.",
            )
        ]
    return []


def _destination(
    profile: CertificateProfile, move_to: MoveTo | None, *, requester: Requester
) -> tuple[UUID | None, CertificateTemplate]:
    """CA and template after the move, in the caller's transaction. Raises NotFound, Forbidden."""
    move_to = move_to or MoveTo()
    _require_authority(move_to.certificate_authority_id, profile.project)
    template = profile.template
    if move_to.template_id is not None:
        template = _usable_template(requester=requester, project=profile.project, template_id=move_to.template_id)
    return move_to.certificate_authority_id or profile.certificate_authority_id, template


def _moved(profile: CertificateProfile, move_to: MoveTo, *, requester: Requester) -> dict[str, JSON]:
    """Set CA and template in the caller's transaction; what changed, as audit data. Raises NotFound, Forbidden."""
    before = {"certificate_authority_id": profile.certificate_authority_id, "template_id": profile.template_id}
    profile.certificate_authority_id, profile.template = _destination(profile, move_to, requester=requester)
    profile.save(update_fields=["certificate_authority", "template", "updated_at"])
    return {
        name: {"before": str(old), "after": str(getattr(profile, name))}
        for name, old in before.items()
        if old != getattr(profile, name)
    }


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


def _stored_waivers(waivers: object) -> object:
    """Waivers in the one form in which they are stored; what cannot be read as it is, for the checks to refuse."""
    try:
        return waivers_as_json(read_waivers(waivers))
    except (RuleError, DuplicateRule):
        return waivers
