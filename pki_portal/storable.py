"""Text that every database takes: PostgreSQL refuses NUL, and half of a surrogate pair has no UTF-8 form."""

import re
from collections.abc import Mapping
from typing import Any

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


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
    if isinstance(value, str):
        return storable(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [storable_json(member) for member in value]
    if isinstance(value, Mapping):
        return {storable(key): storable_json(member) for key, member in value.items()}
    return value
