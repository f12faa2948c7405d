"""``manage.py restore FILE``: a database made from a backup."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, SystemCheckError
from django.db import DatabaseError

from pki_portal.backup import BackupRefused, restore_backup


class Command(BaseCommand):
    """Fill the configured database from one file."""

    help = (
        "Make the configured database from a backup of this or an earlier version of the portal, on whichever database"
        " it was made. Stop the portal first, and run manage.py reconcile before it serves again."
    )
    # What a restored database needs of the configuration is looked at when it is there.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """From where, and whether at any cost."""
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("--force", action="store_true", help="throw away what the database holds")

    def handle(self, *args: Any, **options: Any) -> None:
        """Say what came back, and what is still to be done."""
        try:
            summary = restore_backup(options["file"], is_forced=options["force"])
        except BackupRefused as refusal:
            raise CommandError(str(refusal)) from refusal
        except (OSError, DatabaseError) as problem:
            raise CommandError(f"The backup could not be restored: {problem}") from problem
        self.stdout.write(
            f"Restored as of {summary.made_at[:19]} UTC: {summary.total} rows,"
            f" {summary.rows['certificates.certificate']} of them certificates."
        )
        try:
            call_command("check", databases=["default"], stdout=self.stdout, stderr=self.stderr)
        except SystemCheckError as problem:
            self.stderr.write(str(problem))
        self.stdout.write("Now run manage.py reconcile, then start the portal.")
