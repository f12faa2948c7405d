import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certificates.x509.crl import RevocationReason, RevokedEntry, build_crl
from certificates.x509.keys import default_signature_algorithm, signing_hash
from profiles.policy.vocabulary import KeyAlgorithm
from tests.certificates.x509.material import (
    AUTHORITY_ALGORITHMS,
    NOW,
    end_entity,
    issuance_plan,
    root,
    signer,
)

P256 = KeyAlgorithm.EC_PRIME256V1
WEEK = timedelta(days=7)


def crl_of(
    algorithm: KeyAlgorithm, entries: list[RevokedEntry], *, signed_by: KeyAlgorithm | None = None
) -> x509.CertificateRevocationList:
    return build_crl(
        issuer=root(algorithm),
        signer=signer(signed_by or algorithm),
        number=42,
        this_update=NOW,
        next_update=NOW + WEEK,
        entries=entries,
    )


@pytest.mark.parametrize("algorithm", AUTHORITY_ALGORITHMS)
def test_every_ca_key_signs_a_crl_with_a_hash_as_strong(algorithm: KeyAlgorithm) -> None:
    crl = crl_of(algorithm, [])
    issuer = root(algorithm)
    assert crl.issuer == issuer.subject
    assert (crl.last_update_utc, crl.next_update_utc) == (NOW, NOW + WEEK)
    assert len(crl) == 0
    assert crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
    wanted = signing_hash(default_signature_algorithm(issuer.public_key()))
    assert type(crl.signature_hash_algorithm) is type(wanted)
    assert [(extension.oid._name, extension.critical) for extension in crl.extensions] == [
        ("authorityKeyIdentifier", False),
        ("cRLNumber", False),
    ]
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 42
    identifier = crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert identifier == issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest


def test_each_reason_is_told_by_its_number_and_unspecified_by_silence() -> None:
    entries = [RevokedEntry(100 + reason, NOW - timedelta(hours=reason), reason) for reason in RevocationReason]
    crl = crl_of(P256, entries)
    for entry in entries:
        revoked = crl.get_revoked_certificate_by_serial_number(entry.serial_number)
        assert revoked is not None
        assert revoked.revocation_date_utc == entry.revoked_at
        found = [extension.value.public_bytes() for extension in revoked.extensions]
        wanted = [] if entry.reason is RevocationReason.UNSPECIFIED else [bytes([0x0A, 1, entry.reason])]
        assert found == wanted


def test_openssl_finds_the_revoked_certificate(tmp_path: Path) -> None:
    leaf = end_entity(issuance_plan(), root(P256), P256, serial_number=77)
    crl = crl_of(P256, [RevokedEntry(77, NOW, RevocationReason.KEY_COMPROMISE)])
    (tmp_path / "leaf.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    (tmp_path / "root.pem").write_bytes(root(P256).public_bytes(Encoding.PEM))
    (tmp_path / "crl.pem").write_bytes(crl.public_bytes(Encoding.PEM))
    command = ["openssl", "verify", "-crl_check", "-attime", str(int(NOW.timestamp()) + 60), "-CAfile", "root.pem"]
    result = subprocess.run(
        [*command, "-CRLfile", "crl.pem", "leaf.pem"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "certificate revoked" in result.stderr


def test_a_signer_that_is_not_the_issuer_is_refused() -> None:
    with pytest.raises(ValueError, match="does not hold the issuer's key"):
        crl_of(P256, [], signed_by=KeyAlgorithm.EC_SECP384R1)


def test_a_serial_number_listed_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        crl_of(P256, [RevokedEntry(5, NOW), RevokedEntry(5, NOW)])


@pytest.mark.timeout(60)  # entry by entry it takes minutes
def test_twenty_thousand_entries_are_listed_at_once() -> None:
    crl = crl_of(P256, [RevokedEntry(serial, NOW) for serial in range(1, 20_001)])
    assert len(crl) == 20_000
