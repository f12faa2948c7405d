"""Templates and profiles over HTTP: each view reads, calls one service, and answers."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view, inline_serializer
from rest_framework.request import Request
from rest_framework.response import Response

from pki_portal.access.permissions import Action, require
from pki_portal.rest import WirePaginator, read
from pki_portal.rest.schema import answers, listed, wrapped
from profiles.api.doors import ProfilesView, read_id
from profiles.api.preview import PREVIEW, is_preview, preview_answer, renewal_warnings, saved_or_preview
from profiles.api.serializers import (
    CertificateProfileDetailSerializer,
    CertificateProfileSerializer,
    CertificateTemplateChangesSerializer,
    CertificateTemplateSerializer,
    ListProfilesQuery,
    ListTemplatesQuery,
    NewCertificateProfileSerializer,
    NewCertificateTemplateSerializer,
    PatchCertificateProfileSerializer,
    PresetsQuery,
    ReadProfileBySlugQuery,
    ReadProfileQuery,
    TemplatePresetSerializer,
    default_warning,
    risk_warning,
)
from profiles.impact import Impact
from profiles.models import CertificateProfile, CertificateTemplate
from profiles.models.template import RULES
from profiles.policy.risks import RiskCode, risks_of
from profiles.presets import PRESETS
from profiles.querysets import (
    profiles_matching,
    profiles_visible_to,
    templates_matching,
    templates_visible_to,
)
from profiles.services import (
    AcmeSettings,
    ApiSettings,
    EstSettings,
    MoveTo,
    TemplateDocument,
    create_profile,
    create_template,
    default_violations,
    delete_profile,
    delete_template,
    find_profile,
    find_profile_by_slug,
    find_template,
    preview_profile,
    preview_template,
    profile_risks,
    renewals_lost,
    template_risks,
    update_profile,
    update_template,
)
from profiles.services.settings import SETTINGS, settings_of

PAGE_SIZE = 20
PROFILES_TAG = "Certificate profiles"
TEMPLATES_TAG = "Certificate templates"

_SETTINGS_VALUES = {"api": ApiSettings, "est": EstSettings, "acme": AcmeSettings}
_DOCUMENT_KEYS = frozenset(field.name for field in fields(TemplateDocument))


# --- Templates --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Names:
    """What one thing is called in paths and answers."""

    one: str
    many: str
    operation: str
    list_operation: str


TEMPLATE = Names(
    one="certificateTemplate",
    many="certificateTemplates",
    operation="CertificateTemplate",
    list_operation="listCertificateTemplates",
)
POLICY = Names(
    one="certificatePolicy",
    many="certificatePolicies",
    operation="CertificatePolicy",
    list_operation="listCertificatePolicies",
)


def _id_parameter(name: str) -> OpenApiParameter:
    return OpenApiParameter(name, OpenApiTypes.UUID, OpenApiParameter.PATH)


_SAVED = {
    names.operation: wrapped(f"{names.operation}Saved", names.one, CertificateTemplateSerializer, with_warnings=True)
    for names in (TEMPLATE, POLICY)
}


def _templates_schema(names: Names) -> dict[str, Any]:
    return {
        "get": extend_schema(
            operation_id=names.list_operation,
            summary="List the templates of a project, newest first",
            tags=[TEMPLATES_TAG],
            parameters=[ListTemplatesQuery],
            responses=answers(listed(f"{names.operation}List", names.many, CertificateTemplateSerializer)),
        ),
        "post": extend_schema(
            operation_id=f"create{names.operation}",
            summary="Create a template",
            tags=[TEMPLATES_TAG],
            request=NewCertificateTemplateSerializer,
            responses=answers(_SAVED[names.operation], with_body=True),
        ),
    }


def _template_schema(names: Names) -> dict[str, Any]:
    parameters = [_id_parameter("template_id")]
    found = wrapped(f"{names.operation}Answer", names.one, CertificateTemplateSerializer)
    return {
        "get": extend_schema(
            operation_id=f"get{names.operation}",
            summary="Read a template",
            tags=[TEMPLATES_TAG],
            parameters=parameters,
            responses=answers(found),
        ),
        "patch": extend_schema(
            operation_id=f"update{names.operation}",
            summary="Change a template; what is absent stays as it is",
            tags=[TEMPLATES_TAG],
            parameters=[*parameters, PREVIEW],
            request=CertificateTemplateChangesSerializer,
            responses=answers(
                saved_or_preview(f"{names.operation}SavedOrPreview", _SAVED[names.operation]), with_body=True
            ),
        ),
        "delete": extend_schema(
            operation_id=f"delete{names.operation}",
            summary="Delete a template that no profile uses",
            tags=[TEMPLATES_TAG],
            parameters=parameters,
            responses=answers(found),
        ),
    }


@extend_schema_view(**_templates_schema(TEMPLATE))
class CertificateTemplatesView(ProfilesView):
    """The templates of a project."""

    names: ClassVar[Names] = TEMPLATE

    def get(self, request: Request) -> Response:
        """List them."""
        query = read(ListTemplatesQuery(data=request.query_params))
        project = self.project(request, query["projectId"])
        templates = templates_matching(templates_visible_to(self.requester(request), project), query.get("search", ""))
        paginator = WirePaginator(plural=self.names.many, default_limit=PAGE_SIZE)
        rows = paginator.paginate_queryset(templates, request)
        return paginator.get_paginated_response(CertificateTemplateSerializer(rows, many=True).data)

    def post(self, request: Request) -> Response:
        """Make one."""
        serializer = NewCertificateTemplateSerializer(data=request.data)
        asked = read(serializer)
        template = create_template(
            requester=self.requester(request),
            project=self.project(request, asked["projectId"]),
            document=TemplateDocument(**{key: asked[key] for key in _DOCUMENT_KEYS & asked.keys()}),
        )
        return _template_saved(self.names, template, asked, serializer.ignored_warnings, is_changed=False)


class TemplatePresetsView(ProfilesView):
    """Starting points for templates."""

    @extend_schema(
        operation_id="listCertificateTemplatePresets",
        summary="List starting points for templates, for those who may create some",
        tags=[TEMPLATES_TAG],
        parameters=[PresetsQuery],
        responses=answers(
            inline_serializer("CertificateTemplatePresets", {"presets": TemplatePresetSerializer(many=True)})
        ),
    )
    def get(self, request: Request) -> Response:
        """List them."""
        project = self.project(request, read(PresetsQuery(data=request.query_params))["projectId"])
        require(requester=self.requester(request), action=Action.CERTIFICATE_TEMPLATES_CREATE, project_id=project.pk)
        return Response({"presets": TemplatePresetSerializer(PRESETS, many=True).data})


@extend_schema_view(**_template_schema(TEMPLATE))
class CertificateTemplateView(ProfilesView):
    """One template."""

    names: ClassVar[Names] = TEMPLATE

    def get(self, request: Request, template_id: str) -> Response:
        """Read it."""
        template = find_template(requester=self.requester(request), template_id=read_id(template_id))
        return Response({self.names.one: CertificateTemplateSerializer(template).data})

    def patch(self, request: Request, template_id: str) -> Response:
        """Change it."""
        requester = self.requester(request)
        template = find_template(requester=requester, template_id=read_id(template_id))
        only_preview = is_preview(request)
        serializer = CertificateTemplateChangesSerializer(data=request.data)
        asked = read(serializer)

        def preview() -> Impact:
            return preview_template(requester=requester, template=template, changes=asked, now=timezone.now())

        if only_preview:
            return preview_answer(preview(), serializer.ignored_warnings)
        # What changes no rule takes no renewal away.
        lost = renewals_lost(preview) if asked.keys() & set(RULES) else None
        saved = update_template(requester=requester, template=template, changes=asked)
        return _template_saved(
            self.names, saved, asked, serializer.ignored_warnings + renewal_warnings(lost), is_changed=True
        )

    def delete(self, request: Request, template_id: str) -> Response:
        """Remove it."""
        requester = self.requester(request)
        template = find_template(requester=requester, template_id=read_id(template_id))
        delete_template(requester=requester, template=template)
        return Response({self.names.one: CertificateTemplateSerializer(template).data})


@extend_schema_view(**_templates_schema(POLICY))
class CertificatePoliciesView(CertificateTemplatesView):
    """The templates of a project under their later name."""

    names: ClassVar[Names] = POLICY


@extend_schema_view(**_template_schema(POLICY))
class CertificatePolicyView(CertificateTemplateView):
    """One template under its later name."""

    names: ClassVar[Names] = POLICY


def _template_saved(
    names: Names, template: CertificateTemplate, asked: Mapping[str, Any], warnings: list[str], *, is_changed: bool
) -> Response:
    if "name" in asked and template.name != asked["name"]:
        warnings.append(f"/name was stored as {template.name}: names are slugs, each once in a project.")
    # One that was made a moment ago is unused, and no news.
    risks = (
        template_risks(template, now=timezone.now()) if is_changed else risks_of(template.rules(), now=timezone.now())
    )
    warnings += map(risk_warning, risks)
    return Response({names.one: CertificateTemplateSerializer(template).data, "warnings": warnings})


# --- Profiles ---------------------------------------------------------------------------------------------------------

_PROFILE_ID = [_id_parameter("profile_id")]
_PROFILE_ANSWER = answers(wrapped("CertificateProfileAnswer", "certificateProfile", CertificateProfileSerializer))
_PROFILE_FOUND = answers(wrapped("CertificateProfileFound", "certificateProfile", CertificateProfileDetailSerializer))
_PROFILE_SAVED = wrapped(
    "CertificateProfileSaved", "certificateProfile", CertificateProfileSerializer, with_warnings=True
)


class CertificateProfilesView(ProfilesView):
    """The profiles of a project."""

    @extend_schema(
        operation_id="listCertificateProfiles",
        summary="List the profiles of a project, newest first",
        tags=[PROFILES_TAG],
        parameters=[ListProfilesQuery],
        responses=answers(listed("CertificateProfileList", "certificateProfiles", CertificateProfileDetailSerializer)),
    )
    def get(self, request: Request) -> Response:
        """List them."""
        query = read(ListProfilesQuery(data=request.query_params))
        project = self.project(request, query["projectId"])
        profiles = profiles_matching(profiles_visible_to(self.requester(request), project), query.get("search", ""))
        for key, column in (
            ("enrollmentType", "enrollment_method"),
            ("issuerType", "issuer_type"),
            ("caId", "certificate_authority_id"),
        ):
            if key in query:
                profiles = profiles.filter(**{column: query[key]})
        paginator = WirePaginator(plural="certificateProfiles", default_limit=PAGE_SIZE)
        rows = paginator.paginate_queryset(profiles, request)
        return paginator.get_paginated_response(CertificateProfileDetailSerializer(rows, many=True).data)

    @extend_schema(
        operation_id="createCertificateProfile",
        summary="Create a profile",
        tags=[PROFILES_TAG],
        request=NewCertificateProfileSerializer,
        responses=answers(_PROFILE_SAVED, with_body=True),
    )
    def post(self, request: Request) -> Response:
        """Make one."""
        serializer = NewCertificateProfileSerializer(data=request.data)
        asked = dict(read(serializer))
        project = self.project(request, asked.pop("projectId"))
        settings = {
            name: make(**asked.pop(name)) for name, make in _SETTINGS_VALUES.items() if asked.get(name) is not None
        }
        profile = create_profile(requester=self.requester(request), project=project, **asked, **settings)
        return _profile_saved(profile, serializer.ignored_warnings)


class CertificateProfileView(ProfilesView):
    """One profile."""

    @extend_schema(
        operation_id="getCertificateProfile",
        summary="Read a profile",
        tags=[PROFILES_TAG],
        parameters=[*_PROFILE_ID, ReadProfileQuery],
        responses=_PROFILE_FOUND,
    )
    def get(self, request: Request, profile_id: str) -> Response:
        """Read it."""
        query = read(ReadProfileQuery(data=request.query_params))
        profile = find_profile(requester=self.requester(request), profile_id=read_id(profile_id))
        return _profile_found(profile, with_configs=query.get("includeConfigs", True))

    @extend_schema(
        operation_id="updateCertificateProfile",
        summary="Change a profile; what is absent stays as it is",
        description="CA and template change by `moveTo` alone, for what is issued from then on. Settings change only "
        "where the profile has some of that method.",
        tags=[PROFILES_TAG],
        parameters=[*_PROFILE_ID, PREVIEW],
        request=PatchCertificateProfileSerializer,
        responses=answers(saved_or_preview("CertificateProfileSavedOrPreview", _PROFILE_SAVED), with_body=True),
    )
    def patch(self, request: Request, profile_id: str) -> Response:
        """Change it."""
        requester = self.requester(request)
        profile = find_profile(requester=requester, profile_id=read_id(profile_id))
        only_preview = is_preview(request)
        serializer = PatchCertificateProfileSerializer(data=request.data, partial=True)
        asked = read(serializer)
        move = asked.pop("move_to", None)
        move_to = None if move is None else MoveTo(**move)

        def preview() -> Impact:
            return preview_profile(
                requester=requester, profile=profile, changes=asked, move_to=move_to, now=timezone.now()
            )

        warnings = [_told_of_move(warning) for warning in serializer.ignored_warnings]
        warnings += _settings_left_out(profile, asked)
        if only_preview:
            return preview_answer(preview(), warnings)
        # A renewal repeats what was granted, whatever the defaults are: only a move can take one away.
        lost = renewals_lost(preview) if move_to is not None else None
        saved = update_profile(requester=requester, profile=profile, changes=asked, move_to=move_to)
        return _profile_saved(saved, warnings + renewal_warnings(lost))

    @extend_schema(
        operation_id="deleteCertificateProfile",
        summary="Delete a profile; its certificates stay",
        tags=[PROFILES_TAG],
        parameters=_PROFILE_ID,
        responses=_PROFILE_ANSWER,
    )
    def delete(self, request: Request, profile_id: str) -> Response:
        """Remove it."""
        requester = self.requester(request)
        profile = find_profile(requester=requester, profile_id=read_id(profile_id))
        delete_profile(requester=requester, profile=profile)
        return _profile_found(profile, with_configs=False)


class CertificateProfileBySlugView(ProfilesView):
    """One profile by its slug."""

    @extend_schema(
        operation_id="getCertificateProfileBySlug",
        summary="Read a profile by its slug in a project",
        tags=[PROFILES_TAG],
        parameters=[ReadProfileBySlugQuery],
        responses=_PROFILE_FOUND,
    )
    def get(self, request: Request, slug: str) -> Response:
        """Read it."""
        query = read(ReadProfileBySlugQuery(data=request.query_params))
        project = self.project(request, query["projectId"])
        profile = find_profile_by_slug(requester=self.requester(request), project=project, slug=slug)
        return _profile_found(profile, with_configs=query.get("includeConfigs", True))


def _profile_found(profile: CertificateProfile, *, with_configs: bool) -> Response:
    serializer = CertificateProfileDetailSerializer if with_configs else CertificateProfileSerializer
    return Response({"certificateProfile": serializer(profile).data})


def _profile_saved(profile: CertificateProfile, warnings: list[str]) -> Response:
    api = getattr(profile, "api_enrollment", None)
    if api is not None and api.auto_renew and api.renew_before_days is None:
        warnings.append("/apiConfig/autoRenew takes effect only with renewBeforeDays.")
    now = timezone.now()
    unfit = default_violations(profile, now=now)
    warnings += map(default_warning, unfit)
    # Of a usual validity that cannot pass one sentence is enough.
    told = {RiskCode.CA_ENDS_BEFORE_DEFAULT} if any(each.field == "defaults/ttl" for each in unfit) else set()
    warnings += [risk_warning(risk) for risk in profile_risks(profile, now=now) if risk.code not in told]
    return Response({"certificateProfile": CertificateProfileSerializer(profile).data, "warnings": warnings})


def _told_of_move(warning: str) -> str:
    pointer = warning.partition(" ")[0]
    moves = pointer in {"/caId", "/certificateTemplateId", "/certificatePolicyId"}
    return f"{pointer} was ignored: a profile moves to another CA or template by moveTo." if moves else warning


def _settings_left_out(profile: CertificateProfile, asked: Mapping[str, Any]) -> list[str]:
    return [
        f"/{method}Config was left out of account: the profile was made without settings of {method} and gets none."
        for method in SETTINGS
        if method in asked and settings_of(profile, method) is None
    ]
