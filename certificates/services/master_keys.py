"""The master keys: made, judged, and changed while the portal works."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Func, Q

from certificates.keystore.sealing import (
    KeyRing,
    SealBroken,
    forget_keyring,
    header_of,
    key_id_of,
    keyring,
    new_master_key_text,
    with_new_master_key,
)
from certificates.models import AuthorityKey, CertificateSecret, OcspResponder
from pki_portal.errors import Invalid, Unavailable
from pki_portal.state import change_secret, read_or_create_secret

# Every column that holds sealed secrets: whoever adds a table adds its line here, or by register_sealed_column where
# this module may not know it, and rotation and checks know it.
SEALED_COLUMNS: Final[list[tuple[type[models.Model], str]]] = [
    (AuthorityKey, "sealed_private_key"),
    (CertificateSecret, "sealed_private_key"),
    (OcspResponder, "sealed_private_key"),
]
# Rows in one transaction: long enough that the disk is not flushed for each, short enough that nobody waits for it.
BATCH_ROWS: Final = 100
PASSES: Final = 5
# Longest beginning of a sealed secret that names its master key: version, length, name.
_HEADER_BYTES: Final = 2 + 32
UNREADABLE: Final = "(unreadable)"


@dataclass(slots=True)
class Rotation:
    """How far a rotation is; ``failures`` says of each row whose data key does not open what and why."""

    outstanding: int
    rewrapped: int = 0
    failures: dict[str, str] = field(default_factory=dict)


def register_sealed_column(model: type[models.Model], column: str) -> None:
    """Have rotation and checks know a column of an application above this one."""
    SEALED_COLUMNS.append((model, column))


def is_master_key_configured() -> bool:
    """Whether there is a text of master keys at all, well-formed or not; reads no key."""
    return bool(settings.PKI_PORTAL_MASTER_KEYS) or _master_key_file().is_file()


def check_master_key() -> None:
    """Return if the configured master keys can be used. Raises Unavailable, saying what is wrong with them."""
    keyring()


def make_master_key_if_none() -> Path | None:
    """Make a master key file (mode 0600) where nothing is configured; the path of a new one, else None.

    Of several processes at once one makes it and all use it. Raises OSError.
    """
    if is_master_key_configured():
        return None
    path = _master_key_file()
    read_or_create_secret(path, new_master_key_text)
    forget_keyring()
    return path


def make_another_master_key() -> Path:
    """Put a new master key before those in the file, in one step; every process here seals with it from now on.

    Raises:
        Invalid: the keys come from the environment, which only an administrator can change.
        Unavailable: the file holds no master keys.
        OSError: it cannot be read or replaced.
    """
    if settings.PKI_PORTAL_MASTER_KEYS.strip():
        raise Invalid(
            "The master keys come from the environment variable PKI_PORTAL_MASTER_KEYS: put a new one before them there"
            " (name:base64 of 32 random bytes, then a comma), restart the portal, and run this command without a new"
            " key."
        )
    path = _master_key_file()
    change_secret(path, with_new_master_key)
    return path


def master_key_names() -> tuple[str, ...]:
    """Names of the configured master keys, the one that seals first. Raises Unavailable."""
    return keyring().key_ids


def sealed_rows() -> dict[str, Counter[str]]:
    """By table, how many rows are sealed under which master key; reads every row's first bytes."""
    return {model._meta.db_table: _rows_by_key(model, column) for model, column in SEALED_COLUMNS}


def seals_that_do_not_open() -> Iterator[str]:
    """What the configured master keys do not fit, a sentence each; one row of each table and key is tried.

    Raises:
        Unavailable: the master keys cannot be read.
    """
    ring = keyring()
    for model, column in SEALED_COLUMNS:
        rows = _sealed(model, column)
        of_others = rows.exclude(reduce(or_, (_under(column, key_id) for key_id in ring.key_ids)))
        for some in (of_others, *(rows.filter(_under(column, key_id)) for key_id in ring.key_ids)):
            sealed = some.values_list(column, flat=True).first()
            if sealed is not None and (reason := _reason_against(ring, bytes(sealed))):
                yield f"{model._meta.verbose_name}: {reason}"


def rotate_master_key(*, progress: Callable[[Rotation], None]) -> Rotation:
    """Wrap the data key of every sealed row by the first master key; the secrets themselves are not decrypted.

    Others go on signing and sealing: a row is replaced only where it still is what was read, and one that changed
    meanwhile is looked at again. Rows under the first key are skipped, so a rotation that was ended at any point is
    finished by the next one. ``progress`` is called after each batch.

    Raises:
        Unavailable: the master keys cannot be read.
    """
    ring = keyring()
    rotation = Rotation(outstanding=sum(_outstanding(*each, ring).count() for each in SEALED_COLUMNS))
    # Once more for what was sealed under an old key while the rows before it were done.
    for _ in range(PASSES):
        before = rotation.rewrapped
        for model, column in SEALED_COLUMNS:
            _rotate_column(model, column, ring, rotation, progress)
        if rotation.rewrapped == before:
            break
    return rotation


def _rotate_column(
    model: type[models.Model],
    column: str,
    ring: KeyRing,
    rotation: Rotation,
    progress: Callable[[Rotation], None],
) -> None:
    rows = _outstanding(model, column, ring).order_by("pk").values_list("pk", column)
    batch = list(rows[:BATCH_ROWS])
    while batch:
        with transaction.atomic():
            for key, sealed in batch:
                try:
                    rewrapped = ring.rewrap(bytes(sealed))
                except Unavailable as problem:
                    rotation.failures[f"{model._meta.verbose_name} {key}"] = problem.message
                    continue
                unchanged = model._default_manager.filter(pk=key, **{column: sealed})
                rotation.rewrapped += unchanged.update(**{column: rewrapped})
        progress(rotation)
        batch = list(rows.filter(pk__gt=batch[-1][0])[:BATCH_ROWS])


def _outstanding(model: type[models.Model], column: str, ring: KeyRing) -> models.QuerySet[models.Model]:
    return _sealed(model, column).exclude(_under(column, ring.sealing_key_id))


def _sealed(model: type[models.Model], column: str) -> models.QuerySet[models.Model]:
    return model._default_manager.filter(**{f"{column}__isnull": False})


def _under(column: str, key_id: str) -> Q:
    """Rows whose bytes begin as those do that this master key wraps."""
    begin = header_of(key_id)
    return Q(**{f"{column}__gte": begin, f"{column}__lt": begin[:-1] + bytes([begin[-1] + 1])})  # names are ASCII


def _rows_by_key(model: type[models.Model], column: str) -> Counter[str]:
    begins = Func(F(column), 1, _HEADER_BYTES, function="substr", output_field=models.BinaryField())
    counts: Counter[str] = Counter()
    for begin in _sealed(model, column).annotate(begin=begins).values_list("begin", flat=True).iterator():
        try:
            counts[key_id_of(bytes(begin))] += 1
        except SealBroken:
            counts[UNREADABLE] += 1
    return counts


def _reason_against(ring: KeyRing, sealed: bytes) -> str:
    """Why a data key does not open; empty if it does."""
    try:
        ring.rewrap(sealed)
    except Unavailable as problem:
        return problem.message
    return ""


def _master_key_file() -> Path:
    return Path(settings.PKI_PORTAL_MASTER_KEYS_FILE)
