"""Master keys: made, judged, and changed while others sign; no row is lost, and none stays behind unseen."""

import threading
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from pytest_django import Settings

from certificates.checks import (
    check_master_keys_are_there,
    check_master_keys_can_be_read,
    check_master_keys_open_what_is_sealed,
)
from certificates.keystore.database import forget_keys
from certificates.keystore.sealing import KeyRing, forget_keyring, key_id_of, keyring, new_master_key_text
from certificates.models import AuthorityKey
from certificates.services.master_keys import (
    SEALED_COLUMNS,
    Rotation,
    is_master_key_configured,
    make_another_master_key,
    make_master_key_if_none,
    rotate_master_key,
    sealed_rows,
)
from certificates.services.signing import signer_of_key
from tests.factories import make_authority, make_project

pytestmark = pytest.mark.django_db


@pytest.fixture
def no_master_key(settings: Settings, tmp_path: Path) -> Iterator[Path]:
    """Nothing is configured; the path where the file would be."""
    settings.PKI_PORTAL_MASTER_KEYS = ""
    settings.PKI_PORTAL_MASTER_KEYS_FILE = tmp_path / "master-keys"
    forget_keyring()
    forget_keys()
    yield settings.PKI_PORTAL_MASTER_KEYS_FILE
    forget_keyring()
    forget_keys()


@pytest.fixture
def file(no_master_key: Path) -> Path:
    """A file with the one master key k1."""
    make_master_key_if_none()
    return no_master_key


def make_keys(count: int) -> list[AuthorityKey]:
    """That many sealed CA keys."""
    authority = make_authority(make_project())
    first = authority.keys.get()
    copies = [
        AuthorityKey(
            authority=authority,
            subject_public_key_info=first.subject_public_key_info,
            sealed_private_key=keyring().seal(b"secret", b"of a copy"),
        )
        for _ in range(count - 1)
    ]
    return [first, *AuthorityKey.objects.bulk_create(copies)]


def all_sealed() -> list[bytes]:
    rows = AuthorityKey.objects.order_by("pk").values_list("sealed_private_key", flat=True)
    return [bytes(sealed or b"") for sealed in rows]


def key_ids() -> set[str]:
    return {key_id_of(sealed) for sealed in all_sealed()}


def rotate(*arguments: str) -> tuple[str, str]:
    """What the command prints on stdout and stderr."""
    out, err = StringIO(), StringIO()
    call_command("rotate_master_key", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def silent(_: Rotation) -> None:
    """Progress that nobody reads."""


def test_every_sealed_column_of_the_models_is_rotated() -> None:
    """A table that is not listed would stay under the old key, and be lost with it."""
    named = {
        (model, field.name)
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if field.name.startswith("sealed_")
    }
    assert set(SEALED_COLUMNS) == named


# --- Making keys


def test_master_key_is_made_once(no_master_key: Path) -> None:
    assert not is_master_key_configured()

    assert make_master_key_if_none() == no_master_key
    text = no_master_key.read_text()
    assert make_master_key_if_none() is None

    assert no_master_key.read_text() == text
    assert no_master_key.stat().st_mode & 0o777 == 0o600


def test_check_names_a_malformed_master_key(settings: Settings) -> None:
    settings.PKI_PORTAL_MASTER_KEYS = "k1:short"
    forget_keyring()

    try:
        (found,) = check_master_keys_can_be_read()
    finally:
        forget_keyring()

    assert found.id == "certificates.E001"
    assert "short" not in str(found.msg)
    assert found.hint


def test_check_is_silent_where_all_is_well() -> None:
    make_authority(make_project())

    assert list(check_master_keys_can_be_read()) == []
    assert list(check_master_keys_are_there(databases=["default"])) == []


def test_check_names_a_missing_master_key_once_there_are_keys(no_master_key: Path, settings: Settings) -> None:
    assert list(check_master_keys_are_there(databases=["default"])) == []
    make_master_key_if_none()
    make_authority(make_project())
    no_master_key.unlink()
    forget_keyring()

    (found,) = check_master_keys_are_there(databases=["default"])

    assert found.id == "certificates.E002"
    assert found.hint
    assert list(check_master_keys_can_be_read()) == []


def test_check_names_a_master_key_that_does_not_fit(file: Path) -> None:
    make_keys(2)
    assert list(check_master_keys_open_what_is_sealed(databases=["default"])) == []
    for text, reason in ((new_master_key_text("k1"), "master key k1"), (new_master_key_text("k7"), "not configured")):
        file.write_text(text)

        (found,) = check_master_keys_open_what_is_sealed(databases=["default"])

        assert found.id == "certificates.E003"
        assert reason in str(found.msg)
        assert found.hint
    assert list(check_master_keys_open_what_is_sealed(databases=None)) == []


# --- Rotation


def test_rotation_puts_every_row_under_a_new_key_and_the_old_one_can_be_dropped(file: Path) -> None:
    key = make_keys(250)[0]
    old = file.read_text()

    out, err = rotate("--make-new")

    assert "New master key k2" in out
    assert "250 under k2" in out
    assert "k1 can be removed" in out
    assert "250 of 250 rows" in err
    assert key_ids() == {"k2"}
    file.write_text(file.read_text().split(",")[0] + "\n")
    assert old.strip() not in file.read_text()
    key.refresh_from_db()
    signer_of_key(key)
    for row in AuthorityKey.objects.exclude(pk=key.pk):
        assert keyring().open_sealed(bytes(row.sealed_private_key or b""), b"of a copy") == b"secret"
    assert rotate("--check")[0].strip().endswith("Every row is under k2, the only master key.")


def test_rotation_again_changes_nothing(file: Path) -> None:
    make_keys(3)
    rotate("--make-new")
    before = all_sealed()

    assert "0 of 0 rows" in rotate()[1]

    assert all_sealed() == before


def test_a_rotation_that_was_ended_is_finished_by_the_next(file: Path) -> None:
    make_keys(250)
    make_another_master_key()

    def die(rotation: Rotation) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotate_master_key(progress=die)
    (counts,) = (each for table, each in sealed_rows().items() if table == AuthorityKey._meta.db_table)
    assert counts == {"k1": 150, "k2": 100}

    assert "150 of 150 rows" in rotate()[1]
    assert key_ids() == {"k2"}


def test_a_row_that_changes_meanwhile_is_not_overwritten_and_is_done_too(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, other = make_keys(2)
    old_ring = keyring()
    make_another_master_key()
    replaced = old_ring.seal(b"new secret", b"of a copy")
    rewrap = KeyRing.rewrap
    interfered: list[int] = []

    def interfere(ring: KeyRing, sealed: bytes) -> bytes:
        if not interfered:
            # Somebody who still has the old ring replaces a row after it was read and before it is written.
            interfered.append(AuthorityKey.objects.filter(pk=other.pk).update(sealed_private_key=replaced))
        return rewrap(ring, sealed)

    monkeypatch.setattr(KeyRing, "rewrap", interfere)
    rotation = rotate_master_key(progress=silent)

    assert interfered == [1]
    assert rotation.rewrapped == 2
    other.refresh_from_db()
    assert keyring().open_sealed(bytes(other.sealed_private_key or b""), b"of a copy") == b"new secret"
    assert key_ids() == {"k2"}


def test_rows_that_do_not_open_are_told_and_the_others_are_done(file: Path) -> None:
    keys = make_keys(4)
    AuthorityKey.objects.filter(pk=keys[1].pk).update(sealed_private_key=b"\x01nonsense")
    foreign = KeyRing.from_text(new_master_key_text("k9")).seal(b"secret", b"")
    AuthorityKey.objects.filter(pk=keys[2].pk).update(sealed_private_key=foreign)

    err = StringIO()
    with pytest.raises(CommandError, match=r"keep \(unreadable\), k9") as failure:
        call_command("rotate_master_key", "--make-new", stdout=StringIO(), stderr=err)

    assert failure.value.returncode == 1
    assert f"{keys[1].pk}: A sealed secret has an unknown form" in err.getvalue()
    assert f"{keys[2].pk}: A secret is sealed with the master key k9" in err.getvalue()
    assert "2 of 4 rows" in err.getvalue()


def test_check_tells_what_is_under_which_key_and_changes_nothing(file: Path) -> None:
    make_keys(3)
    make_another_master_key()

    out = StringIO()
    with pytest.raises(CommandError, match="keep k1") as failure:
        call_command("rotate_master_key", "--check", stdout=out, stderr=StringIO())

    assert failure.value.returncode == 1
    assert "3 under k1" in out.getvalue()
    assert key_ids() == {"k1"}


def test_keys_of_the_environment_are_not_changed_by_command() -> None:
    with pytest.raises(CommandError, match="PKI_PORTAL_MASTER_KEYS: put a new one before them"):
        rotate("--make-new")


def test_rotation_without_master_keys_is_refused(no_master_key: Path) -> None:
    for arguments in ([], ["--check"], ["--make-new"]):
        with pytest.raises(CommandError, match="master key"):
            rotate(*arguments)
    assert not no_master_key.exists()


def test_two_who_make_a_key_at_once_lose_none(file: Path) -> None:
    threads = [threading.Thread(target=make_another_master_key) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert keyring().key_ids == tuple(f"k{number}" for number in range(9, 0, -1))
    assert file.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]
