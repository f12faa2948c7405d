"""Pages of approval policies."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from certificates.models import ApprovalPolicy
from certificates.services.approvals.policies import (
    create_policy,
    delete_policy,
    document_of,
    find_policy,
    policies_visible_to,
    update_policy,
)
from certificates.web.approval_policy_form import ApprovalPolicyForm
from pki_portal.access.permissions import Action
from pki_portal.access.web.pages import Page, project_page, show
from pki_portal.errors import NotFound, PortalError

FORM = "certificates/approval_policy_form.html"


@project_page(section="approvals", action=Action.APPROVAL_POLICIES_READ)
def approval_policies(request: HttpRequest, page: Page) -> HttpResponse:
    """In the order in which they are met; a project has a hundred at most."""
    found = [(policy, document_of(policy).steps) for policy in policies_visible_to(page.requester, page.project)]
    return show(request, page, "certificates/approval_policies.html", {"policies": found})


@project_page(section="approvals", action=Action.APPROVAL_POLICIES_CREATE, event="approval-policy-create")
def create(request: HttpRequest, page: Page) -> HttpResponse:
    """GET shows the form, POST makes the policy."""
    if request.method != "POST":
        form = ApprovalPolicyForm(project=page.project)
        return show(request, page, FORM, {"form": form, "policy": None})
    form = ApprovalPolicyForm(request.POST, project=page.project)
    if form.is_valid():
        try:
            made = create_policy(requester=page.requester, project=page.project, document=form.document())
        except PortalError as error:
            form.refuse(error)
        else:
            messages.success(request, f"Policy {made.name} was created. It binds requests from now on.")
            return redirect("approval-policies", page.project.slug)
    return show(request, page, FORM, {"form": form, "policy": None}, status=422)


@project_page(section="approvals", action=Action.APPROVAL_POLICIES_EDIT, event="approval-policy-update")
def edit(request: HttpRequest, page: Page, policy_id: UUID) -> HttpResponse:
    """GET shows the form, POST changes the policy."""
    found = _find(page, policy_id)
    if request.method != "POST":
        form = ApprovalPolicyForm(project=page.project, policy=found)
        return show(request, page, FORM, {"form": form, "policy": found})
    form = ApprovalPolicyForm(request.POST, project=page.project, policy=found)
    if form.is_valid():
        try:
            update_policy(requester=page.requester, policy=found, changes=form.changes())
        except PortalError as error:
            form.refuse(error)
        else:
            messages.success(request, "The policy was saved. Requests that wait already are not changed by it.")
            return redirect("approval-policies", page.project.slug)
    return show(request, page, FORM, {"form": form, "policy": found}, status=422)


@require_POST
@project_page(section="approvals", action=Action.APPROVAL_POLICIES_DELETE, event="approval-policy-delete")
def delete(request: HttpRequest, page: Page, policy_id: UUID) -> HttpResponse:
    """Remove the policy; what waits by it goes on waiting."""
    found = _find(page, policy_id)
    delete_policy(requester=page.requester, policy=found)
    messages.success(request, f"Policy {found.name} was deleted.")
    return redirect("approval-policies", page.project.slug)


def _find(page: Page, policy_id: UUID) -> ApprovalPolicy:
    found = find_policy(requester=page.requester, policy_id=policy_id)
    if found.project_id != page.project.pk:
        raise NotFound("There is no such approval policy in this project.")
    return found
