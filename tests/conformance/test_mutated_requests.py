"""Mutated OCSP requests and CSRs: no fault, no crash, no hang. FUZZ_CASES says how many of each (1,000).

Half of them are mutated octet by octet, half as trees of values whose lengths are put right again, so that what is
refused is refused for what it says; half of the CSRs are signed after they were mutated.
"""

import base64
import logging
import os
import random
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from django.test import Client

from certificates.models import Certificate
from certificates.x509 import der
from certificates.x509.der import Value
from tests.wire import CERTIFICATES, Pki, issued, make_client, make_pki, post_json

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]  # it refuses more than SQLite does

CASES = int(os.environ.get("FUZZ_CASES", "1000"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
# Of processor time, with room for coverage and busy machines: it tells work that explodes from work that does not.
SECONDS = 5.0
LIMIT = 600 + CASES // 20

Node = list[Any]  # tag, contents or members


def tree_of(value: Value) -> Node:
    """Constructed values as lists of their members, what wraps DER in octets as well."""
    if value.tag & 0x20:
        return [value.tag, [tree_of(member) for member in value.members(value.tag)]]
    if value.tag == der.OCTET_STRING:
        try:
            return [value.tag, [tree_of(Value.whole(value.contents))]]
        except ValueError:
            pass
    return [value.tag, value.contents]


def encoded(node: Node) -> bytes:
    tag, contents = node
    return der.tlv(tag, contents if isinstance(contents, bytes) else b"".join(encoded(member) for member in contents))


def nodes_of(node: Node) -> list[Node]:
    return [node, *(inner for member in node[1] for inner in nodes_of(member))] if isinstance(node[1], list) else [node]


def mutated_tree(document: bytes, chance: random.Random) -> bytes:
    """One to three nodes changed, lost, doubled, swapped or nested; every length is right."""
    root = tree_of(Value.whole(document))
    for _ in range(chance.randint(1, 3)):
        node = chance.choice(nodes_of(root))
        members = [each for each in nodes_of(root) if isinstance(each[1], list) and each[1]]
        parent = chance.choice(members) if members else node
        match chance.randrange(8):
            case 0:
                node[0] = chance.choice([chance.randrange(256) & ~0x1F | chance.randrange(31), 0x30, 0x04, 0x02, 0xA0])
            case 1 if isinstance(node[1], bytes):
                node[1] = mutated_octets(node[1] or b"\x00", chance)
            case 2 if isinstance(node[1], bytes):
                node[1] = chance.choice([b"", b"\x00", b"\xff" * 40, node[1] * 50, node[1][::-1], chance.randbytes(20)])
            case 3 if isinstance(parent[1], list) and parent[1]:
                parent[1].pop(chance.randrange(len(parent[1])))
            case 4 if isinstance(parent[1], list) and parent[1]:
                parent[1] += [chance.choice(parent[1])] * chance.choice([1, 1, 2, 150])
            case 5 if isinstance(parent[1], list) and parent[1]:
                chance.shuffle(parent[1])
            case 6 if isinstance(parent[1], list) and parent[1]:
                parent[1].append([0x30, encoded(chance.choice(nodes_of(root)))])
            case _:
                for _ in range(chance.choice([1, 3, 200])):
                    node[0], node[1] = 0x30, encoded(node)
        root = [root[0], root[1] if isinstance(root[1], list) else bytes(root[1])]
    return encoded(root)[:60_000]


def mutated_octets(document: bytes, chance: random.Random) -> bytes:
    """One to eight octets changed, lost, put in or moved; a piece doubled, or the rest cut off."""
    octets = bytearray(document)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(octets) + 1)
        match chance.randrange(6):
            case 0 if at < len(octets):
                octets[at] ^= 1 << chance.randrange(8)
            case 1 if at < len(octets):
                octets[at] = chance.choice([0x00, 0x7F, 0x80, 0x81, 0x84, 0xFF, chance.randrange(256)])
            case 2:
                del octets[at : at + chance.randint(1, 4)]
            case 3:
                octets[at:at] = chance.randbytes(chance.randint(1, 4))
            case 4:
                octets[at:at] = octets[max(0, at - 30) : at]
            case _ if chance.random() < 0.2:
                del octets[at:]
    return bytes(octets)


def mutated(document: bytes, chance: random.Random) -> bytes:
    return chance.choice([mutated_octets, mutated_tree])(document, chance)


def no_fault(ask: Callable[[], Any], document: bytes) -> Any:
    """The answer, which is one."""
    begun = time.process_time()
    try:
        response = ask()
    except Exception as problem:
        raise AssertionError(document.hex()) from problem
    assert response.status_code < 500, (response.status_code, document.hex())
    assert time.process_time() - begun < SECONDS, document.hex()
    return response


@pytest.fixture
def pki() -> Pki:
    return make_pki()


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Each refusal is logged, and what pytest keeps of 100,000 of them makes the collector of garbage take seconds."""
    logging.disable(logging.INFO)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.timeout(LIMIT)
def test_mutated_ocsp_requests_are_answered(pki: Pki) -> None:
    row = Certificate.objects.get(pk=issued(make_client(pki.project), pki.profile)["certificateId"])
    assert row.authority_certificate is not None
    leaf = x509.load_der_x509_certificate(bytes(row.der))
    issuer = x509.load_der_x509_certificate(bytes(row.authority_certificate.der))
    builder = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, hashes.SHA256())
    plain = builder.build().public_bytes(Encoding.DER)
    whole = builder.add_extension(x509.OCSPNonce(b"n" * 16), critical=False).build().public_bytes(Encoding.DER)
    chance, client = random.Random(SEED), Client()  # noqa: S311 - to be the same in every run
    base = f"/api/v1/cert-manager/ocsp/{pki.issuing.pk}"
    told: dict[str, int] = {}
    for number in range(CASES):
        document = mutated(chance.choice([plain, whole]), chance)
        if number % 4 == 0 and len(document) < 3_000:
            path = f"{base}/{quote(base64.b64encode(document).decode(), safe='')}"
            response = no_fault(lambda path=path: client.get(path), document)  # type: ignore[misc]
        else:
            response = no_fault(
                lambda document=document: client.post(base, document, "application/ocsp-request"),  # type: ignore[misc]
                document,
            )
        assert response.status_code in {200, 404}, document.hex()  # 404: base64 of nothing is no address
        if response.status_code == 200:
            name = ocsp.load_der_ocsp_response(response.content).response_status.name
            told[name] = told.get(name, 0) + 1
    assert set(told) == {"SUCCESSFUL", "MALFORMED_REQUEST", "UNAUTHORIZED"}, told


@pytest.mark.timeout(LIMIT)
def test_mutated_csrs_are_signed_or_refused(pki: Pki) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "service.acme.com")])
    extensions: list[x509.ExtensionType] = [
        x509.SubjectAlternativeName([x509.DNSName("service.acme.com"), x509.DNSName("xn--bcher-kva.example")]),
        x509.KeyUsage(*[True] + [False] * 8),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
        x509.BasicConstraints(ca=False, path_length=None),
    ]
    builder = x509.CertificateSigningRequestBuilder(name)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    csr = builder.sign(key, hashes.SHA256())
    info = csr.tbs_certrequest_bytes
    algorithm = Value.whole(csr.public_bytes(Encoding.DER)).members()[1].encoded
    chance, robot = random.Random(SEED), make_client(pki.project)  # noqa: S311 - to be the same in every run
    told: dict[int, int] = {}
    for number in range(CASES):
        if number % 2:
            document = mutated(csr.public_bytes(Encoding.DER), chance)
        else:
            changed = mutated(info, chance)
            document = der.sequence(changed, algorithm, der.bit_string(key.sign(changed, ec.ECDSA(hashes.SHA256()))))
        text = base64.encodebytes(document).decode()
        pem = f"-----BEGIN CERTIFICATE REQUEST-----\n{text}-----END CERTIFICATE REQUEST-----\n"
        body = {"profileId": str(pki.profile.pk), "csr": pem, "attributes": {"ttl": "30d"}}
        response = no_fault(
            lambda body=body: post_json(robot, CERTIFICATES, body),  # type: ignore[misc]
            document,
        )
        told[response.status_code] = told.get(response.status_code, 0) + 1
    assert set(told) <= {200, 400, 422}, told
    assert {200, 400, 422} <= set(told), told
