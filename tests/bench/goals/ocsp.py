"""G7: asking for the state of certificates."""

import secrets
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from tests.bench.applicants import csrs
from tests.bench.goals.issuing import costs, rates
from tests.bench.guards import read_certificate
from tests.bench.portal import CERTIFICATES
from tests.bench.report import AtLeast, Line
from tests.bench.stage import Stage
from tests.bench.targets import Broken, Target
from tests.bench.wrk import Request

ASKED, REQUESTS = 50, 500


def answer_ocsp(stage: Stage) -> list[Line]:
    """G7: OCSP answers, freshly signed (each request has a nonce) and kept ones, 8 connections."""
    portal = stage.portal
    body = {"profileId": portal.made["profileIds"]["tls-server"], "attributes": {"ttl": "90d"}}
    issued = [portal.call("POST", CERTIFICATES, body | {"csr": csr})["certificate"] for _, csr in csrs()[:ASKED]]
    ours = Target(
        name="portal OCSP",
        server=portal.server,
        requests=(),
        headers={"Content-Type": "application/ocsp-request"},
        issuers=portal.issuers,
    )
    fresh, kept = _with_and_without_nonce(
        ours,
        [each["certificate"].encode() for each in issued],
        x509.load_pem_x509_certificates(issued[0]["certificateChain"].encode())[0],
        _address_in,
    )
    signing = stage.django_ca.signing("ec", with_hasher=False)
    assert signing.ledger is not None
    assert signing.issuers is not None
    stage.django_ca.issue(signing, ASKED)
    serial = stage.django_ca.serial("ec")
    peer, _ = _with_and_without_nonce(
        replace(ours, name="django-ca OCSP", server=signing.server, issuers=signing.issuers),
        [encoding for _, encoding in signing.ledger.last(ASKED)],
        read_certificate(signing.issuers.read_bytes()),
        lambda _: f"/django_ca/ocsp/{serial}/cert/",
    )
    visits = stage.visit(fresh, kept, peer)
    return [
        rates("G7", "OCSP, freshly signed, 8 connections", visits, fresh, peer, AtLeast(4)),
        rates("G7", "OCSP, signed before, 8 connections", visits, kept, peer, AtLeast(8)),
        *costs("G7", visits, [fresh, peer]),
    ]


def _with_and_without_nonce(
    target: Target, encodings: Sequence[bytes], issuer: x509.Certificate, path_of: Callable[[x509.Certificate], str]
) -> tuple[Target, Target]:
    """The same certificates asked for so that every answer must be signed anew, and so that none need be."""
    certificates = [read_certificate(encoding) for encoding in encodings]

    def requests(*, has_nonce: bool) -> list[Request]:
        made = []
        for number in range(REQUESTS if has_nonce else len(certificates)):
            certificate = certificates[number % len(certificates)]
            builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, SHA1())  # noqa: S303 - RFC 5019
            if has_nonce:
                builder = builder.add_extension(x509.OCSPNonce(secrets.token_bytes(16)), critical=False)
            made.append(Request("POST", path_of(certificate), builder.build().public_bytes(Encoding.DER)))
        return made

    assert target.issuers is not None
    judge = partial(_require_good, issuers=target.issuers)
    return (
        replace(target, requests=requests(has_nonce=True), judge_answer=judge),
        replace(target, name=f"{target.name}, kept", requests=requests(has_nonce=False), judge_answer=judge),
    )


def _address_in(certificate: x509.Certificate) -> str:
    access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    address = next(each for each in access if each.access_method == AuthorityInformationAccessOID.OCSP)
    return urlsplit(str(address.access_location.value)).path


def _require_good(body: bytes, *, issuers: Path) -> None:
    """The answer says good, and openssl verifies who says so. Raises Broken."""
    answer = ocsp.load_der_ocsp_response(body)
    if answer.response_status != ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise Broken(f"an OCSP answer is {answer.response_status}")
    if answer.certificate_status != ocsp.OCSPCertStatus.GOOD:
        raise Broken(f"an OCSP answer says {answer.certificate_status}")
    with tempfile.NamedTemporaryFile() as file:
        file.write(body)
        file.flush()
        command = ["openssl", "ocsp", "-respin", file.name, "-CAfile", str(issuers)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "Response verify OK" not in done.stderr + done.stdout:
        raise Broken(f"openssl does not verify an OCSP answer: {done.stderr}")
