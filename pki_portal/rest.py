"""What every API view shares: reading JSON safely, strict fields, unknown keys, paging, times. It knows no app."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import IO, Any, ClassVar, Generic, NoReturn, TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet
from rest_framework import serializers
from rest_framework.fields import empty
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser, FormParser, JSONParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils import html

from pki_portal.errors import Malformed, TooLarge, Violation
from pki_portal.storable import is_storable

BODY_LIMIT = 1024 * 1024
NESTING_LIMIT = 32
LIST_LIMIT = 1000
IGNORED_KEYS_LIMIT = 100
# The largest integer that every JSON reader keeps exactly is 2**53 - 1; database integers end at 2**31 - 1.
INTEGER_LIMIT = 2**31 - 1

_UNSTORABLE_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_QUERY_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")

E = TypeVar("E", bound=StrEnum)
M = TypeVar("M", bound=Model)


def iso(moment: datetime) -> str:
    """An aware time as clients expect it: UTC, milliseconds, ``Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def malformed(*, field: str, code: str, asked: str, allowed: str, fix: str) -> Malformed:
    """A 422 about one value of the request; ``field`` is its inside path (empty for the whole body)."""
    return Malformed(fix, violations=(Violation(field, code, "the form of the request", asked[:200], allowed, fix),))


def parse_uuid(text: str, *, field: str) -> UUID:
    """Read an id from a path or a query in its canonical form. Raises Malformed."""
    if not _UUID.fullmatch(text):
        raise malformed(field=field, code="invalid_uuid", asked=text, allowed="a UUID", fix="Invalid uuid")
    return UUID(text)


# --- Reading the body -------------------------------------------------------------------------------------------------


def parse_json(raw: bytes) -> Any:
    """Read one JSON text of at most 1 MiB and 32 levels; an empty one is ``{}``. Raises TooLarge or Malformed.

    Refused besides broken syntax: invalid UTF-8, NaN and Infinity (also as ``1e999``), NUL characters and lone
    surrogates, which no database column takes. Of a doubled key the last one wins.
    """
    if len(raw) > BODY_LIMIT:
        raise TooLarge(f"The body is larger than {BODY_LIMIT} bytes.")
    if not raw.strip():
        return {}
    try:
        value = json.loads(raw.decode("utf-8-sig"), parse_constant=_refuse_constant, parse_float=_finite)
    except UnicodeDecodeError as problem:
        raise _bad_json(f"it is not UTF-8 at byte {problem.start}") from None
    except json.JSONDecodeError as problem:
        raise _bad_json(f"{problem.msg} at line {problem.lineno}, column {problem.colno}") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError:  # an integer of thousands of digits
        raise _bad_json("it holds a number outside every range") from None
    _check_depth(raw, value)
    if _UNSTORABLE_ESCAPE.search(raw):
        _check_characters(value)
    return value


def _bad_json(reason: str) -> Malformed:
    return malformed(
        field="", code="invalid_json", asked="", allowed="one JSON text", fix=f"The body is no valid JSON: {reason}."
    )


def _too_deep() -> Malformed:
    return malformed(
        field="",
        code="too_deep",
        asked="",
        allowed=f"at most {NESTING_LIMIT} levels",
        fix=f"The body is nested deeper than {NESTING_LIMIT} levels.",
    )


def _refuse_constant(name: str) -> NoReturn:
    raise _bad_json(f"{name} is no JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise _bad_json("it holds a number outside every range")
    return number


def _check_depth(raw: bytes, value: object) -> None:
    """Walk level by level, and only where there are brackets enough for a body that is too deep."""
    if raw.count(b"{") + raw.count(b"[") <= NESTING_LIMIT:
        return
    level: list[object] = [value]
    for _ in range(NESTING_LIMIT):
        level = [member for outer in level for member in _members(outer) if isinstance(member, dict | list)]
        if not level:
            return
    raise _too_deep()


def _members(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _check_characters(value: object) -> None:
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, dict):
            waiting.extend(current)
        if isinstance(current, str) and not is_storable(current):
            raise _bad_json("it holds a NUL character or half of a surrogate pair")
        waiting.extend(_members(current))


class StrictJSONParser(JSONParser):
    """:func:`parse_json` for the REST framework, whatever charset the header claims."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Read the body. Raises TooLarge or Malformed."""
        return parse_json(stream.read(BODY_LIMIT + 1))


class StrictFormParser(FormParser):
    """URL-encoded forms under the same limit; only the login takes them."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Read the body. Raises TooLarge."""
        if parser_context is not None:
            length = parser_context["request"].META.get("CONTENT_LENGTH", "0")
            if length.isdecimal() and int(length) > BODY_LIMIT:
                raise TooLarge(f"The body is larger than {BODY_LIMIT} bytes.")
        return super().parse(stream, media_type, parser_context)


class WireNegotiation(DefaultContentNegotiation):
    """A body without a Content-Type is JSON: real clients POST an empty one so."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        """Choose by Content-Type, the first parser where there is none."""
        if not request.content_type:
            return next(iter(parsers), None)
        return super().select_parser(request, parsers)


# --- Fields -----------------------------------------------------------------------------------------------------------
# The messages have the form of the reference's validator; ``pki_portal.api`` reads type and bounds out of them.


def _json_type(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list | tuple) else "object"


class StrictCharField(serializers.CharField):
    """Text and nothing else: no number passes for text, NULs and lone surrogates are refused, blanks around it are
    trimmed.
    """

    default_error_messages: ClassVar[dict[str, Any]] = {"invalid_type": "Expected string, received {received}"}

    def run_validation(self, data: Any = empty) -> Any:
        """Check the type before anything turns the value into text."""
        if data is not empty and data is not None and not isinstance(data, str):
            self.fail("invalid_type", received=_json_type(data))
        return super().run_validation(data)


class StrictBooleanField(serializers.BooleanField):
    """``true`` or ``false``; in a query string their names, in any case."""

    default_error_messages: ClassVar[dict[str, Any]] = {"invalid_type": "Expected boolean, received {received}"}
    default_empty_html = empty

    def get_value(self, dictionary: Mapping[Any, Any]) -> Any:
        """Read the names in a query string."""
        value = super().get_value(dictionary)
        if html.is_html_input(dictionary) and isinstance(value, str):
            return {"true": True, "false": False}.get(value.lower(), value)
        return value

    def to_internal_value(self, data: Any) -> bool:
        """Take a boolean only."""
        if not isinstance(data, bool):
            self.fail("invalid_type", received=_json_type(data))
        return data


class StrictIntegerField(serializers.IntegerField):
    """A whole number between -(2**31 - 1) and 2**31 - 1 unless bounded otherwise; ``7.0`` is one in JSON, ``"7"`` only
    in a query.
    """

    default_error_messages: ClassVar[dict[str, Any]] = {
        "invalid_type": "Expected number, received {received}",
        "not_integer": "Expected integer, received float",
    }

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_value", INTEGER_LIMIT)
        kwargs.setdefault("min_value", -INTEGER_LIMIT)
        super().__init__(**kwargs)

    def get_value(self, dictionary: Mapping[Any, Any]) -> Any:
        """Read digits in a query string."""
        value = super().get_value(dictionary)
        if html.is_html_input(dictionary) and isinstance(value, str) and _QUERY_INTEGER.fullmatch(value):
            return int(value)
        return value

    def to_internal_value(self, data: Any) -> int:
        """Take a whole number only."""
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid_type", received=_json_type(data))
        if isinstance(data, float) and not data.is_integer():
            self.fail("not_integer")
        return int(data)


class StrictListField(serializers.ListField):
    """A JSON array of at most 1,000 members unless bounded otherwise; the length is judged before any member is."""

    default_error_messages: ClassVar[dict[str, Any]] = {"invalid_type": "Expected array, received {received}"}

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", LIST_LIMIT)
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> list[Any]:
        """Take an array only."""
        if not isinstance(data, list):
            self.fail("invalid_type", received=_json_type(data))
        if self.max_length is not None and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        return super().to_internal_value(data)


class EnumField(serializers.ChoiceField, Generic[E]):
    """A member of ``enum_cls``, read in any case by its value or by one of ``synonyms``, answered by its value."""

    default_error_messages: ClassVar[dict[str, Any]] = {
        "invalid_type": "Expected string, received {received}",
        "invalid_choice": "Invalid enum value. Expected {options}, received '{input}'",
    }

    def __init__(self, enum_cls: type[E], *, synonyms: Mapping[str, E] | None = None, **kwargs: Any) -> None:
        self.enum_cls = enum_cls
        self._members: dict[str, E] = {spelling.casefold(): member for spelling, member in (synonyms or {}).items()}
        self._members |= {member.value.casefold(): member for member in enum_cls}
        super().__init__(choices=[member.value for member in enum_cls], **kwargs)

    def to_internal_value(self, data: Any) -> E:
        """Find the member."""
        if not isinstance(data, str):
            self.fail("invalid_type", received=_json_type(data))
        member = self._members.get(data.strip().casefold())
        if member is None:
            options = " | ".join(f"'{option.value}'" for option in self.enum_cls)
            self.fail("invalid_choice", options=options, input=data[:100])
        return member

    def to_representation(self, value: Any) -> str:
        """Give the value."""
        return str(value)


class UUIDField(serializers.UUIDField):
    """A UUID as text in its canonical form."""

    default_error_messages: ClassVar[dict[str, Any]] = {
        "invalid_type": "Expected string, received {received}",
        "invalid_uuid": "Invalid uuid",
    }

    def to_internal_value(self, data: Any) -> UUID:
        """Take the canonical form only."""
        if not isinstance(data, str):
            self.fail("invalid_type", received=_json_type(data))
        if not _UUID.fullmatch(data.strip()):
            self.fail("invalid_uuid")
        return UUID(data.strip())


class TimeField(serializers.DateTimeField):
    """A time in answers: :func:`iso`."""

    def to_representation(self, value: datetime) -> str:
        """Write it with milliseconds and ``Z``."""
        return iso(value)


# --- Serializers ------------------------------------------------------------------------------------------------------


class WireSerializer(serializers.Serializer[Any]):
    """Base of the input serializers: unknown keys are dropped, as in the reference; :attr:`ignored_keys` names them."""

    default_error_messages: ClassVar[dict[str, Any]] = {"invalid_type": "Expected object, received {received}"}

    def to_internal_value(self, data: Any) -> Any:
        """Take an object only."""
        if not isinstance(data, Mapping):
            raise serializers.ValidationError(
                {"non_field_errors": [self.error_messages["invalid_type"].format(received=_json_type(data))]},
                code="invalid_type",
            )
        return super().to_internal_value(data)

    @property
    def ignored_keys(self) -> list[str]:
        """JSON pointers of the keys of the body that nothing reads, nested ones too, at most 100."""
        return ignored_keys(self, self.initial_data)


def ignored_keys(serializer: serializers.BaseSerializer[Any], data: object) -> list[str]:
    """JSON pointers (RFC 6901) of the keys in ``data`` that ``serializer`` does not read, at most 100."""
    found: list[str] = []
    for pointer in _unread(serializer, data, ""):
        if len(found) == IGNORED_KEYS_LIMIT:
            break
        found.append(pointer)
    return found


def _unread(field: object, data: object, at: str) -> Iterator[str]:
    if isinstance(field, serializers.ListSerializer | serializers.ListField):
        if isinstance(data, list):
            for index, member in enumerate(data):
                yield from _unread(field.child, member, f"{at}/{index}")
    elif isinstance(field, serializers.Serializer) and isinstance(data, Mapping):
        for key, value in data.items():
            inner = field.fields.get(key)
            pointer = f"{at}/{pointer_token(key)}"
            if inner is None or inner.read_only:
                yield pointer
            else:
                yield from _unread(inner, value, pointer)


def pointer_token(key: str) -> str:
    """Escape one reference token (RFC 6901, 3)."""
    return key.replace("~", "~0").replace("/", "~1")


# --- Paging -----------------------------------------------------------------------------------------------------------


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
