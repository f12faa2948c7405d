"""Pages of lists."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from django.db.models import Model, QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from pki_portal.keyset import COUNTED_AT_MOST, CursorMalformed, KeysetPage, count_up_to, keyset_page
from pki_portal.rest.fields import StrictCharField, StrictIntegerField
from pki_portal.rest.serializers import WireSerializer

M = TypeVar("M", bound=Model)

CURSOR_HELP: Final = (
    "`nextCursor` of the page before, in the place of an offset: the last page is as fast then as the first."
)
TOTAL_HELP: Final = (
    "Exact up to 10,000, and beyond where only status, source and profile narrow the list; else, beyond, how many there"
    " are without the rest."
)
NEXT_HELP: Final = "Cursor of the next page; null on the last."


class PageQuery(WireSerializer):
    """``offset`` from 0, ``limit`` from 1 to 100."""

    offset = StrictIntegerField(required=False, min_value=0)
    limit = StrictIntegerField(required=False, min_value=1, max_value=100)


class CursorQuery(PageQuery):
    """A ``cursor`` in the place of the offset."""

    cursor = StrictCharField(required=False, max_length=1000, help_text=CURSOR_HELP)


@dataclass(frozen=True, slots=True)
class Total:
    """How many rows of a list there are, known without looking at them; or, if not exact, how many at most."""

    count: Callable[[], int]
    is_exact: bool

    def of(self, queryset: QuerySet[M]) -> int:
        """Of the list. Two queries and a glance at 10,000 rows at most."""
        if self.is_exact:
            return self.count()
        counted = count_up_to(queryset, COUNTED_AT_MOST)
        return counted if counted <= COUNTED_AT_MOST else self.count()


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


class CursorPaginator(WirePaginator):
    """The same of a table that grows without bound: also by ``cursor``, with ``nextCursor`` in the answer."""

    def __init__(self, *, plural: str, default_limit: int = 25, total: Total | None = None) -> None:
        super().__init__(plural=plural, default_limit=default_limit)
        self.total = total
        self.next_cursor: str | None = None

    def paginate_queryset(self, queryset: QuerySet[M], request: Request) -> list[M]:
        """The rows of the page asked for. Raises the REST framework's ValidationError (422)."""
        query = CursorQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        return self.page(queryset, **{"limit": self.default_limit} | query.validated_data)

    def page(self, queryset: QuerySet[M], *, limit: int, offset: int = 0, cursor: str = "") -> list[M]:
        """The rows of a page. Raises the REST framework's ValidationError."""
        try:
            found: KeysetPage[M] = keyset_page(queryset, size=limit, cursor=cursor, offset=offset)
        except CursorMalformed:
            raise ValidationError({"cursor": ["This is no cursor of a list in this order."]}) from None
        self.next_cursor = found.next
        if self.total is not None and self.total.is_exact:
            self.total_count = self.total.count()
        elif not cursor and found.next is None and (found.rows or not offset):
            self.total_count = offset + len(found.rows)
        else:
            self.total_count = queryset.count() if self.total is None else self.total.of(queryset)
        return found.rows

    def get_paginated_response(self, data: Any) -> Response:
        """Wrap the rows."""
        return Response({self.plural: data, "totalCount": self.total_count, "nextCursor": self.next_cursor})
