"""Certificates for our CAs that others signed: read from what was pasted, ordered into a path, compared with the CA."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certificates.x509.inspect import UNREADABLE, CertificateFacts, facts_of, is_issued_by
from certificates.x509.names import distinguished_name
from certificates.x509.path import PathError, verify_path
from certificates.x509.tbs import SERIAL_NUMBER_BITS
from pki_portal.errors import Malformed, Violation
from profiles.policy.request import NameConstraints
from profiles.policy.rules import LONGEST_PATH
from profiles.policy.vocabulary import KeyUsage

MAX_PEM_LENGTH = 256 * 1024
MAX_CERTIFICATES = 10
# Each is compared with each name of every certificate below.
MOST_IMPORTED_SUBTREES = 500
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")


@dataclass(frozen=True, slots=True)
class ImportedPath:
    """A certificate and its issuers in order, root last, each link verified; ``violations`` tells what is amiss."""

    path: tuple[x509.Certificate, ...]
    facts: CertificateFacts
    violations: tuple[Violation, ...]

    @property
    def certificate(self) -> x509.Certificate:
        """The CA's own."""
        return self.path[0]

    @property
    def chain_pem(self) -> str:
        """Its issuers, issuer first and root last, without a final newline."""
        return "\n".join(
            certificate.public_bytes(Encoding.PEM).decode("ascii").strip() for certificate in self.path[1:]
        )


def read_imported_path(*, certificate: str, certificate_chain: str, now: datetime) -> ImportedPath:
    """Read one certificate and, in any order, all of its issuers up to a self-signed root, valid at ``now``.

    Raises:
        Malformed: a text is not PEM of readable certificates, or of too many. It does not repeat what was sent.
    """
    own = read_certificates(certificate, field="certificate")
    if len(own) != 1:
        raise unreadable_certificates("certificate", f"{len(own)} certificates", "exactly one certificate")
    chain = read_certificates(certificate_chain, field="certificate_chain") if certificate_chain.strip() else []
    return imported_path(own[0], chain, now=now)


def imported_path(
    certificate: x509.Certificate, chain: Sequence[x509.Certificate], *, now: datetime, is_root_allowed: bool = False
) -> ImportedPath:
    """The path from the certificate up, which must use every member of the chain and leave room for one more below."""
    path, unused = _ordered(certificate, [each for each in chain if each != certificate])
    violations = list(_hole_violations(path, unused, is_root_allowed=is_root_allowed))
    if not violations:
        try:
            verify_path(path, at=now, is_for_issuing=True)
        except PathError as problem:
            violations += problem.violations
    return ImportedPath(path=path, facts=facts_of(certificate), violations=tuple(violations))


def read_certificates(text: str, *, field: str) -> list[x509.Certificate]:
    """Certificates in PEM, in the order given. Raises Malformed, without repeating what was sent."""
    if len(text) > MAX_PEM_LENGTH:
        raise unreadable_certificates(field, f"{len(text)} characters", f"at most {MAX_PEM_LENGTH} characters")
    if _PRIVATE_KEY.search(text):
        raise unreadable_certificates(field, "a private key", "certificates only; a private key never leaves its owner")
    try:
        found = x509.load_pem_x509_certificates(text.encode("ascii"))
    except UNREADABLE as problem:
        raise unreadable_certificates(field, "something else", "X.509 certificates in PEM") from problem
    require_readable(found, field=field)
    return found


def require_readable(certificates: Sequence[x509.Certificate], *, field: str) -> None:
    """Return if there are not too many and each can be read to its end, which its loading does not tell.

    Raises Malformed.
    """
    if len(certificates) > MAX_CERTIFICATES:
        asked, allowed = f"{len(certificates)} certificates", f"at most {MAX_CERTIFICATES} certificates"
        raise unreadable_certificates(field, asked, allowed)
    try:
        for each in certificates:
            facts_of(each)
    except UNREADABLE as problem:
        raise unreadable_certificates(field, "something else", "X.509 certificates that can be read") from problem


def unreadable_certificates(field: str, asked: str, allowed: str) -> Malformed:
    """The refusal of a text that does not hold the certificates wanted."""
    fix = f"Send {allowed}."
    violation = Violation(field=field, code="pem_not_readable", rule="PEM", asked=asked, allowed=allowed, fix=fix)
    return Malformed(fix, violations=[violation])


def _ordered(
    certificate: x509.Certificate, chain: list[x509.Certificate]
) -> tuple[tuple[x509.Certificate, ...], list[x509.Certificate]]:
    """The path from the certificate up, as far as the chain goes, and what of the chain is left."""
    path = [certificate]
    left = list(chain)
    while issuer := next((candidate for candidate in left if is_issued_by(path[-1], candidate)), None):
        path.append(issuer)
        left.remove(issuer)
    return tuple(path), left


def _hole_violations(
    path: tuple[x509.Certificate, ...], unused: list[x509.Certificate], *, is_root_allowed: bool
) -> Iterator[Violation]:
    is_whole = is_root_allowed and is_issued_by(path[0], path[0])
    if (len(path) > 1 or is_whole) and not unused:
        return
    told = "; ".join(each.subject.rfc4514_string() for each in unused)
    yield Violation(
        field="certificate_chain",
        code="chain_incomplete",
        rule="RFC 5280, 6.1",
        asked=f"not part of the path: {told or 'no issuer'}"[:1000],
        allowed="the issuer of the certificate, its issuer, and so on up to the root, and nothing else",
        fix="Send every certificate above the CA's, and no other.",
    )


def match_violations(
    imported: ImportedPath,
    *,
    name: x509.Name,
    subject_public_key_info: bytes,
    max_path_length: int | None,
    name_constraints: NameConstraints,
) -> Iterator[Violation]:
    """Whether the certificate is one for this CA: its name, its key, its path length, and the rights of a CA.

    Names are compared as encoded (RFC 5280, 7.1, permits that): order, case and spaces count, as they do for those who
    build paths by comparing bytes.
    """
    facts = imported.facts
    if imported.certificate.subject != name:
        yield _mismatch("subject_differs", facts.subject_name, f"the name of this CA, {distinguished_name(name)}")
    if facts.subject_public_key_info != subject_public_key_info:
        yield _mismatch("key_differs", facts.key_description, "the key in this CA's CSR")
    if facts.is_ca and max_path_length is not None and facts.path_length != max_path_length:
        asked = "no limit" if facts.path_length is None else str(facts.path_length)
        yield _mismatch("path_length_differs", f"path length: {asked}", f"path length: {max_path_length}")
    if name_constraints and facts.name_constraints != name_constraints:
        yield _mismatch(
            "name_constraints_differ", "other name constraints, or none", "the name constraints in this CA's CSR"
        )
    yield from authority_violations(imported)


def authority_violations(imported: ImportedPath) -> Iterator[Violation]:
    """Whether the certificate makes a CA of its holder that can sign certificates and CRLs."""
    facts = imported.facts
    if not facts.is_ca:
        yield _mismatch("not_a_ca", "CA:FALSE", "a CA certificate (basicConstraints, RFC 5280, 4.2.1.9)")
    yield from _bound_violations(imported.path)
    # RFC 5280, 4.2.1.3: where the extension is there, both bits are needed; without it everything is allowed.
    missing = {KeyUsage.KEY_CERT_SIGN, KeyUsage.CRL_SIGN} - set(facts.key_usages) if facts.key_usages else set()
    if missing:
        yield _mismatch("key_usage_missing", ", ".join(facts.key_usages), f"also {', '.join(sorted(missing))}")


def _bound_violations(path: tuple[x509.Certificate, ...]) -> Iterator[Violation]:
    """Numbers that every program, and every database, can hold; each certificate of the path is looked at."""
    for certificate in path:
        field = "certificate" if certificate is path[0] else "certificate_chain"
        whose = certificate.subject.rfc4514_string()[:200]
        if not 0 < certificate.serial_number < 2**SERIAL_NUMBER_BITS:
            yield Violation(
                field=field,
                code="serial_number_out_of_range",
                rule="RFC 5280, 4.1.2.2",
                asked=f"a serial number of {certificate.serial_number.bit_length() // 8 + 1} octets"
                if certificate.serial_number > 0
                else f"the serial number {str(certificate.serial_number)[:50]}",
                allowed="a positive serial number of at most 20 octets",
                fix=f"Have the certificate of {whose} issued with such a serial number.",
            )
        facts = facts_of(certificate)
        constraints = facts.name_constraints
        if len(constraints.permitted) + len(constraints.excluded) > MOST_IMPORTED_SUBTREES:
            yield Violation(
                field=field,
                code="too_many_constraints",
                rule="limit of name constraints",
                asked=f"{len(constraints.permitted) + len(constraints.excluded)} name constraints",
                allowed=f"at most {MOST_IMPORTED_SUBTREES}",
                fix=f"Have the certificate of {whose} issued with fewer.",
            )
        path_length = facts.path_length
        if path_length is not None and path_length > LONGEST_PATH:
            yield Violation(
                field=field,
                code="path_length_out_of_range",
                rule="limit of path lengths",
                asked=f"a path length of {path_length}" if path_length < 10**6 else "a huge path length",
                allowed=f"at most {LONGEST_PATH}, or no limit",
                fix=f"Have the certificate of {whose} issued with a shorter path length, or with none.",
            )


def _mismatch(code: str, asked: str, allowed: str) -> Violation:
    return Violation(
        field="certificate",
        code=code,
        rule="certificate for a CA of ours",
        asked=asked,
        allowed=allowed,
        fix="Have the CSR of this CA signed as a CA certificate, and import the result.",
    )
