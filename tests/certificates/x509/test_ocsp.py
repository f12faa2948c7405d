"""OCSP, encoding by encoding: against the library's own where it makes one, and against openssl."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as library
from cryptography.x509.oid import ExtensionOID
from hypothesis import given
from hypothesis import strategies as st

from certificates.x509 import der
from certificates.x509.crl import RevocationReason
from certificates.x509.keys import algorithm_of, default_signature_algorithm, signing_hash
from certificates.x509.ocsp import (
    CertId,
    Good,
    OcspMalformed,
    ResponseStatus,
    Revoked,
    SingleResponse,
    Status,
    Unknown,
    build_response,
    issuer_hashes,
    read_request,
    unsuccessful,
)
from profiles.policy.vocabulary import KeyAlgorithm
from tests.certificates.x509.material import (
    AUTHORITY_ALGORITHMS,
    NOW,
    end_entity,
    issuance_plan,
    responder,
    root,
    signer,
)

P256 = KeyAlgorithm.EC_PRIME256V1
HOUR = timedelta(hours=1)
# What nearly every client sends: a name of the issuer, not a protection.
SHA1 = hashes.SHA1()  # noqa: S303
NONCE = "1.3.6.1.5.5.7.48.1.2"


def leaf(serial_number: int = 77) -> x509.Certificate:
    return end_entity(issuance_plan(), root(P256), P256, serial_number=serial_number)


def request_of(*, nonce: bytes | None = None, algorithm: hashes.HashAlgorithm | None = None) -> bytes:
    builder = library.OCSPRequestBuilder().add_certificate(leaf(), root(P256), algorithm or SHA1)
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


# --- Requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", [SHA1, hashes.SHA256()])
@pytest.mark.parametrize("nonce", [None, b"x", b"x" * 128])
def test_a_request_of_the_library_is_read(algorithm: hashes.HashAlgorithm, nonce: bytes | None) -> None:
    read = read_request(request_of(nonce=nonce, algorithm=algorithm))
    (certificate,) = read.certificates
    assert (certificate.serial_number, read.nonce) == (77, nonce)
    assert issuer_hashes(root(P256))[algorithm.name] == (certificate.issuer_name_hash, certificate.issuer_key_hash)
    assert certificate.hash_name == algorithm.name


def test_a_request_of_openssl_for_three_certificates_is_read(tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_bytes(root(P256).public_bytes(Encoding.PEM))
    command = ["openssl", "ocsp", "-issuer", "root.pem", "-serial", "1", "-serial", "0xff", "-sha256", "-serial", "256"]
    subprocess.run([*command, "-reqout", "request.der"], cwd=tmp_path, check=True, capture_output=True)
    read = read_request((tmp_path / "request.der").read_bytes())
    assert [(each.serial_number, each.hash_name) for each in read.certificates] == [
        (1, "sha1"), (255, "sha1"), (256, "sha256"),
    ]  # fmt: skip
    assert read.nonce is not None


def test_an_unknown_hash_is_read_and_matches_no_issuer() -> None:
    read = read_request(request_of(algorithm=hashes.SHA512()))
    assert read.certificates[0].hash_name == ""


def wrap(
    *, requests: list[bytes] | None = None, version: bytes = b"", extensions: bytes = b"", after: bytes = b""
) -> bytes:
    certificate = read_request(request_of()).certificates[0].encoded
    listed = der.sequence(*([der.sequence(certificate)] if requests is None else requests))
    return der.sequence(der.sequence(version, listed, extensions), after)


def extensions_of(*extensions: bytes) -> bytes:
    return der.tlv(der.context(2), der.sequence(*extensions))


def nonce_of(octets: int) -> bytes:
    return der.extension(NONCE, der.octet_string(b"x" * octets))


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"\x30\x00",
        b"rubbish",
        request_of() + b"\x00",
        request_of()[:-1],
        wrap(requests=[]),
        wrap(requests=[der.sequence(read_request(request_of()).certificates[0].encoded)] * 101),
        wrap(requests=[der.sequence(b"")]),
        wrap(version=der.tlv(der.context(0), der.integer(1))),
        wrap(extensions=extensions_of()),
        wrap(extensions=extensions_of(nonce_of(0))),
        wrap(extensions=extensions_of(nonce_of(129))),
        wrap(extensions=extensions_of(nonce_of(8), nonce_of(8))),
        wrap(extensions=extensions_of(der.extension(NONCE, b"x" * 8))),  # not in an OCTET STRING of its own
        wrap(extensions=extensions_of(der.extension("1.2.3.4", b"", critical=True))),
        wrap(after=der.sequence()),
        wrap(extensions=extensions_of(nonce_of(8)) * 2),
        b"\x30" * 70_000,
    ],
    ids=map(str, range(18)),  # the octets hold a new key's hash in every process
)
def test_what_is_no_request_is_malformed(document: bytes) -> None:
    with pytest.raises(OcspMalformed):
        read_request(document)


def test_version_one_and_extensions_that_are_not_critical_do_no_harm() -> None:
    first = read_request(wrap(version=der.tlv(der.context(0), der.integer(0))))
    other = read_request(wrap(extensions=extensions_of(der.extension("1.2.3.4", b""), nonce_of(8))))
    assert first.certificates == other.certificates
    assert other.nonce == b"x" * 8


@given(st.binary(max_size=200))
def test_rubbish_is_read_or_malformed(document: bytes) -> None:
    with pytest.raises(OcspMalformed):
        read_request(document)


@given(st.data())
def test_a_mutated_request_is_read_or_malformed(data: Any) -> None:
    octets = bytearray(request_of(nonce=b"x" * 16))
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = read_request(bytes(octets))
    except OcspMalformed:
        return
    assert read.certificates


# --- Responses --------------------------------------------------------------------------------------------------------


def single(status: Status, *, asked: CertId | None = None, archive_cutoff: datetime | None = None) -> SingleResponse:
    asked = asked or read_request(request_of()).certificates[0]
    return SingleResponse(asked.encoded, status, NOW, NOW + HOUR, archive_cutoff)


def response_of(*responses: SingleResponse, algorithm: KeyAlgorithm = P256, nonce: bytes | None = None) -> bytes:
    own = algorithm_of(responder(algorithm).public_key())
    assert own is not None
    return build_response(
        responses=responses, responder=responder(algorithm), signer=signer(own), produced_at=NOW, nonce=nonce
    )


def by_the_library(status: Status, nonce: bytes | None) -> bytes:
    """The same ResponseData, made from values; producedAt is the library's own clock and is put right by the caller."""
    is_revoked = isinstance(status, Revoked)
    reasons = {RevocationReason.KEY_COMPROMISE: x509.ReasonFlags.key_compromise}
    kinds = {Good: "GOOD", Revoked: "REVOKED", Unknown: "UNKNOWN"}
    builder = library.OCSPResponseBuilder().add_response(
        cert=leaf(),
        issuer=root(P256),
        algorithm=SHA1,
        cert_status=library.OCSPCertStatus[kinds[type(status)]],
        this_update=NOW,
        next_update=NOW + HOUR,
        revocation_time=status.revoked_at if isinstance(status, Revoked) else None,
        revocation_reason=reasons.get(status.reason) if isinstance(status, Revoked) and is_revoked else None,
    )
    builder = builder.responder_id(library.OCSPResponderEncoding.HASH, responder(P256))
    builder = builder.certificates([responder(P256)])
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.sign(signer(P256).private_key, hashes.SHA256()).tbs_response_bytes


@pytest.mark.parametrize("nonce", [None, b"n" * 32])
@pytest.mark.parametrize(
    "status",
    [
        Good(),
        Unknown(),
        Revoked(NOW - HOUR),
        Revoked(datetime(2051, 1, 1, tzinfo=UTC), RevocationReason.KEY_COMPROMISE),
    ],
)
def test_a_response_equals_the_library_s_byte_for_byte(status: Status, nonce: bytes | None) -> None:
    read = library.load_der_ocsp_response(response_of(single(status), nonce=nonce))
    theirs = by_the_library(status, nonce)
    now = library.load_der_ocsp_response(response_of(single(status))).produced_at_utc
    at = theirs.index(b"\x18\x0f") + 2
    theirs = theirs[:at] + now.strftime("%Y%m%d%H%M%SZ").encode() + theirs[at + 15 :]
    assert read.tbs_response_bytes == theirs


@pytest.mark.parametrize("algorithm", AUTHORITY_ALGORITHMS)
def test_a_responder_of_every_ca_signs_what_the_library_reads(algorithm: KeyAlgorithm) -> None:
    read = library.load_der_ocsp_response(response_of(single(Good()), algorithm=algorithm))
    certificate = responder(algorithm)
    assert read.certificates == [certificate]
    assert (read.this_update_utc, read.next_update_utc, read.produced_at_utc) == (NOW, NOW + HOUR, NOW)
    wanted = signing_hash(default_signature_algorithm(certificate.public_key()))
    assert type(read.signature_hash_algorithm) is type(wanted)
    no_check = certificate.extensions.get_extension_for_oid(ExtensionOID.OCSP_NO_CHECK)
    assert not no_check.critical


def test_openssl_believes_an_answer_about_several_certificates(tmp_path: Path) -> None:
    certificate, other = leaf(), leaf(78)
    (tmp_path / "root.pem").write_bytes(root(P256).public_bytes(Encoding.PEM))
    for name, each in (("leaf", certificate), ("other", other)):
        (tmp_path / f"{name}.pem").write_bytes(each.public_bytes(Encoding.PEM))
    command = ["openssl", "ocsp", "-issuer", "root.pem", "-cert", "leaf.pem", "-cert", "other.pem", "-serial", "9"]
    subprocess.run([*command, "-reqout", "request.der"], cwd=tmp_path, check=True, capture_output=True)
    request = read_request((tmp_path / "request.der").read_bytes())
    first, second, third = request.certificates
    answer = response_of(
        single(Good(), asked=first, archive_cutoff=NOW - timedelta(days=900)),
        single(Revoked(NOW - HOUR, RevocationReason.CERTIFICATE_HOLD), asked=second),
        single(Unknown(), asked=third),
        nonce=request.nonce,
    )
    (tmp_path / "response.der").write_bytes(answer)
    reading = ["-respin", "response.der", "-CAfile", "root.pem", "-no_nonce", "-resp_text"]
    clock = ["-attime", str(int(NOW.timestamp()) + 60), "-validity_period", "999999999"]
    told = subprocess.run([*command, *reading, *clock], cwd=tmp_path, capture_output=True, text=True, check=False)
    for text in ("leaf.pem: good", "other.pem: revoked", "Reason: certificateHold", "9: unknown", "Archive Cutoff"):
        assert text in told.stdout + told.stderr, told.stdout + told.stderr
    assert "Response verify OK" in told.stderr


def test_why_there_is_no_answer_is_said_in_five_octets() -> None:
    assert unsuccessful(ResponseStatus.MALFORMED_REQUEST) == bytes.fromhex("30030a0101")
    read = library.load_der_ocsp_response(unsuccessful(ResponseStatus.UNAUTHORIZED))
    assert read.response_status is library.OCSPResponseStatus.UNAUTHORIZED


def test_a_signer_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="no such signature"):
        build_response(
            responses=[single(Good())],
            responder=responder(P256),
            signer=signer(KeyAlgorithm.ED25519),
            produced_at=NOW,
            nonce=None,
        )
