"""``manage.py rotate_master_key``: every sealed row under the first master key, while the portal works."""

import sys
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from certificates.services.master_keys import (
    Rotation,
    make_another_master_key,
    master_key_names,
    rotate_master_key,
    sealed_rows,
)
from pki_portal.errors import PortalError

PROGRESS_SECONDS = 1.0
MAX_PRINTED = 100


class Command(BaseCommand):
    """Re-wrap data keys, or tell which rows are under which master key."""

    help = (
        "Wrap the data key of every sealed secret by the first master key. The portal may run meanwhile; ended at any"
        " point, it is finished by running it again. Exit code 0: all rows are under the first key, the other keys can"
        " be removed; 1: some are not, or the keys cannot be used."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to do besides."""
        what = parser.add_mutually_exclusive_group()
        what.add_argument(
            "--make-new", action="store_true", help="first put a new master key before those in the master key file"
        )
        what.add_argument("--check", action="store_true", help="change nothing, tell which rows are under which key")

    def handle(self, *args: Any, **options: Any) -> None:
        """Progress goes to stderr, the outcome to stdout."""
        try:
            if options["make_new"]:
                path = make_another_master_key()
                self.stdout.write(f"New master key {master_key_names()[0]} in {path}: it seals from now on.")
            if not options["check"]:
                self._rotate()
            self._tell()
        except PortalError as refusal:
            raise CommandError(refusal.message) from refusal
        except OSError as problem:
            raise CommandError(f"The master key file cannot be replaced: {problem}") from problem

    def _rotate(self) -> None:
        began = told = time.monotonic()

        def progress(rotation: Rotation) -> None:
            nonlocal told
            now = time.monotonic()
            if now - told >= PROGRESS_SECONDS:
                told = now
                self._say(rotation, now - began)

        rotation = rotate_master_key(progress=progress)
        self._say(rotation, time.monotonic() - began)
        for name, reason in list(rotation.failures.items())[:MAX_PRINTED]:
            self.stderr.write(f"{name}: {reason}")

    def _say(self, rotation: Rotation, seconds: float) -> None:
        rate = rotation.rewrapped / max(seconds, 0.001)
        self.stderr.write(f"{rotation.rewrapped} of {rotation.outstanding} rows re-wrapped, {rate:.0f} a second")
        sys.stderr.flush()

    def _tell(self) -> None:
        names = master_key_names()
        first, *others = names
        in_use: set[str] = set()
        for table, counts in sealed_rows().items():
            in_use |= set(counts)
            told = ", ".join(f"{count} under {key_id}" for key_id, count in sorted(counts.items()))
            self.stdout.write(f"{table}: {told or 'no sealed rows'}")
        if in_use - {first}:
            raise CommandError(
                f"Not all rows are under the first master key {first}: keep {', '.join(sorted(in_use - {first}))}."
                " Run manage.py rotate_master_key."
            )
        if others:
            self.stdout.write(
                f"Every row is under {first}: {', '.join(others)} can be removed from the configuration. Keep a copy"
                " with the backups that were made before."
            )
        else:
            self.stdout.write(f"Every row is under {first}, the only master key.")
