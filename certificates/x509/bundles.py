"""Certificates as people send them, one or many: PEM (RFC 7468), DER, PKCS#7 (RFC 2315) in either, in any order.

What others put together may be large, broken or made to cost time: sizes and numbers are judged before anything is
looked at, and no exception repeats what was sent.
"""

import re
import warnings
from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization.pkcs7 import load_der_pkcs7_certificates, load_pem_pkcs7_certificates

from certificates.x509.inspect import UNREADABLE, CertificateFacts, facts_of, is_issued_by

MAX_BUNDLE_BYTES: Final = 512 * 1024
MAX_CERTIFICATES: Final = 100
# Those of one name and one key are renewals of one CA, of which any will do; a few names may be shared by chance.
_ISSUERS_TRIED: Final = 2
_PEM_PKCS7: Final = re.compile(rb"-----BEGIN (PKCS7|CMS)-----[^-]*-----END \1-----")
_PEM_CERTIFICATE: Final = re.compile(rb"-----BEGIN (X509 )?CERTIFICATE-----")


class BundleUnreadable(ValueError):
    """What was sent holds no certificates that can be used.

    Attributes:
        code: what is wrong, stable.
        reason: for people, a clause.
        allowed: what would pass, a clause.
    """

    def __init__(self, code: str, reason: str, allowed: str) -> None:
        super().__init__(f"{reason}; allowed: {allowed}")
        self.code = code
        self.reason = reason
        self.allowed = allowed


def read_bundle(data: bytes) -> tuple[x509.Certificate, ...]:
    """Every certificate in ``data``, in its order, each once and each readable to its end.

    Raises:
        BundleUnreadable: there is none, one that cannot be read, or too much.
    """
    if len(data) > MAX_BUNDLE_BYTES:
        raise BundleUnreadable(
            "bundle_too_large", f"{len(data)} bytes", f"at most {MAX_BUNDLE_BYTES // 1024} KiB at once"
        )
    try:
        with warnings.catch_warnings():
            # The library warns of encodings (BER) and serial numbers (0) that it reads all the same.
            warnings.simplefilter("ignore")
            found = _read_pem(data) if b"-----BEGIN" in data else _read_der(data)
    except UNREADABLE:
        raise BundleUnreadable(
            "certificates_not_readable", "no certificates that can be read", "X.509 certificates in PEM, DER or PKCS#7"
        ) from None
    return distinct(found)


def distinct(certificates: Sequence[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """Each certificate once, not too many, each readable to its end. Raises BundleUnreadable."""
    if len(certificates) > MAX_CERTIFICATES:
        raise BundleUnreadable(
            "too_many_certificates", f"{len(certificates)} certificates", f"at most {MAX_CERTIFICATES} at once"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for each in certificates:
                facts_of(each)
    except UNREADABLE:
        raise BundleUnreadable(
            "certificate_not_readable", "a certificate with a part that cannot be read", "certificates of RFC 5280"
        ) from None
    return tuple(dict.fromkeys(certificates))


def _read_pem(data: bytes) -> list[x509.Certificate]:
    found: list[x509.Certificate] = []
    if _PEM_CERTIFICATE.search(data):
        found += x509.load_pem_x509_certificates(data)
    for block in _PEM_PKCS7.finditer(data):
        found += load_pem_pkcs7_certificates(block[0].replace(b"CMS-----", b"PKCS7-----"))
        if len(found) > MAX_CERTIFICATES:
            break
    if not found:
        raise ValueError("no certificate in the PEM text")
    return found


def _read_der(data: bytes) -> list[x509.Certificate]:
    try:
        return [x509.load_der_x509_certificate(data)]
    except UNREADABLE:
        found = load_der_pkcs7_certificates(data)
    if not found:
        raise ValueError("no certificate in the PKCS#7 document")
    return found


def paths_in(
    certificates: Sequence[x509.Certificate], issuers: Sequence[x509.Certificate] = ()
) -> list[tuple[x509.Certificate, ...]]:
    """The path from each certificate that is no other's issuer, itself first, as far up as what is there goes.

    ``issuers`` are looked through, too, and begin no path. Each link is a name and a signature (RFC 5280, 6.1.3 (a));
    dates are not judged. At most two signatures are verified for each certificate.
    """
    everything = tuple(dict.fromkeys((*certificates, *issuers)))
    facts = {each: facts_of(each) for each in everything}
    by_subject: dict[bytes, list[x509.Certificate]] = {}
    for each in everything:
        by_subject.setdefault(each.subject.public_bytes(), []).append(each)
    issuer_of = {each: _issuer_among(by_subject.get(each.issuer.public_bytes(), []), each, facts) for each in facts}
    used = set(issuer_of.values())
    # CAs that certify each other and nothing else: each is told by itself.
    first = [each for each in dict.fromkeys(certificates) if each not in used] or list(dict.fromkeys(certificates))
    return [_path_from(each, issuer_of) for each in first]


def _issuer_among(
    candidates: Sequence[x509.Certificate],
    certificate: x509.Certificate,
    facts: dict[x509.Certificate, CertificateFacts],
) -> x509.Certificate | None:
    wanted = facts[certificate].authority_key_identifier
    fitting = [
        each
        for each in candidates
        if each != certificate and (not wanted or facts[each].subject_key_identifier in {"", wanted})
    ]
    return next((each for each in fitting[:_ISSUERS_TRIED] if is_issued_by(certificate, each)), None)


def _path_from(
    certificate: x509.Certificate, issuer_of: dict[x509.Certificate, x509.Certificate | None]
) -> tuple[x509.Certificate, ...]:
    path = [certificate]
    while (issuer := issuer_of[path[-1]]) is not None and issuer not in path:
        path.append(issuer)
    return tuple(path)
