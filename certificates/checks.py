"""Bad configuration of keys stops the start: each check has an id, and its hint is the remedy."""

from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError, connections

from certificates.models import AuthorityKey
from certificates.services.master_keys import (
    check_master_key,
    is_master_key_configured,
    seals_that_do_not_open,
)
from pki_portal.errors import Unavailable


@register(Tags.security)
def check_master_keys_can_be_read(**_: Any) -> Iterable[CheckMessage]:
    """What is configured as master keys is well-formed; nothing configured is another check's affair."""
    if not is_master_key_configured():
        return
    try:
        check_master_key()
    except Unavailable as problem:
        yield Error(
            f"The configured master keys cannot be used: {problem.message}",
            hint="Set PKI_PORTAL_MASTER_KEYS, or the file that PKI_PORTAL_MASTER_KEYS_FILE names, to id:base64 of 32"
            " bytes; several by commas, the one that seals first.",
            id="certificates.E001",
        )


@register(Tags.database)
def check_master_keys_are_there(databases: Sequence[str] | None = None, **_: Any) -> Iterable[CheckMessage]:
    """Sealed CA keys without any master key can sign nothing."""
    if is_master_key_configured() or not databases:
        return
    if _has_authority_keys():
        yield Error(
            "The database holds CA keys, and no master key is configured that could unseal them.",
            hint="Put the master key file of this installation back (by default master-keys in the state folder), or"
            " set PKI_PORTAL_MASTER_KEYS. A new master key does not open what an old one sealed.",
            id="certificates.E002",
        )


@register(Tags.database)
def check_master_keys_open_what_is_sealed(databases: Sequence[str] | None = None, **_: Any) -> Iterable[CheckMessage]:
    """One secret of each table and master key opens; every one of them is read by check_certificates."""
    if not databases or not is_master_key_configured() or not _has_authority_keys():
        return
    try:
        check_master_key()
        problems = list(seals_that_do_not_open())
    except (Unavailable, DatabaseError):
        return  # told by another check; a table that is not there yet is made by the migration that this check precedes
    for problem in problems:
        yield Error(
            f"The configured master keys do not open what the database holds: {problem}",
            hint="Configure the master keys that were in use when it was sealed, all of them; the first one seals.",
            id="certificates.E003",
        )


@register(Tags.security)
def check_token_settings(**_: Any) -> Iterable[CheckMessage]:
    """What is needed to reach a PKCS#11 token is there; the token itself is not asked, for it may come later."""
    if not settings.PKCS11_MODULE:
        return
    if not Path(settings.PKCS11_MODULE).is_file():
        yield _token_error(
            f"PKCS11_MODULE {settings.PKCS11_MODULE} is no file.", "Name the library of the HSM's maker."
        )
    if find_spec("pkcs11") is None:
        yield _token_error("PKCS11_MODULE is set, and python-pkcs11 is not installed.", "Install requirements/hsm.txt.")
    for name in ("PKCS11_TOKEN_LABEL", "PKCS11_PIN"):
        if not getattr(settings, name):
            yield _token_error(f"PKCS11_MODULE is set, and {name} is not.", f"Set {name} (or {name}_FILE).")


def _token_error(message: str, hint: str) -> CheckMessage:
    return Error(
        message, hint=f"{hint} Or unset PKCS11_MODULE, if no CA has its key in a token.", id="certificates.E004"
    )


def _has_authority_keys() -> bool:
    """False also where the tables are not there yet: before the first migration."""
    try:
        tables = connections["default"].introspection.table_names()
        sealed = AuthorityKey.objects.filter(sealed_private_key__isnull=False)
        return AuthorityKey._meta.db_table in tables and sealed.exists()
    except DatabaseError:
        return False
