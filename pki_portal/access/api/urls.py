from django.urls import path

from pki_portal.access.api import auth_views, views

_AUTH = "api/v1/auth"
_IDENTITY_AUTH = f"{_AUTH}/universal-auth/identities/<str:identity_id>"
_PROJECT = "api/v1/projects/<str:project_id>"

urlpatterns = [
    path(f"{_AUTH}/universal-auth/login", auth_views.LoginView.as_view(), name="api-login"),
    path(f"{_AUTH}/token/renew", auth_views.RenewTokenView.as_view(), name="api-renew-token"),
    path(f"{_AUTH}/token/revoke", auth_views.RevokeTokenView.as_view(), name="api-revoke-token"),
    path(_IDENTITY_AUTH, auth_views.UniversalAuthView.as_view(), name="api-universal-auth"),
    path(f"{_IDENTITY_AUTH}/client-secrets", auth_views.ClientSecretsView.as_view(), name="api-client-secrets"),
    path(
        f"{_IDENTITY_AUTH}/client-secrets/<str:client_secret_id>",
        auth_views.ClientSecretView.as_view(),
        name="api-client-secret",
    ),
    path(
        f"{_IDENTITY_AUTH}/client-secrets/<str:client_secret_id>/revoke",
        auth_views.RevokeClientSecretView.as_view(),
        name="api-revoke-client-secret",
    ),
    path("api/v1/identities", views.IdentitiesView.as_view(), name="api-identities"),
    path("api/v1/identities/<str:identity_id>", views.IdentityView.as_view(), name="api-identity"),
    path("api/v1/projects", views.ProjectsView.as_view(), name="api-projects"),
    path("api/v1/projects/slug/<str:slug>", views.ProjectBySlugView.as_view(), name="api-project-by-slug"),
    path("api/v2/workspace/<str:slug>", views.WorkspaceView.as_view(), name="api-workspace"),
    path(_PROJECT, views.ProjectView.as_view(), name="api-project"),
    path(f"{_PROJECT}/audit-logs", views.AuditLogView.as_view(), name="api-audit-logs"),
    path(f"{_PROJECT}/memberships", views.UserMembershipsView.as_view(), name="api-memberships"),
    path(f"{_PROJECT}/memberships/<str:membership_id>", views.UserMembershipView.as_view(), name="api-membership"),
    path(f"{_PROJECT}/identity-memberships", views.IdentityMembershipsView.as_view(), name="api-identity-memberships"),
    path(
        f"{_PROJECT}/identity-memberships/<str:identity_id>",
        views.IdentityMembershipView.as_view(),
        name="api-identity-membership",
    ),
]
