"""Settings of enrollment methods: as asked, as rows, as audit data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.hashers import make_password
from django.db import models

from pki_portal.audit.services import JSON
from profiles.models import (
    AcmeEnrollment,
    ApiEnrollment,
    CertificateProfile,
    EstEnrollment,
)
from profiles.services.columns import apply

RENEW_BEFORE_DAYS_MIN = 1
RENEW_BEFORE_DAYS_MAX = 30
PASSPHRASE_MAX_LENGTH = 1024
CA_CHAIN_MAX_LENGTH = 64 * 1024


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Enrollment by page or API call; auto-renewal takes effect where ``renew_before_days`` (1 to 30) is given too."""

    auto_renew: bool = False
    renew_before_days: int | None = None


@dataclass(frozen=True, slots=True)
class EstSettings:
    """Enrollment over Secure Transport (RFC 7030); the pass phrase is stored as a hash, ``ca_chain`` is PEM."""

    passphrase: str = field(repr=False)
    disable_bootstrap_ca_validation: bool = False
    ca_chain: str = ""


@dataclass(frozen=True, slots=True)
class AcmeSettings:
    """Automatic Certificate Management Environment (RFC 8555)."""

    skip_dns_ownership_verification: bool = False
    skip_eab_binding: bool = False


SETTINGS: Mapping[str, type[models.Model]] = {"api": ApiEnrollment, "est": EstEnrollment, "acme": AcmeEnrollment}


def settings_of(profile: CertificateProfile, method: str) -> models.Model | None:
    """The row of settings that the profile has for ``method``, in use or not; None where it has none."""
    row: models.Model | None = getattr(profile, f"{method}_enrollment", None)
    return row


def stored_settings(settings: Mapping[str, object]) -> dict[str, dict[str, Any]]:
    """Settings as columns by method, a pass phrase as its hash: a tenth of a second, so outside of transactions."""
    return {name: _columns_of(values) for name, values in settings.items() if isinstance(values, Mapping)}


def _columns_of(values: Mapping[str, object]) -> dict[str, Any]:
    columns = {name: value for name, value in values.items() if name != "passphrase"}
    if "passphrase" in values:
        columns["passphrase_hash"] = make_password(str(values["passphrase"]))
    return columns


def settings_as_data(values: Mapping[str, object]) -> dict[str, JSON]:
    """Settings as audit data: of a pass phrase only that there is one."""
    return {name: "set" if name == "passphrase" else value for name, value in values.items()}  # type: ignore[misc]


def change_settings(profile: CertificateProfile, method: str, columns: Mapping[str, Any]) -> dict[str, JSON]:
    """Store the settings that the profile has a row for; tell as audit data what changed."""
    row = SETTINGS[method]._default_manager.filter(profile=profile).first()
    if row is None:
        return {}
    changed = apply(row, columns)
    return {
        f"{method}.{'passphrase' if column == 'passphrase_hash' else column}": "set"
        if column == "passphrase_hash"
        else change
        for column, change in changed.items()
    }
