"""CAs of every kind of key, made and used through the services, judged by programs of others."""

import pytest
from cryptography import x509

from certificates.models import CertificateAuthority, CertificateRevocationList
from certificates.services.authorities import making
from certificates.services.issuance import issue_certificate
from certificates.services.retrieval import certification_path_pem
from certificates.x509.lint import lint
from profiles.policy.request import AttributeValue, GeneralName, IssuanceRequest
from profiles.policy.vocabulary import KeyAlgorithm, KeyFamily, NameType, SignatureAlgorithm, SubjectAttribute
from tests.certificates.x509.material import der, key
from tests.factories import SYSTEM, make_authority, make_project
from tests.relying_parties import (
    UNVERIFIED_BY_PKILINT,
    certvalidator_objection,
    gnutls_objection,
    openssl_knows,
    openssl_objection,
)
from tests.wire import ALGORITHMS, make_profile_of

pytestmark = pytest.mark.django_db

EVERY_SIGNATURE = ALGORITHMS | {"signature": [each.value for each in SignatureAlgorithm]}


def leaf_of(authority: CertificateAuthority) -> tuple[x509.Certificate, list[x509.Certificate]]:
    """A server's certificate by that CA, and the chain that is handed out with it."""
    issued = issue_certificate(
        profile=make_profile_of(authority, slug=authority.name, algorithms=EVERY_SIGNATURE),
        request=IssuanceRequest(
            subject=(AttributeValue(SubjectAttribute.COMMON_NAME, "service.acme.com"),),
            subject_alternative_names=(GeneralName(NameType.DNS_NAME, "service.acme.com"),),
        ),
        requester=SYSTEM,
    ).certificate
    chain = [x509.load_pem_x509_certificate(each.encode()) for each in certification_path_pem(issued)]
    return x509.load_der_x509_certificate(bytes(issued.der)), chain


def lists_of(*authorities: CertificateAuthority) -> list[x509.CertificateRevocationList]:
    rows = CertificateRevocationList.objects.filter(key__authority__in=authorities)
    return [x509.load_der_x509_crl(bytes(row.der or b"")) for row in rows]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("algorithm", list(KeyAlgorithm))
def test_leaf_intermediate_and_root_are_accepted(algorithm: KeyAlgorithm, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project()
    with monkeypatch.context() as patched:
        if algorithm.family is KeyFamily.RSA:  # from files, for making them is slow
            patched.setattr(making, "make_private_key", lambda algorithm, **_: key(algorithm))
        root = make_authority(project, key_algorithm=algorithm, max_path_length=1)
    below = KeyAlgorithm.EC_PRIME256V1 if algorithm.family is KeyFamily.RSA else algorithm
    issuing = make_authority(project, key_algorithm=below, parent=root)
    crls = lists_of(root, issuing)

    for authority in (root, issuing):
        leaf, chain = leaf_of(authority)
        path = [leaf, *chain]
        assert certvalidator_objection(leaf, trusted=chain[-1:], untrusted=chain[:-1]) == ""
        findings = {finding.code for each in path for finding in lint(der(each))}
        if not openssl_knows(path):
            # OpenSSL 3.0 and GnuTLS 3.7 came before ML-DSA (docs/authorities.md); that they refuse is the proof.
            assert openssl_objection(leaf, trusted=chain[-1:], untrusted=chain[:-1]) != ""
            assert findings <= {UNVERIFIED_BY_PKILINT}
            continue
        assert findings == set()
        assert openssl_objection(leaf, trusted=chain[-1:], untrusted=chain[:-1], crls=crls) == ""
        assert gnutls_objection(path, crls=crls) == ""
