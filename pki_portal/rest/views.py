"""The base of the API's views. Not in the package's own names: the REST framework's views import that."""

from dataclasses import replace

from rest_framework.response import Response
from rest_framework.views import APIView

from pki_portal.errors import PortalError


class WireView(APIView):
    """A view whose refusals name the fields of its own body."""

    def handle_exception(self, exc: Exception) -> Response:
        """Respell the fields of a refusal before it is told."""
        if isinstance(exc, PortalError):
            exc.violations = tuple(
                replace(violation, field=self.on_the_wire(violation.field)) for violation in exc.violations
            )
        return super().handle_exception(exc)

    def on_the_wire(self, field: str) -> str:
        """The wire's path for the inside path of a violation; what ``pki_portal.api`` spells by itself stays."""
        raise NotImplementedError
