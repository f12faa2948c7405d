"""What the views of this app share: who asks, the project asked about, and refusals told in the wire's words."""

from collections.abc import Mapping
from uuid import UUID

from rest_framework.request import Request

from pki_portal.access.models import Project
from pki_portal.access.querysets import find_project
from pki_portal.access.requester import Requester, requester_of
from pki_portal.rest import parse_uuid
from pki_portal.rest.views import WireView

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


class ProfilesView(WireView):
    """Base of the views here."""

    def on_the_wire(self, field: str) -> str:
        """Part by part."""
        return "/".join(_WIRE_NAMES.get(part, part) for part in field.split("/"))

    @staticmethod
    def requester(request: Request) -> Requester:
        """Who asks."""
        return requester_of(request)

    def project(self, request: Request, reference: str) -> Project:
        """The project that a body or a query names. Raises NotFound, PermissionDenied."""
        return find_project(requester=self.requester(request), reference=reference)


def read_id(text: str) -> UUID:
    """The id in the path. Raises Malformed."""
    return parse_uuid(text, field="id")
