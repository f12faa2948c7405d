"""Making CAs: a key, a name, and, where somebody can sign it, a first certificate."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from certificates.models import (
    CertificateAuthority,
)
from certificates.models.authority import AuthorityKind, AuthorityStatus, KeyStore
from certificates.services.authorities.acts import (
    lock,
    name_taken_told,
    record_act,
    recorded,
    refuse_any,
    require_parent_in,
)
from certificates.services.authorities.rules import (
    INTERMEDIATE_LIFE_YEARS,
    ROOT_LIFE_YEARS,
    AuthoritySubject,
    crl_url_violations,
    friendly_name_violations,
    name_taken,
    name_violations,
    normalised,
    normalised_urls,
    parent_violations,
    validity_of,
)
from certificates.services.authorities.versions import certify
from certificates.services.crl import create_revocation_list
from certificates.services.signing import (
    destroyed_on_failure,
    key_store_violations,
    make_private_key,
    store_authority_key,
)
from certificates.x509.keys import PrivateKey
from pki_portal.access.models import Project
from pki_portal.access.permissions import Action, require
from pki_portal.access.requester import Requester
from pki_portal.errors import Violation
from profiles.policy.authority import (
    NO_CONSTRAINTS,
    path_length_violations,
    start_violations,
    subject_violations,
    validity_violations,
)
from profiles.policy.judges.lifetime import Validity
from profiles.policy.name_constraints import constraint_violations, document_of
from profiles.policy.name_constraints import normalised as normalised_constraints
from profiles.policy.request import NameConstraints
from profiles.policy.vocabulary import KeyAlgorithm


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A CA to be made, in normal form; ``validity`` None where it will wait for a certificate."""

    kind: AuthorityKind
    name: str
    friendly_name: str
    subject: AuthoritySubject
    key_algorithm: KeyAlgorithm
    key_store: KeyStore
    max_path_length: int | None
    validity: Validity | None
    asked_not_before: datetime | None
    asked_not_after: datetime | None
    name_constraints: NameConstraints
    crl_urls: tuple[str, ...]
    is_ocsp_enabled: bool


def create_root(
    *,
    requester: Requester,
    project: Project,
    name: str,
    subject: AuthoritySubject,
    key_algorithm: KeyAlgorithm,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
    max_path_length: int | None = None,
    friendly_name: str = "",
    key_store: KeyStore = KeyStore.DATABASE,
    name_constraints: NameConstraints = NO_CONSTRAINTS,
    crl_distribution_point_urls: Sequence[str] = (),
    is_ocsp_enabled: bool = True,
) -> CertificateAuthority:
    """Make a root with its key, self-signed certificate and first CRL; it is active at once.

    Without ``not_after`` it lives 10 years. ``max_path_length`` None means no limit. Takes up to a second for RSA.

    Raises:
        PermissionDenied, NotFound: the requester may not make CAs there.
        Invalid: with every violation.
        Unavailable: the master key or the token cannot be used.
    """
    now = timezone.now()
    wanted = _Wanted(
        kind=AuthorityKind.ROOT,
        name=name,
        friendly_name=friendly_name,
        subject=normalised(subject),
        key_algorithm=key_algorithm,
        key_store=key_store,
        max_path_length=max_path_length,
        validity=validity_of(not_before=not_before, not_after=not_after, default_years=ROOT_LIFE_YEARS, now=now),
        asked_not_before=not_before,
        asked_not_after=not_after,
        name_constraints=normalised_constraints(name_constraints),
        crl_urls=normalised_urls(crl_distribution_point_urls),
        is_ocsp_enabled=is_ocsp_enabled,
    )
    return _create(requester=requester, project=project, wanted=wanted, parent=None, now=now)


def create_intermediate(
    *,
    requester: Requester,
    project: Project,
    name: str,
    subject: AuthoritySubject,
    key_algorithm: KeyAlgorithm,
    parent: CertificateAuthority | None,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
    max_path_length: int | None = None,
    friendly_name: str = "",
    key_store: KeyStore = KeyStore.DATABASE,
    name_constraints: NameConstraints = NO_CONSTRAINTS,
    crl_distribution_point_urls: Sequence[str] = (),
    is_ocsp_enabled: bool = True,
) -> CertificateAuthority:
    """Make an intermediate with its key: active under ``parent``, or waiting for a certificate where that is None.

    Without ``not_after`` it lives 5 years, or as long as the parent where that is shorter. ``max_path_length`` None
    means no limit, which a limited parent refuses.

    Raises:
        PermissionDenied, NotFound: the requester may not make CAs there, or the parent is not there.
        Invalid: with every violation.
        Unavailable: the master key or the token cannot be used.
    """
    now = timezone.now()
    wanted = _Wanted(
        kind=AuthorityKind.INTERMEDIATE,
        name=name,
        friendly_name=friendly_name,
        subject=normalised(subject),
        key_algorithm=key_algorithm,
        key_store=key_store,
        max_path_length=max_path_length,
        validity=_validity_under(parent, not_before=not_before, not_after=not_after, now=now) if parent else None,
        asked_not_before=not_before,
        asked_not_after=not_after,
        name_constraints=normalised_constraints(name_constraints),
        crl_urls=normalised_urls(crl_distribution_point_urls),
        is_ocsp_enabled=is_ocsp_enabled,
    )
    return _create(requester=requester, project=project, wanted=wanted, parent=parent, now=now)


def _validity_under(
    parent: CertificateAuthority, *, not_before: datetime | None, not_after: datetime | None, now: datetime
) -> Validity:
    validity = validity_of(not_before=not_before, not_after=not_after, default_years=INTERMEDIATE_LIFE_YEARS, now=now)
    issuer = parent.active_certificate
    if not_after is None and issuer is not None and issuer.not_after < validity.not_after:
        return Validity(not_before=validity.not_before, not_after=issuer.not_after)
    return validity


def _create(
    *, requester: Requester, project: Project, wanted: _Wanted, parent: CertificateAuthority | None, now: datetime
) -> CertificateAuthority:
    with recorded("create-ca", requester, project.pk, data={"name": wanted.name, "type": wanted.kind}):
        require(requester=requester, action=Action.CERTIFICATE_AUTHORITIES_CREATE, project_id=project.pk)
        require_parent_in(project.pk, parent)
        # Judged before the key is made, which takes long, and again with the parent locked.
        refuse_any(_creation_violations(project, wanted, parent, now))
        private_key = make_private_key(wanted.key_algorithm, key_store=wanted.key_store, authority_name=wanted.name)
        with name_taken_told(project, wanted.name), transaction.atomic(), destroyed_on_failure(private_key):
            locked_parent = lock(parent.pk) if parent is not None else None
            refuse_any(_creation_violations(project, wanted, locked_parent, now))
            authority = _store_authority(project=project, wanted=wanted, private_key=private_key)
            if wanted.validity is not None:
                certify(
                    authority,
                    parent=locked_parent,
                    validity=wanted.validity,
                    max_path_length=wanted.max_path_length,
                    now=now,
                )
            record_act("create-ca", requester, authority, data={"type": authority.kind, "status": authority.status})
    return authority


def _creation_violations(
    project: Project, wanted: _Wanted, parent: CertificateAuthority | None, now: datetime
) -> Iterator[Violation]:
    yield from name_violations(wanted.name)
    if CertificateAuthority.objects.filter(project=project, name=wanted.name).exists():
        yield name_taken(wanted.name)
    yield from friendly_name_violations(wanted.friendly_name)
    subject_wrong = list(subject_violations(wanted.subject.attributes()))
    yield from subject_wrong
    yield from path_length_violations(wanted.max_path_length)
    yield from key_store_violations(wanted.key_store, wanted.key_algorithm)
    yield from constraint_violations(wanted.name_constraints)
    yield from crl_url_violations(wanted.crl_urls)
    if wanted.validity is None:
        return
    yield from validity_violations(wanted.validity, now=now)
    yield from start_violations(wanted.validity, now=now)
    if parent is not None:
        yield from parent_violations(
            parent,
            subject=None if subject_wrong else wanted.subject.attributes(),
            validity=wanted.validity,
            max_path_length=wanted.max_path_length,
            now=now,
        )


def _store_authority(*, project: Project, wanted: _Wanted, private_key: PrivateKey) -> CertificateAuthority:
    """Store the CA as waiting for a certificate, its key and the row of its CRL, in the caller's transaction."""
    authority = CertificateAuthority.objects.create(
        project=project,
        name=wanted.name,
        kind=wanted.kind,
        status=AuthorityStatus.PENDING_CERTIFICATE,
        friendly_name=wanted.friendly_name,
        key_algorithm=wanted.key_algorithm,
        key_store=wanted.key_store,
        max_path_length=wanted.max_path_length,
        name_constraints=document_of(wanted.name_constraints),
        crl_distribution_point_urls=list(wanted.crl_urls),
        is_ocsp_enabled=wanted.is_ocsp_enabled,
        not_before=wanted.asked_not_before,
        not_after=wanted.asked_not_after,
        **asdict(wanted.subject),
    )
    create_revocation_list(store_authority_key(authority=authority, private_key=private_key))
    return authority
