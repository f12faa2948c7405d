"""What the views of this app share: who asks, the project asked about, and refusals told in the wire's words."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from pki_portal.access.models import Project
from pki_portal.access.querysets import get_project
from pki_portal.access.requester import Requester, requester_of
from pki_portal.errors import Malformed, NotFound, PortalError, Violation
from pki_portal.rest import WireSerializer, parse_uuid

# Inside names whose wire name is not just their camelCase form.
_WIRE_NAMES: Mapping[str, str] = {
    "key_usages": "keyUsages",
    "extended_key_usages": "extendedKeyUsages",
    "basic_constraints": "basicConstraints",
    "is_ca": "isCA",
    "certificate_authority_id": "caId",
    "enrollment_method": "enrollmentType",
    "api": "apiConfig",
    "est": "estConfig",
    "acme": "acmeConfig",
}


class WireView(APIView):
    """A view whose refusals name the fields of its own body."""

    def handle_exception(self, exc: Exception) -> Response:
        """Respell the fields of a refusal before it is told."""
        if isinstance(exc, PortalError):
            exc.violations = tuple(_on_the_wire(violation) for violation in exc.violations)
        return super().handle_exception(exc)

    @staticmethod
    def requester(request: Request) -> Requester:
        """Who asks."""
        return requester_of(request)

    def project(self, request: Request, reference: str) -> Project:
        """The project that a body or a query names. Raises NotFound, PermissionDenied."""
        try:
            project_id = parse_uuid(reference, field="project_id")
        except Malformed:
            raise NotFound(f"Project {reference[:100]} was not found.") from None
        return get_project(requester=self.requester(request), project_id=project_id)


def read(serializer: WireSerializer) -> Mapping[str, Any]:
    """The values that the serializer reads. Raises the REST framework's ValidationError."""
    serializer.is_valid(raise_exception=True)
    values: Mapping[str, Any] = serializer.validated_data
    return values


def read_id(text: str) -> UUID:
    """The id in the path. Raises Malformed."""
    return parse_uuid(text, field="id")


def ignored(serializer: WireSerializer) -> Iterable[str]:
    """A sentence for each key of the body that nothing read."""
    return (f"{pointer} is not read here and was ignored." for pointer in serializer.ignored_keys)


def _on_the_wire(violation: Violation) -> Violation:
    return replace(violation, field="/".join(_WIRE_NAMES.get(part, part) for part in violation.field.split("/")))
