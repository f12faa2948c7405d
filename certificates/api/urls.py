"""Addresses of the certificates' API, without trailing slashes."""

from django.urls import include, path

from certificates.api import (
    batch_views,
    export_views,
    import_views,
    incident_views,
    issue_views,
    ocsp_views,
    renewal_views,
    revocation_views,
    views,
)

_CERTIFICATES = "api/v1/cert-manager/certificates"
_PROFILES = "api/v1/cert-manager/certificate-profiles"
_INCIDENTS = "api/v1/projects/<str:project_id>/incidents"

_OCSP = [
    path("<str:ca_id>", ocsp_views.OcspView.as_view(), name="ocsp"),
    path("<str:ca_id>/<path:encoded>", ocsp_views.OcspGetView.as_view(), name="ocsp-get"),
]

urlpatterns = [
    # First of all, and others pass by its prefix at once: sixty addresses before it were a fifth of its answer's CPU.
    path("api/v1/cert-manager/ocsp/", include(_OCSP)),
    path(_CERTIFICATES, issue_views.IssueView.as_view(), name="api-issue-certificate"),
    # Before the references: none of these is a serial number.
    path(f"{_CERTIFICATES}/batch", batch_views.BatchIssueView.as_view(), name="api-issue-certificates"),
    path(
        f"{_CERTIFICATES}/import-certificate",
        import_views.ImportCertificateView.as_view(),
        name="api-import-certificate",
    ),
    path(
        f"{_CERTIFICATES}/certificate-requests",
        views.CertificateRequestsView.as_view(),
        name="api-certificate-requests",
    ),
    path(
        f"{_CERTIFICATES}/certificate-requests/<str:request_id>",
        views.CertificateRequestView.as_view(),
        name="api-certificate-request",
    ),
    path(
        f"{_CERTIFICATES}/certificate-requests/<str:request_id>/decision",
        views.CertificateRequestDecisionView.as_view(),
        name="api-certificate-request-decision",
    ),
    path(f"{_CERTIFICATES}/<str:reference>", views.CertificateDetailView.as_view(), name="api-certificate"),
    path(
        f"{_CERTIFICATES}/<str:reference>/certificate", views.CertificateBodyView.as_view(), name="api-certificate-body"
    ),
    path(
        f"{_CERTIFICATES}/<str:reference>/private-key",
        views.CertificatePrivateKeyView.as_view(),
        name="api-certificate-private-key",
    ),
    path(
        f"{_CERTIFICATES}/<str:reference>/decision",
        views.CertificateDecisionView.as_view(),
        name="api-certificate-decision",
    ),
    path(
        f"{_CERTIFICATES}/<str:reference>/bundle", views.CertificateBundleView.as_view(), name="api-certificate-bundle"
    ),
    path(f"{_CERTIFICATES}/<str:certificate_id>/renew", renewal_views.RenewView.as_view(), name="api-renew"),
    path(
        f"{_CERTIFICATES}/<str:certificate_id>/config",
        renewal_views.RenewalConfigView.as_view(),
        name="api-renewal-config",
    ),
    path(
        f"{_CERTIFICATES}/<str:certificate_id>/renewal-diff",
        renewal_views.RenewalDifferenceView.as_view(),
        name="api-renewal-diff",
    ),
    path(f"{_CERTIFICATES}/<str:reference>/download", export_views.DownloadView.as_view(), name="api-download"),
    path(f"{_CERTIFICATES}/<str:reference>/deploy-kit", export_views.DeployKitView.as_view(), name="api-deploy-kit"),
    path(f"{_CERTIFICATES}/<str:reference>/pkcs12", export_views.PackKeyView.as_view(), name="api-pkcs12"),
    path(
        f"{_CERTIFICATES}/<str:certificate_id>/renewal-info",
        incident_views.RenewalInformationView.as_view(),
        name="api-renewal-info",
    ),
    path(_INCIDENTS, incident_views.IncidentsView.as_view(), name="api-incidents"),
    path(f"{_INCIDENTS}/<str:incident_id>", incident_views.IncidentDetailView.as_view(), name="api-incident"),
    path(
        f"{_INCIDENTS}/<str:incident_id>/certificates",
        incident_views.IncidentCertificatesView.as_view(),
        name="api-incident-certificates",
    ),
    path(
        f"{_INCIDENTS}/<str:incident_id>/close",
        incident_views.CloseIncidentView.as_view(),
        name="api-close-incident",
    ),
    path(f"{_CERTIFICATES}/<str:reference>/revoke", revocation_views.RevokeView.as_view(), name="api-revoke"),
    path(
        f"{_CERTIFICATES}/<str:reference>/release-hold",
        revocation_views.ReleaseHoldView.as_view(),
        name="api-release-hold",
    ),
    path(
        f"{_PROFILES}/<str:profile_id>/certificates",
        views.ProfileCertificatesView.as_view(),
        name="api-profile-certificates",
    ),
    path(
        f"{_PROFILES}/<str:profile_id>/certificates/latest-active-bundle",
        views.LatestActiveBundleView.as_view(),
        name="api-latest-active-bundle",
    ),
    path(
        "api/v1/projects/<str:project_id>/certificates",
        views.ProjectCertificatesView.as_view(),
        name="api-project-certificates",
    ),
    path(
        "api/v1/projects/<str:project_id>/certificates/search",
        views.CertificateSearchView.as_view(),
        name="api-search-certificates",
    ),
    path(
        "api/v1/projects/<str:project_id>/certificates/revoke",
        revocation_views.RevokeSelectedView.as_view(),
        name="api-revoke-selected",
    ),
    path("", include("certificates.api.approval_urls")),
    path("", include("certificates.api.authority_urls")),
]
