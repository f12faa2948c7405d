"""What a process remembers from one request to the next, and how it knows that it still holds.

Two random stamps stand in one row of the database: ``access`` is another one after every change of who may do what,
``rules`` after every change of what may be issued and by whom. Triggers change them (``stamp_triggers``), in the
transaction of the change, by whatever road it comes. Within a block of :func:`remembering` the row is read once, and
what a function marked :func:`remembered` found under the same stamp is not looked up again. Outside of such a block
nothing is remembered.

A stamp never comes back: what was found in a transaction that was rolled back, or before a backup was restored, is
found under no stamp that stands. What is remembered is shared by all requests of a process; nobody changes it.
"""

import functools
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from threading import Lock
from typing import Any, Final, ParamSpec, TypeVar, cast

from django.db import OperationalError, connection
from django.db.models import QuerySet, Subquery

from pki_portal.access.models import Stamp
from pki_portal.compiled import CompiledQuery, Value

P = ParamSpec("P")
R = TypeVar("R")

# Of each kind of fact; the one that was not asked for longest goes first.
REMEMBERED_AT_MOST: Final = 4096
# What the triggers of one scope are called on every table.
TRIGGER: Final = "stamped_{scope}"
STAMPS: Final = Stamp._meta.db_table
_READ: Final = f"SELECT access, rules FROM {STAMPS} WHERE id = {Stamp.ONLY}"  # noqa: S608 - constants


class Scope(StrEnum):
    """Which of the two stamps a fact holds under."""

    ACCESS = "access"
    RULES = "rules"


# On PostgreSQL the stamps change as a transaction ends, so that nobody waits for its end longer than that; what the
# transaction that reads them changed itself must show now.
_UP_TO_DATE: Final = f"SET CONSTRAINTS {', '.join(TRIGGER.format(scope=scope) for scope in Scope)} IMMEDIATE"


@dataclass(frozen=True, slots=True)
class Stamps:
    """Both, as one statement read them."""

    access: str
    rules: str

    def of(self, scope: Scope) -> str:
        """The one of that scope."""
        return self.access if scope is Scope.ACCESS else self.rules


class _Block:
    """One block of :func:`remembering`; its stamps are read when they are first asked for."""

    def __init__(self, stamps: Stamps | None) -> None:
        self._is_read = stamps is not None
        self._stamps = stamps

    @property
    def stamps(self) -> Stamps | None:
        if not self._is_read:
            self._stamps, self._is_read = read_stamps(), True
        return self._stamps


_block: ContextVar[_Block | None] = ContextVar("remembering", default=None)


@contextmanager
def remembering(stamps: Stamps | None = None) -> Iterator[None]:
    """Within the block, functions marked :func:`remembered` answer from memory what still holds as it begins.

    For roads that are taken often, and change nothing of what is remembered themselves.

    Args:
        stamps: as they were just read (:func:`read_with_stamps`).
    """
    outer = _block.set(_Block(stamps))
    try:
        yield
    finally:
        _block.reset(outer)


def read_stamps() -> Stamps | None:
    """The stamps as they stand now; None where there are none, and nothing may be remembered. One query.

    It is the first one of most requests, so it tells whether the connection still stands, and spares Django's own
    question (``CONN_HEALTH_CHECKS``).
    """
    return _on_a_connection_that_stands(_read_stamps)


def read_with_stamps(
    query: CompiledQuery[tuple[Any, ...]], **arguments: Value
) -> tuple[Stamps | None, Sequence[Any] | None]:
    """The stamps, and what a query by :func:`stamps_with` gives beside them; None for both where there are no stamps.

    One query, outside of a transaction.
    """
    # In one the stamps may have to be brought up to date.
    stamps = read_stamps() if connection.in_atomic_block else None
    for access, rules, *values in _on_a_connection_that_stands(functools.partial(query.rows, **arguments)):
        return stamps or Stamps(access, rules), values
    return None, None


def stamps_with(**values: Subquery) -> QuerySet[Stamp, tuple[Any, ...]]:
    """For :func:`read_with_stamps`: the stamps and, in this order, values that are found elsewhere."""
    return Stamp.objects.filter(pk=Stamp.ONLY).annotate(**values).values_list(*Scope, *values)


def read_stamps_after(lock: str, parameters: Sequence[int]) -> Stamps | None:
    """The stamps as they stand when a statement that locks has its locks; in the caller's transaction, on PostgreSQL.

    One exchange with the server, where each statement sees what was committed before it began.
    """
    return _stamps_by(lock, _UP_TO_DATE, _READ, parameters=parameters)


def _on_a_connection_that_stands(read: Callable[[], R]) -> R:
    if connection.in_atomic_block or connection.health_check_done:  # type: ignore[attr-defined]
        return read()
    connection.health_check_done = True  # type: ignore[attr-defined]
    try:
        return read()
    except OperationalError:
        connection.close()
        return read()


def _read_stamps() -> Stamps | None:
    if connection.in_atomic_block and connection.vendor == "postgresql":
        return _stamps_by(_UP_TO_DATE, _READ)
    return _stamps_by(_READ)


def _stamps_by(*statements: str, parameters: Sequence[int] | None = None) -> Stamps | None:
    """What the last of the statements finds, all sent at once."""
    with connection.cursor() as cursor:
        cursor.execute("; ".join(statements), parameters)
        for _ in statements[1:]:
            cursor.nextset()
        row = cursor.fetchone()
    return None if row is None else Stamps(*row)


def is_remembering() -> bool:
    """Whether this is within a block where something is remembered."""
    block = _block.get()
    return block is not None and block.stamps is not None


def remembered(scope: Scope) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Mark a function of hashable arguments whose answer holds as long as the stamp of ``scope`` does.

    None is not remembered, nor what is raised.
    """

    def mark(function: Callable[P, R]) -> Callable[P, R]:
        memory = _Memory()

        @functools.wraps(function)
        def answer(*args: P.args, **kwargs: P.kwargs) -> R:
            block = _block.get()
            stamps = block.stamps if block is not None else None
            if stamps is None:
                return function(*args, **kwargs)
            stamp, key = stamps.of(scope), (args, *sorted(kwargs.items())) if kwargs else args
            found = memory.get(stamp, key)
            if found is None:
                found = function(*args, **kwargs)
                memory.put(stamp, key, found)
            return cast("R", found)

        return answer

    return mark


class _Memory:
    """Answers of one function under one stamp, bounded in number; safe between threads."""

    def __init__(self) -> None:
        self._stamp = ""
        self._answers: OrderedDict[Hashable, object] = OrderedDict()
        self._lock = Lock()

    def get(self, stamp: str, key: Hashable) -> object | None:
        with self._lock:
            if stamp != self._stamp:
                self._stamp = stamp
                self._answers.clear()
            found = self._answers.get(key)
            if found is not None:
                self._answers.move_to_end(key)
            return found

    def put(self, stamp: str, key: Hashable, answer: object) -> None:
        with self._lock:
            if stamp == self._stamp and answer is not None:
                self._answers[key] = answer
                while len(self._answers) > REMEMBERED_AT_MOST:
                    self._answers.popitem(last=False)
