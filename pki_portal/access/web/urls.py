"""Addresses of the pages about projects, the audit log and people's passwords."""

from django.urls import path

from pki_portal.access.web import audit_log, projects, set_password

urlpatterns = [
    path("", projects.home, name="home"),
    path("projects/", projects.projects, name="projects"),
    path("projects/<slug:slug>/audit-log/", audit_log.audit_log, name="audit-log"),
    path("accounts/set-password/", set_password.set_password, name="set-password"),
    path("accounts/set-password/<str:token>/", set_password.open_link, name="open-set-password-link"),
]
