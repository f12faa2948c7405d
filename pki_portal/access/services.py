"""Changing who may do what where: projects, members, machine identities and the links that let people in.

Every function checks what its requester may do, writes its audit event in the same transaction, and records a refusal
of its own.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.crypto import get_random_string
from django.utils.text import slugify

from pki_portal.access.models import (
    SLUG_MAX_LENGTH,
    MachineIdentity,
    Membership,
    Project,
    Role,
    SetPasswordLink,
    User,
)
from pki_portal.access.permissions import (
    Action,
    projects_allowing,
    require,
    require_project_creation,
)
from pki_portal.access.querysets import identities_visible_to
from pki_portal.access.requester import Requester
from pki_portal.access.texts import check_description, check_name
from pki_portal.access.tokens import hash_of, new_link_token
from pki_portal.audit.services import JSON, Actor, record, recorded_refusals
from pki_portal.errors import Forbidden, Gone, Invalid, NotFound, PermissionDenied, Violation

SLUG_MIN_LENGTH = 5
SET_PASSWORD_LINK_LIFE = timedelta(hours=24)
_SUFFIX_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


# --- Projects ---------------------------------------------------------------------------------------------------------


def create_project(*, requester: Requester, name: str, slug: str | None = None, description: str = "") -> Project:
    """Make a project; a user or identity that makes one becomes its admin. Without ``slug`` one is made from the name.

    Raises PermissionDenied, or Invalid for a slug that is taken or none.
    """
    with _recorded(requester, "create-project", None, "project", "", name=name):
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
    with _recorded(requester, "update-project", project_id, "project", str(project_id)):
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


# --- Members ----------------------------------------------------------------------------------------------------------


def add_user(*, requester: Requester, project_id: UUID, username: str, role: Role) -> Membership:
    """Give a user a first role in a project. Raises NotFound, PermissionDenied, Invalid where it has one."""
    with _recorded(requester, "add-project-member", project_id, "user", username, role=role.value):
        require(requester=requester, action=Action.MEMBERS_EDIT, project_id=project_id)
        user = User.objects.filter(username=username, is_active=True).first()
        if user is None:
            raise NotFound(f"User {username} was not found.")
        return _add(requester, "add-project-member", project_id, role, user=user)


def add_identity(*, requester: Requester, project_id: UUID, identity_id: UUID, role: Role) -> Membership:
    """Give a machine identity a first role in a project. Raises NotFound, PermissionDenied, Invalid if it has one.

    Needs control of the identity besides: whoever brings it into a project of theirs takes part in that control, and
    would otherwise take it from the admins who had it.
    """
    event = "create-identity-project-membership"
    with _recorded(requester, event, project_id, "identity", str(identity_id), role=role.value):
        require(requester=requester, action=Action.IDENTITIES_EDIT, project_id=project_id)
        identity = get_identity(requester=requester, identity_id=identity_id)
        require_identity_control(requester=requester, identity=identity)
        return _add(requester, event, project_id, role, identity=identity)


def _add(
    requester: Requester,
    event: str,
    project_id: UUID,
    role: Role,
    *,
    user: User | None = None,
    identity: MachineIdentity | None = None,
) -> Membership:
    member = user or identity
    with transaction.atomic():
        try:
            with transaction.atomic():
                membership = Membership.objects.create(project_id=project_id, user=user, identity=identity, role=role)
        except IntegrityError:
            raise Invalid(f"{member} is a member of the project already: change its role instead.") from None
        record(
            event=event,
            actor=requester.actor,
            project_id=project_id,
            subject_type="user" if user else "identity",
            subject_id=str(member.pk if member else ""),
            data={"role": role.value, "name": str(member)},
        )
    return membership


def change_role(*, requester: Requester, membership: Membership, role: Role) -> Membership:
    """Give a member another role. Raises NotFound, PermissionDenied, Forbidden for the last admin."""
    event = "update-project-member" if membership.user_id else "update-identity-project-membership"
    with _recorded(requester, event, membership.project_id, *_subject_of(membership), role=role.value):
        require(requester=requester, action=_edit_action(membership), project_id=membership.project_id)
        with transaction.atomic():
            current = _locked(membership)
            if role is not Role.ADMIN:
                _keep_an_admin(current)
            before, current.role = current.role, role
            current.save(update_fields=["role", "updated_at"])
            _record_membership(requester, event, current, {"before": before, "after": role.value})
    return current


def remove_member(*, requester: Requester, membership: Membership) -> Membership:
    """Take a member's role away. Raises NotFound, PermissionDenied, Forbidden for the last admin."""
    event = "remove-project-member" if membership.user_id else "delete-identity-project-membership"
    with _recorded(requester, event, membership.project_id, *_subject_of(membership)):
        require(requester=requester, action=_edit_action(membership), project_id=membership.project_id)
        with transaction.atomic():
            current = _locked(membership)
            _keep_an_admin(current)
            Membership.objects.filter(pk=current.pk).delete()
            _record_membership(requester, event, current, {"role": current.role})
    return current


def _edit_action(membership: Membership) -> Action:
    return Action.MEMBERS_EDIT if membership.user_id else Action.IDENTITIES_EDIT


def _subject_of(membership: Membership) -> tuple[str, str]:
    if membership.user_id:
        return "user", str(membership.user_id)
    return "identity", str(membership.identity_id)


def _locked(membership: Membership) -> Membership:
    """Read the row again under a lock on its project, so that two admins cannot each remove the other."""
    Project.objects.select_for_update().get(pk=membership.project_id)
    current = Membership.objects.select_related("user", "identity", "project").filter(pk=membership.pk).first()
    if current is None:
        raise NotFound("The membership was not found.")
    return current


def _keep_an_admin(membership: Membership) -> None:
    admins = Membership.objects.filter(project_id=membership.project_id, role=Role.ADMIN)
    if membership.role == Role.ADMIN and not admins.exclude(pk=membership.pk).exists():
        raise Forbidden("The last admin of a project stays: make another member admin first.")


def _record_membership(requester: Requester, event: str, membership: Membership, data: dict[str, str]) -> None:
    subject_type, subject_id = _subject_of(membership)
    record(
        event=event,
        actor=requester.actor,
        project_id=membership.project_id,
        subject_type=subject_type,
        subject_id=subject_id,
        data={**data, "name": str(membership.user or membership.identity)},
    )


# --- Machine identities -----------------------------------------------------------------------------------------------


def create_identity(*, requester: Requester, name: str, can_create_projects: bool = False) -> MachineIdentity:
    """Make a machine identity that may do nothing yet. Raises PermissionDenied.

    Who may: an administrator, whoever may create projects, and an admin of any project. Only an administrator hands on
    the right to create projects.
    """
    with _recorded(requester, "create-identity", None, "identity", "", name=name):
        _require_identity_creation(requester, can_create_projects=can_create_projects)
        check_name(name)
        with transaction.atomic():
            identity = MachineIdentity.objects.create(
                name=name,
                can_create_projects=can_create_projects,
                created_by_user_id=requester.user_id,
                created_by_identity_id=requester.identity_id,
            )
            record(
                event="create-identity",
                actor=requester.actor,
                project_id=None,
                subject_type="identity",
                subject_id=str(identity.pk),
                data={"name": name, "canCreateProjects": can_create_projects},
            )
    return identity


def update_identity(
    *, requester: Requester, identity_id: UUID, name: str, can_create_projects: bool | None = None
) -> MachineIdentity:
    """Change the name, and for an administrator the right to create projects. Raises NotFound, PermissionDenied."""
    with _recorded(requester, "update-identity", None, "identity", str(identity_id)):
        identity = get_identity(requester=requester, identity_id=identity_id)
        require_identity_control(requester=requester, identity=identity)
        if can_create_projects is None:
            can_create_projects = identity.can_create_projects
        if can_create_projects and not identity.can_create_projects:
            _require_identity_creation(requester, can_create_projects=True)
        check_name(name)
        before: dict[str, JSON] = {"name": identity.name, "canCreateProjects": identity.can_create_projects}
        with transaction.atomic():
            identity.name = name
            identity.can_create_projects = can_create_projects
            identity.save(update_fields=["name", "can_create_projects", "updated_at"])
            record(
                event="update-identity",
                actor=requester.actor,
                project_id=None,
                subject_type="identity",
                subject_id=str(identity.pk),
                data={"before": before, "after": {"name": name, "canCreateProjects": can_create_projects}},
            )
    return identity


def get_identity(*, requester: Requester, identity_id: UUID) -> MachineIdentity:
    """Find an identity that the requester may know of. Raises NotFound."""
    identity = identities_visible_to(requester).filter(pk=identity_id).first()
    if identity is None:
        raise NotFound(f"Machine identity {identity_id} was not found.")
    return identity


def require_identity_control(*, requester: Requester, identity: MachineIdentity) -> None:
    """Return if ``requester`` may change the identity and make secrets for it, else raise PermissionDenied. Two
    queries.

    A secret gives everything that the identity may do, so control needs an admin of *every* project that the identity
    is a member of, and the right to create projects where it has that; of an identity in no project the creator has it,
    never the identity itself.
    """
    if requester.is_unlimited:
        return
    if identity.can_create_projects and not requester.can_create_projects:
        raise PermissionDenied(f"{identity.name} may create projects and {requester.name} may not.")
    projects = set(identity.memberships.values_list("project_id", flat=True))
    if not projects:
        if _is_creator(requester, identity):
            return
        raise PermissionDenied(f"Only its creator may change {identity.name} while it is in no project.")
    allowed = projects_allowing(requester=requester, action=Action.IDENTITIES_EDIT)
    if projects - set(allowed.filter(pk__in=projects).values_list("pk", flat=True)):
        raise PermissionDenied(f"Only an admin of every project that {identity.name} is in may change it.")


def require_identity_revocation(*, requester: Requester, identity: MachineIdentity) -> None:
    """Return if ``requester`` may end the identity's secrets and tokens, else raise PermissionDenied. At most three
    queries.

    Less than control: an admin of *any* of its projects can stop at once what acts there.
    """
    allowed = projects_allowing(requester=requester, action=Action.IDENTITIES_EDIT)
    if not identity.memberships.filter(project__in=allowed).exists():
        require_identity_control(requester=requester, identity=identity)


def _require_identity_creation(requester: Requester, *, can_create_projects: bool) -> None:
    if requester.is_unlimited:
        return
    if can_create_projects:
        raise PermissionDenied("Only an administrator hands on the right to create projects.")
    allowed = projects_allowing(requester=requester, action=Action.IDENTITIES_CREATE)
    if not requester.can_create_projects and not allowed.exists():
        raise PermissionDenied(f"{requester.name} may not create machine identities: it is admin of no project.")


def _is_creator(requester: Requester, identity: MachineIdentity) -> bool:
    if requester.kind == "user":
        return identity.created_by_user_id == requester.user_id
    return identity.created_by_identity_id == requester.identity_id


# --- Letting people in ------------------------------------------------------------------------------------------------


def make_set_password_link(*, requester: Requester, user: User) -> str:
    """Make an absolute address, good once and for 24 hours, at which ``user`` sets a password. The caller hands it over
    and forgets it.

    Whoever has it has the account: raises PermissionDenied unless an administrator or a command asks.
    """
    event = "create-set-password-link"
    with _recorded(requester, event, None, "user", str(user.pk), username=user.get_username()):
        if not requester.is_unlimited:
            raise PermissionDenied("Only an administrator makes links to set a password.")
        token = new_link_token()
        now = timezone.now()
        with transaction.atomic():
            link = SetPasswordLink.objects.create(
                user=user, token_hash=hash_of(token), expires_at=now + SET_PASSWORD_LINK_LIFE
            )
            record(
                event=event,
                actor=requester.actor,
                project_id=None,
                subject_type="user",
                subject_id=str(user.pk),
                data={"username": user.get_username(), "linkId": str(link.pk)},
            )
    return f"{settings.SITE_URL}/accounts/set-password/{token}/"


def find_set_password_link(*, token: str) -> SetPasswordLink:
    """Find the link of a token that still opens. Raises Gone otherwise, whatever the reason."""
    link = SetPasswordLink.objects.select_related("user").filter(token_hash=hash_of(token)).first()
    return _usable(link)


def get_set_password_link(*, link_id: UUID) -> SetPasswordLink:
    """Find a link by its row id while it still opens. Raises Gone."""
    return _usable(SetPasswordLink.objects.select_related("user").filter(pk=link_id).first())


def _usable(link: SetPasswordLink | None) -> SetPasswordLink:
    if link is None or link.used_at is not None or link.expires_at <= timezone.now() or not link.user.is_active:
        raise Gone("This link has been used or has expired. Ask an administrator for a new one.")
    return link


def set_password(*, link: SetPasswordLink, password: str, actor: Actor) -> User:
    """Use up the link and set the password; every other open link of the person ends too.

    Raises Gone where someone was faster, Invalid with a violation for each fault of the password.
    """
    user = link.user
    try:
        validate_password(password, user)
    except ValidationError as problem:
        raise Invalid(
            "The password is too easy to guess.",
            violations=[
                Violation("password", "weak_password", "the password rules", "", "a longer, less common one", message)
                for message in problem.messages
            ],
        ) from None
    now = timezone.now()
    with transaction.atomic():
        used = SetPasswordLink.objects.filter(pk=link.pk, used_at=None, expires_at__gt=now).update(used_at=now)
        if not used:
            raise Gone("This link has been used or has expired. Ask an administrator for a new one.")
        SetPasswordLink.objects.filter(user=user, used_at=None).update(used_at=now)
        user.set_password(password)
        user.save(update_fields=["password"])
        record(
            event="set-password",
            actor=actor,
            project_id=None,
            subject_type="user",
            subject_id=str(user.pk),
            data={"username": user.get_username(), "linkId": str(link.pk)},
        )
    return user


# --- Refusals ---------------------------------------------------------------------------------------------------------


@contextmanager
def _recorded(
    requester: Requester, event: str, project_id: UUID | None, subject_type: str, subject_id: str, **data: str
) -> Iterator[None]:
    with recorded_refusals(
        event=event,
        actor=requester.actor,
        project_id=project_id,
        subject_type=subject_type,
        subject_id=subject_id,
        data=data,
    ):
        yield
