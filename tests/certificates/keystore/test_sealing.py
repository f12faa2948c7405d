import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from certificates.keystore.sealing import (
    KeyRing,
    MasterKeysInvalid,
    MasterKeyUnknown,
    SealBroken,
    forget_keyring,
    key_id_of,
    keyring,
    new_master_key_text,
    open_sealed,
    with_new_master_key,
)
from pki_portal.errors import Unavailable

ROW = b"private-key:1"


@pytest.fixture(autouse=True)
def _fresh_keyring() -> Iterator[None]:
    forget_keyring()
    yield
    forget_keyring()


def secret_of(text: str) -> str:
    return text.partition(":")[2]


@given(st.binary(max_size=2000), st.binary(max_size=50))
def test_what_was_sealed_opens_and_does_not_show(plaintext: bytes, associated_data: bytes) -> None:
    ring = KeyRing.from_text(new_master_key_text())
    sealed = ring.seal(plaintext, associated_data)
    assert ring.open_sealed(sealed, associated_data) == plaintext
    assert len(plaintext) < 8 or plaintext not in sealed


def test_the_same_secret_is_sealed_differently_each_time() -> None:
    ring = KeyRing.from_text(new_master_key_text())
    assert ring.seal(b"secret", ROW) != ring.seal(b"secret", ROW)


def test_the_first_key_seals_and_all_open() -> None:
    old, new = new_master_key_text("k1"), new_master_key_text("k2")
    sealed_before = KeyRing.from_text(old).seal(b"secret", ROW)
    ring = KeyRing.from_text(f" {new},{old}\n")
    assert ring.sealing_key_id == "k2"
    assert ring.open_sealed(sealed_before, ROW) == b"secret"
    with pytest.raises(Unavailable, match="k2, which is not configured"):
        KeyRing.from_text(old).open_sealed(ring.seal(b"secret", ROW), ROW)


def test_a_missing_key_is_named_with_its_remedy() -> None:
    sealed = KeyRing.from_text(new_master_key_text("k7")).seal(b"secret", ROW)
    with pytest.raises(Unavailable, match=r"master key k7, which is not configured\. Add it to PKI_PORTAL_MASTER_KEYS"):
        KeyRing.from_text(new_master_key_text("k1")).open_sealed(sealed, ROW)


def test_another_key_of_the_same_name_is_told() -> None:
    sealed = KeyRing.from_text(new_master_key_text()).seal(b"secret", ROW)
    with pytest.raises(SealBroken, match="does not open with the configured master key k1"):
        KeyRing.from_text(new_master_key_text()).open_sealed(sealed, ROW)


def test_a_secret_of_another_row_does_not_open() -> None:
    ring = KeyRing.from_text(new_master_key_text())
    with pytest.raises(SealBroken, match="belongs to another row"):
        ring.open_sealed(ring.seal(b"secret", ROW), b"private-key:2")


def test_no_changed_byte_and_no_cut_opens() -> None:
    ring = KeyRing.from_text(new_master_key_text())
    sealed = ring.seal(b"secret", ROW)
    for position in range(len(sealed)):
        damaged = bytearray(sealed)
        damaged[position] ^= 1
        with pytest.raises(Unavailable):
            ring.open_sealed(bytes(damaged), ROW)
        with pytest.raises(Unavailable):
            ring.open_sealed(sealed[:position], ROW)


def test_no_key_shows_in_a_repr() -> None:
    text = new_master_key_text()
    ring = KeyRing.from_text(text)
    assert secret_of(text) not in repr(ring)
    assert repr(base64.b64decode(secret_of(text))) not in repr(ring)
    assert "k1" in repr(ring)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Master key 1 has no valid name"),
        ("c2VjcmV0c2VjcmV0", "Master key 1 has no valid name"),
        ("ümlaut:c2VjcmV0", "Master key 1 has no valid name"),
        ("k1:c2VjcmV0c2VjcmV0", "master key k1 has 12 bytes instead of 32"),
        ("k1:not base64 at all!", "master key k1 is not base64"),
        ("k1:pässword", "master key k1 is not base64"),
        (f"k1:{'A' * 43}=,", "Master key 2 has no valid name"),
        (f"k1:{'A' * 43}=,k1:{'A' * 43}=", "Two master keys are named k1"),
    ],
)
def test_malformed_keys_are_refused_with_a_remedy_and_not_repeated(text: str, reason: str) -> None:
    with pytest.raises(MasterKeysInvalid, match=reason) as caught:
        KeyRing.from_text(text)
    assert len(secret_of(text)) < 5 or secret_of(text) not in str(caught.value)
    assert "c2Vj" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_configured_text_is_used_and_parsed_once(settings: Settings) -> None:
    settings.PKI_PORTAL_MASTER_KEYS = new_master_key_text("k3")
    assert keyring().sealing_key_id == "k3"
    assert keyring() is keyring()
    settings.PKI_PORTAL_MASTER_KEYS = new_master_key_text("k4")
    assert keyring().sealing_key_id == "k4"


def test_the_configured_file_is_used_where_there_is_no_text(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "master-keys"
    file.write_text(new_master_key_text("k5") + "\n")
    settings.PKI_PORTAL_MASTER_KEYS = ""
    settings.PKI_PORTAL_MASTER_KEYS_FILE = file
    assert keyring().sealing_key_id == "k5"


def test_a_missing_file_is_told_with_its_remedy_and_tried_again(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "master-keys"
    settings.PKI_PORTAL_MASTER_KEYS = ""
    settings.PKI_PORTAL_MASTER_KEYS_FILE = file
    with pytest.raises(MasterKeysInvalid, match=r"FileNotFoundError.*quickstart"):
        keyring()
    file.write_bytes(b"k1:\xff")
    with pytest.raises(MasterKeysInvalid, match="UnicodeDecodeError"):
        keyring()
    file.write_text(new_master_key_text())
    assert keyring().sealing_key_id == "k1"


@pytest.fixture
def file(settings: Settings, tmp_path: Path) -> Path:
    """A configured file with the one key k1."""
    settings.PKI_PORTAL_MASTER_KEYS = ""
    path = tmp_path / "master-keys"
    path.write_text(new_master_key_text())
    settings.PKI_PORTAL_MASTER_KEYS_FILE = path
    return path


def test_a_changed_file_counts_from_the_next_use(file: Path) -> None:
    first = keyring()
    assert keyring() is first
    file.write_text(with_new_master_key(file.read_text()))  # in place
    assert keyring().key_ids == ("k2", "k1")
    other = file.with_name("other")
    other.write_text(new_master_key_text("k3"))
    other.rename(file)
    assert keyring().key_ids == ("k3",)
    file.unlink()
    with pytest.raises(MasterKeysInvalid):
        keyring()


def test_a_secret_under_an_unknown_key_makes_the_file_be_read_again(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = file.stat()
    monkeypatch.setattr(Path, "stat", lambda *_, **__: stale)  # times so coarse that no change shows
    assert keyring().key_ids == ("k1",)
    file.write_text(with_new_master_key(file.read_text()))
    sealed = KeyRing.from_text(file.read_text()).seal(b"secret", ROW)  # as another process does
    assert keyring().key_ids == ("k1",)
    assert open_sealed(sealed, ROW) == b"secret"
    foreign = KeyRing.from_text(new_master_key_text("k9")).seal(b"secret", ROW)
    with pytest.raises(MasterKeyUnknown, match="k9, which is not configured"):
        open_sealed(foreign, ROW)


def test_rewrapping_changes_the_key_and_not_the_secret() -> None:
    old_text = new_master_key_text()
    old = KeyRing.from_text(old_text)
    text = new_master_key_text("a-longer-name")
    sealed = old.seal(b"secret", ROW)
    both = KeyRing.from_text(f"{text},{old_text}")
    rewrapped = both.rewrap(sealed)
    assert key_id_of(rewrapped) == "a-longer-name"
    assert rewrapped[-34:] == sealed[-34:]  # nonce, six bytes and their tag, as they were
    assert KeyRing.from_text(text).open_sealed(rewrapped, ROW) == b"secret"
    with pytest.raises(SealBroken):
        KeyRing.from_text(text).open_sealed(rewrapped, b"another row")
    with pytest.raises(MasterKeyUnknown):
        KeyRing.from_text(text).rewrap(sealed)


@pytest.mark.parametrize(
    ("before", "name"), [("k1", "k2"), ("k9,k10", "k11"), ("main", "k1"), ("k007,x", "k8"), ("prod-k5", "k1")]
)
def test_a_new_key_gets_the_next_free_name_and_seals(before: str, name: str) -> None:
    text = ",".join(new_master_key_text(key_id) for key_id in before.split(","))
    ring = KeyRing.from_text(with_new_master_key(text))
    assert ring.key_ids == (name, *before.split(","))
    assert ring.sealing_key_id == name
