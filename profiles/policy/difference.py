"""What differs between two documents of rules, told by what an entry is about and not by where it stands."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

# As people read a template or a profile; the others follow by name. A database may keep keys in an order of its own.
_ORDER = (
    *("name", "slug", "description", "issuer_type", "certificate_authority", "template", "enrollment_method"),
    *("subject", "sans", "key_usages", "extended_key_usages", "algorithms", "validity", "basic_constraints"),
    *("allowed", "required", "denied"),
)
_PLACES = {key: place for place, key in enumerate(_ORDER)}


class Difference(NamedTuple):
    """One place where two documents differ; None where one of them says nothing.

    ``path`` names keys from the outside in, with ``/`` between them; an entry of a list of rules is named by its type,
    as in ``subject[common_name]/allowed``.
    """

    path: str
    before: object
    after: object


def differences(before: Mapping[str, object], after: Mapping[str, object]) -> tuple[Difference, ...]:
    """Every place where two documents (JSON values) differ, in the order in which they are read; pure and total.

    A key that is missing, null or an empty object or list of rules all say nothing. Entries with a ``type`` are
    compared type by type; that they only changed places is told as such, for they mean the same in any order.
    """
    return tuple(_of_objects("", before, after))


def _of_objects(path: str, before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[Difference]:
    for key in sorted({*before, *after}, key=lambda key: (_PLACES.get(key, len(_PLACES)), key)):
        yield from _of_values(f"{path}/{key}" if path else key, before.get(key), after.get(key))


def _of_values(path: str, before: object, after: object) -> Iterator[Difference]:
    if before == after:
        return
    if _is_object(before) and _is_object(after):
        yield from _of_objects(path, before or {}, after or {})  # type: ignore[arg-type]
        return
    old, new = _by_type(before), _by_type(after)
    if old is None or new is None:
        yield Difference(path, before, after)
        return
    found = [each for kind in dict.fromkeys((*old, *new)) for each in _of_entries(f"{path}[{kind}]", old, new, kind)]
    if not found and list(old) != list(new):
        found = [Difference(path, list(old), list(new))]
    yield from found


def _of_entries(
    path: str, old: Mapping[str, Mapping[str, object]], new: Mapping[str, Mapping[str, object]], kind: str
) -> Iterator[Difference]:
    yield from _of_objects(path, old.get(kind, {}), new.get(kind, {}))


def _is_object(value: object) -> bool:
    return value is None or isinstance(value, Mapping)


def _by_type(value: object) -> Mapping[str, Mapping[str, object]] | None:
    """The entries of a list of rules by their types, without these; None where it is no such list."""
    if value is None:
        return {}
    if not isinstance(value, Sequence) or isinstance(value, str):
        return None
    entries: dict[str, Mapping[str, object]] = {}
    for entry in value:
        kind = entry.get("type") if isinstance(entry, Mapping) else None
        if not isinstance(kind, str) or kind in entries:
            return None
        entries[kind] = {key: inner for key, inner in entry.items() if key != "type"}
    return entries
