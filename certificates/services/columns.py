"""A certificate's row: its columns, each read from its encoding, to be stored and, later, checked."""

import hashlib
from dataclasses import asdict
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certificates.models import AuthorityCertificate, Certificate, CertificateRequest
from certificates.models.certificate import KeySource
from certificates.services.journal import certificates_stored
from certificates.services.signing import SignedCertificate
from certificates.x509.inspect import CertificateFacts, facts_of
from profiles.policy.renewal import RenewalSchedule
from profiles.policy.vocabulary import SubjectAttribute


def columns_of(certificate: x509.Certificate, facts: CertificateFacts | None = None) -> dict[str, Any]:
    """Field values of ``Certificate`` that repeat what the certificate says, its DER included.

    ``facts`` are those of the certificate, where they were read from it already.
    """
    facts = facts or facts_of(certificate)
    return {
        "serial_number": facts.serial_number,
        "common_name": _attribute(facts, SubjectAttribute.COMMON_NAME),
        "organization": _attribute(facts, SubjectAttribute.ORGANIZATION),
        "organizational_unit": _attribute(facts, SubjectAttribute.ORGANIZATIONAL_UNIT),
        "country": _attribute(facts, SubjectAttribute.COUNTRY),
        "state": _attribute(facts, SubjectAttribute.STATE),
        "locality": _attribute(facts, SubjectAttribute.LOCALITY),
        "subject_alternative_names": [
            {"type": str(name.type), "value": name.value} for name in facts.subject_alternative_names
        ],
        "alt_names": ", ".join(name.value for name in facts.subject_alternative_names),
        "key_usages": [usage.value for usage in facts.key_usages],
        "extended_key_usages": [str(usage) for usage in facts.extended_key_usages],
        "key_algorithm": facts.key_algorithm or facts.key_description,
        "signature_algorithm": facts.signature_algorithm or "",
        "is_ca": facts.is_ca,
        "path_length": facts.path_length,
        "not_before": facts.not_before,
        "not_after": facts.not_after,
        "fingerprint_sha256": facts.fingerprint_sha256,
        "fingerprint_sha1": facts.fingerprint_sha1,
        "public_key_sha256": hashlib.sha256(facts.subject_public_key_info).hexdigest(),
        "der": certificate.public_bytes(Encoding.DER),
    }


def store_certificate(
    *,
    request: CertificateRequest,
    issuer: AuthorityCertificate | None,
    signed: SignedCertificate,
    key_source: KeySource,
) -> Certificate:
    """Store what was signed for a stored request, in the caller's transaction and in the journal.

    Arguments as for :func:`new_certificate`.
    """
    row = new_certificate(request=request, issuer=issuer, signed=signed, key_source=key_source)
    row.save(force_insert=True)
    certificates_stored({signed.line: row})
    return row


def new_certificate(
    *,
    request: CertificateRequest,
    issuer: AuthorityCertificate | None,
    signed: SignedCertificate,
    key_source: KeySource,
    renewal: RenewalSchedule | None = None,
    predecessor: Certificate | None = None,
) -> Certificate:
    """The row of what was signed for a request, to be inserted with it or after it; ``issuer`` None where self-signed.

    Whoever inserts it tells the journal.
    """
    return Certificate(
        project_id=request.project_id,
        profile=request.profile,
        request=request,
        authority=issuer.authority if issuer else None,
        authority_certificate=issuer,
        key_source=key_source,
        metadata=request.metadata,
        lint_findings=[asdict(finding) for finding in signed.findings],
        renew_before_days=renewal.renew_before_days if renewal else None,
        renew_at=renewal.renew_at if renewal else None,
        renewed_from=predecessor,
        has_own_renewal=predecessor is not None and predecessor.has_own_renewal,
        **columns_of(signed.certificate, signed.facts),
    )


def _attribute(facts: CertificateFacts, wanted: SubjectAttribute) -> str:
    """All values of one attribute, comma-joined: a CSR's subject may hold several organizational units."""
    return ", ".join(attribute.value for attribute in facts.subject if attribute.type == wanted)
