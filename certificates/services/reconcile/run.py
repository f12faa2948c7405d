"""All of it, in the order in which one thing needs the other."""

from collections.abc import Iterator
from datetime import datetime

from certificates.services.reconcile.authorities import reconcile_authorities
from certificates.services.reconcile.differences import Difference
from certificates.services.reconcile.issued import reconcile_issued
from certificates.services.reconcile.keys import reconcile_keys
from certificates.services.reconcile.revocations import reconcile_numbers, reconcile_revocations
from certificates.services.reconcile.survey import Survey, take_survey

_STEPS = (reconcile_authorities, reconcile_issued, reconcile_keys, reconcile_revocations, reconcile_numbers)


class Reconciliation:
    """One comparison of the whole journal with the database.

    What is mended is committed step by step: ended at any point, the next one goes on. The journal is read five times,
    line by line, and what is kept in memory of it grows with the number of CAs, holds, failures and deletions alone.
    """

    def __init__(self, *, now: datetime, apply: bool) -> None:
        """Look through the journal. Raises OSError, EOFError."""
        self._apply = apply
        self.survey: Survey = take_survey(now)

    def differences(self) -> Iterator[Difference]:
        """Each difference, once it was mended or found not to be; only told without ``apply``.

        Raises OSError, EOFError.
        """
        yield from self.survey.damages()
        for step in _STEPS:
            yield from step(self.survey, apply=self._apply)
