from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from pki_portal.audit.models import AuditEvent


@admin.register(AuditEvent)
class AuditEventAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not subscriptable at run time
    """Reading only: nobody adds, changes or deletes what happened."""

    list_display = ("id", "occurred_at", "event", "outcome", "actor_kind", "actor_name", "address", "subject_type")
    list_filter = ("outcome", "actor_kind", "event")
    search_fields = ("actor_name", "subject_id", "request_id", "address")
    date_hierarchy = "occurred_at"
    show_full_result_count = False
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: AuditEvent | None = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False
