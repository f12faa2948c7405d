"""``manage.py worker``: does what is due, until it is told to stop."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from pki_portal.background.worker import Worker, work_once


class Command(BaseCommand):
    """SIGTERM and SIGINT let it finish what it has in hand and end with status 0."""

    help = (
        "Do background work: renew CRLs, send alerts, clean up. The web server runs one by itself unless WORKER=false."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Read the options."""
        parser.add_argument("--once", action="store_true", help="Do everything that is due now, then end.")
        parser.add_argument("--parent", type=int, metavar="PID", help="Stop when this parent process is gone.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it."""
        if options["once"]:
            self.stdout.write(f"{work_once()} done")
        else:
            Worker(parent=options["parent"]).run()
