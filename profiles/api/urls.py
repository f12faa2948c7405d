"""Addresses of templates and profiles, without trailing slashes."""

from django.urls import path

from profiles.api.versions import POLICY_VERSIONS, PROFILE_VERSIONS, TEMPLATE_VERSIONS
from profiles.api.views import (
    CertificatePoliciesView,
    CertificatePolicyView,
    CertificateProfileBySlugView,
    CertificateProfilesView,
    CertificateProfileView,
    CertificateTemplatesView,
    CertificateTemplateView,
    TemplatePresetsView,
)

BASE = "api/v1/cert-manager"

_VERSIONED = {
    "certificate-templates/<str:owner_id>": ("template", TEMPLATE_VERSIONS),
    "certificate-policies/<str:owner_id>": ("policy", POLICY_VERSIONS),
    "certificate-profiles/<str:owner_id>": ("profile", PROFILE_VERSIONS),
}

urlpatterns = [
    path(f"{BASE}/certificate-templates", CertificateTemplatesView.as_view(), name="api-templates"),
    path(f"{BASE}/certificate-templates/presets", TemplatePresetsView.as_view(), name="api-template-presets"),
    path(f"{BASE}/certificate-templates/<str:template_id>", CertificateTemplateView.as_view(), name="api-template"),
    path(f"{BASE}/certificate-policies", CertificatePoliciesView.as_view(), name="api-policies"),
    path(f"{BASE}/certificate-policies/<str:template_id>", CertificatePolicyView.as_view(), name="api-policy"),
    path(f"{BASE}/certificate-profiles", CertificateProfilesView.as_view(), name="api-profiles"),
    path(
        f"{BASE}/certificate-profiles/slug/<str:slug>",
        CertificateProfileBySlugView.as_view(),
        name="api-profile-by-slug",
    ),
    path(f"{BASE}/certificate-profiles/<str:profile_id>", CertificateProfileView.as_view(), name="api-profile"),
    *(
        path(f"{BASE}/{owner}/versions{rest}", view.as_view(), name=f"api-{name}-version{end}")
        for owner, (name, views) in _VERSIONED.items()
        for view, rest, end in zip(
            views, ("", "/<str:number>", "/<str:number>/diff"), ("s", "", "-difference"), strict=True
        )
    ),
]
