"""Lists of tables that grow without bound, on pages."""

from collections.abc import Callable
from typing import TypeVar

from django.db.models import Model, QuerySet
from django.http import HttpRequest

from pki_portal.keyset import COUNTED_AT_MOST, CursorMalformed, KeysetPage, count_up_to, keyset_page

M = TypeVar("M", bound=Model)


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


def told_count(queryset: QuerySet[M], most: int = COUNTED_AT_MOST) -> str:
    """How many rows there are, or ``10,000+``, or whatever is the most that are counted."""
    counted = count_up_to(queryset, most)
    return f"{counted:,}" if counted <= most else f"{most:,}+"
