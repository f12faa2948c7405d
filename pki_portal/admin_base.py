"""What every page of the administration has in common."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse


class PortalAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Base of all: what no page of its own sends is refused, where Django would fail."""

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Model | None:
        """The row; an empty name of a field is none."""
        found: Model | None = super().get_object(request, object_id, from_field or None)
        return found

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:  # type: ignore[override]
        """What an action answers; none is begun with keys that no row can have."""
        key = self.model._meta.pk
        try:
            for text in request.POST.getlist(ACTION_CHECKBOX_NAME):
                key.clean(text, None)
        except ValidationError:
            self.message_user(request, "Nothing was done: choose rows of this list.", messages.ERROR)
            return None
        answer: HttpResponse | None = super().response_action(request, queryset)
        return answer
