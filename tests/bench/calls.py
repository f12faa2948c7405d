"""One tree of the portal, called in this process as a server calls it, a round for each line on standard input.

Started by ``regression.py`` in the tree that is measured, which may be an older one: nothing but the wire is used here.
Prints what each kind of call costs in ms of CPU, a line of JSON for each round.
"""

import io
import json
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

CALLS = {"issue from a CSR": 8, "OCSP, freshly signed": 12, "list 25": 8}
CERTIFICATES = "/api/v1/cert-manager/certificates"


class Portal:
    """The WSGI application of the tree, with an installation of its own."""

    def __init__(self) -> None:
        import django

        django.setup()
        from django.core.management import call_command

        told = io.StringIO()
        call_command("quickstart", "--json", stdout=told)
        self.made: dict[str, Any] = json.loads(told.getvalue())
        from pki_portal.wsgi import application

        self._application: Callable[..., Any] = application
        self._token = ""
        credentials = {"clientId": self.made["clientId"], "clientSecret": self.made["clientSecret"]}
        answer = self.call("POST", "/api/v1/auth/universal-auth/login", json.dumps(credentials).encode())
        self._token = json.loads(answer)["accessToken"]

    def call(self, method: str, path: str, body: bytes = b"", content_type: str = "application/json") -> bytes:
        """The body of an answer; one of 400 or above is a fault."""
        path, _, query = path.partition("?")
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": content_type,
            "CONTENT_LENGTH": str(len(body)),
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_HOST": "127.0.0.1:8000",
            "HTTP_AUTHORIZATION": f"Bearer {self._token}" if self._token else "",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.url_scheme": "http",
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
        }
        if not self._token:
            del environ["HTTP_AUTHORIZATION"]
        statuses: list[str] = []
        parts = self._application(environ, lambda status, headers, problem=None: statuses.append(status))
        try:
            answer = b"".join(parts)
        finally:
            parts.close()
        if int(statuses[0].split()[0]) >= 400:
            raise RuntimeError(f"{method} {path} answers {statuses[0]}: {answer.decode(errors='replace')[:500]}")
        return answer


def issue_bodies(profile: str) -> Iterator[bytes]:
    """Requests with CSRs, each of a key and a name of its own, without end."""
    while True:
        name = f"host-{secrets.token_hex(4)}.example.com"
        key = ec.generate_private_key(ec.SECP256R1())
        csr = (
            x509.CertificateSigningRequestBuilder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(key, SHA256())
        )
        body = {"profileId": profile, "attributes": {"ttl": "90d"}}
        yield json.dumps(body | {"csr": csr.public_bytes(Encoding.PEM).decode()}).encode()


def ocsp_address_and_builder(issued: dict[str, Any]) -> tuple[str, ocsp.OCSPRequestBuilder]:
    """Where an issued certificate says that its state is told, and the question for it."""
    certificate = x509.load_pem_x509_certificate(issued["certificate"].encode())
    issuer = x509.load_pem_x509_certificates(issued["certificateChain"].encode())[0]
    access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    address = next(each for each in access if each.access_method == AuthorityInformationAccessOID.OCSP)
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, SHA1())  # noqa: S303 - RFC 5019, 2.1.1
    return urlsplit(str(address.access_location.value)).path, builder


def main() -> None:
    """Prepare, say so, and measure a round whenever told."""
    portal = Portal()
    bodies = issue_bodies(portal.made["profileIds"]["tls-server"])
    issued = json.loads(portal.call("POST", CERTIFICATES, next(bodies)))["certificate"]
    ocsp_path, builder = ocsp_address_and_builder(issued)
    list_path = f"/api/v1/projects/{portal.made['projectId']}/certificates?limit=25"

    def ask() -> bytes:
        return (
            builder.add_extension(x509.OCSPNonce(secrets.token_bytes(16)), critical=False)
            .build()
            .public_bytes(Encoding.DER)
        )

    def prepared(kind: str) -> list[Callable[[], bytes]]:
        times = range(CALLS[kind])
        if kind.startswith("issue"):
            return [partial(portal.call, "POST", CERTIFICATES, next(bodies)) for _ in times]
        if kind.startswith("OCSP"):
            return [partial(portal.call, "POST", ocsp_path, ask(), "application/ocsp-request") for _ in times]
        return [partial(portal.call, "GET", list_path) for _ in times]

    def measure() -> dict[str, float]:
        costs = {}
        for kind in CALLS:
            calls = prepared(kind)
            began = time.process_time()
            for call in calls:
                call()
            costs[kind] = (time.process_time() - began) / len(calls) * 1000
        return costs

    measure()  # what is only done once, and a page of the list
    tell("ready")
    for _ in sys.stdin:
        tell(json.dumps(measure()))


def tell(line: str) -> None:
    """To whoever started this."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
