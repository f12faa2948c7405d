"""Django admin for CAs, through their services; what was signed or published is read-only, and keys are not shown."""

from dataclasses import fields
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.text import Truncator

from certificates.models import (
    Approval,
    ApprovalMail,
    ApprovalPolicy,
    ApprovalRequest,
    AuthorityCertificate,
    AuthorityKey,
    Certificate,
    CertificateAuthority,
    CertificateRequest,
    CertificateRevocationList,
    CertificateSecret,
    RevocationEntry,
)
from certificates.models.authority import AuthorityKind, AuthorityStatus
from certificates.querysets import matching
from certificates.services.authorities import (
    AuthoritySubject,
    create_intermediate,
    create_root,
    delete_authority,
    update_authority,
)
from certificates.x509.keys import key_identifier, load_public_key
from pki_portal.access.admin import BoundedPaginator, ServiceAdmin
from pki_portal.access.models import Project
from pki_portal.access.permissions import Action, projects_allowing
from pki_portal.access.requester import requester_of
from pki_portal.admin_base import PortalAdmin
from profiles.admin import RefusalForm
from profiles.policy.vocabulary import KeyAlgorithm

ISSUE_LINKS = 20
_SUBJECT = tuple(field.name for field in fields(AuthoritySubject))
_NEW = (
    "project",
    "name",
    "kind",
    "parent",
    "friendly_name",
    *_SUBJECT,
    "key_algorithm",
    "not_before",
    "not_after",
    "max_path_length",
)
_CHANGEABLE = ("name", "status")


class AuthorityForm(RefusalForm):
    """A new CA; of one that exists, its name and whether it is enabled."""

    class Meta:
        """What is edited."""

        model = CertificateAuthority
        fields = (*_NEW, "status")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "project" in self.fields:
            projects = projects_allowing(requester=self.requester, action=Action.CERTIFICATE_AUTHORITIES_CREATE)
            choices: Any = self.fields
            choices["project"].queryset = projects
            choices["parent"].queryset = CertificateAuthority.objects.filter(project__in=projects)
            self.fields["key_algorithm"] = forms.ChoiceField(
                choices=[(algorithm.value, algorithm.value) for algorithm in KeyAlgorithm],
                initial=KeyAlgorithm.EC_SECP384R1,
            )

    def field_of(self, path: str) -> str:
        """The fields here have the names that the services use."""
        return path

    def saved(self) -> CertificateAuthority:
        """Create, rename, enable or disable."""
        given = self.cleaned_data
        if not self.instance._state.adding:
            return update_authority(
                requester=self.requester,
                authority=self.instance,
                name=given["name"],
                status=AuthorityStatus(given["status"]),
            )
        asked: dict[str, Any] = {
            "requester": self.requester,
            "project": given["project"],
            "name": given["name"],
            "subject": AuthoritySubject(**{name: given[name] for name in _SUBJECT}),
            "key_algorithm": KeyAlgorithm(given["key_algorithm"]),
            "friendly_name": given["friendly_name"],
            **{name: given[name] for name in ("not_before", "not_after", "max_path_length")},
        }
        if given["kind"] == AuthorityKind.ROOT:
            return create_root(**asked)
        return create_intermediate(**asked, parent=given["parent"])


@admin.register(CertificateAuthority)
class CertificateAuthorityAdmin(ServiceAdmin):
    """CAs of the projects whose CAs the requester may read."""

    form = AuthorityForm
    list_display = ("name", "project", "kind", "status", "parent", "key_algorithm", "not_after")
    list_filter = (("project", admin.RelatedOnlyFieldListFilter), "kind", "status")
    list_select_related = ("project", "parent")
    search_fields = ("name", "common_name")
    actions = ("disable", "enable", "remove")

    def get_queryset(self, request: HttpRequest) -> QuerySet[CertificateAuthority]:
        """Only what the requester may read."""
        projects = projects_allowing(requester=requester_of(request), action=Action.CERTIFICATE_AUTHORITIES_READ)
        return CertificateAuthority.objects.filter(project__in=projects)

    def get_fields(self, request: HttpRequest, obj: CertificateAuthority | None = None) -> Any:
        """A new CA is given everything but a state."""
        return _NEW if obj is None else (*_CHANGEABLE, *self.get_readonly_fields(request, obj))

    def get_readonly_fields(self, request: HttpRequest, obj: CertificateAuthority | None = None) -> tuple[str, ...]:
        """What the certificate says stays."""
        if obj is None:
            return ()
        unchangeable = tuple(name for name in _NEW if name not in _CHANGEABLE)
        limits = ("chain_phase", "name_constraints", "crl_distribution_point_urls")
        return (*unchangeable, *limits, "active_certificate", "id", "created_at", "updated_at")

    @admin.action(description="Disable: no new certificates")
    def disable(self, request: HttpRequest, authorities: QuerySet[CertificateAuthority]) -> None:
        """Disable each, or say why not."""
        self._set_status(request, authorities, AuthorityStatus.DISABLED, "disabled")

    @admin.action(description="Enable")
    def enable(self, request: HttpRequest, authorities: QuerySet[CertificateAuthority]) -> None:
        """Enable each, or say why not."""
        self._set_status(request, authorities, AuthorityStatus.ACTIVE, "enabled")

    def _set_status(
        self,
        request: HttpRequest,
        authorities: QuerySet[CertificateAuthority],
        status: AuthorityStatus,
        done: str,
    ) -> None:
        requester = requester_of(request)
        self.apply(
            request,
            authorities,
            lambda row: update_authority(requester=requester, authority=row, status=status),
            done,
        )

    @admin.action(description="Delete, where nothing depends on it")
    def remove(self, request: HttpRequest, authorities: QuerySet[CertificateAuthority]) -> None:
        """Delete each, or say why not."""
        requester = requester_of(request)
        self.apply(
            request,
            authorities,
            lambda row: delete_authority(requester=requester, authority=row),
            "deleted",
        )


# --- Read-only --------------------------------------------------------------------------------------------------------


class OfProjectsFilter(admin.RelatedFieldListFilter):
    """Projects that the requester may read, or what is in them; not only those that rows name, which would be looked
    for among all rows.
    """

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> Any:
        """What can be chosen."""
        projects = projects_allowing(requester=requester_of(request), action=model_admin.action)
        path = "pk__in" if field.related_model is Project else "project__in"
        return field.get_choices(include_blank=False, limit_choices_to={path: projects})


class ReadOnlyAdmin(PortalAdmin):
    """Rows of projects where the requester may do ``action``; ``fields`` name all that is shown.

    ``unread`` names columns that no list shows and that may be long; keys and encodings among them.
    """

    action: Action
    project_path = "project"
    unread: tuple[str, ...] = ()
    actions = None
    paginator = BoundedPaginator
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Only what the requester may read."""
        projects = projects_allowing(requester=requester_of(request), action=self.action)
        return super().get_queryset(request).filter(**{f"{self.project_path}__in": projects}).defer(*self.unread)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never."""
        return False


@admin.register(AuthorityKey)
class AuthorityKeyAdmin(ReadOnlyAdmin):
    """That there is a key, and which one."""

    action = Action.CERTIFICATE_AUTHORITIES_READ
    project_path = "authority__project"
    list_display = ("id", "authority", "key_store", "created_at")
    list_select_related = ("authority",)
    unread = ("subject_public_key_info", "sealed_private_key")
    fields = readonly_fields = (
        "id",
        "authority",
        "key_store",
        "token_label",
        "subject_key_identifier",
        "created_at",
    )

    @admin.display(description="Subject key identifier")
    def subject_key_identifier(self, key: AuthorityKey) -> str:
        """As its certificates say it, in hex."""
        return key_identifier(load_public_key(bytes(key.subject_public_key_info))).hex()


@admin.register(AuthorityCertificate)
class AuthorityCertificateAdmin(ReadOnlyAdmin):
    """Versions of CAs' own certificates."""

    action = Action.CERTIFICATE_AUTHORITIES_READ
    project_path = "authority__project"
    list_display = ("authority", "version", "serial_number", "not_before", "not_after", "revoked_at")
    list_select_related = ("authority",)
    search_fields = ("serial_number", "authority__name")
    unread = ("der", "external_chain")
    fields = (
        "id",
        "authority",
        "version",
        "serial_number",
        "issuer_certificate",
        "path_length",
        "not_before",
        "not_after",
        "revoked_at",
        "created_at",
    )


@admin.register(CertificateRevocationList)
class CertificateRevocationListAdmin(ReadOnlyAdmin):
    """Current CRLs."""

    action = Action.CERTIFICATE_AUTHORITIES_READ
    project_path = "key__authority__project"
    list_display = ("id", "authority", "number", "entry_count", "this_update", "next_update")
    list_select_related = ("key__authority",)
    unread = ("der", "key__subject_public_key_info", "key__sealed_private_key")
    fields = readonly_fields = (
        "id",
        "authority",
        "number",
        "entry_count",
        "this_update",
        "next_update",
        "scheduled_at",
        "revision",
        "published_revision",
        "shard_generation",
    )

    @admin.display(description="CA")
    def authority(self, revocation_list: CertificateRevocationList) -> str:
        """Whose."""
        return revocation_list.key.authority.name


@admin.register(RevocationEntry)
class RevocationEntryAdmin(ReadOnlyAdmin):
    """What was revoked or put on hold; revoking is the portal's dialog, on the certificate's page."""

    action = Action.CERTIFICATES_READ
    project_path = "revocation_list__key__authority__project"
    list_display = ("serial_number", "certificate", "reason", "revoked_at", "released_at", "actor_name")
    list_filter = ("reason", ("revocation_list__key__authority", OfProjectsFilter))
    list_select_related = ("certificate",)
    search_fields = ("serial_number", "actor_name")
    unread = ("der", "certificate__der")
    fields = (
        "id",
        "certificate",
        "authority_certificate",
        "serial_number",
        "reason",
        "revoked_at",
        "invalidity_date",
        "released_at",
        "not_after",
        "revocation_list",
        "shard",
        "actor_kind",
        "actor_id",
        "actor_name",
    )


@admin.register(Certificate)
class CertificateAdmin(ReadOnlyAdmin):
    """Certificates; issuing is the portal's dialog, to which this page links."""

    action = Action.CERTIFICATES_READ
    change_list_template = "admin/certificates/certificate/change_list.html"
    list_display = ("short_name", "project", "status", "serial_number", "authority", "not_after", "created_at")
    list_filter = (
        ("project", OfProjectsFilter),
        "status",
        "source",
        ("authority", OfProjectsFilter),
    )
    list_select_related = ("project", "authority")
    unread = ("der", "external_chain", "lint_findings", "metadata")
    search_fields = ("common_name", "alt_names", "friendly_name", "serial_number")
    fields = (
        "id",
        "project",
        "profile",
        "request",
        "authority",
        "authority_certificate",
        "status",
        "serial_number",
        *_SUBJECT,
        "alt_names",
        "key_usages",
        "extended_key_usages",
        "key_algorithm",
        "signature_algorithm",
        "is_ca",
        "path_length",
        "not_before",
        "not_after",
        "fingerprint_sha256",
        "source",
        "friendly_name",
        "key_source",
        "metadata",
        "lint_findings",
        "renewed_from",
        "renew_at",
        "renewal_error",
        "revoked_at",
        "revocation_reason",
        "created_at",
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Certificate], search_term: str
    ) -> tuple[QuerySet[Certificate], bool]:
        """As the portal searches, by the same indexes."""
        return matching(queryset, search_term.replace("\x00", "")), False

    @admin.display(description="certificate")
    def short_name(self, certificate: Certificate) -> str:
        """Its name; without a common name that is all its other names, which may be a thousand."""
        return Truncator(str(certificate)).chars(64)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Add the links to the dialogs."""
        projects = projects_allowing(
            requester=requester_of(request), action=Action.CERTIFICATE_PROFILES_ISSUE_CERT
        ).order_by("name")[:ISSUE_LINKS]
        links = [(project.name, reverse("issue", args=[project.slug])) for project in projects]
        return super().changelist_view(request, {"issue_links": links, **(extra_context or {})})


@admin.register(CertificateSecret)
class CertificateSecretAdmin(ReadOnlyAdmin):
    """Which private keys are kept, and what became of those that were; never a key."""

    action = Action.CERTIFICATES_READ
    project_path = "certificate__project"
    list_display = ("certificate", "retention", "created_at", "claimed_at", "destroyed_at")
    list_filter = ("retention",)
    list_select_related = ("certificate",)
    search_fields = ("certificate__serial_number", "certificate__common_name")
    unread = ("sealed_private_key", "certificate__der")
    fields = readonly_fields = (
        "id",
        "certificate",
        "retention",
        "created_at",
        "claimed_at",
        "claimed_by",
        "destroyed_at",
        "destroyed_by",
    )


@admin.register(CertificateRequest)
class CertificateRequestAdmin(ReadOnlyAdmin):
    """What was asked, and what came of it."""

    action = Action.CERTIFICATE_REQUESTS_READ
    list_display = ("__str__", "project", "profile_slug", "method", "status", "requester_name", "created_at")
    list_filter = (("project", OfProjectsFilter), "status", "method")
    list_select_related = ("project",)
    search_fields = ("common_name", "profile_slug", "requester_name")
    unread = ("asked", "csr", "error_message", "violations", "warnings", "decision", "metadata")
    fields = (
        "id",
        "project",
        "profile",
        "profile_slug",
        "profile_version",
        "template_version",
        "method",
        "status",
        "common_name",
        "asked",
        "csr",
        "requester_kind",
        "requester_id",
        "requester_name",
        "error_message",
        "violations",
        "warnings",
        "decision",
        "metadata",
        "certificate_deleted_at",
        "created_at",
    )


@admin.register(ApprovalPolicy)
class ApprovalPolicyAdmin(ReadOnlyAdmin):
    """Who must agree to what; policies are made and changed on the pages of the project."""

    action = Action.APPROVAL_POLICIES_READ
    list_display = ("name", "project", "is_for_all_profiles", "bypass_for_machine_identities", "max_request_ttl")
    list_filter = (("project", OfProjectsFilter),)
    list_select_related = ("project",)
    search_fields = ("name",)
    fields = (
        "id",
        "project",
        "name",
        "is_for_all_profiles",
        "profiles",
        "steps",
        "bypass_for_machine_identities",
        "max_request_ttl",
        "created_at",
        "updated_at",
    )


@admin.register(ApprovalRequest)
class ApprovalRequestAdmin(ReadOnlyAdmin):
    """What waits, or waited, for whom; approving is the page of the request."""

    action = Action.CERTIFICATE_REQUESTS_READ
    project_path = "request__project"
    list_display = ("request", "created_at", "expires_at", "approved_at", "closed_by")
    list_select_related = ("request",)
    search_fields = ("request__common_name", "request__requester_name")
    unread = ("request__csr", "request__decision")
    fields = (
        "id",
        "request",
        "steps",
        "expires_at",
        "approved_at",
        "closed_at",
        "closed_by",
        "comment",
        "due_at",
        "attempts",
        "last_error",
        "gave_up_at",
        "created_at",
    )


@admin.register(Approval)
class ApprovalAdmin(ReadOnlyAdmin):
    """Who agreed, and when."""

    action = Action.CERTIFICATE_REQUESTS_READ
    project_path = "approval_request__request__project"
    list_display = ("user_name", "approval_request", "step", "created_at")
    search_fields = ("user_name",)
    fields = ("id", "approval_request", "step", "user_id", "user_name", "comment", "created_at")


@admin.register(ApprovalMail)
class ApprovalMailAdmin(ReadOnlyAdmin):
    """Who was told by mail, and what stands in the way."""

    action = Action.CERTIFICATE_REQUESTS_READ
    project_path = "approval_request__request__project"
    list_display = ("user_id", "approval_request", "step", "sent_at", "last_error")
    fields = (
        "id",
        "approval_request",
        "step",
        "user_id",
        "sent_at",
        "due_at",
        "attempts",
        "last_error",
        "gave_up_at",
    )
