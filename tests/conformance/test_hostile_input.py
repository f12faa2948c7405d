"""Anything a client can send: a 4xx with its reason within a second, and nothing stored but the record of it."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from django.test import Client

from certificates.models import Certificate, CertificateRequest, IdempotencyRecord
from tests.wire import CERTIFICATES, PROFILES, REQUESTS, Pki, issue_body, load_pem, make_client, make_csr, make_pki

pytestmark = pytest.mark.django_db

# CPU, with room for coverage and busy machines: it tells work that explodes from work that does not.
SECONDS = 5.0
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def pki() -> Pki:
    return make_pki()


@pytest.fixture
def robot(pki: Pki) -> Client:
    return make_client(pki.project)


def refuse(client: Client, raw: bytes, *, content_type: str = "application/json", path: str = CERTIFICATES) -> Any:
    """POST raw bytes; the answer must be a 4xx with a message, quickly, and leave no certificate."""
    begin = time.process_time()
    response = client.generic("POST", path, raw, content_type)
    took = time.process_time() - begin
    assert 400 <= response.status_code < 500, response.content[:500]
    body = response.json()
    assert body["message"]
    assert body["statusCode"] == response.status_code
    assert took < SECONDS
    assert len(response.content) < 500_000
    assert Certificate.objects.count() == 0
    assert CertificateRequest.objects.exclude(status="failed").count() == 0
    assert IdempotencyRecord.objects.count() == 0
    return body


DEEP = 100_000


BODIES = [
    b"",
    b" ",
    b"{",
    b"}",
    b"null",
    b"true",
    b"7",
    b'"x"',
    b"[]",
    b"[{}]",
    b"{}",
    b'{"profileId":',
    b"{'profileId': 'x'}",
    b'{"profileId": NaN}',
    b'{"profileId": Infinity}',
    b'{"profileId": 1e999}',
    b'{"profileId": ' + b"9" * 5000 + b"}",
    b"\xff\xfe{}",
    b"\x00",
    b'{"profileId": "\x00"}',
    b'{"profileId": "\\u0000"}',
    b'{"profileId": "\\ud800"}',
    b'{"a": "\xc3\x28"}',
    b"{}{}",
    b"[" * DEEP,
    b"[" * DEEP + b"]" * DEEP,
    b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    b'{"profileId":"x","attributes":' + b"[" * 40 + b"]" * 40 + b"}",
    b"x" * (10 * 1024 * 1024),
    b'{"csr":"' + b"A" * (10 * 1024 * 1024) + b'"}',
    b"<xml/>",
]


def test_broken_and_absurd_bodies_are_refused(robot: Client) -> None:
    for raw in BODIES:
        refuse(robot, raw)


def test_other_content_types_are_refused(robot: Client, pki: Pki) -> None:
    raw = json.dumps(issue_body(pki.profile)).encode()
    form = "application/x-www-form-urlencoded"
    for content_type in ("text/plain", "application/xml", form, "multipart/form-data; boundary=x", "x"):
        refuse(robot, raw, content_type=content_type)


WRONG: list[Any] = [0, -1, 7.5, 10**30, True, [], {}, [[]], [{}], "", " ", "\x01", "\u202e", "x" * 70_000, None]


@pytest.mark.parametrize(
    "place",
    [
        "profileId", "csr", "attributes", "removeRootsFromChain", "metadata", "attributes.commonName",
        "attributes.altNames", "attributes.keyUsages", "attributes.keyAlgorithm", "attributes.ttl",
        "attributes.notAfter", "attributes.basicConstraints", "attributes.altNames.0", "attributes.altNames.0.type",
        "attributes.altNames.0.value", "attributes.keyUsages.0", "metadata.0", "metadata.0.key",
        "attributes.basicConstraints.isCA", "attributes.basicConstraints.pathLength",
    ],
)  # fmt: skip
def test_no_wrong_type_anywhere_is_a_fault_of_ours(pki: Pki, robot: Client, place: str) -> None:
    *path, last = (int(step) if step.isdecimal() else step for step in place.split("."))
    for wrong in WRONG:
        body = issue_body(pki.profile, keyUsages=["digital_signature"], basicConstraints={"isCA": False}, notAfter=None)
        body["metadata"] = [{"key": "k", "value": "v"}]
        target: Any = body
        for step in path:
            target = target[step]
        target[last] = wrong

        response = robot.generic("POST", CERTIFICATES, json.dumps(body), "application/json")

        assert response.status_code < 500, (wrong, response.content)
        if response.status_code != 200:
            assert response.json()["details"] or response.status_code == 404, wrong


ODD_NAMES = (
    "*", "*.*", "a..b", "-a.example", "a_b.example", "a" * 64 + ".example", "x" * 254, "a.example.", " ",
    "\u202eexample", "xn--a", "xn--\u00e4", "http://", "://", "a@b@c", "@", "999.1.1.1", "::::", "1.2.3.4/8",
    "fe80::1%eth0", "mailto:", "\x7f", "a\nb", "\U0001f511", "a,b", "'; DROP TABLE certificates; --",
)  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "encoded"),
    [
        ("DNS", x509.DNSName),
        ("IP", x509.IPAddress),
        ("EMAIL", x509.RFC822Name),
        ("URI", x509.UniformResourceIdentifier),
    ],
)
def test_odd_names_are_refused_or_encoded_as_stated(pki: Pki, robot: Client, kind: str, encoded: type) -> None:
    for value in ODD_NAMES:
        # No common name that a TLS server would have among its names too.
        body = issue_body(pki.profile, commonName="Service", altNames=[{"type": kind, "value": value}])

        response = robot.generic("POST", CERTIFICATES, json.dumps(body), "application/json")

        assert response.status_code in {200, 400, 422}, (value, response.content)
        if response.status_code == 200:
            certificate = load_pem(response.json()["certificate"]["certificate"])
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            assert [type(name) for name in names] == [encoded], value
        else:
            assert response.json()["details"][0]["pointer"].startswith("/attributes/altNames"), value


def csr_by(key: Any) -> bytes:
    request = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a.acme.com")])
    )
    algorithm = None if isinstance(key, ed448.Ed448PrivateKey) else SHA256()
    return request.sign(key, algorithm).public_bytes(Encoding.PEM)


def truncated() -> bytes:
    lines = make_csr().splitlines()
    return "\n".join([*lines[:3], lines[-1]]).encode()


def flipped() -> bytes:
    lines = make_csr().splitlines()
    der = bytearray(base64.b64decode("".join(lines[1:-1])))
    der[-3] ^= 1
    return armoured(base64.b64encode(bytes(der)))


def doubled_extension() -> bytes:
    """Two extensions of one OID, properly signed: made as two OIDs, of which one is changed before signing."""
    key = ec.generate_private_key(ec.SECP256R1())
    kinds = [x509.ObjectIdentifier(f"1.3.6.1.4.1.99999.{last}") for last in (1, 2)]
    csr = x509.load_pem_x509_csr(
        make_csr(key, extensions=tuple(x509.UnrecognizedExtension(kind, b"\x05\x00") for kind in kinds)).encode()
    )
    first, second = (b"\x2b\x06\x01\x04\x01\x86\x8d\x1f" + last for last in (b"\x01", b"\x02"))
    contents = csr.tbs_certrequest_bytes.replace(second, first)
    assert contents != csr.tbs_certrequest_bytes
    signature = key.sign(contents, ec.ECDSA(SHA256()))
    ecdsa_with_sha256 = bytes.fromhex("300a06082a8648ce3d040302")
    der = element(0x30, contents + ecdsa_with_sha256 + element(0x03, b"\x00" + signature))
    return armoured(base64.b64encode(der))


def element(tag: int, content: bytes) -> bytes:
    """One DER element (X.690, 8.1)."""
    if len(content) < 128:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + content


def armoured(text: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE REQUEST-----\n" + text + b"\n-----END CERTIFICATE REQUEST-----"


def private_key() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


CSRS: dict[str, Callable[[], bytes]] = {
    "truncated": truncated,
    "bad self-signature": flipped,
    "duplicate extensions": doubled_extension,
    "empty sequence": lambda: armoured(b"MAA="),
    "private key": private_key,
    "RSA 1024": lambda: csr_by(rsa.generate_private_key(65537, 1024)),  # noqa: S505 - the point of it
    "EC secp256k1": lambda: csr_by(ec.generate_private_key(ec.SECP256K1())),
    "EC secp192r1": lambda: csr_by(ec.generate_private_key(ec.SECP192R1())),
    "Ed448": lambda: csr_by(ed448.Ed448PrivateKey.generate()),
    "DSA": lambda: csr_by(dsa.generate_private_key(2048)),
    "not base64": lambda: armoured(b"!!!"),
    "no armour": lambda: b"MIICvDCCAaQCAQAwdzELMAkGA1UEBhMCVVMx",
    "two CSRs": lambda: (make_csr() + make_csr()).encode(),
    "64 KiB of A": lambda: b"A" * 65_536,
    "armour only": lambda: armoured(b""),
}


def test_bad_csrs_are_refused_at_csr(pki: Pki, robot: Client) -> None:
    for name, make in CSRS.items():
        body = {"profileId": str(pki.profile.pk), "csr": make().decode(), "attributes": {"ttl": "1d"}}
        raw = json.dumps(body).encode()

        told = refuse(robot, raw)

        pointers = {detail["pointer"] for detail in told["details"]}
        assert pointers & {"/csr", "/attributes/keyAlgorithm"}, (name, pointers)
        assert "PRIVATE KEY-----" not in json.dumps(told)


@pytest.mark.parametrize(
    ("common_name", "dns_name"),
    [("a\x00.acme.com", "a.acme.com"), ("a.acme.com", "a\x00.acme.com"), ("a\x00", "\x00")],
    ids=["subject", "alternative name", "both"],
)
def test_nul_in_the_names_of_a_csr_is_refused_and_kept(
    pki: Pki, robot: Client, common_name: str, dns_name: str
) -> None:
    csr = make_csr(common_name=common_name, dns_names=(dns_name,))

    refuse(robot, json.dumps({"profileId": str(pki.profile.pk), "csr": csr, "attributes": {"ttl": "1d"}}).encode())

    kept = CertificateRequest.objects.get()
    assert kept.status == "failed"
    assert "\x00" not in kept.common_name + json.dumps([kept.asked, kept.violations])
    assert kept.asked["subject"][0]["value"] == common_name.replace("\x00", "\ufffd")


def test_many_names_in_a_csr_are_refused_by_number(pki: Pki, robot: Client) -> None:
    csr = make_csr(dns_names=tuple(f"a{number}.acme.com" for number in range(1001)))

    told = refuse(robot, json.dumps({"profileId": str(pki.profile.pk), "csr": csr}).encode())

    assert len(told["details"]) == 1


def test_a_thousand_names_are_issued(pki: Pki, robot: Client) -> None:
    names = [{"type": "DNS", "value": f"a{number}.acme.com"} for number in range(1000)]

    response = robot.post(CERTIFICATES, issue_body(pki.profile, altNames=names), content_type="application/json")

    assert response.status_code == 200, response.content[:500]


def test_a_thousand_bad_names_are_a_thousand_violations_at_most(pki: Pki, robot: Client) -> None:
    names = [{"type": "DNS", "value": f"a b {number}"} for number in range(1000)]

    refuse(robot, json.dumps(issue_body(pki.profile, altNames=names)).encode())


def test_unknown_keys_without_number_are_named_a_hundred_times_at_most(pki: Pki, robot: Client) -> None:
    body = issue_body(pki.profile) | {f"k{number}": number for number in range(10_000)}

    response = robot.post(CERTIFICATES, body, content_type="application/json")

    assert response.status_code == 200
    assert len(response.json()["warnings"]) < 120


PATHS = [
    f"{CERTIFICATES}/%s",
    f"{CERTIFICATES}/%s/certificate",
    f"{CERTIFICATES}/%s/private-key",
    f"{CERTIFICATES}/%s/bundle",
    f"{REQUESTS}/%s",
    f"{PROFILES}/%s/certificates",
    f"{PROFILES}/%s/certificates/latest-active-bundle",
    "/api/v1/projects/%s/certificates",
]


ODD_IDS = ("%00", "%0A", "%2e%2e", "a" * 8000, "%F0%9F%94%91", "%FF", "0", "-1", "{}", "'", NOBODY, "%25")


@pytest.mark.parametrize("path", PATHS)
def test_odd_ids_and_other_methods_are_refused(robot: Client, path: str) -> None:
    for odd in ODD_IDS:
        response = robot.get(path % odd)
        assert response.status_code in {400, 404, 422}, odd
        assert response.json()["message"]
    is_deletable = path in {f"{CERTIFICATES}/%s", f"{CERTIFICATES}/%s/private-key"}
    others = {"PUT", "DELETE", "PATCH", "POST", "TRACE"} - ({"DELETE"} if is_deletable else set())
    for method in sorted(others):
        response = robot.generic(method, path % NOBODY, b"{}", "application/json")
        assert response.status_code == 405, method
        assert response.headers["Allow"]


ODD_QUERIES = (
    "search=%00",
    "search=%FF",
    "status=%00",
    "limit=1e3",
    "limit=\u0663",
    "offset=99999999999999999999",
    "fromDate=0001-01-01",
    "fromDate=9999-12-31T23:59:59-14:00",
    "profileIds=" + ",".join([NOBODY] * 41),
    "profileIds=,,,",
    "toDate=2027-02-30",
    "search=" + "%25" * 200,
    "limit=10&limit=0",
    "search[]=x",
    "&&&=",
    "status=active&status=lost",
)


def test_odd_queries_are_refused_or_harmless(pki: Pki, robot: Client) -> None:
    for query in ODD_QUERIES:
        for path in (f"/api/v1/projects/{pki.project.pk}/certificates", f"{PROFILES}/{pki.profile.pk}/certificates"):
            assert robot.get(f"{path}?{query}").status_code in {200, 422}, query
        assert robot.get(f"{REQUESTS}?projectSlug={pki.project.slug}&{query}").status_code in {200, 422}, query


def test_odd_tokens_are_refused(pki: Pki) -> None:
    for token in ("", "x", "pkt_", "Bearer", "\u00e9", "a" * 10_000, "pkt_" + "a" * 43):
        client = Client(headers={"Authorization": f"Bearer {token}"})
        response = client.get(f"/api/v1/projects/{pki.project.pk}/certificates")
        assert response.status_code in {401, 403}, token
