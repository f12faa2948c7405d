"""Making, changing and removing templates."""

import re
import secrets
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils.text import slugify

from pki_portal.access.models import Project
from pki_portal.access.permissions import Action, require
from pki_portal.access.requester import Requester
from pki_portal.audit.services import record, recorded_refusals
from pki_portal.errors import Forbidden, Malformed, NotFound, Violation
from profiles.impact import Impact, Proposal
from profiles.models import CertificateProfile, CertificateTemplate
from profiles.models.template import RULES
from profiles.policy.contradictions import refuse_contradictions
from profiles.policy.errors import DuplicateRule, RuleError
from profiles.policy.rules import TemplateRules
from profiles.policy.vocabulary import (
    parse_extended_key_usage,
    parse_key_usage,
    parse_name_type,
    parse_subject_attribute,
)
from profiles.querysets import with_relations
from profiles.services.columns import DESCRIPTION_MAX_LENGTH, apply, shape_violation, text_violations
from profiles.services.versions import keep_template_version
from profiles.usage import usage

NAME_MAX_LENGTH = 255
SUBJECT_TYPE = "certificate-template"

_LISTS = ("allowed", "required", "denied")
_KEYS_AS_WRITTEN: Mapping[str, Sequence[str]] = {
    "algorithms": ("signature", "key_algorithm"),
    "validity": ("min", "max"),
    "basic_constraints": ("is_ca", "max_path_length"),
}
_SUFFIX_ALPHABET = string.ascii_lowercase + string.digits
_SUFFIX_LENGTH = 8
_SLUGS_NAMED = 20


@dataclass(frozen=True, slots=True)
class TemplateDocument:
    """A template as its author wrote it; the structure of the rules is that of :meth:`TemplateRules.from_json`."""

    name: str
    description: str = ""
    subject: Sequence[Mapping[str, object]] = ()
    sans: Sequence[Mapping[str, object]] = ()
    key_usages: Mapping[str, object] | None = None
    extended_key_usages: Mapping[str, object] | None = None
    algorithms: Mapping[str, object] | None = None
    validity: Mapping[str, object] | None = None
    basic_constraints: Mapping[str, object] | None = None


COLUMNS = frozenset(field.name for field in fields(TemplateDocument))


def find_template(
    *, requester: Requester, template_id: UUID, action: Action = Action.CERTIFICATE_TEMPLATES_READ
) -> CertificateTemplate:
    """The template, if the requester may do ``action`` with it.

    Raises NotFound (no such template, or one of a project that the requester is not in) or PermissionDenied.
    """
    missing = NotFound(f"Certificate template {template_id} was not found.")
    template = CertificateTemplate.objects.select_related("project").filter(pk=template_id).first()
    if template is None:
        raise missing
    try:
        require(requester=requester, action=action, project_id=template.project_id)
    except NotFound:
        raise missing from None
    return template


def create_template(*, requester: Requester, project: Project, document: TemplateDocument) -> CertificateTemplate:
    """Store a template; its name becomes a slug, and gets eight random characters more where it is taken.

    Raises:
        PermissionDenied, NotFound: the requester may not make templates here.
        Malformed: a value that no template can have, with every violation.
        Forbidden: an attribute type or a value stands twice.
    """
    asked = {column: getattr(document, column) for column in COLUMNS}
    with recorded_refusals(
        event="create-certificate-template",
        actor=requester.actor,
        project_id=project.pk,
        subject_type=SUBJECT_TYPE,
        subject_id="",
        data={"name": str(document.name)[:NAME_MAX_LENGTH]},
    ):
        require(requester=requester, action=Action.CERTIFICATE_TEMPLATES_CREATE, project_id=project.pk)
        columns = _checked(asked)
        with transaction.atomic():
            template = CertificateTemplate(project=project, **columns)
            for name in _free_names(template):
                template.name = name
                if _saved(template):
                    break
            keep_template_version(template, requester=requester)
            record(
                event="create-certificate-template",
                actor=requester.actor,
                project_id=project.pk,
                subject_type=SUBJECT_TYPE,
                subject_id=str(template.pk),
                data={"name": template.name, "rules": {rule: getattr(template, rule) for rule in RULES}},
            )
    return template


def update_template(
    *, requester: Requester, template: CertificateTemplate, changes: Mapping[str, object]
) -> CertificateTemplate:
    """Change the columns named in ``changes`` (those of :class:`TemplateDocument`); None empties a rule.

    Works on the row as it stands now, under a lock; returns that row. A name is treated as at creation. Whatever
    changes makes the next version.

    Raises as :func:`create_template`, and NotFound where the template is gone.
    """
    if unknown := changes.keys() - COLUMNS:
        raise TypeError(f"a template has no {', '.join(sorted(unknown))}")
    with recorded_refusals(
        event="update-certificate-template",
        actor=requester.actor,
        project_id=template.project_id,
        subject_type=SUBJECT_TYPE,
        subject_id=str(template.pk),
        data={"name": template.name, "fields": tuple(sorted(changes))},
    ):
        require(requester=requester, action=Action.CERTIFICATE_TEMPLATES_EDIT, project_id=template.project_id)
        with transaction.atomic():
            current = _locked(template)
            columns = _checked({column: getattr(current, column) for column in COLUMNS} | dict(changes), only=changes)
            name = columns.pop("name", current.name)
            changed = apply(current, columns)
            if name != current.name:
                changed["name"] = {"before": current.name, "after": _rename(current, str(name))}
            if changed:
                apply(current, {"version": current.version + 1})
                keep_template_version(current, requester=requester)
            record(
                event="update-certificate-template",
                actor=requester.actor,
                project_id=current.project_id,
                subject_type=SUBJECT_TYPE,
                subject_id=str(current.pk),
                data={"name": current.name, "changed": changed, "version": current.version},
            )
    return current


def preview_template(
    *, requester: Requester, template: CertificateTemplate, changes: Mapping[str, object], now: datetime
) -> Impact:
    """What :func:`update_template` with these changes would do to requests and renewals; changes nothing.

    Raises as :func:`update_template`.
    """
    if unknown := changes.keys() - COLUMNS:
        raise TypeError(f"a template has no {', '.join(sorted(unknown))}")
    require(requester=requester, action=Action.CERTIFICATE_TEMPLATES_EDIT, project_id=template.project_id)
    columns = _checked({column: getattr(template, column) for column in COLUMNS} | dict(changes))
    rules = TemplateRules.from_json({rule: columns[rule] for rule in RULES})
    profiles = with_relations(CertificateProfile.objects.filter(template=template))
    proposals = [
        Proposal(
            profile=profile,
            rules=rules,
            defaults=profile.profile_defaults(),
            authority_id=profile.certificate_authority_id,
        )
        for profile in profiles
    ]
    return usage().impact_of(proposals=proposals, now=now)


def delete_template(*, requester: Requester, template: CertificateTemplate) -> None:
    """Remove a template that no profile uses; ``template`` itself keeps its values.

    Raises PermissionDenied, NotFound, or Forbidden naming the profiles that use it.
    """
    with recorded_refusals(
        event="delete-certificate-template",
        actor=requester.actor,
        project_id=template.project_id,
        subject_type=SUBJECT_TYPE,
        subject_id=str(template.pk),
        data={"name": template.name},
    ):
        require(requester=requester, action=Action.CERTIFICATE_TEMPLATES_DELETE, project_id=template.project_id)
        with transaction.atomic():
            # A profile is made under the same lock, so none can come to use the template between check and removal.
            current = _locked(template)
            _require_unused(current)
            CertificateTemplate.objects.filter(pk=current.pk).delete()
            record(
                event="delete-certificate-template",
                actor=requester.actor,
                project_id=current.project_id,
                subject_type=SUBJECT_TYPE,
                subject_id=str(current.pk),
                data={"name": current.name},
            )


def _locked(template: CertificateTemplate) -> CertificateTemplate:
    current = CertificateTemplate.objects.select_for_update(no_key=True).filter(pk=template.pk).first()
    if current is None:
        raise NotFound(f"Certificate template {template.pk} was not found.")
    return current


def _require_unused(template: CertificateTemplate) -> None:
    slugs = list(template.certificate_profiles.order_by("slug").values_list("slug", flat=True)[: _SLUGS_NAMED + 1])
    if slugs:
        named = ", ".join(slugs[:_SLUGS_NAMED]) + (" and others" if len(slugs) > _SLUGS_NAMED else "")
        raise Forbidden(
            f"Certificate template {template.name} is used by the certificate profiles {named}; delete them first."
        )


def read_rules(document: TemplateDocument) -> TemplateRules:
    """The rules of a template that is not stored, name and description left out of account.

    Raises Malformed or Forbidden, as :func:`create_template` would for the same rules.
    """
    return TemplateRules.from_json({rule: getattr(document, rule) for rule in RULES})


def _checked(asked: Mapping[str, object], *, only: Mapping[str, object] | None = None) -> dict[str, object]:
    """The columns as they are stored, those in ``only`` alone where it is given; the rules are judged as a whole."""
    violations: list[Violation] = []
    violations += _name_violations(asked["name"])
    violations += text_violations(field="description", value=asked["description"], max_length=DESCRIPTION_MAX_LENGTH)
    rules = {rule: asked[rule] for rule in RULES}
    try:
        refuse_contradictions(TemplateRules.from_json(rules))
    except RuleError as refusal:
        violations += refusal.violations
    except DuplicateRule:
        if not violations:
            raise
    if violations:
        raise Malformed("; ".join(violation.fix for violation in violations), violations=violations)
    columns = {"name": _slug(str(asked["name"])), "description": asked["description"], **_stored_rules(rules)}
    return columns if only is None else {column: columns[column] for column in only}


def _stored_rules(rules: Mapping[str, Any]) -> dict[str, object]:
    """Readable rules as they are stored: types and usages in inside spelling, the rest as written, known keys only."""
    stored: dict[str, object] = {rule: _stored_keys(rules[rule], keys) for rule, keys in _KEYS_AS_WRITTEN.items()}
    return stored | {
        "subject": [_stored_entry(entry, parse_subject_attribute) for entry in rules["subject"] or ()],
        "sans": [_stored_entry(entry, parse_name_type) for entry in rules["sans"] or ()],
        "key_usages": _stored_usages(rules["key_usages"], parse_key_usage),
        "extended_key_usages": _stored_usages(rules["extended_key_usages"], parse_extended_key_usage),
    }


def _stored_entry(entry: Mapping[str, Any], parse_type: Callable[[str], StrEnum]) -> dict[str, object]:
    return {"type": parse_type(entry["type"]).value} | _stored_keys_of(entry, (*_LISTS, "max_count"))


def _stored_usages(rule: Mapping[str, Any] | None, parse: Callable[[str], str]) -> dict[str, object] | None:
    if rule is None:
        return None
    return {name: [str(parse(usage)) for usage in rule[name]] for name in _LISTS if rule.get(name) is not None}


def _stored_keys(rule: Mapping[str, Any] | None, keys: Sequence[str]) -> dict[str, object] | None:
    return None if rule is None else _stored_keys_of(rule, keys)


def _stored_keys_of(rule: Mapping[str, Any], keys: Sequence[str]) -> dict[str, object]:
    return {key: rule[key] for key in keys if rule.get(key) is not None}


def _name_violations(name: object) -> list[Violation]:
    found = text_violations(field="name", value=name, min_length=1, max_length=NAME_MAX_LENGTH)
    if not found and not _slug(str(name)):
        found = [
            shape_violation(
                field="name",
                code="invalid_string",
                asked=str(name),
                allowed="a name with at least one Latin letter or digit",
                fix="Give the name at least one letter or digit.",
            )
        ]
    return found


def _slug(name: str) -> str:
    return re.sub("-{2,}", "-", slugify(name).replace("_", "-"))[:NAME_MAX_LENGTH].strip("-")


def _free_names(template: CertificateTemplate) -> Iterator[str]:
    """The wanted name unless another template of the project has it, then names with random ends, without end."""
    wanted = template.name
    others = CertificateTemplate.objects.filter(project_id=template.project_id).exclude(pk=template.pk)
    if not others.filter(name=wanted).exists():
        yield wanted
    while True:
        end = "".join(secrets.choice(_SUFFIX_ALPHABET) for _ in range(_SUFFIX_LENGTH))
        yield f"{wanted[: NAME_MAX_LENGTH - _SUFFIX_LENGTH - 1]}-{end}"


def _saved(template: CertificateTemplate) -> bool:
    """Insert, or tell that somebody took the name a moment ago."""
    try:
        with transaction.atomic():
            template.save(force_insert=True)
    except IntegrityError:
        if CertificateTemplate.objects.filter(project_id=template.project_id, name=template.name).exists():
            return False
        raise
    return True


def _rename(template: CertificateTemplate, wanted: str) -> str:
    before = template.name
    template.name = wanted
    for name in _free_names(template):
        template.name = before
        try:
            with transaction.atomic():
                apply(template, {"name": name})
        except IntegrityError:
            continue
        break
    return template.name
