from pathlib import Path

import cryptography_vectors
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID
from hypothesis import example, given, settings
from hypothesis import strategies as st

from certificates.x509.csr import MAX_CSR_BYTES, CsrError, CsrMalformed, read_csr
from certificates.x509.keys import load_public_key
from certificates.x509.names import encode_subject, read_general_name
from pki_portal.errors import PortalError
from profiles.policy.request import AttributeValue, BasicConstraints, GeneralName, IssuanceRequest
from profiles.policy.vocabulary import ExtendedKeyUsage, KeyAlgorithm, KeyUsage, NameType, SubjectAttribute
from tests.certificates.x509.material import NOW, VECTORS, key, subject

GOOD = (VECTORS / "good.csr.pem").read_text()
GOOD_DER = (VECTORS / "good.csr.der").read_bytes()
LIBRARY_CSRS = sorted((Path(cryptography_vectors.__file__).parent / "x509" / "requests").iterdir())


def vector(name: str) -> str:
    return (VECTORS / f"{name}.csr.pem").read_text(encoding="utf-8")


def refusal(sent: str | bytes) -> PortalError:
    with pytest.raises((CsrError, CsrMalformed)) as caught:
        read_csr(sent)
    error = caught.value
    assert error.violations
    assert {violation.field for violation in error.violations} == {"csr"}
    assert all(violation.fix and violation.asked for violation in error.violations)
    return error


def codes(error: PortalError) -> list[str]:
    return [violation.code for violation in error.violations]


def test_a_good_csr_tells_all_it_asks_for() -> None:
    request = read_csr(GOOD)
    assert request.subject == subject(common_name="service.acme.com")
    assert request.subject_alternative_names == (
        GeneralName(NameType.DNS_NAME, "service.acme.com"),
        GeneralName(NameType.IP_ADDRESS, "10.0.0.1"),
    )
    assert request.key_usages == (KeyUsage.DIGITAL_SIGNATURE,)
    assert request.extended_key_usages == (ExtendedKeyUsage.SERVER_AUTH, "1.3.6.1.4.1.311.20.2.2")
    assert request.basic_constraints == BasicConstraints(is_ca=False)
    assert request.applicant_key is not None
    assert request.applicant_key.algorithm is KeyAlgorithm.EC_PRIME256V1
    assert request.applicant_key.description == "EC secp256r1"
    assert request.applicant_key.weaknesses == ()
    assert load_public_key(request.applicant_key.subject_public_key_info) is not None
    assert request.csr == GOOD.strip()
    assert (request.ttl, request.key_algorithm, request.signature_algorithm) == (None, None, None)


def test_what_no_rule_reads_is_named_and_a_challenge_password_not_repeated() -> None:
    request = read_csr(GOOD)
    assert request.ignored == (
        "the CSR's extension subject_key_identifier (2.5.29.14)",
        "the CSR's attribute challenge_password (1.2.840.113549.1.9.7)",
    )
    assert "sesame" not in repr(request)


@pytest.mark.parametrize("name", ["good-no-newline", "good-crlf", "good-new-label", "good-text-around"])
def test_every_usual_form_of_pem_is_read_alike(name: str) -> None:
    assert read_csr(vector(name)) == read_csr(GOOD)


def test_der_and_pem_as_bytes_are_read_alike() -> None:
    assert read_csr(GOOD_DER) == read_csr(GOOD.encode()) == read_csr(b"\xef\xbb\xbf" + GOOD.encode()) == read_csr(GOOD)


def test_a_csr_without_extensions_asks_for_nothing_but_a_name() -> None:
    request = read_csr(vector("good-rsa-pss"))
    assert request.subject_alternative_names == ()
    assert request.key_usages is None
    assert request.extended_key_usages is None
    assert request.basic_constraints is None


def test_kinds_of_names_that_no_template_allows_are_told_by_their_rfc_word() -> None:
    names = read_csr(vector("all-name-kinds")).subject_alternative_names
    assert [name.type for name in names] == [
        NameType.EMAIL,
        NameType.URI,
        "directoryName",
        "registeredID",
        NameType.UPN,
        NameType.IP_ADDRESS,
    ]
    assert [name.value for name in names] == [
        "alice@acme.com",
        "spiffe://acme.com/web",
        "CN=Alice",
        "1.2.3.4",
        "alice",
        "::",
    ]


@pytest.mark.parametrize(
    ("oid", "value"),
    [
        ("1.3.6.1.4.1.311.20.2.3", "1605616c696365"),
        ("1.3.6.1.4.1.311.20.2.3", "0c06616c696365"),
        ("1.3.6.1.4.1.311.20.2.3", "0c8105616c696365"),
        ("1.3.6.1.4.1.311.20.2.3", "0c02ff40"),
        ("1.3.6.1.4.1.311.20.2.3", "0500"),
        ("1.2.3.4", "0c05616c696365"),
    ],
)
def test_an_other_name_that_is_no_user_principal_name_is_told_by_its_oid(oid: str, value: str) -> None:
    other = x509.OtherName(x509.ObjectIdentifier(oid), bytes.fromhex(value))
    assert read_general_name(other) == GeneralName("otherName", f"{oid}:{value}")


def test_what_only_the_policy_refuses_is_read() -> None:
    assert read_csr(vector("empty-subject")).subject == ()
    assert read_csr(vector("long-common-name")).subject == (AttributeValue(SubjectAttribute.COMMON_NAME, "a" * 300),)
    assert read_csr(vector("non-ascii-dns")).subject_alternative_names == (GeneralName(NameType.DNS_NAME, "müller.de"),)


@pytest.mark.parametrize(
    ("name", "description"),
    [
        ("secp256k1", "EC secp256k1"),
        ("ed448", "Ed448"),
        ("dsa", "DSA 2048"),
        ("x25519-key", "X25519"),
        ("rsa-1024", "RSA 1024"),
        ("unknown-key-type", "a key of an unknown kind or curve"),
    ],
)
def test_a_key_that_is_not_certified_comes_back_without_an_algorithm(name: str, description: str) -> None:
    applicant_key = read_csr(vector(name)).applicant_key
    assert applicant_key is not None
    assert applicant_key.algorithm is None
    assert applicant_key.description == description
    csr_der = x509.load_pem_x509_csr(vector(name).encode()).public_bytes(Encoding.DER)
    assert applicant_key.subject_public_key_info in csr_der
    assert applicant_key.subject_public_key_info.startswith(b"\x30")


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("rsa-1024", "1024 bits is too short"),
        ("rsa-close-primes", "close together"),
        ("rsa-small-factor", "small prime factor"),
        ("rsa-roca", "ROCA"),
        ("rsa-exponent-3", "exponent is 3"),
        ("rsa-exponent-huge", "exponent is 300 bits long"),
        ("secp256k1", "curve secp256k1"),
    ],
)
def test_a_weak_key_comes_back_with_its_weakness(name: str, part: str) -> None:
    applicant_key = read_csr(vector(name)).applicant_key
    assert applicant_key is not None
    assert len(applicant_key.weaknesses) == 1
    assert part in applicant_key.weaknesses[0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bad-signature", ["bad_signature"]),
        ("md5-signature", ["weak_signature"]),
        ("duplicate-extension", ["duplicate_extension"]),
        ("duplicate-and-bad-signature", ["bad_signature", "duplicate_extension"]),
        ("x400-name", ["unsupported_name"]),
        ("five-byte-address", ["unreadable"]),
        ("broken-extension", ["unreadable"]),
        ("usage-without-agreement", ["unreadable"]),
        ("invalid-utf8-subject", ["unreadable"]),
        ("two-valued-attribute", ["unreadable"]),
        ("point-off-curve", ["invalid_key"]),
        ("rsa-exponent-even", ["invalid_key"]),
    ],
)
def test_a_csr_that_was_read_is_refused_with_every_reason(name: str, expected: list[str]) -> None:
    error = refusal(vector(name))
    assert isinstance(error, CsrError)
    assert codes(error) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("truncated", "truncated"),
        ("truncated-text", "truncated"),
        ("trailing-data", "trailing_data"),
        ("two-blocks", "several_blocks"),
        ("not-base64", "not_base64"),
        ("indefinite-length", "not_a_csr"),
        ("garbage-asn1", "asn1"),
        ("version-2", "version"),
        ("public-key-labelled-csr", "public_key"),
    ],
)
def test_what_cannot_be_read_is_malformed_and_says_why(name: str, expected: str) -> None:
    error = refusal(vector(name))
    assert isinstance(error, CsrMalformed)
    assert codes(error) == [expected]


@pytest.mark.parametrize(
    "name",
    ["ec-sec1.key", "encrypted.key", "rsa-2048.key", "key-labelled-csr.csr", "encrypted-key-labelled-csr.csr"],
)
def test_a_private_key_is_refused_and_nothing_of_it_repeated(name: str) -> None:
    text = (VECTORS / f"{name}.pem").read_text()
    error = refusal(text)
    assert codes(error) == ["private_key"]
    body = text.splitlines()[1]
    assert body not in f"{error} {error.violations!r}"
    assert error.__cause__ is None


def test_a_private_key_beside_a_csr_is_refused_as_a_key() -> None:
    assert codes(refusal(GOOD + (VECTORS / "ec-sec1.key.pem").read_text())) == ["private_key"]


def test_a_certificate_is_refused_as_such() -> None:
    builder = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(x509.Name([]))
    private = key(KeyAlgorithm.EC_PRIME256V1)
    certificate = (
        builder.public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW)
        .sign(private, hashes.SHA256())
    )
    assert codes(refusal(certificate.public_bytes(Encoding.PEM))) == ["certificate"]
    assert codes(refusal(certificate.public_bytes(Encoding.DER))) == ["certificate"]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("", "no_pem"),
        ("hello", "no_pem"),
        (b"", "no_pem"),
        (b"\xff\xfe\x00", "not_a_csr"),
        (b"\x30", "not_a_csr"),
        (b"\x30\x85\1\1\1\1\1", "not_a_csr"),
        (b"\x30\x82", "truncated"),
        (b"\x30\x03\x02\x01", "truncated"),
        ("-----BEGIN PGP MESSAGE-----\nAAAA\n-----END PGP MESSAGE-----", "not_a_csr"),
        ("-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----", "not_a_csr"),
        ("A" * (MAX_CSR_BYTES + 1), "too_large"),
        (b"\x30" * (MAX_CSR_BYTES + 1), "too_large"),
        ("-----BEGIN " * 5000, "no_pem"),
    ],
)
def test_what_is_no_csr_at_all_is_malformed(sent: str | bytes, expected: str) -> None:
    error = refusal(sent)
    assert isinstance(error, CsrMalformed)
    assert codes(error) == [expected]


def test_sha_1_proves_nothing() -> None:
    assert codes(refusal((LIBRARY_CSRS[0].parent / "rsa_sha1.pem").read_bytes())) == ["weak_signature"]


def test_attributes_of_unknown_kind_are_told_by_their_oid() -> None:
    name = x509.Name([x509.NameAttribute(x509.NameOID.USER_ID, "alice")])
    private = key(KeyAlgorithm.EC_PRIME256V1)
    csr = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(name)
        .add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), critical=False)
        .sign(private, hashes.SHA256())
    )
    request = read_csr(csr.public_bytes(Encoding.PEM))
    assert request.subject == (AttributeValue("0.9.2342.19200300.100.1.1", "alice"),)
    assert request.ignored == ("the CSR's extension 1.2.3.4",)


def test_a_tls_feature_that_the_library_does_not_know_cannot_be_read() -> None:
    unknown = x509.UnrecognizedExtension(ExtensionOID.TLS_FEATURE, b"\x30\x03\x02\x01\x00")
    csr = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(unknown, critical=False)
        .sign(key(KeyAlgorithm.EC_PRIME256V1), hashes.SHA256())
    )
    assert codes(refusal(csr.public_bytes(Encoding.PEM))) == ["unreadable"]


def test_domain_components_serial_number_and_email_are_read_in_the_order_of_the_csr() -> None:
    oid = x509.NameOID
    said = [
        (oid.DOMAIN_COMPONENT, "com"),
        (oid.DOMAIN_COMPONENT, "acme"),
        (oid.SERIAL_NUMBER, "17"),
        (oid.EMAIL_ADDRESS, "alice@acme.com"),
    ]
    csr = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(kind, value) for kind, value in said]))
        .sign(key(KeyAlgorithm.EC_PRIME256V1), hashes.SHA256())
    )
    assert read_csr(csr.public_bytes(Encoding.PEM)).subject == (
        AttributeValue(SubjectAttribute.DOMAIN_COMPONENT, "com"),
        AttributeValue(SubjectAttribute.DOMAIN_COMPONENT, "acme"),
        AttributeValue(SubjectAttribute.SERIAL_NUMBER, "17"),
        AttributeValue(SubjectAttribute.EMAIL, "alice@acme.com"),
    )


@pytest.mark.parametrize("path", LIBRARY_CSRS, ids=lambda path: path.name)
def test_the_librarys_own_csrs_are_read_or_refused_with_a_reason(path: Path) -> None:
    accepted = {
        "challenge-unstructured.pem",
        "challenge.pem",
        "ec_sha256.der",
        "ec_sha256.pem",
        "ec_sha256_old_header.pem",
        "rsa_sha256.der",
        "rsa_sha256.pem",
    }
    if path.name in accepted:
        assert read_csr(path.read_bytes()).applicant_key is not None
    else:
        refusal(path.read_bytes())


def survives(sent: str | bytes) -> None:
    outcome: IssuanceRequest | PortalError
    try:
        outcome = read_csr(sent)
    except (CsrError, CsrMalformed) as error:
        outcome = error
    reasons = outcome.violations if isinstance(outcome, PortalError) else (outcome.applicant_key,)
    assert all(reasons)
    assert reasons


@given(st.binary(max_size=400) | st.binary(max_size=400).map(lambda rest: b"\x30\x82" + len(rest).to_bytes(2) + rest))
def test_no_bytes_let_anything_but_a_refusal_out(sent: bytes) -> None:
    survives(sent)


@given(st.text(max_size=300))
@example("-----BEGIN CERTIFICATE REQUEST-----MA==-----END CERTIFICATE REQUEST-----")
@example("-----BEGIN NEW CERTIFICATE REQUEST-----\0-----END NEW CERTIFICATE REQUEST-----")
def test_no_text_lets_anything_but_a_refusal_out(sent: str) -> None:
    survives(sent)
    survives(f"-----BEGIN CERTIFICATE REQUEST-----\n{sent}\n-----END CERTIFICATE REQUEST-----")


@settings(max_examples=400)
@given(
    st.sampled_from([path.read_bytes() for path in LIBRARY_CSRS if path.suffix == ".der"] + [GOOD_DER]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4),
    st.floats(0, 1),
)
def test_no_damage_to_a_csr_lets_anything_but_a_refusal_out(
    csr: bytes, changes: list[tuple[float, int]], kept: float
) -> None:
    damaged = bytearray(csr)
    for position, octet in changes:
        damaged[int(position * len(damaged))] = octet
    survives(bytes(damaged))
    survives(bytes(damaged[: int(kept * len(damaged))]))


def _der(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    size = len(content)
    return bytes([tag]) + (bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2)) + content


def _oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    octets = bytearray()
    for arc in (first * 40 + second, *rest):
        groups = [arc >> shift & 0x7F for shift in range(28, -1, -7)]
        while len(groups) > 1 and groups[0] == 0:
            groups.pop(0)
        octets += bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])
    return _der(0x06, bytes(octets))


def _extension_request(oid: str, host: bytes) -> bytes:
    names = _der(0x30, _der(0x82, host))
    extension = _der(0x30, _oid("2.5.29.17"), _der(0x04, names))
    return _der(0x30, _oid(oid), _der(0x31, _der(0x30, extension)))


def _rsa_csr(*attributes: bytes, key_oid: str = "1.2.840.113549.1.1.1", parameters: bytes = b"\x05\x00") -> bytes:
    private = key(KeyAlgorithm.RSA_2048)
    assert isinstance(private, rsa.RSAPrivateKey)
    bits = private.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    public = _der(0x30, _der(0x30, _oid(key_oid), parameters), _der(0x03, b"\0", bits))
    name = _der(0x30, _der(0x31, _der(0x30, _oid("2.5.4.3"), _der(0x0C, b"a.test"))))
    info = _der(0x30, b"\x02\x01\x00", name, public, _der(0xA0, *attributes))
    signature = private.sign(info, padding.PKCS1v15(), hashes.SHA256())
    return _der(0x30, info, _der(0x30, _oid("1.2.840.113549.1.1.11"), b"\x05\x00"), _der(0x03, b"\0", signature))


PKCS_9, MICROSOFT = "1.2.840.113549.1.9.14", "1.3.6.1.4.1.311.2.1.14"


@pytest.mark.parametrize("oid", [PKCS_9, MICROSOFT])
def test_extensions_are_read_from_either_attribute_and_not_told_as_ignored(oid: str) -> None:
    request = read_csr(_rsa_csr(_extension_request(oid, b"a.test")))
    assert request.subject_alternative_names == (GeneralName(NameType.DNS_NAME, "a.test"),)
    assert request.ignored == ()


@pytest.mark.parametrize("oids", [(PKCS_9, PKCS_9), (PKCS_9, MICROSOFT), (MICROSOFT, MICROSOFT)])
def test_a_second_request_for_extensions_is_refused_and_not_dropped(oids: tuple[str, str]) -> None:
    error = refusal(_rsa_csr(_extension_request(oids[0], b"a.test"), _extension_request(oids[1], b"b.test")))
    assert codes(error) == ["several_extension_requests"]


def test_a_key_for_rsassa_pss_alone_is_not_certified_as_a_plain_one() -> None:
    assert read_csr(_rsa_csr()).applicant_key is not None
    assert codes(refusal(_rsa_csr(key_oid="1.2.840.113549.1.1.10", parameters=b""))) == ["restricted_key"]


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.ED25519, KeyAlgorithm.ML_DSA_44, KeyAlgorithm.ML_DSA_87])
def test_a_key_that_signs_without_a_hash_proves_its_possession_too(algorithm: KeyAlgorithm) -> None:
    builder = x509.CertificateSigningRequestBuilder(
        subject_name=encode_subject(subject(common_name="service.acme.com"))
    )
    csr = builder.sign(key(algorithm), None)
    request = read_csr(csr.public_bytes(Encoding.DER))
    assert request.applicant_key is not None
    assert (request.applicant_key.algorithm, request.applicant_key.weaknesses) == (algorithm, ())

    broken = bytearray(csr.public_bytes(Encoding.DER))
    broken[-1] ^= 1
    assert codes(refusal(bytes(broken))) == ["bad_signature"]
