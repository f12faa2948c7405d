import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certificates.x509.crl import (
    CrlRejected,
    EntriesAtHand,
    RevocationReason,
    RevokedEntry,
    build_crl,
    crl_pem,
    crl_pem_size,
    encode_entry,
)
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
    algorithm: KeyAlgorithm, entries: Iterable[RevokedEntry], *, signed_by: KeyAlgorithm | None = None
) -> x509.CertificateRevocationList:
    signed = build_crl(
        issuer=root(algorithm),
        signer=signer(signed_by or algorithm),
        number=42,
        this_update=NOW,
        next_update=NOW + WEEK,
        entries=EntriesAtHand([encode_entry(entry) for entry in entries]),
    )
    return x509.load_der_x509_crl(signed.der)


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


def by_the_library(algorithm: KeyAlgorithm, entries: Iterable[RevokedEntry]) -> bytes:
    """TBSCertList of the same list, made by the library's own builders from values."""
    issuer = root(algorithm)
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.subject)
    builder = builder.last_update(NOW).next_update(NOW + WEEK)
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
    ).add_extension(x509.CRLNumber(42), critical=False)
    flags = {extension.value: extension for extension in x509.ReasonFlags}
    names = {RevocationReason.CA_COMPROMISE: "cACompromise", RevocationReason.AA_COMPROMISE: "aACompromise"}
    names[RevocationReason.REMOVE_FROM_CRL] = "removeFromCRL"
    for entry in entries:
        revoked = x509.RevokedCertificateBuilder().serial_number(entry.serial_number).revocation_date(entry.revoked_at)
        if entry.reason is not RevocationReason.UNSPECIFIED:
            first, *rest = entry.reason.name.lower().split("_")
            name = names.get(entry.reason, first + "".join(part.title() for part in rest))
            revoked = revoked.add_extension(x509.CRLReason(flags[name]), critical=False)
        if entry.invalidity_date is not None:
            revoked = revoked.add_extension(
                x509.InvalidityDate(entry.invalidity_date.replace(tzinfo=None)), critical=False
            )
        builder = builder.add_revoked_certificate(revoked.build())
    algorithm_of_hash = signing_hash(default_signature_algorithm(issuer.public_key()))
    return builder.sign(signer(algorithm).private_key, algorithm_of_hash).tbs_certlist_bytes  # type: ignore[arg-type]


@pytest.mark.parametrize("algorithm", [P256, KeyAlgorithm.RSA_2048, KeyAlgorithm.ED25519])
@pytest.mark.parametrize("count", [0, 1, 2, 40, 300])
def test_the_list_equals_the_library_s_byte_for_byte(algorithm: KeyAlgorithm, count: int) -> None:
    """One, two and three octets of length; serial numbers of every size; both forms of time."""
    reasons = list(RevocationReason)
    entries = [
        RevokedEntry(
            serial_number=1 << (number % 159),
            revoked_at=datetime(2049 if number % 2 else 2050, 12, 31, 23, 59, number % 60, tzinfo=UTC),
            reason=reasons[number % len(reasons)],
            invalidity_date=NOW - timedelta(seconds=number) if number % 3 == 0 else None,
        )
        for number in range(count)
    ]
    assert crl_of(algorithm, entries).tbs_certlist_bytes == by_the_library(algorithm, entries)


def test_a_signer_that_is_not_the_issuer_is_refused() -> None:
    for other in (KeyAlgorithm.EC_SECP384R1, KeyAlgorithm.RSA_2048):
        with pytest.raises(CrlRejected, match="does not hold the issuer's key"):
            crl_of(P256, [], signed_by=other)


@pytest.mark.timeout(60)  # entry by entry it takes minutes
def test_a_hundred_thousand_entries_are_listed_at_once() -> None:
    encoded = encode_entry(RevokedEntry(2**158 + 1, NOW))
    crl = build_crl(
        issuer=root(P256),
        signer=signer(P256),
        number=1,
        this_update=NOW,
        next_update=NOW + WEEK,
        entries=EntriesAtHand([encoded] * 100_000),
    )
    assert len(x509.load_der_x509_crl(crl.der)) == crl.count == 100_000


def test_what_is_not_the_list_that_was_to_be_signed_is_rejected() -> None:
    with pytest.raises(CrlRejected, match="2 entries instead of 1"):
        build_crl(
            issuer=root(P256),
            signer=signer(P256),
            number=1,
            this_update=NOW,
            next_update=NOW + WEEK,
            entries=EntriesAtHand([encode_entry(RevokedEntry(1, NOW)) + encode_entry(RevokedEntry(2, NOW))]),
        )


class Surprising(EntriesAtHand):
    """Of another length than was expected."""

    @property
    def expected_size(self) -> int:
        return 0 if len(self.encoded) % 2 else 100_000


@pytest.mark.parametrize("count", [0, 1, 2, 3, 40, 300, 301, 2_000, 2_001])
def test_it_is_told_where_the_entries_are_however_many_were_expected(count: int) -> None:
    encoded = [encode_entry(RevokedEntry(1 << number % 159, NOW)) for number in range(count)]
    for algorithm in AUTHORITY_ALGORITHMS:
        crl = build_crl(
            issuer=root(algorithm),
            signer=signer(algorithm),
            number=1,
            this_update=NOW,
            next_update=NOW + WEEK,
            entries=Surprising(encoded),
        )
        assert len(x509.load_der_x509_crl(crl.der)) == count
        assert crl.der[crl.entries_at :].startswith(b"".join(encoded))


def test_pem_in_pieces_is_the_library_s() -> None:
    whole = crl_of(P256, [RevokedEntry(1 << number, NOW) for number in range(50)])
    encoded, text = whole.public_bytes(Encoding.DER), whole.public_bytes(Encoding.PEM)
    for length in (1, 2, 47, 48, 49, 100, len(encoded), len(encoded) + 1):
        pieces = [encoded[at : at + length] for at in range(0, len(encoded), length)]
        assert b"".join(crl_pem([b"", *pieces])) == text
    for size in range(200):
        assert crl_pem_size(size) == len(b"".join(crl_pem([bytes(size)])))
