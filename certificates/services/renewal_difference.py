"""What a renewal changed: a certificate field by field beside the one that it took the place of."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509

from certificates.models import Certificate
from certificates.x509.inspect import facts_of
from pki_portal.errors import NotFound
from profiles.policy.difference import Difference, differences
from profiles.policy.wording import duration

# What every certificate has anew says nothing: its serial number, dates and hashes are not compared. The rest of the
# extensions stands in one of these, or under its object identifier.
_TOLD_OTHERWISE = frozenset(
    {
        *(x509.SubjectAlternativeName.oid, x509.KeyUsage.oid, x509.ExtendedKeyUsage.oid, x509.BasicConstraints.oid),
        *(x509.CRLDistributionPoints.oid, x509.AuthorityInformationAccess.oid),
        *(x509.SubjectKeyIdentifier.oid, x509.AuthorityKeyIdentifier.oid),
    }
)


@dataclass(frozen=True, slots=True)
class RenewalDifference:
    """Every place where a certificate and its predecessor differ, and the fields in which they agree."""

    certificate: Certificate
    predecessor: Certificate
    has_same_key: bool
    differences: tuple[Difference, ...]
    unchanged: tuple[str, ...]


def renewal_difference(certificate: Certificate) -> RenewalDifference:
    """Compare a certificate with its predecessor, by what both encodings say; at most one query.

    Raises NotFound: it renewed none.
    """
    predecessor = certificate.renewed_from
    if predecessor is None:
        raise NotFound("This certificate took the place of no other: it is not a renewal.")
    before, after = _document(predecessor), _document(certificate)
    found = differences(before, after)
    changed = {each.path.partition("/")[0] for each in found}
    return RenewalDifference(
        certificate=certificate,
        predecessor=predecessor,
        has_same_key=before["key"] == after["key"],
        differences=found,
        unchanged=tuple(field for field in after if field not in changed),
    )


def _document(row: Certificate) -> Mapping[str, Any]:
    """What a certificate says, as JSON values in the order in which people read it."""
    certificate = x509.load_der_x509_certificate(bytes(row.der))
    facts = facts_of(certificate)
    subject: dict[str, list[str]] = {}
    for attribute in facts.subject:
        subject.setdefault(attribute.type, []).append(attribute.value)
    names: dict[str, list[str]] = {}
    for name in facts.subject_alternative_names:
        names.setdefault(name.type, []).append(name.value)
    return {
        "subject": subject,
        "subject_alternative_names": names,
        "key_usages": list(facts.key_usages),
        "extended_key_usages": list(facts.extended_key_usages),
        "key_algorithm": facts.key_algorithm or facts.key_description,
        "key": f"SHA-256 {hashlib.sha256(facts.subject_public_key_info).hexdigest()}",
        "signature_algorithm": facts.signature_algorithm or "",
        "issuer": {"name": facts.issuer_name, "key_identifier": facts.authority_key_identifier},
        "life": duration(facts.not_after - facts.not_before),
        "basic_constraints": {"is_ca": facts.is_ca, "path_length": facts.path_length},
        "extensions": {
            "crl_urls": list(facts.crl_urls),
            "ca_issuer_urls": list(facts.ca_issuer_urls),
            "ocsp_urls": list(facts.ocsp_urls),
            "critical": sorted(each.oid.dotted_string for each in certificate.extensions if each.critical),
            "others": {
                each.oid.dotted_string: each.value.public_bytes().hex()
                for each in certificate.extensions
                if each.oid not in _TOLD_OTHERWISE
            },
        },
    }
