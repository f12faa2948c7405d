"""``manage.py backup FILE``: every row as of one moment, while the portal works."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from pki_portal.backup import BackupRefused, make_backup


class Command(BaseCommand):
    """Write one file."""

    help = (
        "Write every row of the portal to FILE, from one snapshot, while the portal works; either database can be"
        " restored from it. The master key is not in it: keep that elsewhere."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where to."""
        parser.add_argument("file", type=Path, metavar="FILE", help="replaced in one step if it exists")

    def handle(self, *args: Any, **options: Any) -> None:
        """Say how much it is."""
        path: Path = options["file"]
        try:
            summary = make_backup(path)
        except BackupRefused as refusal:
            raise CommandError(str(refusal)) from refusal
        except (OSError, DatabaseError) as problem:
            raise CommandError(f"There is no backup: {problem}") from problem
        self.stdout.write(
            f"{path}: {summary.total} rows, {summary.rows['certificates.certificate']} of them certificates,"
            f" {path.stat().st_size} bytes. Keep the master key elsewhere: without it no CA can sign."
        )
