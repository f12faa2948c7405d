"""Fields for words of the policy, which have many spellings on the wire and one inside."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar

from pki_portal.rest import EnumField

E = TypeVar("E", bound=StrEnum)


class WordField(EnumField[E]):
    """A word in any spelling that ``parse`` reads; described and answered by its value."""

    def __init__(self, enum_cls: type[E], *, parse: Callable[[str], E], **kwargs: Any) -> None:
        self._parse = parse
        super().__init__(enum_cls, **kwargs)

    def to_internal_value(self, data: Any) -> E:
        """Find the member."""
        if isinstance(data, str):
            try:
                return self._parse(data)
            except ValueError:
                pass  # the base refuses it, in the form in which every enum is refused
        return super().to_internal_value(data)
