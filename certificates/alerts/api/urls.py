"""Addresses of the alerts' API, without trailing slashes."""

from django.urls import path

from certificates.alerts.api import views

_ALERTS = "api/v1/cert-manager/alerts"
_ALERT = f"{_ALERTS}/<str:alert_id>"

urlpatterns = [
    path(_ALERTS, views.AlertsView.as_view(), name="api-alerts"),
    path(_ALERT, views.AlertDetailView.as_view(), name="api-alert"),
    path(f"{_ALERT}/test", views.AlertTestView.as_view(), name="api-test-alert"),
    path(f"{_ALERT}/deliveries", views.AlertDeliveriesView.as_view(), name="api-alert-deliveries"),
]
