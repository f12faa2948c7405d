"""Changes that a refusal offers, as JSON Patch (RFC 6902) on the body that was refused."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pki_portal.errors import Change
from pki_portal.rest.pointers import pointer_of

_SNAKE = re.compile(r"_([a-z0-9])")


def json_patch(changes: Sequence[Change], body: object) -> list[dict[str, Any]] | None:
    """The changes as JSON Patch on the body of an issue request as it was sent, for that body alone.

    None where there is nothing to change, and where the body is of another kind or does not say what would be changed.
    """
    if not changes or not isinstance(body, Mapping) or "profileId" not in body:
        return None
    patch: list[dict[str, Any]] = []
    made: set[str] = set()
    for change in changes:
        pointer = pointer_of(change.field)
        if change.op == "remove":
            if _found(body, pointer) is None:
                return None
            patch.append({"op": "remove", "path": pointer})
            continue
        parent, _, last = pointer.rpartition("/")
        value = _on_the_wire(change.value)
        if change.op == "set" and last.isdecimal():
            if _found(body, pointer) is None:
                return None
            patch.append({"op": "replace", "path": pointer, "value": value})
            continue
        patch += _made_parents(body, parent, made)
        if change.op == "add" and pointer not in made and _found(body, pointer) is None:
            made.add(pointer)
            value = [value]
        elif change.op == "add":
            pointer += "/-"
        patch.append({"op": "add", "path": pointer, "value": value})
    return patch


def _made_parents(body: Mapping[str, Any], pointer: str, made: set[str]) -> list[dict[str, Any]]:
    """Steps that make the objects down to the pointer, where the body has none or null."""
    steps: list[dict[str, Any]] = []
    parts = pointer.split("/")
    for end in range(2, len(parts) + 1):
        place = "/".join(parts[:end])
        if place not in made and _found(body, place) is None:
            made.add(place)
            steps.append({"op": "add", "path": place, "value": {}})
    return steps


def _found(body: object, pointer: str) -> object:
    """What stands there; None where that is null or nothing."""
    for token in pointer.split("/")[1:]:
        if isinstance(body, Mapping):
            body = body.get(token.replace("~1", "/").replace("~0", "~"))
        elif isinstance(body, list) and token.isdecimal() and int(token) < len(body):
            body = body[int(token)]
        else:
            return None
    return body


def _on_the_wire(value: object) -> object:
    """Keys as the wire spells them; the words among the values are read in the inside spelling too."""
    return {_camel(str(key)): each for key, each in value.items()} if isinstance(value, Mapping) else value


def _camel(key: str) -> str:
    # RFC 5280 spells its initials in capitals, and so do the clients.
    return "isCA" if key == "is_ca" else _SNAKE.sub(lambda found: found[1].upper(), key)
