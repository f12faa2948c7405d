"""`manage.py publish_crls`: sign every CRL anew that misses a revocation or whose time has come; for a timer."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from certificates.services.crl import publish_due
from pki_portal.errors import PortalError


class Command(BaseCommand):
    """Publish what is due, and say what could not be."""

    help = (
        "Sign every CRL anew that misses a revocation or is past three quarters of its life; exit code 1 if one fails."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """One line for each list that was due."""
        done = failed = 0
        for revocation_list, problem in publish_due(now=timezone.now()):
            if problem is None:
                done += 1
                self.stdout.write(f"{revocation_list}: number {revocation_list.number}")
            else:
                failed += 1
                told = problem.message if isinstance(problem, PortalError) else type(problem).__name__
                self.stderr.write(f"{revocation_list}: {told}")
        if failed:
            raise CommandError(f"{failed} CRLs could not be published, {done} were.")
        self.stdout.write(f"{done} CRLs published.")
