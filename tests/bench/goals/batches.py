"""G4: a hundred CSRs in one call."""

from tests.bench.goals.issuing import costs, rates
from tests.bench.portal_targets import issuing_batches
from tests.bench.report import AtLeast, Line
from tests.bench.stage import Stage

SIZE = 100


def issue_batches(stage: Stage) -> list[Line]:
    """G4: certificates a second from batches of 100 CSRs, P-256 CA, 8 connections."""
    ours = issuing_batches(stage.portal, SIZE)
    bare, kept = (stage.cfssl.signing("ec", keeps_rows=keeps) for keeps in (False, True))
    visits = stage.visit(ours, bare, kept)
    metric = f"certificates from batches of {SIZE} CSRs"
    return [
        rates("G4", metric, visits, ours, bare, AtLeast(0.9)),
        rates("G4", metric, visits, ours, kept, AtLeast(5)),
        *costs("G4", visits, [ours, bare, kept]),
    ]
