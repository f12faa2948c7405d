"""Making and changing projects."""

import re
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils.crypto import get_random_string
from django.utils.text import slugify

from pki_portal.access.models import (
    SLUG_MAX_LENGTH,
    Membership,
    Project,
    Role,
)
from pki_portal.access.permissions import (
    Action,
    require,
    require_project_creation,
)
from pki_portal.access.requester import Requester
from pki_portal.access.services.refusals import recorded
from pki_portal.access.texts import check_description, check_name
from pki_portal.audit.services import record
from pki_portal.errors import Invalid, Violation

SLUG_MIN_LENGTH = 5
_SUFFIX_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


def create_project(*, requester: Requester, name: str, slug: str | None = None, description: str = "") -> Project:
    """Make a project; a user or identity that makes one becomes its admin. Without ``slug`` one is made from the name.

    Raises PermissionDenied, or Invalid for a slug that is taken or none.
    """
    with recorded(requester, "create-project", None, "project", "", name=name):
        require_project_creation(requester=requester)
        check_name(name)
        check_description(description)
        with transaction.atomic():
            project = _insert_project(name=name, slug=slug, description=description)
            if requester.kind != "system":
                Membership.objects.create(
                    project=project, user_id=requester.user_id, identity_id=requester.identity_id, role=Role.ADMIN
                )
            record(
                event="create-project",
                actor=requester.actor,
                project_id=project.pk,
                subject_type="project",
                subject_id=str(project.pk),
                data={"name": project.name, "slug": project.slug},
            )
    return project


def update_project(
    *,
    requester: Requester,
    project_id: UUID,
    name: str | None = None,
    slug: str | None = None,
    description: str | None = None,
) -> Project:
    """Change what is given and leave the rest. Raises NotFound, PermissionDenied, Invalid."""
    with recorded(requester, "update-project", project_id, "project", str(project_id)):
        require(requester=requester, action=Action.PROJECTS_EDIT, project_id=project_id)
        if name is not None:
            check_name(name)
        if slug is not None:
            _check_slug(slug)
        if description is not None:
            check_description(description)
        changes = {
            key: value
            for key, value in (("name", name), ("slug", slug), ("description", description))
            if value is not None
        }
        with transaction.atomic():
            project = Project.objects.select_for_update().get(pk=project_id)
            before = {key: str(getattr(project, key)) for key in changes}
            for key, value in changes.items():
                setattr(project, key, value)
            try:
                with transaction.atomic():
                    project.save(update_fields=[*changes, "updated_at"])
            except IntegrityError:
                raise _slug_taken(slug or "") from None
            record(
                event="update-project",
                actor=requester.actor,
                project_id=project_id,
                subject_type="project",
                subject_id=str(project_id),
                data={"before": before, "after": changes},
            )
    return project


def _insert_project(*, name: str, slug: str | None, description: str) -> Project:
    if slug is not None:
        _check_slug(slug)
        project = _try_insert(name=name, slug=slug, description=description)
        if project is None:
            raise _slug_taken(slug)
        return project
    base = re.sub("[-_]+", "-", slugify(name))[:SLUG_MAX_LENGTH].strip("-")
    if len(base) >= SLUG_MIN_LENGTH:
        project = _try_insert(name=name, slug=base, description=description)
        if project is not None:
            return project
    stem = base[: SLUG_MAX_LENGTH - 7].strip("-") or "project"
    while True:  # 36**6 endings: a second round is already rare
        unique = f"{stem}-{get_random_string(6, _SUFFIX_ALPHABET)}"
        project = _try_insert(name=name, slug=unique, description=description)
        if project is not None:
            return project


def _try_insert(*, name: str, slug: str, description: str) -> Project | None:
    """Insert, or None where the slug is taken: the constraint decides, so two at once cannot both have it."""
    try:
        with transaction.atomic():
            return Project.objects.create(name=name, slug=slug, description=description)
    except IntegrityError:
        if not Project.objects.filter(slug=slug).exists():
            raise
        return None


def _is_slug(text: str) -> bool:
    return 0 < len(text) <= SLUG_MAX_LENGTH and slugify(text) == text and "_" not in text and "--" not in text


def _check_slug(slug: str) -> None:
    if not _is_slug(slug):
        raise Invalid(
            f"{slug!r} is no slug.",
            violations=(
                Violation(
                    field="slug",
                    code="invalid_slug",
                    rule="the form of a slug",
                    asked=slug,
                    allowed=f"1 to {SLUG_MAX_LENGTH} lower-case letters, digits and single hyphens between them",
                    fix=f"Use {slugify(slug)[:SLUG_MAX_LENGTH].strip('-_') or 'letters and digits'}.",
                ),
            ),
        )


def _slug_taken(slug: str) -> Invalid:
    return Invalid(
        f"The slug {slug} is taken.",
        violations=(
            Violation(
                field="slug",
                code="slug_taken",
                rule="slugs are unique in the installation",
                asked=slug,
                allowed="a slug that no project has",
                fix="Choose another slug, or leave it out to have one made.",
            ),
        ),
    )
