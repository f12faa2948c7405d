"""Changes that a refusal offers, as JSON Patch (RFC 6902) on the body that was refused."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pki_portal.errors import Change
from pki_portal.rest.pointers import pointer_of

_SNAKE = re.compile(r"_([a-z0-9])")


def json_patch(changes: Sequence[Change], body: object) -> list[dict[str, Any]] | None:
    """The steps that mend ``body``, or None where no change of it helps.

    Objects and lists that a step writes into and that the body lacks are made first, so that the patch applies.
    """
    if not changes or not isinstance(body, Mapping):
        return None
    there = {pointer for pointer in ("/attributes", "/attributes/altNames") if _is_there(body, pointer)}
    steps: list[dict[str, Any]] = []
    for change in changes:
        pointer = pointer_of(change.field)
        if change.op == "remove":
            steps.append({"op": "remove", "path": pointer})
            continue
        if pointer.startswith("/attributes/") and "/attributes" not in there:
            steps.append({"op": "add", "path": "/attributes", "value": {}})
            there.add("/attributes")
        value = _wire(change.value)
        is_member = change.field.rpartition("/")[2].isdecimal()
        if change.op == "add":
            if pointer not in there:
                steps.append({"op": "add", "path": pointer, "value": []})
                there.add(pointer)
            pointer += "/-"
        steps.append({"op": "replace" if is_member and change.op == "set" else "add", "path": pointer, "value": value})
    return steps


def _is_there(body: Mapping[str, Any], pointer: str) -> bool:
    found: Any = body
    for part in pointer.split("/")[1:]:
        found = found.get(part) if isinstance(found, Mapping) else None
    return found is not None


def _wire(value: object) -> Any:
    """Keys as the wire spells them; the words among the values are read in the inside spelling too."""
    if isinstance(value, Mapping):
        return {"isCA" if key == "is_ca" else _SNAKE.sub(_upper, key): _wire(each) for key, each in value.items()}
    return value


def _upper(found: re.Match[str]) -> str:
    return found[1].upper()
