"""Text that every database takes: PostgreSQL refuses NUL, and half of a surrogate pair has no UTF-8 form."""

import json
import re
from collections.abc import Mapping
from typing import Any

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# The same as JSON in ASCII has it, and what looks like it: pairs of surrogates, and backslashes before such letters.
_ESCAPED = re.compile(r"\\u(?:0000|d[89a-f])")


def is_storable(text: str) -> bool:
    """Whether a text column of every database takes ``text`` as it stands."""
    return _UNSTORABLE.search(text) is None


def storable(text: str) -> str:
    """``text`` with U+FFFD in place of each character that is not stored; as long as before."""
    if text.isascii() and "\0" not in text:
        return text  # nearly all there is, for a tenth of the price
    return _UNSTORABLE.sub("\ufffd", text)


def storable_json(value: object) -> Any:
    """A JSON value with :func:`storable` text in it, keys too; tuples become lists."""
    try:
        document = json.dumps(value)
    except TypeError:  # another kind of mapping
        return _replaced(value)
    # Nearly always there is nothing to replace; to look at each text by itself costs some times as much.
    return _replaced(value) if _ESCAPED.search(document) else json.loads(document)


def _replaced(value: object) -> Any:
    if isinstance(value, str):
        return storable(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_replaced(member) for member in value]
    if isinstance(value, Mapping):
        return {storable(key): _replaced(member) for key, member in value.items()}
    return value
