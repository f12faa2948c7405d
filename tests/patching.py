"""JSON Patch (RFC 6902) for the tests, strict: a step that does not fit raises."""

import copy
from collections.abc import Sequence
from typing import Any


def applied(patch: Sequence[dict[str, Any]], body: Any) -> Any:
    """The body after add, remove and replace."""
    whole = copy.deepcopy(body)
    for step in patch:
        *parents, last = (part.replace("~1", "/").replace("~0", "~") for part in step["path"].split("/")[1:])
        target = whole
        for part in parents:
            target = target[int(part) if isinstance(target, list) else part]
        match step["op"], target:
            case "add", list():
                assert last == "-" or int(last) <= len(target)
                target.insert(len(target) if last == "-" else int(last), step["value"])
            case "add", dict():
                target[last] = step["value"]
            case "remove", list() | dict():
                del target[int(last) if isinstance(target, list) else last]
            case "replace", list() | dict():
                place: Any = int(last) if isinstance(target, list) else last
                target[place]  # it must be there
                target[place] = step["value"]
            case _:
                raise AssertionError(step)
    return whole
