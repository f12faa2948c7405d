"""What tests of the API send and need: clients with tokens, a two-level PKI, CSRs, and reading what comes back."""

from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from django.test import Client

from certificates.models import CertificateAuthority
from certificates.services.authorities import AuthoritySubject, create_intermediate, create_root
from pki_portal.access.models import Project, Role
from profiles.enrollment import EnrollmentMethod
from profiles.models import CertificateProfile
from profiles.policy.vocabulary import KeyAlgorithm
from profiles.services import ApiSettings, create_profile, create_template
from tests.factories import SYSTEM, make_identity, make_project, make_token
from tests.scenery import server_template

CERTIFICATES = "/api/v1/cert-manager/certificates"
PROFILES = "/api/v1/cert-manager/certificate-profiles"
REQUESTS = f"{CERTIFICATES}/certificate-requests"

# Both families in both vocabularies of the wire; the smallest keys first, which are what is made when none is asked.
ALGORITHMS = {
    "key_algorithm": ["ECDSA-P256", "RSA-2048", "ECDSA-P384", "ECDSA-P521", "RSA-3072", "RSA-4096", "ED25519"],
    "signature": [f"{digest}-{family}" for family in ("ECDSA", "RSA") for digest in ("SHA256", "SHA384", "SHA512")],
}

ApplicantKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Pki:
    """A project with a root, an issuing CA under it and an API profile of that."""

    project: Project
    root: CertificateAuthority
    issuing: CertificateAuthority
    profile: CertificateProfile


def make_pki(
    project: Project | None = None, *, key_algorithm: KeyAlgorithm = KeyAlgorithm.EC_PRIME256V1, **template_changes: Any
) -> Pki:
    """The whole house, with ``server_template`` changed as told."""
    project = project or make_project()
    root = create_root(
        requester=SYSTEM,
        project=project,
        name="root",
        subject=AuthoritySubject(common_name="Acme Root", organization="Acme", country="US"),
        key_algorithm=KeyAlgorithm.EC_SECP384R1,
        max_path_length=1,
    )
    issuing = create_intermediate(
        requester=SYSTEM,
        project=project,
        name="issuing",
        subject=AuthoritySubject(common_name="Acme Issuing CA", organization="Acme", country="US"),
        key_algorithm=key_algorithm,
        parent=root,
        max_path_length=0,
    )
    return Pki(project, root, issuing, make_profile_of(issuing, **template_changes))


def make_profile_of(
    authority: CertificateAuthority, *, slug: str = "server", **template_changes: Any
) -> CertificateProfile:
    """An API profile of a CA with a template of its own; auto-renewal 7 days before the end."""
    document = server_template(**({"name": slug, "algorithms": ALGORITHMS} | template_changes))
    template = create_template(requester=SYSTEM, project=authority.project, document=document)
    return create_profile(
        requester=SYSTEM,
        project=authority.project,
        slug=slug,
        certificate_authority_id=authority.pk,
        template_id=template.pk,
        enrollment_method=EnrollmentMethod.API,
        api=ApiSettings(auto_renew=True, renew_before_days=7),
    )


def make_client(project: Project | None = None, *, role: str = Role.ADMIN, name: str = "robot") -> Client:
    """A client that sends the bearer token of a machine identity with ``role`` in the project."""
    identity, _, _ = make_identity(project, role=role, name=name)
    return Client(headers={"Authorization": f"Bearer {make_token(identity)}"})


def issue_body(profile: CertificateProfile, **attributes: Any) -> dict[str, Any]:
    """The body of a small issue request; ``attributes`` replace or add."""
    asked = {
        "commonName": "service.acme.com",
        "altNames": [{"type": "dns_name", "value": "service.acme.com"}],
        "ttl": "90d",
    }
    return {"profileId": str(profile.pk), "attributes": asked | attributes}


def post_json(client: Client, path: str, body: Any, **headers: str) -> Any:
    """POST as JSON."""
    return client.post(path, body, content_type="application/json", headers=headers)


def issued(client: Client, profile: CertificateProfile, **attributes: Any) -> dict[str, Any]:
    """The ``certificate`` object of a successful issue."""
    response = post_json(client, CERTIFICATES, issue_body(profile, **attributes))
    assert response.status_code == 200, response.json()
    certificate: dict[str, Any] = response.json()["certificate"]
    return certificate


def make_csr(
    key: ApplicantKey | None = None,
    *,
    common_name: str = "service.acme.com",
    dns_names: tuple[str, ...] = ("service.acme.com",),
    extensions: tuple[x509.ExtensionType, ...] = (),
) -> str:
    """A CSR in PEM with its final newline, as openssl writes it."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if dns_names:
        extensions = (x509.SubjectAlternativeName([x509.DNSName(name) for name in dns_names]), *extensions)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()


def load_pem(pem: str) -> x509.Certificate:
    """The certificate in a PEM text of the wire."""
    return x509.load_pem_x509_certificate(pem.encode())
