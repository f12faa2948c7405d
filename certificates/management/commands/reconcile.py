"""``manage.py reconcile``: what the journal knows and the database does not, after a backup was restored."""

from argparse import ArgumentParser
from collections import Counter
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from certificates.services.reconcile import Kind, Reconciliation


class Command(BaseCommand):
    """Bring back what the database has lost, or tell what that is."""

    help = (
        "Compare the issuance journal with the database: certificates and CAs that a restored backup does not know are"
        " stored again, revocations told again, CRLs published above every earlier number. To be run before the portal"
        " serves again; ended at any point, it is finished by running it again. Exit code 1 if anything is left."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Look only; how much to print."""
        parser.add_argument("--dry-run", action="store_true", help="change nothing, tell what would be changed")
        parser.add_argument("--max-lines", type=int, default=1000, metavar="N", help="stop listing after N (1000)")

    def handle(self, *args: Any, **options: Any) -> None:
        """One line for each difference, then the counts."""
        mended: Counter[Kind] = Counter()
        left: Counter[Kind] = Counter()
        apply = not options["dry_run"]
        try:
            run = Reconciliation(now=timezone.now(), apply=apply)
            for difference in run.differences():
                is_left = bool(difference.problem) or difference.kind is Kind.UNDER_WAY
                (left if is_left else mended)[difference.kind] += 1
                if mended.total() + left.total() <= options["max_lines"]:
                    told = f": {difference.problem}" if difference.problem else ""
                    self.stdout.write(f"{difference.kind}: {difference.subject}{told}")
        except (OSError, EOFError) as problem:
            raise CommandError(f"The journal in {settings.PKI_PORTAL_JOURNAL} cannot be read: {problem}") from problem
        survey = run.survey
        self.stdout.write(
            f"{survey.lines} lines in {settings.PKI_PORTAL_JOURNAL}; {survey.torn} are torn, and nothing came of those."
        )
        done = "mended" if apply else "to be mended"
        self.stdout.write(f"{done}: {_counts(mended) or 'nothing'}.")
        if left:
            raise CommandError(
                f"left: {_counts(left)}."
                + (" Run it again in two minutes, or stop the portal first." if left[Kind.UNDER_WAY] else "")
            )


def _counts(counter: Counter[Kind]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in counter.items())
