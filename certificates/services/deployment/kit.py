"""The whole kit of one certificate."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from certificates.models import Certificate
from certificates.models.certificate import CertificateStatus
from certificates.services.deployment.checks import fetching, verifying
from certificates.services.deployment.recipe import Names, Recipe, names_of
from certificates.services.deployment.servers import server_recipes
from certificates.services.deployment.trust import trust_recipes
from certificates.services.export import CertificatePath, PublicFormat, path_of
from certificates.services.kept_keys import is_key_kept
from certificates.x509.keystores import OUTSIDE_KEYSTORES
from profiles.policy.vocabulary import ExtendedKeyUsage, KeyAlgorithm


@dataclass(frozen=True, slots=True)
class KitFile:
    """A file that the texts speak of; ``format`` is what to download it as, None for the private key."""

    name: str
    format: PublicFormat | None
    holds: str


@dataclass(frozen=True, slots=True)
class DeployKit:
    """Files, recipes, and ``warnings`` of what will not work, for people."""

    files: tuple[KitFile, ...]
    recipes: tuple[Recipe, ...]
    warnings: tuple[str, ...]


def deploy_kit(certificate: Certificate) -> DeployKit:
    """Everything that is needed to use a certificate that the requester may read. No key is read."""
    names, path = names_of(certificate), path_of(certificate)
    is_root_known = path.root is not None
    files_and_checks = (
        fetching(
            names,
            certificate_id=certificate.pk,
            is_root_known=is_root_known,
            is_key_kept=is_key_kept(certificate),
        ),
        verifying(
            names,
            is_root_known=is_root_known,
            is_own_root=path.root == path.certificate,
            fingerprint=certificate.fingerprint_sha256,
        ),
    )
    trust = trust_recipes(names) if is_root_known else ()
    return DeployKit(
        files=tuple(_files(names, is_root_known=is_root_known)),
        recipes=(*server_recipes(names), *files_and_checks, *trust),
        warnings=tuple(_warnings(certificate, names, path, timezone.now())),
    )


def _files(names: Names, *, is_root_known: bool) -> Iterator[KitFile]:
    yield KitFile(names.file, PublicFormat.PEM, "the certificate")
    yield KitFile(
        names.fullchain, PublicFormat.FULLCHAIN, "the certificate and its intermediates, as servers send them"
    )
    if is_root_known:
        yield KitFile(names.chain, PublicFormat.CHAIN, "everything above the certificate")
        yield KitFile(names.root, PublicFormat.ROOT, "the root, for those who are to trust it")
    yield KitFile(names.key, None, "the private key")


def _warnings(certificate: Certificate, names: Names, path: CertificatePath, now: datetime) -> Iterator[str]:
    if certificate.status == CertificateStatus.REVOKED:
        yield "This certificate is revoked: those who ask refuse it."
    elif certificate.not_after <= now:
        yield "This certificate has ended: nobody accepts it."
    purposes = certificate.extended_key_usages
    if purposes and not {ExtendedKeyUsage.SERVER_AUTH, "2.5.29.37.0"} & set(purposes):
        yield "This certificate is not for servers (no server_auth among its purposes): clients refuse it."
    if not names.hosts and not names.addresses:
        yield "This certificate has no host name: replace localhost and _ by yours, and expect clients to refuse it."
    elif not certificate.subject_alternative_names:
        yield "This certificate has its name in the subject alone: clients of today refuse it."
    if names.left_out:
        yield f"{names.left_out} of its names are no plain host names and are left out of the texts."
    if path.root is None:
        yield "Who issued this certificate is not known here, so how to trust it is left out: import its chain too."
    if certificate.key_algorithm in OUTSIDE_KEYSTORES:
        yield "Its key is of a kind (ML-DSA) that OpenSSL knows from 3.5 on and browsers do not."
    elif certificate.key_algorithm == KeyAlgorithm.ED25519:
        yield "Its key is an Ed25519 key: browsers do not accept one in a server's certificate."
