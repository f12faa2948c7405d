"""How long answers take, for Prometheus."""

from time import perf_counter
from typing import Any, ClassVar

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.views import APIView

from pki_portal.metrics import REQUEST_SECONDS, observe


class TimedView(APIView):
    """Base of views whose answers are timed, under the name of the operation."""

    operation: ClassVar[str]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer, and count how long that took."""
        began = perf_counter()
        response = super().dispatch(request, *args, **kwargs)
        status = f"{response.status_code // 100}xx"
        observe(REQUEST_SECONDS, perf_counter() - began, operation=self.operation, status=status)
        return response
