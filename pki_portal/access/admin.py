"""Django admin for access: every save goes through the services, and what they refuse stands in the form."""

from typing import Any, ClassVar, cast

from allauth.account.admin import EmailAddress
from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.functional import cached_property

from pki_portal.access import services, universal_auth
from pki_portal.access.models import ClientSecret, MachineIdentity, Membership, Project, Role, UniversalAuth, User
from pki_portal.access.permissions import Action, projects_allowing, projects_visible_to
from pki_portal.access.querysets import all_events_visible_to, identities_visible_to, memberships_visible_to
from pki_portal.access.requester import Requester, requester_of
from pki_portal.admin_base import PortalAdmin
from pki_portal.audit.models import AuditEvent
from pki_portal.audit.services import record
from pki_portal.errors import PortalError
from pki_portal.keyset import COUNTED_AT_MOST, count_up_to

# Roles come from memberships: Django's groups would be a second, unread kind of permission.
admin.site.unregister(Group)
# Nothing reads these addresses, and their list would name everybody.
admin.site.unregister(EmailAddress)


class ServiceForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """A form whose saving is a service: it runs while the form is validated, so that a refusal is an error of the form.

    Swallowing it later, in ``save_model``, would make the admin say "added successfully" without a row.
    """

    requester: ClassVar[Requester]

    def perform(self) -> Model:
        """Call the service with the cleaned data and return its row."""
        raise NotImplementedError

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]  # the stubs leave out Django's own hook
        if self.errors:
            return
        try:
            self.instance = self.perform()
        except PortalError as refusal:
            for violation in refusal.violations:
                field = violation.field if violation.field in self.fields else None
                self.add_error(field, f"{violation.allowed}. {violation.fix}")
            if not refusal.violations:
                self.add_error(None, refusal.message)

    def save(self, commit: bool = True) -> Model:
        """Give the row that the service made."""
        self.save_m2m = lambda: None  # type: ignore[method-assign]
        saved: Model = self.instance
        return saved


class ServiceAdmin(PortalAdmin):
    """Base: the form saves, nothing is deleted, and only what the requester may see is listed."""

    def get_form(self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any) -> Any:
        """Give the form class its requester."""
        form = super().get_form(request, obj, change=change, **kwargs)
        return type(form.__name__, (form,), {"requester": requester_of(request)})

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Do nothing: the service has saved."""

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never: what is used elsewhere is revoked or removed by a service."""
        return False

    def apply(self, request: HttpRequest, rows: QuerySet[Any], act: Any, done: str) -> None:
        """Run a service on each row and say for each what came of it."""
        for row in rows:
            try:
                act(row)
            except PortalError as refusal:
                self.message_user(request, f"{row}: {refusal.message}", messages.ERROR)
            else:
                self.message_user(request, f"{row}: {done}", messages.SUCCESS)


class ProjectForm(ServiceForm):
    """Name, slug, description."""

    class Meta:
        """What is edited."""

        model = Project
        fields = ("name", "slug", "description")

    def perform(self) -> Project:
        """Create or update."""
        given = {name: self.cleaned_data[name] for name in ("name", "slug", "description")}
        if self.instance._state.adding:
            return services.create_project(requester=self.requester, **given)
        return services.update_project(requester=self.requester, project_id=self.instance.pk, **given)


@admin.register(Project)
class ProjectAdmin(ServiceAdmin):
    """Projects that the requester may read."""

    form = ProjectForm
    list_display = ("name", "slug", "created_at")
    search_fields = ("name", "slug")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Project]:
        """Only what the requester may read."""
        return projects_visible_to(requester_of(request))


class MembershipForm(ServiceForm):
    """A role for one user or one machine identity. A user is named, not chosen: the list would name everybody."""

    user = forms.ModelChoiceField(
        queryset=User.objects.filter(is_active=True),
        to_field_name="username",
        required=False,
        label="Username",
        widget=forms.TextInput,
    )

    class Meta:
        """What is edited."""

        model = Membership
        fields = ("project", "user", "identity", "role")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "project" in self.fields:
            self.fields["project"].queryset = projects_allowing(  # type: ignore[attr-defined]
                requester=self.requester, action=Action.MEMBERS_EDIT
            )
            self.fields["identity"].queryset = identities_visible_to(self.requester)  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Exactly one kind of member."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if "project" in self.fields and (cleaned.get("user") is None) == (cleaned.get("identity") is None):
            raise forms.ValidationError("Choose a user or a machine identity, not both.")
        return cleaned

    def perform(self) -> Membership:
        """Add the member or change its role."""
        role = Role(self.cleaned_data["role"])
        if not self.instance._state.adding:
            return services.change_role(requester=self.requester, membership=self.instance, role=role)
        project_id, user = self.cleaned_data["project"].pk, self.cleaned_data["user"]
        if user is not None:
            return services.add_user(
                requester=self.requester, project_id=project_id, username=user.get_username(), role=role
            )
        return services.add_identity(
            requester=self.requester,
            project_id=project_id,
            identity_id=self.cleaned_data["identity"].pk,
            role=role,
        )


@admin.register(Membership)
class MembershipAdmin(ServiceAdmin):
    """Who is what where."""

    form = MembershipForm
    list_display = ("project", "user", "identity", "role")
    list_filter = ("role", ("project", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("project", "user", "identity")
    actions = ("remove",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        """Only of projects whose members the requester may read."""
        return memberships_visible_to(requester_of(request))

    def get_readonly_fields(self, request: HttpRequest, obj: Membership | None = None) -> tuple[str, ...]:
        """A membership changes its role, never its member."""
        return () if obj is None else ("project", "user", "identity")

    @admin.action(description="Remove from the project")
    def remove(self, request: HttpRequest, memberships: QuerySet[Membership]) -> None:
        """Take the roles away."""
        requester = requester_of(request)
        self.apply(
            request,
            memberships,
            lambda row: services.remove_member(requester=requester, membership=row),
            "removed from the project",
        )


class MachineIdentityForm(ServiceForm):
    """Name and the right to create projects."""

    class Meta:
        """What is edited."""

        model = MachineIdentity
        fields = ("name", "can_create_projects")

    def perform(self) -> MachineIdentity:
        """Create it, ready to be given secrets, or update it."""
        name, can_create = self.cleaned_data["name"], self.cleaned_data["can_create_projects"]
        if not self.instance._state.adding:
            return services.update_identity(
                requester=self.requester, identity_id=self.instance.pk, name=name, can_create_projects=can_create
            )
        identity = services.create_identity(requester=self.requester, name=name, can_create_projects=can_create)
        universal_auth.attach(requester=self.requester, identity_id=identity.pk)
        return identity


@admin.register(MachineIdentity)
class MachineIdentityAdmin(ServiceAdmin):
    """Programs; a new one gets universal auth, and its secrets are made under client secrets."""

    form = MachineIdentityForm
    list_display = ("name", "client_id", "can_create_projects", "created_at")
    readonly_fields = ("client_id",)
    search_fields = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[MachineIdentity]:
        """Only what the requester may know of."""
        return identities_visible_to(requester_of(request))

    @admin.display(description="client id")
    def client_id(self, identity: MachineIdentity) -> str:
        """The public half of its login."""
        return str(identity.universal_auth.client_id) if hasattr(identity, "universal_auth") else "-"


class ClientSecretForm(ServiceForm):
    """A new secret; its text leaves through the answer to this one request."""

    issued: universal_auth.IssuedSecret

    class Meta:
        """What is given."""

        model = ClientSecret
        fields = ("universal_auth", "description", "num_uses_limit", "ttl")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "universal_auth" not in self.fields:  # a secret that is only looked at
            return
        choices = UniversalAuth.objects.filter(identity__in=identities_visible_to(self.requester))
        field: Any = self.fields["universal_auth"]
        field.label = "Identity"
        field.queryset = choices.select_related("identity")
        field.label_from_instance = lambda configured: configured.identity.name

    def perform(self) -> ClientSecret:
        """Make it."""
        given = self.cleaned_data
        self.issued = universal_auth.create_client_secret(
            requester=self.requester,
            identity_id=given["universal_auth"].identity_id,
            description=given["description"],
            num_uses_limit=given["num_uses_limit"],
            ttl=given["ttl"],
        )
        return self.issued.row


@admin.register(ClientSecret)
class ClientSecretAdmin(ServiceAdmin):
    """Secrets of machine identities: made and revoked, never read again."""

    form = ClientSecretForm
    list_display = ("prefix", "identity", "description", "num_uses", "num_uses_limit", "expires_at", "revoked_at")
    list_select_related = ("universal_auth__identity",)
    actions = ("revoke",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ClientSecret]:
        """Only of identities that the requester may know of."""
        return ClientSecret.objects.filter(universal_auth__identity__in=identities_visible_to(requester_of(request)))

    def has_change_permission(self, request: HttpRequest, obj: ClientSecret | None = None) -> bool:
        """Only for the list and its actions: one secret is looked at, not changed."""
        return obj is None and super().has_change_permission(request, obj)

    @admin.display(description="identity")
    def identity(self, row: ClientSecret) -> str:
        """Whose it is."""
        return row.universal_auth.identity.name

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Hand the text to the answer of this request, and to nothing that is kept."""
        obj.__dict__["shown_once"] = form.issued.client_secret

    def response_add(
        self, request: HttpRequest, obj: ClientSecret, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the secret in the answer to the POST itself: a message or a redirect would store it."""
        return _once(
            request,
            self.admin_site,
            title="Client secret",
            entries={
                "Client id": str(obj.universal_auth.client_id),
                "Client secret": obj.__dict__.pop("shown_once"),
            },
        )

    @admin.action(description="Revoke, with the tokens that it gave")
    def revoke(self, request: HttpRequest, rows: QuerySet[ClientSecret]) -> None:
        """End the secrets."""
        requester = requester_of(request)
        self.apply(
            request,
            rows.select_related("universal_auth"),
            lambda row: universal_auth.revoke_client_secret(
                requester=requester, identity_id=row.universal_auth.identity_id, client_secret_id=row.pk
            ),
            "revoked",
        )


@admin.register(User)
class UserAdmin(PortalAdmin, DjangoUserAdmin):  # type: ignore[type-arg]
    """People, for administrators only: whoever edits accounts could make himself one."""

    actions = ("make_set_password_link",)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Administrators only."""
        return self._is_administrator(request)

    def has_view_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Administrators only."""
        return self._is_administrator(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Administrators only."""
        return self._is_administrator(request)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Administrators only."""
        return self._is_administrator(request)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Never: an account is deactivated, for the record names it."""
        return False

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Record the new account with the admin's own entry."""
        self._record(request, "create-user", obj)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Record the change, a new password too, with the admin's own entry."""
        self._record(request, "update-user", obj)
        return super().log_change(request, obj, message)

    @admin.action(description="Make a one-time link to set the password")
    def make_set_password_link(self, request: HttpRequest, users: QuerySet[User]) -> HttpResponse:
        """Show a link for each account in this answer only."""
        requester = requester_of(request)
        entries = {
            user.get_username(): services.make_set_password_link(requester=requester, user=user) for user in users
        }
        return _once(request, self.admin_site, title="Links to set the password", entries=entries)

    def _record(self, request: HttpRequest, event: str, user: User) -> None:
        record(
            event=event,
            actor=requester_of(request).actor,
            project_id=None,
            subject_type="user",
            subject_id=str(user.pk),
            data={
                "username": user.get_username(),
                "isActive": user.is_active,
                "isStaff": user.is_staff,
                "isSuperuser": user.is_superuser,
            },
        )

    @staticmethod
    def _is_administrator(request: HttpRequest) -> bool:
        return request.user.is_active and isinstance(request.user, User) and request.user.is_superuser


class BoundedPaginator(Paginator[Any]):
    """Of tables that grow without bound: rows are counted, and can be paged through, up to 10,000."""

    @cached_property
    def count(self) -> int:
        """How many there are, or 10,000."""
        return min(count_up_to(cast("QuerySet[Any]", self.object_list), COUNTED_AT_MOST), COUNTED_AT_MOST)


@admin.register(AuditEvent)
class AuditEventAdmin(PortalAdmin):
    """What happened, to be read only. It stands here since the audit knows nobody's rights."""

    list_display = ("id", "occurred_at", "event", "outcome", "actor_kind", "actor_name", "address", "subject_type")
    list_filter = ("outcome", "actor_kind", "event")
    search_fields = ("actor_name", "subject_id", "request_id", "address")
    paginator = BoundedPaginator
    show_full_result_count = False
    actions = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEvent]:
        """Only of projects whose log the requester may read."""
        return all_events_visible_to(requester_of(request))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: AuditEvent | None = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False


def _once(request: HttpRequest, site: admin.AdminSite, *, title: str, entries: dict[str, str]) -> HttpResponse:
    """Answer with secrets that no other page will show."""
    answer = TemplateResponse(
        request, "access/admin_once.html", {**site.each_context(request), "title": title, "entries": entries.items()}
    )
    answer["Cache-Control"] = "no-store"
    return answer
