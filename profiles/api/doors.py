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
# And those of a version's document that no field of a refusal has.
_WIRE_NAMES_IN_DOCUMENTS: Mapping[str, str] = {"template": "certificateTemplate", "settings": "configs"}


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


def document_on_the_wire(document: Mapping[str, object]) -> dict[str, object]:
    """A version's document with the wire's keys; values are as stored."""
    return {key_on_the_wire(key): _value_on_the_wire(value) for key, value in document.items()}


def path_on_the_wire(path: str) -> str:
    """The path of a difference with the wire's keys; the types of entries, in brackets, are as stored."""
    return "/".join(_part_on_the_wire(part) for part in path.split("/"))


def key_on_the_wire(key: str) -> str:
    """One key of a document."""
    known = _WIRE_NAMES_IN_DOCUMENTS.get(key) or _WIRE_NAMES.get(key)
    if known is not None:
        return known
    first, *rest = key.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _part_on_the_wire(part: str) -> str:
    key, bracket, kind = part.partition("[")
    return f"{key_on_the_wire(key)}{bracket}{kind}"


def _value_on_the_wire(value: object) -> object:
    if isinstance(value, Mapping):
        return document_on_the_wire(value)
    return [_value_on_the_wire(each) for each in value] if isinstance(value, list) else value
