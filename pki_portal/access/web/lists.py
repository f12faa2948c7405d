"""Lists of tables that grow without bound, on pages."""

from collections.abc import Callable
from typing import Final, TypeVar

from django.db.models import Model, QuerySet
from django.http import HttpRequest

from pki_portal.keyset import CursorMalformed, KeysetPage, count_up_to, keyset_page

M = TypeVar("M", bound=Model)

# No more rows than this are counted to be told.
COUNTED_AT_MOST: Final = 10_000


def page_of(queryset: QuerySet[M], request: HttpRequest, *, size: int) -> KeysetPage[M]:
    """The page that ``at`` of the query names; the first where that is nonsense."""
    try:
        return keyset_page(queryset, size=size, cursor=request.GET.get("at", ""))
    except CursorMalformed:
        return keyset_page(queryset, size=size)


def told_total(page: KeysetPage[M], queryset: QuerySet[M], count: Callable[[], int] | None = None) -> str:
    """How many rows there are, in words; ``count`` knows it without looking at them."""
    if count is not None:
        return f"{count():,}"
    if page.next is None and page.position == 0:
        return str(len(page.rows))
    return told_count(queryset)


def told_count(queryset: QuerySet[M]) -> str:
    """How many rows there are, or ``10,000+``."""
    counted = count_up_to(queryset, COUNTED_AT_MOST)
    return f"{counted:,}" if counted <= COUNTED_AT_MOST else f"{COUNTED_AT_MOST:,}+"
