"""The journal against the database: what the database has lost is brought back, and what is wrong is told."""

from certificates.services.reconcile.differences import RECONCILED_EVENT, Difference, Kind
from certificates.services.reconcile.run import Reconciliation

__all__ = ["RECONCILED_EVENT", "Difference", "Kind", "Reconciliation"]
