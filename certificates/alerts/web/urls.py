"""Addresses of the pages about alerts."""

from django.urls import path

from certificates.alerts.web import alerts

urlpatterns = [
    path("projects/<slug:slug>/alerts/", alerts.alerts, name="alerts"),
    path("projects/<slug:slug>/alerts/create/", alerts.create, name="create-alert"),
    path("projects/<slug:slug>/alerts/<uuid:alert_id>/", alerts.alert, name="alert"),
    path("projects/<slug:slug>/alerts/<uuid:alert_id>/edit/", alerts.edit, name="edit-alert"),
    path("projects/<slug:slug>/alerts/<uuid:alert_id>/test/", alerts.test, name="test-alert"),
    path("projects/<slug:slug>/alerts/<uuid:alert_id>/delete/", alerts.delete, name="delete-alert"),
]
