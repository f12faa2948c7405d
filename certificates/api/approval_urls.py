"""Addresses of the approvals' API, without trailing slashes."""

from django.urls import path

from certificates.api import approval_views as views

_POLICIES = "api/v1/approval-policies/cert-request"
_REQUEST = f"{_POLICIES}/requests/<str:approval_id>"

urlpatterns = [
    path(_POLICIES, views.PoliciesView.as_view(), name="api-approval-policies"),
    # Before the policies: "requests" is no id.
    path(f"{_POLICIES}/requests", views.ApprovalRequestsView.as_view(), name="api-approval-requests"),
    path(_REQUEST, views.ApprovalRequestView.as_view(), name="api-approval-request"),
    path(f"{_REQUEST}/approve", views.ApproveView.as_view(), name="api-approve"),
    path(f"{_REQUEST}/reject", views.RejectView.as_view(), name="api-reject"),
    path(f"{_REQUEST}/cancel", views.CancelView.as_view(), name="api-cancel"),
    path(f"{_POLICIES}/<str:policy_id>", views.PolicyView.as_view(), name="api-approval-policy"),
]
