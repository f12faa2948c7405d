"""Bad configuration stops the start: each check has an id, and its hint is the remedy."""

import os
from collections.abc import Iterable
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register

LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def _can_be_written(folder: Path) -> bool:
    """The folder, or the one that it will be made in."""
    nearest = next(candidate for candidate in (folder, *folder.parents) if candidate.exists())
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


@register(Tags.files)
def check_state_folder(**_: Any) -> Iterable[CheckMessage]:
    """The state folder, or the folder it will be made in, can be written by this process."""
    folder = settings.PKI_PORTAL_VAR
    if not _can_be_written(folder):
        yield Error(
            f"The state folder {settings.PKI_PORTAL_VAR} cannot be written.",
            hint="Set PKI_PORTAL_VAR to a folder that this user may write, or change the owner of this one.",
            id="pki_portal.E001",
        )
    elif folder.exists() and folder.stat().st_mode & 0o007:
        yield checks.Warning(
            f"The state folder {settings.PKI_PORTAL_VAR} is open to every user of this machine.",
            hint=f"It holds keys: chmod 700 {settings.PKI_PORTAL_VAR}",
            id="pki_portal.W001",
        )


@register(Tags.files)
def check_journal_folder(**_: Any) -> Iterable[CheckMessage]:
    """The journal, without which nothing is signed, can be written, or made."""
    if not _can_be_written(settings.PKI_PORTAL_JOURNAL):
        yield Error(
            f"The folder of the issuance journal, {settings.PKI_PORTAL_JOURNAL}, cannot be written.",
            hint="Set PKI_PORTAL_JOURNAL to a folder that this user may write, or change the owner of this one.",
            id="pki_portal.E011",
        )


@register(Tags.compatibility)
def check_values(**_: Any) -> Iterable[CheckMessage]:
    """Every setting could be read."""
    for name, problem in settings.UNREADABLE.items():
        yield Error(f"{problem}.", hint=f"Set {name} to what .env.example says, or leave it out.", id="pki_portal.E010")


@register(Tags.urls)
def check_site_url(**_: Any) -> Iterable[CheckMessage]:
    """SITE_URL is an address that certificates can carry."""
    site = urlsplit(settings.SITE_URL)
    if site.scheme not in {"http", "https"} or not site.hostname or site.query or site.fragment or site.username:
        yield Error(
            f"SITE_URL {settings.SITE_URL!r} is not the address of a site.",
            hint="Set SITE_URL to something like https://pki.example.com, without a query, a fragment or a user.",
            id="pki_portal.E002",
        )
    elif site.path:
        yield Error(
            f"SITE_URL {settings.SITE_URL!r} has a path; the portal answers at the root of its host.",
            hint=f"Set SITE_URL to {site.scheme}://{site.netloc}",
            id="pki_portal.E003",
        )


@register(Tags.security)
def check_debug_stays_local(**_: Any) -> Iterable[CheckMessage]:
    """Tracebacks hold what must not be shown: DEBUG only where nobody else comes."""
    reachable = {settings.HOST, urlsplit(settings.SITE_URL).hostname or ""}
    if settings.DEBUG and not reachable <= LOOPBACK:
        yield Error(
            "DEBUG is on and the portal can be reached from other machines.",
            hint="Unset DEBUG, or set HOST to 127.0.0.1 and unset SITE_URL.",
            id="pki_portal.E004",
        )


@register(Tags.security)
def check_allowed_hosts(**_: Any) -> Iterable[CheckMessage]:
    """A wildcard lets a request choose the host name that links are made from."""
    if "*" in settings.ALLOWED_HOSTS:
        yield Error(
            "ALLOWED_HOSTS holds '*'.",
            hint="Name the hosts, by commas; without the variable the host of SITE_URL is answered.",
            id="pki_portal.E005",
        )


@register(Tags.security)
def check_proxy_in_front(**_: Any) -> Iterable[CheckMessage]:
    """A worker reads one request at a time: whoever sends slowly stops it, unless a proxy collects requests first."""
    if settings.TRUSTED_PROXIES < 0:
        yield Error(
            f"TRUSTED_PROXIES is {settings.TRUSTED_PROXIES}.",
            hint="Set it to the number of proxies in front of the portal; 0 for none.",
            id="pki_portal.E007",
        )
    elif settings.HOST not in LOOPBACK and settings.TRUSTED_PROXIES == 0:
        yield checks.Warning(
            f"The portal listens on {settings.HOST or 'every address'} and no proxy stands in front of it.",
            hint=(
                "A few clients that send slowly can stop it. Put a buffering proxy such as nginx in front, listen for"
                " it alone, and set TRUSTED_PROXIES=1; or listen on HOST=127.0.0.1."
            ),
            id="pki_portal.W002",
        )


@register(Tags.compatibility)
def check_database_engine(**_: Any) -> Iterable[CheckMessage]:
    """Only the databases that the suite runs on."""
    if settings.DATABASES["default"]["ENGINE"] == "django.db.backends.dummy":
        yield Error(
            "DATABASE_URL names neither a PostgreSQL nor an SQLite database.",
            hint="Set it to postgres://user:password@host:5432/name, or unset it for SQLite in the state folder.",
            id="pki_portal.E006",
        )


@register(Tags.compatibility)
def check_queue_in_redis(**_: Any) -> Iterable[CheckMessage]:
    """What TASKS_REDIS_URL needs is installed."""
    if settings.TASKS_REDIS_URL and not settings.HAS_RQ:
        yield Error(
            "TASKS_REDIS_URL is set and RQ is not installed.",
            hint="Install it: pip install --require-hashes -r requirements/rq.txt; or unset TASKS_REDIS_URL.",
            id="pki_portal.E009",
        )


@register(Tags.security)
def check_webhook_networks(**_: Any) -> Iterable[CheckMessage]:
    """Each entry is a network."""
    for network in settings.WEBHOOK_ALLOWED_NETWORKS:
        try:
            ip_network(network)
        except ValueError:
            yield Error(
                f"WEBHOOK_ALLOWED_NETWORKS holds {network!r}, which is no network.",
                hint="Write networks such as 10.0.0.0/8 or fd00::/8, by commas, without host bits.",
                id="pki_portal.E008",
            )
