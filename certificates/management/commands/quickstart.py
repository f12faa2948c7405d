"""``manage.py quickstart``: from an empty folder to a portal that issues."""

import fcntl
import json
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from certificates.services.master_keys import is_master_key_configured, make_master_key_if_none
from certificates.services.starter import (
    ISSUING_EC,
    ISSUING_RSA,
    ROOT,
    TLS_CLIENT,
    TLS_SERVER,
    Starter,
    check_authority_keys_open,
    has_authority_keys,
    make_starter,
    only_one_at_a_time,
)
from pki_portal.access.requester import system_requester
from pki_portal.errors import PortalError

LOST_MASTER_KEY = (
    "The database holds CA keys, but there is no master key that could unseal them. Put the master key file of this"
    " installation back, or set PKI_PORTAL_MASTER_KEYS; a new one would not open what the old one sealed."
)

MANAGE = ".venv/bin/python manage.py"


class Command(BaseCommand):
    """Migrates, makes a master key and, on an empty database, a project to begin with; run again it changes nothing."""

    help = "Prepare the database and the master key, and make a project with CAs, templates and profiles to begin with."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Read the options."""
        parser.add_argument(
            "--project", metavar="SLUG", help="Make another project, with a machine identity of its own."
        )
        parser.add_argument("--json", action="store_true", help="Print one JSON object and nothing else.")
        parser.add_argument(
            "--new-client-secret", action="store_true", help="Make the project's identity one more secret."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it."""
        try:
            with _state_folder_locked(), only_one_at_a_time():
                self._prepare()
                starter = make_starter(
                    requester=system_requester("quickstart"),
                    slug=options["project"],
                    new_client_secret=options["new_client_secret"],
                )
        except PortalError as refusal:
            raise CommandError(refusal.message) from refusal
        except OSError as problem:
            raise CommandError(f"The state folder {settings.PKI_PORTAL_VAR} cannot be used: {problem}") from problem
        self.stdout.write(json.dumps(as_json(starter)) if options["json"] else as_text(starter))

    def _prepare(self) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        call_command("createcachetable", verbosity=0)
        if not is_master_key_configured() and has_authority_keys():
            raise CommandError(LOST_MASTER_KEY)
        make_master_key_if_none()
        check_authority_keys_open()


@contextmanager
def _state_folder_locked() -> Iterator[None]:
    """Make the state folder, and wait until no other quickstart works in it; the lock ends with the process."""
    settings.PKI_PORTAL_VAR.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (settings.PKI_PORTAL_VAR / "quickstart.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def as_json(starter: Starter) -> dict[str, Any]:
    """For programs; secrets are null when they existed before, ids when the thing is gone."""
    project = starter.project
    return {
        "baseUrl": settings.SITE_URL,
        "projectId": _text(project and project.pk),
        "projectSlug": project.slug if project else None,
        "rootCaId": _text(starter.authorities.get(ROOT)),
        "caId": _text(starter.authorities.get(ISSUING_RSA)),
        "caIds": {
            "ec": _text(starter.authorities.get(ISSUING_EC)),
            "rsa": _text(starter.authorities.get(ISSUING_RSA)),
        },
        "templateIds": {name: _text(starter.templates.get(name)) for name in (TLS_SERVER, TLS_CLIENT)},
        "profileIds": {name: _text(starter.profiles.get(name)) for name in (TLS_SERVER, TLS_CLIENT)},
        "clientId": _text(starter.client_id),
        "clientSecret": starter.client_secret,
        "adminUsername": starter.admin_username,
        "adminSetPasswordUrl": starter.admin_set_password_url,
    }


def _text(value: object) -> str | None:
    return None if value is None else str(value)


# --- For people -------------------------------------------------------------------------------------------------------


def as_text(starter: Starter) -> str:
    """For people: where the portal is, what there is, and a first certificate by copy and paste."""
    return "\n".join(["", f"PKI Portal  {settings.SITE_URL}", "", *_facts(starter), *_first_certificate(starter), ""])


def _facts(starter: Starter) -> Iterator[str]:
    project = starter.project
    if project is None:
        yield "The database is in use and has no project demo: none was made."
        yield f"To make a project to begin with: {MANAGE} quickstart --project SLUG"
        yield ""
    else:
        yield _fact("Project", f"{project.name}  {settings.SITE_URL}/projects/{project.slug}/")
        yield _fact("CAs", ", ".join(sorted(starter.authorities)) or "none")
        yield _fact("Profiles", ", ".join(sorted(starter.profiles)) or "none")
    yield from _administrator_facts(starter)
    if starter.client_id is not None and project is not None:
        yield _fact("Client id", str(starter.client_id))
        another = f"shown when it was made; another: {MANAGE} quickstart --project {project.slug} --new-client-secret"
        yield _fact("Secret", f"{starter.client_secret}  (shown this once)" if starter.client_secret else another)


def _administrator_facts(starter: Starter) -> Iterator[str]:
    if starter.admin_set_password_url:
        yield _fact("Log in as", f"{starter.admin_username}; set the password here, once and within 24 hours:")
        yield _fact("", starter.admin_set_password_url)
    else:
        name = starter.admin_username
        yield _fact("Log in as", f"{name}  (no password, or lost? {MANAGE} changepassword {name})")


def _fact(name: str, value: str) -> str:
    return f"  {name:<10} {value}"


def _first_certificate(starter: Starter) -> Iterator[str]:
    """Commands for a shell; every value in them is ours, or JSON in single quotes without any of its own."""
    profile_id = starter.profiles.get(TLS_SERVER)
    if starter.client_secret is None or profile_id is None:
        return
    login = json.dumps({"clientId": str(starter.client_id), "clientSecret": starter.client_secret})
    name = "service.acme.com"
    attributes = json.dumps({"commonName": name, "altNames": [{"type": "DNS", "value": name}], "ttl": "90d"})
    api = f"{settings.SITE_URL}/api/v1"
    yield ""
    yield "A first certificate, in another terminal while the portal runs:"
    yield ""
    yield f"TOKEN=$(curl -s {api}/auth/universal-auth/login \\"
    yield "  -H 'Content-Type: application/json' \\"
    yield f"  -d '{login}' \\"
    yield """  | sed -n 's/.*"accessToken" *: *"\\([^"]*\\)".*/\\1/p')"""
    yield f"curl -s {api}/cert-manager/certificates \\"
    yield """  -H 'Content-Type: application/json' -H "Authorization: Bearer $TOKEN" \\"""
    yield f"""  -d '{{"profileId": "{profile_id}", "attributes": {attributes}}}'"""
