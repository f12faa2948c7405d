"""Pages of lists."""

from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from pki_portal.rest.fields import StrictIntegerField
from pki_portal.rest.serializers import WireSerializer

M = TypeVar("M", bound=Model)


class PageQuery(WireSerializer):
    """``offset`` from 0, ``limit`` from 1 to 100."""

    offset = StrictIntegerField(required=False, min_value=0)
    limit = StrictIntegerField(required=False, min_value=1, max_value=100)


class WirePaginator:
    """``offset`` and ``limit`` of the query; the answer is ``{<plural>: [...], "totalCount": n}``. Two queries.

    A view makes one, pages a queryset and answers with it::

        paginator = WirePaginator(plural="certificateProfiles", default_limit=20)
        rows = paginator.paginate_queryset(profiles, request)
        return paginator.get_paginated_response([as_wire(row) for row in rows])
    """

    def __init__(self, *, plural: str, default_limit: int = 25) -> None:
        self.plural = plural
        self.default_limit = default_limit
        self.total_count = 0

    def paginate_queryset(self, queryset: QuerySet[M], request: Request) -> list[M]:
        """The rows of the page asked for. Raises the REST framework's ValidationError (422)."""
        query = PageQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        offset = query.validated_data.get("offset", 0)
        limit = query.validated_data.get("limit", self.default_limit)
        self.total_count = queryset.count()
        if offset >= self.total_count:
            return []
        return list(queryset[offset : offset + limit])

    def get_paginated_response(self, data: Any) -> Response:
        """Wrap the rows."""
        return Response({self.plural: data, "totalCount": self.total_count})
