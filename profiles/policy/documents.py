"""Reading rules out of JSON documents: every defect is kept with its place, and one raise tells them all."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pki_portal.errors import Violation
from profiles.policy.errors import Code, DuplicateRule, RuleError
from profiles.policy.wording import quoted, shown

MOST_ENTRIES = 250
LONGEST_TEXT = 500

T = TypeVar("T")
# Reads one text; raises ValueError with a sentence.
Reader = Callable[[str], T]


@dataclass(slots=True)
class Defects:
    """What is wrong with a document so far."""

    malformed: list[Violation] = field(default_factory=list)
    duplicates: list[Violation] = field(default_factory=list)

    def add(self, path: str, asked: object, allowed: str, *, code: Code = Code.MALFORMED_RULE) -> None:
        violation = Violation(
            field=path,
            code=code.value,
            rule="format of rules",
            asked=describe(asked),
            allowed=allowed,
            fix=f"give {allowed}",
        )
        self.malformed.append(violation)

    def add_duplicate(self, path: str, asked: object) -> None:
        self.duplicates.append(
            Violation(
                field=path,
                code=Code.DUPLICATE_RULE.value,
                rule="format of rules",
                asked=describe(asked),
                allowed="each once",
                fix=f"remove the second {describe(asked)}",
            )
        )

    def raise_any(self) -> None:
        """Raises RuleError with everything, or DuplicateRule where all is readable and only something stands twice."""
        if self.malformed:
            raise RuleError([*self.malformed, *self.duplicates])
        if self.duplicates:
            raise DuplicateRule(self.duplicates)


@dataclass(frozen=True, slots=True)
class Lists(Generic[T]):
    """The three lists of a rule."""

    allowed: tuple[T, ...]
    required: tuple[T, ...]
    denied: tuple[T, ...]


def describe(value: object) -> str:
    """A JSON value for a message: short, whatever it is."""
    match value:
        case str():
            return quoted(value)
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() if abs(value) < 10**12:
            return str(value)
        case int() | float():
            return "a number"
        case Mapping():
            return "an object"
        case _:
            return "a list"


def read_object(defects: Defects, path: str, value: object) -> Mapping[str, object] | None:
    """The object, or None where there is none (absent, null) or something else (a defect)."""
    if value is None:
        return None
    if isinstance(value, Mapping):
        return value
    defects.add(path, value, "an object")
    return None


def read_array(defects: Defects, path: str, value: object) -> Sequence[object]:
    """The members of a list; nothing where it is absent, null, no list or absurdly long (defects)."""
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        defects.add(path, value, "a list")
        return ()
    if len(value) > MOST_ENTRIES:
        defects.add(path, value, f"a list of at most {MOST_ENTRIES} entries")
        return ()
    return value


def read_text(defects: Defects, path: str, value: object, read: Reader[T]) -> T | None:
    """One text through a reader; None where it is absent, null, or not to be read (a defect)."""
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        defects.add(path, value, "a text that is not empty")
        return None
    if len(value) > LONGEST_TEXT:
        defects.add(path, value, f"a text of at most {LONGEST_TEXT} characters")
        return None
    try:
        return read(value)
    except ValueError as reason:
        defects.add(path, value, shown(str(reason), 600))
        return None


def read_texts(defects: Defects, path: str, value: object, read: Reader[T], *, once: bool = True) -> tuple[T, ...]:
    """A list of texts through a reader, each result once; with ``once`` a second is a defect."""
    results: dict[T, None] = {}
    for index, member in enumerate(read_array(defects, path, value)):
        place = f"{path}/{index}"
        if member is None:
            defects.add(place, member, "a text that is not empty")
            continue
        result = read_text(defects, place, member, read)
        if result is None:
            continue
        if once and result in results:
            defects.add_duplicate(place, member)
        results[result] = None
    return tuple(results)


def read_lists(defects: Defects, path: str, entry: Mapping[str, object], read: Reader[T]) -> Lists[T] | None:
    """``allowed``, ``required`` and ``denied`` of one rule; None where they cannot be read or say nothing (defects)."""
    before = len(defects.malformed)
    lists = Lists(
        *(read_texts(defects, f"{path}/{key}", entry.get(key), read) for key in ("allowed", "required", "denied"))
    )
    if len(defects.malformed) > before:
        return None
    if not (lists.allowed or lists.required or lists.denied):
        allowed = "at least one value in allowed, required or denied"
        defects.add(path, "the rule", allowed, code=Code.EMPTY_RULE)
        return None
    for value in _common(lists.denied, (*lists.allowed, *lists.required)):
        allowed = "each value either in denied or in allowed and required"
        defects.add(f"{path}/denied", str(value), allowed, code=Code.CONTRADICTORY_RULE)
    return lists


def _common(some: Iterable[T], others: Iterable[T]) -> list[T]:
    return [value for value in dict.fromkeys(some) if value in set(others)]
