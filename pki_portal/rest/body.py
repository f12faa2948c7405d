"""Reading a body: JSON that every database and every reader takes, forms, and bodies without a Content-Type."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any, NoReturn

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser, FormParser, JSONParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from pki_portal.errors import Malformed, TooLarge
from pki_portal.rest.values import malformed
from pki_portal.storable import is_storable

BODY_LIMIT = 1024 * 1024
# A thousand CSRs of RSA-4096 keys.
BATCH_BODY_LIMIT = 4 * 1024 * 1024
NESTING_LIMIT = 32

_UNSTORABLE_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


def parse_json(raw: bytes, limit: int = BODY_LIMIT) -> Any:
    """Read one JSON text of at most ``limit`` octets and 32 levels; an empty one is ``{}``.

    Refused besides broken syntax: invalid UTF-8, NaN and Infinity (also as ``1e999``), NUL characters and lone
    surrogates, which no database column takes. Of a doubled key the last one wins. Raises TooLarge or Malformed.
    """
    if len(raw) > limit:
        raise TooLarge(f"The body is larger than {limit} bytes.")
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


class BatchJSONParser(BaseParser):
    """The same for bodies of many requests. It is no JSONParser, for those get a body under Django's own limit."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Read the body. Raises TooLarge or Malformed."""
        return parse_json(stream.read(BATCH_BODY_LIMIT + 1), BATCH_BODY_LIMIT)


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

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """Choose by Accept; what nearly everybody sends asks for the first, and needs no parsing."""
        first = next(iter(renderers))
        if not format_suffix and request.META.get("HTTP_ACCEPT", "*/*") in ("*/*", first.media_type):
            return first, str(first.media_type)
        chosen: tuple[BaseRenderer, str] = super().select_renderer(request, renderers, format_suffix)
        return chosen
