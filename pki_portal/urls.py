"""Where everything answers: the API under /api/ without trailing slashes, the pages beside it."""

from allauth.account import urls as account_urls
from allauth.account.decorators import secure_admin_login
from csp.constants import UNSAFE_INLINE
from csp.decorators import csp_update
from django.contrib import admin
from django.urls import include, path
from django.views.generic import TemplateView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from pki_portal import health

# The admin's own login would go round the limits (and later the second factor) of the portal's login.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
admin.site.site_header = "PKI Portal"
admin.site.site_title = "PKI Portal"
admin.site.index_title = "Operation"

# Swagger draws with inline styles; nothing else may.
api_docs = csp_update({"style-src": [UNSAFE_INLINE]})(SpectacularSwaggerSplitView.as_view(url_name="api-schema"))

# What allauth offers besides would promise mails that nobody sends, or accounts that only an administrator makes.
ACCOUNT_PAGES = {
    "account_login",
    "account_logout",
    "account_inactive",
    "account_reauthenticate",
    "account_change_password",
    "account_set_password",
}

# It says whom to ask.
forgotten_password = TemplateView.as_view(template_name="account/password_reset.html")

urlpatterns = [
    # First of all, for it is asked most: each address is looked for from the top.
    path("", include("certificates.api.urls")),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics, name="metrics"),
    path("api/status", health.status, name="api-status"),
    path("api/schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("api/docs/", api_docs, name="api-docs"),
    path("admin/", admin.site.urls),
    path("accounts/password/reset/", forgotten_password, name="account_reset_password"),
    path("accounts/", include([page for page in account_urls.urlpatterns if page.name in ACCOUNT_PAGES])),
    path("", include("pki_portal.access.api.urls")),
    path("", include("profiles.api.urls")),
    path("", include("certificates.alerts.api.urls")),
    path("", include("pki_portal.access.web.urls")),
    path("", include("profiles.web.urls")),
    path("", include("certificates.web.urls")),
    path("", include("certificates.alerts.web.urls")),
]

handler400 = "pki_portal.api.bad_request"
handler403 = "pki_portal.api.permission_denied"
handler404 = "pki_portal.api.not_found"
handler500 = "pki_portal.api.server_error"
