"""``manage.py destroy_token_key``: remove a key from the token that belongs to no CA."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from certificates.services.signing import destroy_orphaned_token_key
from pki_portal.access.requester import system_requester
from pki_portal.errors import PortalError


class Command(BaseCommand):
    """Destroy one key, named by its label; one that a CA has is refused."""

    help = "Destroy a key in the PKCS#11 token that belongs to no CA, as check_certificates names it; for good."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which."""
        parser.add_argument("label", help="the key's label, a UUID")

    def handle(self, *args: Any, **options: Any) -> None:
        """Say what was done."""
        try:
            destroy_orphaned_token_key(
                requester=system_requester("manage.py destroy_token_key"), label=options["label"]
            )
        except PortalError as refusal:
            raise CommandError(refusal.message) from refusal
        self.stdout.write(f"Key {options['label']} was destroyed.")
