"""Certification paths of this installation's own CAs, verified link by link (RFC 5280, 6.1).

Not ``cryptography.x509.verification``: that is made for the web and refuses Ed25519 chains and names without
subjectAltName.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from cryptography import x509

from certificates.x509.inspect import CertificateFacts, facts_of, is_issued_by, is_self_issued
from certificates.x509.name_constraints import path_constraints
from pki_portal.errors import Invalid, Violation
from profiles.policy.name_constraints import breaches
from profiles.policy.request import PathConstraint
from profiles.policy.vocabulary import KeyUsage


class PathError(Invalid):
    """A certification path that does not hold, with every broken link."""

    def __init__(self, reasons: Sequence[str]) -> None:
        violations = [
            Violation(
                field="certification_path",
                code="path_invalid",
                rule="RFC 5280, 6.1",
                asked=reason,
                allowed="a path in which each certificate is signed by the next, up to a self-signed trust anchor",
                fix="Give the certificates in order, the end entity first, each with its current issuer.",
            )
            for reason in reasons
        ]
        super().__init__(f"the certification path does not hold: {'; '.join(reasons)}", violations=violations)


def verify_path(path: Sequence[x509.Certificate], *, at: datetime, is_for_issuing: bool = False) -> None:
    """Check a path, end entity first and trust anchor last, at one time (aware).

    Checked: each signature, name and validity, CA flag, key usage, path length and name constraints of each issuer, and
    that the last signs itself. With ``is_for_issuing`` the path must have room for a certificate below the first.

    Raises:
        PathError: with every reason.
    """
    if not path:
        raise PathError(["it is empty"])
    facts = [facts_of(certificate) for certificate in path]
    reasons = [reason for each in facts for reason in _validity_reasons(each, at)]
    for (certificate, issuer), issuer_facts in zip(pairwise(path), facts[1:], strict=True):
        reasons += _link_reasons(certificate, issuer)
        reasons += _issuer_reasons(issuer_facts)
    reasons += _path_length_reasons(path, facts, below=int(is_for_issuing and not is_self_issued(path[0])))
    reasons += _name_reasons(path, facts)
    if not is_self_issued(path[-1]) or _link_reasons(path[-1], path[-1]):
        reasons.append(f"{facts[-1].subject_name} ends the path and is not self-signed")
    if reasons:
        raise PathError(reasons)


def _validity_reasons(facts: CertificateFacts, at: datetime) -> list[str]:
    """RFC 5280, 6.1.3 (a) (2)."""
    if facts.not_before <= at <= facts.not_after:
        return []
    return [f"{facts.subject_name} is valid from {facts.not_before.isoformat()} to {facts.not_after.isoformat()} only"]


def _link_reasons(certificate: x509.Certificate, issuer: x509.Certificate) -> list[str]:
    """RFC 5280, 6.1.3 (a) (1) and (4)."""
    if not is_issued_by(certificate, issuer):
        return [f"{certificate.subject.rfc4514_string()} was not issued by {issuer.subject.rfc4514_string()}"]
    return []


def _issuer_reasons(issuer: CertificateFacts) -> list[str]:
    """RFC 5280, 6.1.4 (k) and (n)."""
    reasons = []
    if not issuer.is_ca:
        reasons.append(f"{issuer.subject_name} is no CA")
    if issuer.key_usages and KeyUsage.KEY_CERT_SIGN not in issuer.key_usages:
        reasons.append(f"{issuer.subject_name} may not sign certificates")
    return reasons


def _path_length_reasons(
    path: Sequence[x509.Certificate], facts: Sequence[CertificateFacts], *, below: int
) -> list[str]:
    """RFC 5280, 4.2.1.9: how many CAs, self-issued ones not counted, may stand between a CA and the end entity."""
    reasons = []
    for certificate, issuer in zip(path[1:], facts[1:], strict=True):
        if issuer.path_length is not None and below > issuer.path_length:
            reasons.append(f"{issuer.subject_name} allows {issuer.path_length} CAs below it, there are {below}")
        if not is_self_issued(certificate):
            below += 1
    return reasons


def _name_reasons(path: Sequence[x509.Certificate], facts: Sequence[CertificateFacts]) -> list[str]:
    """RFC 5280, 6.1.3 (b) and (c): every CA above allows every name; self-issued CAs in between are not asked."""
    reasons = []
    constraints: tuple[PathConstraint, ...] = ()
    for index in range(len(path) - 1, -1, -1):
        each = facts[index]
        if constraints and (index == 0 or not is_self_issued(path[index])):
            found = breaches(
                constraints,
                subject=each.subject,
                alternative_names=each.subject_alternative_names,
                is_end_entity=not each.is_ca,
            )
            reasons += [f"{breach.asked} is outside the {breach.rule}" for breach in found]
        constraints += path_constraints(path[index : index + 1])
    return reasons
