"""Versions of templates and profiles over HTTP: the list, one as a whole, and what differs between two."""
# ruff: noqa: N815 - the wire's spelling

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from pki_portal.access.requester import Requester
from pki_portal.rest import INTEGER_LIMIT, PageQuery, StrictIntegerField, TimeField, WirePaginator, malformed
from pki_portal.rest.schema import answers, listed, wrapped
from profiles.api.doors import ProfilesView, document_on_the_wire, path_on_the_wire, read_id
from profiles.models.version import Version
from profiles.policy.difference import differences
from profiles.querysets import profile_history, template_history, version_numbered

PAGE_SIZE = 20


class AuthorSerializer(serializers.Serializer[Any]):
    """Who made a version."""

    kind = serializers.CharField(source="author_kind", help_text="user, identity or system.")
    id = serializers.CharField(source="author_id", allow_blank=True)
    name = serializers.CharField(source="author_name")


class VersionSerializer(serializers.Serializer[Any]):
    """A version in lists."""

    version = serializers.IntegerField(source="number")
    name = serializers.CharField(help_text="Name of the template or slug of the profile at that time.")
    author = AuthorSerializer(source="*")
    createdAt = TimeField(source="created_at")


class VersionDetailSerializer(VersionSerializer):
    """A version with all that it says."""

    document = serializers.SerializerMethodField()

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_document(self, version: Version) -> dict[str, object]:
        """In the wire's keys."""
        return document_on_the_wire(version.document)


@extend_schema_field({})
class AnyField(serializers.Field[Any, Any, Any, Any]):
    """Any JSON value."""

    def to_representation(self, value: Any) -> Any:
        """As it is."""
        return value


class DifferenceSerializer(serializers.Serializer[Any]):
    """One place where two versions differ."""

    path = serializers.CharField(help_text="For example subject[common_name]/allowed.")
    before = AnyField()
    after = AnyField()


class VersionDifferenceSerializer(serializers.Serializer[Any]):
    """What differs between two versions."""

    to = serializers.IntegerField()
    differences = DifferenceSerializer(many=True)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """``from`` is a word of Python."""
        return {
            "from": serializers.IntegerField(allow_null=True, help_text="Null for version 1, before which was nothing.")
        } | super().get_fields()


class DifferenceQuery(serializers.Serializer[Any]):
    """The query of a difference."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """``from`` is a word of Python."""
        help_text = "The version to compare with; the one before unless it is given."
        return {"from": StrictIntegerField(required=False, min_value=1, help_text=help_text)}


@dataclass(frozen=True, slots=True)
class Versioned:
    """Whose versions: how they are found, and what they are called."""

    history: Callable[[Requester, UUID], QuerySet[Any]]
    operation: str
    noun: str
    tag: str


TEMPLATE = Versioned(
    history=lambda requester, owner: template_history(requester=requester, template_id=owner),
    operation="CertificateTemplate",
    noun="a template",
    tag="Certificate templates",
)
POLICY = Versioned(TEMPLATE.history, "CertificatePolicy", TEMPLATE.noun, TEMPLATE.tag)
PROFILE = Versioned(
    history=lambda requester, owner: profile_history(requester=requester, profile_id=owner),
    operation="CertificateProfile",
    noun="a profile",
    tag="Certificate profiles",
)


class VersionsView(ProfilesView):
    """The versions of one template or profile."""

    versioned: ClassVar[Versioned]

    def history(self, request: Request, owner_id: str) -> QuerySet[Version]:
        """Newest first. Raises NotFound, PermissionDenied, Malformed."""
        return self.versioned.history(self.requester(request), read_id(owner_id))


class VersionListView(VersionsView):
    """All of them."""

    def get(self, request: Request, owner_id: str) -> Response:
        """List them."""
        paginator = WirePaginator(plural="versions", default_limit=PAGE_SIZE)
        rows = paginator.paginate_queryset(self.history(request, owner_id).defer("document"), request)
        return paginator.get_paginated_response(VersionSerializer(rows, many=True).data)


class VersionDetailView(VersionsView):
    """One of them."""

    def get(self, request: Request, owner_id: str, number: str) -> Response:
        """Read it."""
        version = version_numbered(self.history(request, owner_id), read_number(number))
        return Response({"version": VersionDetailSerializer(version).data})


class VersionDifferenceView(VersionsView):
    """Two of them."""

    def get(self, request: Request, owner_id: str, number: str) -> Response:
        """Compare them."""
        query = DifferenceQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        history = self.history(request, owner_id)
        after = version_numbered(history, read_number(number))
        start = query.validated_data.get("from", after.number - 1)
        before = version_numbered(history, start).document if start else {}
        found = [
            {"path": path_on_the_wire(each.path), "before": each.before, "after": each.after}
            for each in differences(before, after.document)
        ]
        told = {"from": start or None, "to": after.number, "differences": found}
        return Response(VersionDifferenceSerializer(told).data)


def read_number(text: str) -> int:
    """The version's number in the path. Raises Malformed."""
    if re.fullmatch("[0-9]{1,10}", text) and 1 <= int(text) <= INTEGER_LIMIT:
        return int(text)
    raise malformed(
        field="version",
        code="invalid_version",
        asked=text[:100],
        allowed="a whole number from 1",
        fix="Give the number of a version, as the list of versions tells it.",
    )


def _views_of(versioned: Versioned) -> tuple[type[VersionsView], ...]:
    """List, detail and difference, each with its description."""
    owner = OpenApiParameter("owner_id", OpenApiTypes.UUID, OpenApiParameter.PATH)
    number = OpenApiParameter(
        "number", {"type": "integer", "minimum": 1, "maximum": INTEGER_LIMIT}, OpenApiParameter.PATH
    )
    name = versioned.operation
    described: tuple[tuple[type[VersionsView], dict[str, Any]], ...] = (
        (
            VersionListView,
            {
                "operation_id": f"list{name}Versions",
                "summary": f"List the versions of {versioned.noun}, newest first",
                "parameters": [owner, PageQuery],
                "responses": answers(listed(f"{name}VersionList", "versions", VersionSerializer)),
            },
        ),
        (
            VersionDetailView,
            {
                "operation_id": f"get{name}Version",
                "summary": f"Read one version of {versioned.noun}",
                "parameters": [owner, number],
                "responses": answers(wrapped(f"{name}VersionAnswer", "version", VersionDetailSerializer)),
            },
        ),
        (
            VersionDifferenceView,
            {
                "operation_id": f"compare{name}Versions",
                "summary": f"Tell what differs between two versions of {versioned.noun}",
                "parameters": [owner, number, DifferenceQuery],
                "responses": answers(VersionDifferenceSerializer),
            },
        ),
    )
    return tuple(
        extend_schema_view(get=extend_schema(tags=[versioned.tag], **said))(
            type(f"{name}{view.__name__}", (view,), {"versioned": versioned, "__doc__": view.__doc__})
        )
        for view, said in described
    )


TEMPLATE_VERSIONS = _views_of(TEMPLATE)
POLICY_VERSIONS = _views_of(POLICY)
PROFILE_VERSIONS = _views_of(PROFILE)
