"""Scheduled jobs in the admin, for administrators of the installation to look at."""

from django.contrib import admin
from django.http import HttpRequest
from django_tasks_db import admin as _registered_first  # noqa: F401
from django_tasks_db.models import DBTaskResult

from pki_portal.admin_base import PortalAdmin
from pki_portal.background.models import ScheduledJob

# Hints are no news, and their list would tell of every project's rows.
admin.site.unregister(DBTaskResult)


@admin.register(ScheduledJob)
class ScheduledJobAdmin(PortalAdmin):
    """When each job ran, when it runs next, and what went wrong."""

    list_display = ("name", "due_at", "last_succeeded_at", "runs", "failures", "last_error")

    def has_view_permission(self, request: HttpRequest, obj: ScheduledJob | None = None) -> bool:
        """Jobs belong to no project."""
        return bool(request.user.is_active and request.user.is_superuser)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Workers make them."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: ScheduledJob | None = None) -> bool:
        """Workers alone change them."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ScheduledJob | None = None) -> bool:
        """Workers would make them anew."""
        return False
