"""Approval policies, and the requests that wait by them, over HTTP."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from certificates.api.approval_serializers import (
    ApprovalRequestAnswer,
    ApprovalRequestItem,
    ApprovalRequestsQuery,
    ApprovalsQuery,
    CommentSerializer,
    NewPolicySerializer,
    PolicyAnswer,
    PolicyChangesSerializer,
    profile_names_in,
    states_of,
    steps_in,
)
from certificates.models import ApprovalPolicy, ApprovalRequest
from certificates.services.approvals.acts import approve_request, cancel_request, reject_request
from certificates.services.approvals.policies import (
    PolicyDocument,
    create_policy,
    delete_policy,
    find_policy,
    policies_visible_to,
    profile_ids_named,
    update_policy,
)
from certificates.services.approvals.standing import approvals_visible_to, find_approval
from pki_portal.access.models import Project
from pki_portal.access.querysets import find_project
from pki_portal.access.requester import Requester, requester_of
from pki_portal.rest import WirePaginator, parse_uuid, read
from pki_portal.rest.schema import answers, listed, uuid_parameters, wrapped
from pki_portal.rest.views import WireView

TAG = "Approvals"
PAGE_SIZE = 20
_POLICY = answers(wrapped("ApprovalPolicyAnswer", "policy", PolicyAnswer))
_SAVED = answers(wrapped("ApprovalPolicySaved", "policy", PolicyAnswer, with_warnings=True), with_body=True)
_DELETED = answers(inline_serializer("ApprovalPolicyDeleted", {"policyId": serializers.UUIDField()}))
_REQUEST = wrapped("ApprovalRequestAnswerWrapped", "request", ApprovalRequestAnswer)
_POLICY_ID, _APPROVAL_ID = uuid_parameters("policy_id"), uuid_parameters("approval_id")
_COLUMNS = {"name": "name", "bypassForMachineIdentities": "bypass_for_machine_identities"}


class ApprovalView(WireView):
    """Base of the views here."""

    def on_the_wire(self, field: str) -> str:
        """Names differ in their case alone."""
        return field

    def requester(self) -> Requester:
        """Who asks."""
        return requester_of(self.request)

    def policy(self, policy_id: str) -> ApprovalPolicy:
        """The policy in the path. Raises Malformed, NotFound, PermissionDenied."""
        return find_policy(requester=self.requester(), policy_id=parse_uuid(policy_id, field="policy_id"))

    def approval(self, approval_id: str) -> ApprovalRequest:
        """The request in the path. Raises Malformed, NotFound, PermissionDenied."""
        return find_approval(requester=self.requester(), approval_id=parse_uuid(approval_id, field="approval_id"))


class PoliciesView(ApprovalView):
    """The approval policies of a project."""

    @extend_schema(
        operation_id="listApprovalPolicies",
        summary="List the approval policies of a project, in the order in which they are met",
        tags=[TAG],
        parameters=[ApprovalsQuery],
        responses=answers(listed("ApprovalPolicyList", "policies", PolicyAnswer)),
    )
    def get(self, request: Request) -> Response:
        """List them."""
        query = read(ApprovalsQuery(data=request.query_params))
        project = find_project(requester=self.requester(), reference=query["projectId"])
        paginator = WirePaginator(plural="policies", default_limit=PAGE_SIZE)
        rows = paginator.paginate_queryset(policies_visible_to(self.requester(), project), request)
        return paginator.get_paginated_response(PolicyAnswer(rows, many=True).data)

    @extend_schema(
        operation_id="createApprovalPolicy",
        summary="Create an approval policy",
        tags=[TAG],
        request=NewPolicySerializer,
        responses=_SAVED,
    )
    def post(self, request: Request) -> Response:
        """Make one; it binds requests that are made from then on."""
        serializer = NewPolicySerializer(data=request.data)
        asked = read(serializer)
        project = find_project(requester=self.requester(), reference=asked["projectId"])
        policy = create_policy(
            requester=self.requester(), project=project, document=PolicyDocument(**_changes(asked, project))
        )
        return _saved(policy, serializer.ignored_warnings)


class PolicyView(ApprovalView):
    """One approval policy."""

    @extend_schema(
        operation_id="getApprovalPolicy",
        summary="Read an approval policy",
        tags=[TAG],
        parameters=_POLICY_ID,
        responses=_POLICY,
    )
    def get(self, request: Request, policy_id: str) -> Response:
        """Read it."""
        return Response({"policy": PolicyAnswer(self.policy(policy_id)).data})

    @extend_schema(
        operation_id="updateApprovalPolicy",
        summary="Change an approval policy; what is absent stays as it is",
        tags=[TAG],
        parameters=_POLICY_ID,
        request=PolicyChangesSerializer,
        responses=_SAVED,
    )
    def patch(self, request: Request, policy_id: str) -> Response:
        """Change it, for requests that are made from then on."""
        policy = self.policy(policy_id)
        serializer = PolicyChangesSerializer(data=request.data)
        changes = _changes(read(serializer), policy.project)
        policy = update_policy(requester=self.requester(), policy=policy, changes=changes)
        return _saved(policy, serializer.ignored_warnings)

    @extend_schema(
        operation_id="deleteApprovalPolicy",
        summary="Delete an approval policy; what waits by it goes on waiting",
        tags=[TAG],
        parameters=_POLICY_ID,
        responses=_DELETED,
    )
    def delete(self, request: Request, policy_id: str) -> Response:
        """Remove it."""
        policy = self.policy(policy_id)
        delete_policy(requester=self.requester(), policy=policy)
        return Response({"policyId": str(policy.pk)})


class ApprovalRequestsView(ApprovalView):
    """The requests of a project that waited or wait for approval."""

    @extend_schema(
        operation_id="listApprovalRequests",
        summary="List a project's requests for approval, newest first",
        tags=[TAG],
        parameters=[ApprovalRequestsQuery],
        responses=answers(listed("ApprovalRequestList", "requests", ApprovalRequestItem)),
    )
    def get(self, request: Request) -> Response:
        """List them."""
        query = read(ApprovalRequestsQuery(data=request.query_params))
        project = find_project(requester=self.requester(), reference=query["projectId"])
        found = approvals_visible_to(self.requester(), project)
        if "status" in query:
            found = found.filter(request__status__in=states_of(query["status"]))
        paginator = WirePaginator(plural="requests", default_limit=PAGE_SIZE)
        rows = paginator.paginate_queryset(found, request)
        return paginator.get_paginated_response(ApprovalRequestItem(rows, many=True).data)


class ApprovalRequestView(ApprovalView):
    """One request for approval."""

    @extend_schema(
        operation_id="getApprovalRequest",
        summary="Read a request for approval: its steps, who agreed, what changed since",
        tags=[TAG],
        parameters=_APPROVAL_ID,
        responses=answers(_REQUEST),
    )
    def get(self, request: Request, approval_id: str) -> Response:
        """Read it."""
        return _told(self.approval(approval_id))


class ActView(ApprovalView):
    """Base of the acts on a request for approval."""

    def act(self, do: Callable[..., ApprovalRequest], approval_id: str) -> Response:
        """Do it with the comment in the body, which may be empty."""
        approval = self.approval(approval_id)
        comment = read(CommentSerializer(data=self.request.data)).get("comment") or ""
        return _told(do(requester=self.requester(), approval=approval, comment=comment))


class ApproveView(ActView):
    """Agree."""

    @extend_schema(
        operation_id="approveApprovalRequest",
        summary="Approve a request; with the last approval the certificate is issued",
        tags=[TAG],
        parameters=_APPROVAL_ID,
        request=CommentSerializer,
        responses=answers(_REQUEST, 409, with_body=True),
    )
    def post(self, request: Request, approval_id: str) -> Response:
        """For people who are named at the current step. `certificateRequestStatus` tells what came of the last one."""
        return self.act(approve_request, approval_id)


class RejectView(ActView):
    """Refuse."""

    @extend_schema(
        operation_id="rejectApprovalRequest",
        summary="Reject a request",
        tags=[TAG],
        parameters=_APPROVAL_ID,
        request=CommentSerializer,
        responses=answers(_REQUEST, 409, with_body=True),
    )
    def post(self, request: Request, approval_id: str) -> Response:
        """For people who are named at any of its steps."""
        return self.act(reject_request, approval_id)


class CancelView(ActView):
    """Take back."""

    @extend_schema(
        operation_id="cancelApprovalRequest",
        summary="Cancel a request that is not issued yet",
        tags=[TAG],
        parameters=_APPROVAL_ID,
        request=CommentSerializer,
        responses=answers(_REQUEST, 409, with_body=True),
    )
    def post(self, request: Request, approval_id: str) -> Response:
        """For who asked, and for whoever may edit requests."""
        return self.act(cancel_request, approval_id)


def _changes(asked: dict[str, Any], project: Project) -> dict[str, Any]:
    """The fields of a PolicyDocument that a body names."""
    changes: dict[str, Any] = {inside: asked[name] for name, inside in _COLUMNS.items() if name in asked}
    if "maxRequestTtl" in asked:
        changes["max_request_ttl"] = asked["maxRequestTtl"] or ""
    if "steps" in asked:
        changes["steps"] = steps_in(asked["steps"])
    if "conditions" in asked:
        names = profile_names_in(asked["conditions"])
        changes["profile_ids"] = profile_ids_named(project, names) if names else None
    return changes


def _saved(policy: ApprovalPolicy, warnings: list[str]) -> Response:
    return Response({"policy": PolicyAnswer(policy).data, "warnings": warnings})


def _told(row: ApprovalRequest) -> Response:
    return Response({"request": ApprovalRequestAnswer(row).data})
