"""Addresses of CAs and of the documents that they publish, without trailing slashes."""

from django.urls import path

from certificates.api import authority_revocation_views, published_views
from certificates.api import authority_views as views

_AUTHORITIES = "api/v1/cert-manager/ca"
_INTERNAL = f"{_AUTHORITIES}/internal"
_AUTHORITY = f"{_INTERNAL}/<str:ca_id>"
_CRL = "api/v1/cert-manager/crl/<str:crl_id>"

urlpatterns = [
    path(_AUTHORITIES, views.AuthoritiesView.as_view(), name="api-authorities"),
    path(_INTERNAL, views.InternalAuthoritiesView.as_view(), name="api-internal-authorities"),
    path(f"{_INTERNAL}/import", views.ImportAuthorityView.as_view(), name="api-import-authority"),
    path(_AUTHORITY, views.InternalAuthorityView.as_view(), name="api-authority"),
    path(f"{_AUTHORITY}/csr", views.AuthorityCsrView.as_view(), name="api-authority-csr"),
    path(f"{_AUTHORITY}/certificate", views.AuthorityCertificateView.as_view(), name="api-authority-certificate"),
    path(
        f"{_AUTHORITY}/certificate/<str:certificate_id>",
        views.AuthorityCertificateByIdView.as_view(),
        name="api-authority-certificate-by-id",
    ),
    path(
        f"{_AUTHORITY}/ca-certificates",
        views.AuthorityCertificatesView.as_view(),
        name="api-authority-certificates",
    ),
    path(f"{_AUTHORITY}/sign-intermediate", views.SignIntermediateView.as_view(), name="api-sign-intermediate"),
    path(
        f"{_AUTHORITY}/import-certificate",
        views.ImportCertificateView.as_view(),
        name="api-import-authority-certificate",
    ),
    path(f"{_AUTHORITY}/renew", views.RenewAuthorityView.as_view(), name="api-renew-authority"),
    path(f"{_AUTHORITY}/crls", views.AuthorityCrlsView.as_view(), name="api-authority-crls"),
    path(
        f"{_AUTHORITY}/certificates/<str:certificate_id>/der",
        published_views.PublishedAuthorityCertificateView.as_view(),
        name="published-authority-certificate",
    ),
    path(
        f"{_AUTHORITY}/certificates/<str:certificate_id>/revoke",
        authority_revocation_views.RevokeAuthorityCertificateView.as_view(),
        name="api-revoke-authority-certificate",
    ),
    path(_CRL, published_views.PublishedCrlOldView.as_view(), name="published-crl-old"),
    path(f"{_CRL}/der", published_views.PublishedCrlView.as_view(), name="published-crl"),
    path(f"{_CRL}/pem", published_views.PublishedCrlPemView.as_view(), name="published-crl-pem"),
    path(f"{_CRL}/delta", published_views.PublishedDeltaCrlView.as_view(), name="published-delta-crl"),
    path(
        "api/v1/projects/<str:project_id>/cas", views.ProjectAuthoritiesView.as_view(), name="api-project-authorities"
    ),
]
