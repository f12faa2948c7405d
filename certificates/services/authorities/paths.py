"""Certification paths of our CAs, as their rows and what was imported tell them."""

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certificates.models import AuthorityCertificate


def certification_path_of(authority_certificate: AuthorityCertificate) -> tuple[bytes, ...]:
    """DER of a certification path: that certificate first, root last. One query for each certificate not yet loaded."""
    path = [bytes(authority_certificate.der)]
    current = authority_certificate
    while current.issuer_certificate is not None:
        current = current.issuer_certificate
        path.append(bytes(current.der))
    if current.external_chain:
        above = x509.load_pem_x509_certificates(current.external_chain.encode())
        path += [certificate.public_bytes(Encoding.DER) for certificate in above]
    return tuple(path)
