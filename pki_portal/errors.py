"""What can go wrong, as kinds without any HTTP in them; ``pki_portal.api`` has the one table from kinds to statuses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(frozen=True, slots=True)
class Change:
    """One step of mending a request, for programs; the inside counterpart of a step of JSON Patch (RFC 6902).

    ``set`` writes ``value`` over whatever stands at ``field``, ``add`` puts it at the end of the list there, ``remove``
    takes out what stands there. Steps are taken in their order: an index is that of the list as the step finds it.

    Attributes:
        field: inside path: ``subject/common_name``, ``subject_alternative_names/0``, ``key_usages``, ``ttl`` ...
        value: a JSON value in inside spelling: a name is ``{"type", "value"}``, a length of life is ``90d``, a moment
            is ISO 8601; None where something is removed.
    """

    op: Literal["set", "add", "remove"]
    field: str
    value: object = None


@dataclass(frozen=True, slots=True)
class Violation:
    """One reason for a refusal, complete enough to act on.

    ``field`` is the inside path of the value (``subject/common_name``, ``subject_alternative_names/2``, ``ttl``);
    each door translates it to its own spelling. ``rule`` names where the rule stands, ``fix`` says what would pass.
    ``changes``, made to the request as it was asked, make this violation go away; without any, nothing that the
    requester can change in the request helps.
    """

    field: str
    code: str
    rule: str
    asked: str
    allowed: str
    fix: str
    changes: tuple[Change, ...] = ()


class PortalError(Exception):
    """A refusal or a fault that is told to whoever asked; the text never holds a secret.

    ``is_recorded`` tells whether the audit has it, so that no door on its way out records it again.
    """

    kind: ClassVar[str] = "error"
    is_recorded: bool = False

    def __init__(self, message: str, *, violations: Sequence[Violation] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.violations = tuple(violations)


class Malformed(PortalError):
    """The input has the wrong shape: type, syntax, missing or impossible field."""

    kind = "malformed"


class Invalid(PortalError):
    """The input has the right shape, but a rule or the state of things refuses it."""

    kind = "invalid"


class Unauthenticated(PortalError):
    """Nobody, or nobody known, asks."""

    kind = "unauthenticated"


class TokenRejected(PortalError):
    """A credential that cannot be read as one of ours."""

    kind = "token_rejected"


class PermissionDenied(PortalError):
    """The requester is known and its role does not include the act."""

    kind = "permission_denied"


class Forbidden(PortalError):
    """The act is allowed to the requester, but not to this object in its present state."""

    kind = "forbidden"


class NotFound(PortalError):
    """No such object, or none that the requester may know of."""

    kind = "not_found"


class Gone(PortalError):
    """It existed and was destroyed on purpose."""

    kind = "gone"


class Conflict(PortalError):
    """Another act stands in the way; ``retry_after`` in seconds where waiting helps."""

    kind = "conflict"

    def __init__(self, message: str, *, violations: Sequence[Violation] = (), retry_after: int | None = None) -> None:
        super().__init__(message, violations=violations)
        self.retry_after = retry_after


class TooLarge(PortalError):
    """More input than is read."""

    kind = "too_large"


class RateLimited(PortalError):
    """Too many attempts; ``retry_after`` in seconds."""

    kind = "rate_limited"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(PortalError):
    """A part that the act needs does not answer or is misconfigured; nothing was done. ``retry_after`` in seconds."""

    kind = "unavailable"

    def __init__(self, message: str, *, violations: Sequence[Violation] = (), retry_after: int = 30) -> None:
        super().__init__(message, violations=violations)
        self.retry_after = retry_after


class Busy(Unavailable):
    """There is too much to do just now, and nothing is broken; nothing was done, and the same passes later."""

    def __init__(self, message: str, *, violations: Sequence[Violation] = (), retry_after: int = 2) -> None:
        super().__init__(message, violations=violations, retry_after=retry_after)
