"""What every API view shares: reading JSON safely, strict fields, unknown keys, paging, times. It knows no app."""

from pki_portal.rest.body import (
    BODY_LIMIT,
    BatchJSONParser,
    StrictFormParser,
    StrictJSONParser,
    WireNegotiation,
    parse_json,
)
from pki_portal.rest.fields import (
    INTEGER_LIMIT,
    EnumField,
    StrictBooleanField,
    StrictCharField,
    StrictIntegerField,
    StrictListField,
    TimeField,
    UUIDField,
)
from pki_portal.rest.paging import CursorPaginator, CursorQuery, PageQuery, Total, WirePaginator
from pki_portal.rest.patches import json_patch
from pki_portal.rest.pointers import pointer_of
from pki_portal.rest.serializers import WireSerializer, ignored_keys, pointer_token, read, read_by, warned
from pki_portal.rest.values import iso, malformed, parse_uuid

__all__ = [
    "BODY_LIMIT",
    "INTEGER_LIMIT",
    "BatchJSONParser",
    "CursorPaginator",
    "CursorQuery",
    "EnumField",
    "PageQuery",
    "StrictBooleanField",
    "StrictCharField",
    "StrictFormParser",
    "StrictIntegerField",
    "StrictJSONParser",
    "StrictListField",
    "TimeField",
    "Total",
    "UUIDField",
    "WireNegotiation",
    "WirePaginator",
    "WireSerializer",
    "ignored_keys",
    "iso",
    "json_patch",
    "malformed",
    "parse_json",
    "parse_uuid",
    "pointer_of",
    "pointer_token",
    "read",
    "read_by",
    "warned",
]
