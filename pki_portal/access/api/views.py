"""Projects, members, machine identities and the audit log over the API: the wire on one side, services on the other."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from pki_portal.access import services
from pki_portal.access.api.serializers import (
    AddUserSerializer,
    AuditEventsAnswer,
    AuditEventSerializer,
    CreateProjectSerializer,
    IdentitiesAnswer,
    IdentityAnswer,
    IdentityMembershipAnswer,
    IdentityMembershipsAnswer,
    IdentityMembershipSerializer,
    IdentityNameSerializer,
    IdentitySerializer,
    ProjectAnswer,
    ProjectsAnswer,
    ProjectSerializer,
    RoleSerializer,
    UpdateProjectSerializer,
    UserMembershipAnswer,
    UserMembershipsAnswer,
    UserMembershipSerializer,
)
from pki_portal.access.models import Membership
from pki_portal.access.permissions import projects_visible_to
from pki_portal.access.querysets import (
    events_visible_to,
    get_identity_membership,
    get_project,
    get_project_by_slug,
    get_user_membership,
    identities_visible_to,
    identity_memberships,
    user_memberships,
)
from pki_portal.access.requester import requester_of
from pki_portal.rest import CursorPaginator, CursorQuery, PageQuery, WirePaginator, parse_uuid, read, warned
from pki_portal.rest.schema import answers, uuid_parameters

PAGE_PARAMETERS = [PageQuery]


# --- Projects ---------------------------------------------------------------------------------------------------------


class ProjectsView(APIView):
    """``/api/v1/projects``."""

    @extend_schema(
        operation_id="projects_list", parameters=PAGE_PARAMETERS, responses=answers(ProjectsAnswer), tags=["Projects"]
    )
    def get(self, request: Request) -> Response:
        """List the projects that the caller may read."""
        paginator = WirePaginator(plural="projects", default_limit=100)
        projects = paginator.paginate_queryset(projects_visible_to(requester_of(request)), request)
        return paginator.get_paginated_response(ProjectSerializer(projects, many=True).data)

    @extend_schema(
        operation_id="projects_create",
        request=CreateProjectSerializer,
        responses=answers(ProjectAnswer, with_body=True),
        tags=["Projects"],
    )
    def post(self, request: Request) -> Response:
        """Create a project; the caller becomes its admin."""
        body = CreateProjectSerializer(data=request.data)
        given = read(body)
        project = services.create_project(
            requester=requester_of(request),
            name=given["projectName"],
            slug=given.get("slug"),
            description=given.get("projectDescription") or "",
        )
        return Response(warned({"project": ProjectSerializer(project).data}, body))


@extend_schema(parameters=uuid_parameters("project_id"))
class ProjectView(APIView):
    """``/api/v1/projects/{projectId}``."""

    @extend_schema(operation_id="projects_get", responses=answers(ProjectAnswer), tags=["Projects"])
    def get(self, request: Request, project_id: str) -> Response:
        """Read one project."""
        project = get_project(requester=requester_of(request), project_id=parse_uuid(project_id, field="project_id"))
        return Response({"project": ProjectSerializer(project).data})

    @extend_schema(
        operation_id="projects_update",
        request=UpdateProjectSerializer,
        responses=answers(ProjectAnswer, with_body=True),
        tags=["Projects"],
    )
    def patch(self, request: Request, project_id: str) -> Response:
        """Change name, slug or description."""
        found = parse_uuid(project_id, field="project_id")
        body = UpdateProjectSerializer(data=request.data)
        project = services.update_project(requester=requester_of(request), project_id=found, **read(body))
        return Response(warned({"project": ProjectSerializer(project).data}, body))


class ProjectBySlugView(APIView):
    """``/api/v1/projects/slug/{slug}``: the project without a wrapper."""

    @extend_schema(operation_id="projects_get_by_slug", responses=answers(ProjectSerializer), tags=["Projects"])
    def get(self, request: Request, slug: str) -> Response:
        """Read one project by its slug."""
        return Response(ProjectSerializer(get_project_by_slug(requester=requester_of(request), slug=slug)).data)


class WorkspaceView(ProjectBySlugView):
    """``/api/v2/workspace/{slug}``: the older spelling, as some clients still send it."""

    @extend_schema(operation_id="workspace_get", responses=answers(ProjectSerializer), tags=["Projects"])
    def get(self, request: Request, slug: str) -> Response:
        """Read one project by its slug."""
        return super().get(request, slug)


@extend_schema(parameters=uuid_parameters("project_id"))
class AuditLogView(APIView):
    """``/api/v1/projects/{projectId}/audit-logs``."""

    @extend_schema(
        operation_id="audit_logs_list",
        parameters=[CursorQuery],
        responses=answers(AuditEventsAnswer),
        tags=["Projects"],
    )
    def get(self, request: Request, project_id: str) -> Response:
        """List what happened in a project, newest first."""
        requester = requester_of(request)
        project = get_project(requester=requester, project_id=parse_uuid(project_id, field="project_id"))
        paginator = CursorPaginator(plural="auditLogs")
        events = paginator.paginate_queryset(events_visible_to(requester=requester, project=project), request)
        return paginator.get_paginated_response(AuditEventSerializer(events, many=True).data)


# --- Members ----------------------------------------------------------------------------------------------------------


@extend_schema(parameters=uuid_parameters("project_id"))
class UserMembershipsView(APIView):
    """``/api/v1/projects/{projectId}/memberships``."""

    @extend_schema(
        operation_id="memberships_list",
        parameters=PAGE_PARAMETERS,
        responses=answers(UserMembershipsAnswer),
        tags=["Members"],
    )
    def get(self, request: Request, project_id: str) -> Response:
        """List the people of a project."""
        found = parse_uuid(project_id, field="project_id")
        paginator = WirePaginator(plural="memberships", default_limit=100)
        rows = paginator.paginate_queryset(user_memberships(requester=requester_of(request), project_id=found), request)
        return paginator.get_paginated_response(UserMembershipSerializer(rows, many=True).data)

    @extend_schema(
        operation_id="memberships_create",
        request=AddUserSerializer,
        responses=answers(UserMembershipAnswer, with_body=True),
        tags=["Members"],
    )
    def post(self, request: Request, project_id: str) -> Response:
        """Give a person a role by the exact username; 404 where there is no such account. Answers tell of a member
        the id and the username alone.
        """
        found = parse_uuid(project_id, field="project_id")
        body = AddUserSerializer(data=request.data)
        given = read(body)
        membership = services.add_user(
            requester=requester_of(request), project_id=found, username=given["username"], role=given["role"]
        )
        return Response(warned({"membership": UserMembershipSerializer(membership).data}, body))


@extend_schema(parameters=uuid_parameters("project_id", "membership_id"))
class UserMembershipView(APIView):
    """``/api/v1/projects/{projectId}/memberships/{membershipId}``."""

    @extend_schema(operation_id="memberships_get", responses=answers(UserMembershipAnswer), tags=["Members"])
    def get(self, request: Request, project_id: str, membership_id: str) -> Response:
        """Read one membership."""
        membership = self._membership(request, project_id, membership_id)
        return Response({"membership": UserMembershipSerializer(membership).data})

    @extend_schema(
        operation_id="memberships_update",
        request=RoleSerializer,
        responses=answers(UserMembershipAnswer, with_body=True),
        tags=["Members"],
    )
    def patch(self, request: Request, project_id: str, membership_id: str) -> Response:
        """Give a person another role."""
        membership = self._membership(request, project_id, membership_id)
        body = RoleSerializer(data=request.data)
        changed = services.change_role(requester=requester_of(request), membership=membership, role=read(body)["role"])
        return Response(warned({"membership": UserMembershipSerializer(changed).data}, body))

    @extend_schema(operation_id="memberships_delete", responses=answers(UserMembershipAnswer), tags=["Members"])
    def delete(self, request: Request, project_id: str, membership_id: str) -> Response:
        """Take a person out of the project."""
        membership = self._membership(request, project_id, membership_id)
        removed = services.remove_member(requester=requester_of(request), membership=membership)
        return Response({"membership": UserMembershipSerializer(removed).data})

    def _membership(self, request: Request, project_id: str, membership_id: str) -> Membership:
        return get_user_membership(
            requester=requester_of(request),
            project_id=parse_uuid(project_id, field="project_id"),
            membership_id=parse_uuid(membership_id, field="membership_id"),
        )


@extend_schema(parameters=uuid_parameters("project_id"))
class IdentityMembershipsView(APIView):
    """``/api/v1/projects/{projectId}/identity-memberships``."""

    @extend_schema(
        operation_id="identity_memberships_list",
        parameters=PAGE_PARAMETERS,
        responses=answers(IdentityMembershipsAnswer),
        tags=["Members"],
    )
    def get(self, request: Request, project_id: str) -> Response:
        """List the machine identities of a project."""
        found = parse_uuid(project_id, field="project_id")
        paginator = WirePaginator(plural="identityMemberships", default_limit=100)
        rows = paginator.paginate_queryset(
            identity_memberships(requester=requester_of(request), project_id=found), request
        )
        return paginator.get_paginated_response(IdentityMembershipSerializer(rows, many=True).data)


@extend_schema(parameters=uuid_parameters("project_id", "identity_id"))
class IdentityMembershipView(APIView):
    """``/api/v1/projects/{projectId}/identity-memberships/{identityId}``."""

    @extend_schema(
        operation_id="identity_memberships_get", responses=answers(IdentityMembershipAnswer), tags=["Members"]
    )
    def get(self, request: Request, project_id: str, identity_id: str) -> Response:
        """Read the role of a machine identity."""
        membership = self._membership(request, project_id, identity_id)
        return Response({"identityMembership": IdentityMembershipSerializer(membership).data})

    @extend_schema(
        operation_id="identity_memberships_create",
        request=RoleSerializer,
        responses=answers(IdentityMembershipAnswer, with_body=True),
        tags=["Members"],
    )
    def post(self, request: Request, project_id: str, identity_id: str) -> Response:
        """Give a machine identity a role."""
        project, identity = parse_uuid(project_id, field="project_id"), parse_uuid(identity_id, field="identity_id")
        body = RoleSerializer(data=request.data)
        role = read(body)["role"]
        membership = services.add_identity(
            requester=requester_of(request), project_id=project, identity_id=identity, role=role
        )
        return Response(warned({"identityMembership": IdentityMembershipSerializer(membership).data}, body))

    @extend_schema(
        operation_id="identity_memberships_update",
        request=RoleSerializer,
        responses=answers(IdentityMembershipAnswer, with_body=True),
        tags=["Members"],
    )
    def patch(self, request: Request, project_id: str, identity_id: str) -> Response:
        """Give a machine identity another role."""
        membership = self._membership(request, project_id, identity_id)
        body = RoleSerializer(data=request.data)
        changed = services.change_role(requester=requester_of(request), membership=membership, role=read(body)["role"])
        return Response(warned({"identityMembership": IdentityMembershipSerializer(changed).data}, body))

    @extend_schema(
        operation_id="identity_memberships_delete", responses=answers(IdentityMembershipAnswer), tags=["Members"]
    )
    def delete(self, request: Request, project_id: str, identity_id: str) -> Response:
        """Take a machine identity out of the project."""
        membership = self._membership(request, project_id, identity_id)
        removed = services.remove_member(requester=requester_of(request), membership=membership)
        return Response({"identityMembership": IdentityMembershipSerializer(removed).data})

    def _membership(self, request: Request, project_id: str, identity_id: str) -> Membership:
        return get_identity_membership(
            requester=requester_of(request),
            project_id=parse_uuid(project_id, field="project_id"),
            identity_id=parse_uuid(identity_id, field="identity_id"),
        )


# --- Machine identities -----------------------------------------------------------------------------------------------


class IdentitiesView(APIView):
    """``/api/v1/identities``."""

    @extend_schema(
        operation_id="identities_list",
        parameters=PAGE_PARAMETERS,
        responses=answers(IdentitiesAnswer),
        tags=["Identities"],
    )
    def get(self, request: Request) -> Response:
        """List the machine identities that the caller may know of."""
        paginator = WirePaginator(plural="identities", default_limit=100)
        identities = paginator.paginate_queryset(identities_visible_to(requester_of(request)), request)
        return paginator.get_paginated_response(IdentitySerializer(identities, many=True).data)

    @extend_schema(
        operation_id="identities_create",
        request=IdentityNameSerializer,
        responses=answers(IdentityAnswer, with_body=True),
        tags=["Identities"],
    )
    def post(self, request: Request) -> Response:
        """Create a machine identity; it may do nothing until a membership gives it a role."""
        body = IdentityNameSerializer(data=request.data)
        identity = services.create_identity(requester=requester_of(request), name=read(body)["name"])
        return Response(warned({"identity": IdentitySerializer(identity).data}, body))


@extend_schema(parameters=uuid_parameters("identity_id"))
class IdentityView(APIView):
    """``/api/v1/identities/{identityId}``."""

    @extend_schema(operation_id="identities_get", responses=answers(IdentityAnswer), tags=["Identities"])
    def get(self, request: Request, identity_id: str) -> Response:
        """Read one machine identity."""
        found = parse_uuid(identity_id, field="identity_id")
        identity = services.get_identity(requester=requester_of(request), identity_id=found)
        return Response({"identity": IdentitySerializer(identity).data})

    @extend_schema(
        operation_id="identities_update",
        request=IdentityNameSerializer,
        responses=answers(IdentityAnswer, with_body=True),
        tags=["Identities"],
    )
    def patch(self, request: Request, identity_id: str) -> Response:
        """Rename a machine identity."""
        found = parse_uuid(identity_id, field="identity_id")
        body = IdentityNameSerializer(data=request.data)
        identity = services.update_identity(requester=requester_of(request), identity_id=found, name=read(body)["name"])
        return Response(warned({"identity": IdentitySerializer(identity).data}, body))
