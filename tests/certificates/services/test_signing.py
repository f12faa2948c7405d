"""CA keys: sealed at rest, bound to their row, refused when anything is wrong."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import Settings

from certificates.keystore.database import forget_keys
from certificates.keystore.sealing import forget_keyring
from certificates.models import AuthorityKey, CertificateAuthority
from certificates.services import signing
from certificates.services.authorities import AuthoritySubject, create_root
from certificates.services.signing import signer_of, signer_of_key
from certificates.x509.keys import public_key_info
from pki_portal.errors import Unavailable
from profiles.policy.vocabulary import KeyAlgorithm
from tests.factories import SYSTEM, make_authority, make_project

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


def test_signer_holds_the_key_of_the_certificate() -> None:
    authority = make_authority(make_project())
    assert authority.active_certificate is not None

    signer = signer_of(authority.active_certificate)

    assert public_key_info(signer.public_key()) == bytes(authority.keys.get().subject_public_key_info)


def test_key_moved_to_another_row_does_not_open() -> None:
    project = make_project()
    first, second = (make_authority(project).keys.get() for _ in range(2))
    first.sealed_private_key = second.sealed_private_key
    first.subject_public_key_info = second.subject_public_key_info
    first.save(update_fields=["sealed_private_key", "subject_public_key_info"])

    with pytest.raises(Unavailable):
        signer_of_key(first)


def test_wrong_master_key_makes_no_signature(settings: Settings) -> None:
    key = make_authority(make_project()).keys.get()
    settings.PKI_PORTAL_MASTER_KEYS = "test:" + "A" * 43 + "="
    forget_keyring()
    forget_keys()

    try:
        with pytest.raises(Unavailable, match="master key"):
            signer_of_key(key)
    finally:
        forget_keyring()


def test_ca_without_master_key_is_not_made(no_master_key: Path) -> None:
    with pytest.raises(Unavailable, match="quickstart"):
        create_root(
            requester=SYSTEM,
            project=make_project(),
            name="root",
            subject=AuthoritySubject(common_name="Root"),
            key_algorithm=KeyAlgorithm.EC_PRIME256V1,
        )

    assert not CertificateAuthority.objects.exists()
    assert not AuthorityKey.objects.exists()


def test_one_module_signs_certificates() -> None:
    """Whoever else imported the signing would have a road of his own past lint and verification."""
    importing = re.compile(
        r"^from certificates\.x509\.tbs import .*\b(sign|draft|build|build_authority)\b", re.MULTILINE
    )
    root = Path(signing.__file__).parents[2]

    signing_modules = {
        path.relative_to(root).as_posix()
        for path in (root / "certificates").rglob("*.py")
        if importing.search(path.read_text(encoding="utf-8"))
    }

    assert signing_modules == {"certificates/services/signing.py"}
