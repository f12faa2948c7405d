"""CAs of every kind of key, used through the services and fetched by HTTP, under the verifiers of others.

Each verifier looks at a leaf, an intermediate, the CRLs and OCSP answers, and accepts them all; or the reason why it
cannot is named here, and asserted.
"""

import asyncio
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from asn1crypto.crl import CertificateList
from asn1crypto.ocsp import OCSPResponse
from asn1crypto.x509 import Certificate as Asn1Certificate
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from pkilint import loader, pkix
from pkilint.pkix import crl as pkilint_crl
from pkilint.pkix import extension, name
from pkilint.pkix import ocsp as pkilint_ocsp
from pkilint.validation import ValidationFindingSeverity
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import PathBuildingError, PathValidationError
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from certificates.models import AuthorityCertificate, CertificateAuthority
from certificates.models.certificate import RevocationReason
from certificates.services.authorities import making
from certificates.services.revocation import revoke_certificate
from certificates.services.urls import crl_url, delta_crl_url, ocsp_url
from certificates.x509.lint import lint
from profiles.policy.vocabulary import KeyAlgorithm, KeyFamily, SignatureAlgorithm
from tests.certificates.x509.material import key
from tests.factories import SYSTEM, make_authority, make_project
from tests.pages import make_issued
from tests.relying_parties import UNVERIFIED_BY_PKILINT
from tests.wire import ALGORITHMS, make_profile_of

EVERY_SIGNATURE = ALGORITHMS | {"signature": [each.value for each in SignatureAlgorithm]}
NAMES = ("root", "issuing", "good", "revoked")

# --- What there is to look at -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Published:
    """Files of a root and an issuing CA with keys of one kind and two leaves, one of them revoked.

    ``<name>.pem`` and ``.der``, ``<ca>.crl`` and ``.delta``, ``crls.pem``, ``<leaf>.request`` and ``.answer``, and the
    paths of the leaves, ``<leaf>-path.pem``.
    """

    folder: Path

    def run(self, program: str, *arguments: str) -> str:
        """What a program says, after its exit status."""
        path = shutil.which(program)
        assert path, f"{program} is needed: make programs installs it"
        done = subprocess.run(
            [path, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=60, check=False
        )
        return f"{done.returncode}: {done.stdout}{done.stderr}"

    def read(self, file: str) -> bytes:
        return (self.folder / file).read_bytes()


def published(algorithm: KeyAlgorithm, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Published:
    project = make_project()
    with monkeypatch.context() as patched:
        if algorithm.family is KeyFamily.RSA:  # one from a file, for making them is slow
            patched.setattr(making, "make_private_key", lambda algorithm, **_: key(algorithm))
        root = make_authority(project, key_algorithm=algorithm, max_path_length=1)
    issuing = make_authority(project, key_algorithm=algorithm, parent=root)
    profile = make_profile_of(issuing, algorithms=EVERY_SIGNATURE)
    good, revoked = make_issued(profile), make_issued(profile)
    revoke_certificate(requester=SYSTEM, certificate=revoked, reason=RevocationReason.KEY_COMPROMISE)
    encoded = (active_of(root).der, active_of(issuing).der, good.der, revoked.der)
    certificates = {name: x509.load_der_x509_certificate(bytes(der)) for name, der in zip(NAMES, encoded, strict=True)}
    for each, certificate in certificates.items():
        (folder / f"{each}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        (folder / f"{each}.der").write_bytes(certificate.public_bytes(Encoding.DER))
    for authority in ("root", "issuing"):
        row = active_of(root if authority == "root" else issuing)
        (folder / f"{authority}.crl").write_bytes(fetched(crl_url(row.key.revocation_list.pk)))
        (folder / f"{authority}.delta").write_bytes(fetched(delta_crl_url(row.key.revocation_list.pk)))
    crls = [x509.load_der_x509_crl((folder / f"{authority}.crl").read_bytes()) for authority in ("root", "issuing")]
    (folder / "crls.pem").write_bytes(b"".join(crl.public_bytes(Encoding.PEM) for crl in crls))
    for leaf in ("good", "revoked"):
        asked = ocsp.OCSPRequestBuilder().add_certificate(certificates[leaf], certificates["issuing"], hashes.SHA256())
        document = asked.build().public_bytes(Encoding.DER)
        (folder / f"{leaf}.request").write_bytes(document)
        (folder / f"{leaf}.answer").write_bytes(fetched(ocsp_url(issuing.pk), document))
        path = [certificates[name].public_bytes(Encoding.PEM) for name in (leaf, "issuing", "root")]
        (folder / f"{leaf}-path.pem").write_bytes(b"".join(path))
    return Published(folder)


def active_of(authority: CertificateAuthority) -> AuthorityCertificate:
    authority.refresh_from_db()
    assert authority.active_certificate is not None
    return authority.active_certificate


def fetched(url: str, document: bytes | None = None) -> bytes:
    request = urllib.request.Request(url, document, {"Content-Type": "application/ocsp-request"})  # noqa: S310 - ours
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own server
        content: bytes = answer.read()
        return content


# --- The verifiers: what each has against leaf, intermediate, CRL and OCSP; an empty text where it accepts ------------

Objections = Iterator[tuple[str, str]]


def unless(told: str, *wanted: str) -> str:
    """Empty where all that was wanted was told, else what was told."""
    return "" if all(each in told for each in wanted) else told


def openssl(case: Published) -> Objections:
    def verify(name: str) -> str:
        trust = ("-CAfile", "root.pem", "-untrusted", "issuing.pem", "-CRLfile", "crls.pem")
        return case.run("openssl", "verify", "-x509_strict", "-crl_check_all", *trust, f"{name}.pem")

    def asked(name: str) -> str:
        files = (
            "-issuer",
            "issuing.pem",
            "-cert",
            f"{name}.pem",
            "-CAfile",
            "root.pem",
            "-verify_other",
            "issuing.pem",
        )
        sent = ("-reqin", f"{name}.request", "-respin", f"{name}.answer")
        return case.run("openssl", "ocsp", "-sha256", *files, *sent)

    yield "leaf", unless(verify("good"), "0: good.pem: OK")
    yield "intermediate", unless(verify("issuing"), "0: issuing.pem: OK")
    yield "CRL", unless(verify("revoked"), "certificate revoked")
    verdicts = (
        unless(asked(name), "Response verify OK", f"{name}.pem: {status}")
        for name, status in (("good", "good"), ("revoked", "revoked"))
    )
    yield "OCSP", "".join(verdicts)


def gnutls(case: Published) -> Objections:
    def verify(name: str) -> str:
        trust = ("--load-ca-certificate", "root.pem", "--load-crl", "crls.pem", "--infile", f"{name}-path.pem")
        return case.run("certtool", "--verify", "--verify-profile", "medium", *trust)

    def asked(name: str) -> str:
        return case.run("ocsptool", "-e", "--load-response", f"{name}.answer", "--load-trust", "issuing.pem")

    accepted = verify("good")
    yield "leaf", unless(accepted, "Chain verification output: Verified.")
    # The path is told link by link, each with the CRL that it was looked up in: the intermediate's is the root's.
    yield "intermediate", unless(accepted, "Chain verification output: Verified.", "Checked against CRL")
    yield "CRL", unless(verify("revoked"), "The certificate chain is revoked.")
    verdicts = (
        unless(asked(name), "Verifying OCSP Response: Success.", f"Certificate Status: {name}")
        for name in ("good", "revoked")
    )
    yield "OCSP", "".join(verdicts)


def nss(case: Published) -> Objections:
    """Firefox's library; it asks the responder that the certificate names by itself."""
    database = ("-d", "sql:nss")

    def verify(name: str, usage: str) -> str:
        return case.run("certutil", "-V", "-e", *database, "-n", name, "-u", usage)

    def asked(name: str) -> str:
        checks = ("-pp", "-u", "1", "-g", "leaf", "-m", "ocsp", "-s", "requireInfo,failIfNoInfo")
        return case.run("vfychain", *database, *checks, f"{name}.der", "issuing.der", "-t", "root.der")

    (case.folder / "nss").mkdir()
    added = case.run("certutil", "-N", *database, "--empty-password")
    for each, trust in zip(NAMES, ("CT,,", ",,", ",,", ",,"), strict=True):
        added += case.run("certutil", "-A", *database, "-n", each, "-t", trust, "-i", f"{each}.pem")
    for each in ("root", "issuing"):
        added += case.run("crlutil", "-I", *database, "-i", f"{each}.crl", "-t", "1")
    # V: an SSL server; L: an SSL CA.
    yield "leaf", unless(added + verify("good", "V"), "certificate is valid")
    yield "intermediate", unless(added + verify("issuing", "L"), "certificate is valid")
    yield "CRL", unless(added + verify("revoked", "V"), "Certificate has been revoked.")
    yield (
        "OCSP",
        unless(asked("good"), "Chain is good!") + unless(asked("revoked"), "Certificate has been revoked."),
    )


def pkilint(case: Published) -> Objections:
    decoders = [
        pkix.create_attribute_decoder(name.ATTRIBUTE_TYPE_MAPPINGS),
        pkix.create_extension_decoder(extension.EXTENSION_MAPPINGS),
    ]
    lists = pkilint_crl.create_pkix_crl_validator_container(
        decoders,
        [
            pkilint_crl.create_issuer_validator_container([]),
            pkilint_crl.create_validity_validator_container([]),
            pkilint_crl.create_extensions_validator_container([]),
        ],
    )
    answers = pkilint_ocsp.create_pkix_ocsp_response_validator_container(
        [pkilint_ocsp.create_response_decoder(), *decoders], []
    )

    def findings(container: object, document: object) -> str:
        found = container.validate(document.root)  # type: ignore[attr-defined]
        told = (
            each.finding.code
            for result in found
            for each in result.finding_descriptions
            if each.finding.severity > ValidationFindingSeverity.NOTICE
        )
        return " ".join(told)

    yield "leaf", " ".join(finding.code for finding in lint(case.read("good.der")))
    below, above = ({finding.code for finding in lint(case.read(f"{each}.der"))} for each in ("issuing", "root"))
    yield "intermediate", " ".join(below | (above - {UNVERIFIED_BY_PKILINT}))
    crl_loader, ocsp_loader = loader.RFC5280CertificateListDocumentLoader(), loader.RFC6960OCSPResponseDocumentLoader()
    crls = (findings(lists, crl_loader.load_der_document(case.read(f"{each}.crl"))) for each in ("root", "issuing"))
    yield "CRL", " ".join(filter(None, crls))
    told = (
        findings(answers, ocsp_loader.load_der_document(case.read(f"{each}.answer"))) for each in ("good", "revoked")
    )
    responder = ocsp.load_der_ocsp_response(case.read("good.answer")).certificates[0].public_bytes(Encoding.DER)
    yield "OCSP", " ".join([*filter(None, told), *(finding.code for finding in lint(responder))])


def pyhanko(case: Published) -> Objections:
    """pyHanko's certificate validator: RFC 5280, 6.1, with revocation information for every certificate of the path."""
    root, issuing = (Asn1Certificate.load(case.read(f"{each}.der")) for each in ("root", "issuing"))
    of_root, of_issuing = (
        [CertificateList.load(case.read(f"{each}.{kind}")) for kind in ("crl", "delta")] for each in ("root", "issuing")
    )

    def objection(name: str, *, by_ocsp: bool = False) -> str:
        context = ValidationContext(
            trust_roots=[root],
            other_certs=[issuing],
            allow_fetching=False,
            revocation_mode="hard-fail",
            crls=of_root if by_ocsp else of_root + of_issuing,
            ocsps=[OCSPResponse.load(case.read(f"{name}.answer"))] if by_ocsp else [],
        )
        validator = CertificateValidator(Asn1Certificate.load(case.read(f"{name}.der")), validation_context=context)
        try:
            asyncio.run(validator.async_validate_path())
        except (PathBuildingError, PathValidationError) as problem:
            return str(problem) or repr(problem)
        return ""

    yield "leaf", objection("good")
    yield "intermediate", objection("issuing")
    yield "CRL", unless(objection("revoked"), "revoked", "CRL")
    yield "OCSP", objection("good", by_ocsp=True) + unless(objection("revoked", by_ocsp=True), "revoked", "OCSP")


VERIFIERS: tuple[Callable[[Published], Objections], ...] = (openssl, gnutls, nss, pkilint, pyhanko)
ML_DSA = (KeyFamily.ML_DSA_44, KeyFamily.ML_DSA_65, KeyFamily.ML_DSA_87)
# What a program that came before the algorithm says, in each of the four cases; pyHanko and pkilint know all of them.
REASONS: Mapping[tuple[str, KeyFamily], tuple[str, ...]] = {
    **{("openssl", family): ("decode error",) for family in ML_DSA},
    # An object identifier instead of a name: 2.16.840.1.101.3.4.3.17 to 19.
    **{("gnutls", family): ("Signature algorithm: 2.16.840", "Signature Algorithm: unknown") for family in ML_DSA},
    **{("nss", family): ("SEC_ERROR_ADDING_CERT", "Unrecognized Object Identifier") for family in ML_DSA},
    ("nss", KeyFamily.ED25519): ("SEC_ERROR_ADDING_CERT", "Unrecognized Object Identifier"),
}


def verdicts(case: Published, family: KeyFamily) -> dict[str, dict[str, str]]:
    """By verifier, what it says of each subject: ``accepted``, a reason that is known, or all that it said."""
    found: dict[str, dict[str, str]] = {}
    for verifier in VERIFIERS:
        known = REASONS.get((verifier.__name__, family), ())
        found[verifier.__name__] = {
            subject: next((reason for reason in known if reason in objection), objection or "accepted")
            for subject, objection in verifier(case)
        }
    return found


@pytest.mark.any_database  # what is published is judged, by others
@pytest.mark.timeout(180)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("algorithm", list(KeyAlgorithm))
def test_leaf_intermediate_crl_and_ocsp_are_accepted(
    algorithm: KeyAlgorithm,
    live_server: LiveServer,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # An address, for URIs are linted, and a host name without a dot is none.
    settings.SITE_URL = live_server.url.replace("localhost", "127.0.0.1")
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    found = verdicts(published(algorithm, tmp_path, monkeypatch), algorithm.family)
    for verifier, by_subject in found.items():
        known = REASONS.get((verifier, algorithm.family), ("accepted",))
        assert list(by_subject) == ["leaf", "intermediate", "CRL", "OCSP"]
        assert {subject: told for subject, told in by_subject.items() if told not in known} == {}, verifier
