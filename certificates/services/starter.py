"""What a new installation begins with: a project with CAs, templates and profiles, and who may use it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from django.db import connection, transaction

from certificates.models import AuthorityKey, CertificateAuthority
from certificates.models.authority import KeyStore
from certificates.services.authorities import AuthoritySubject, create_intermediate, create_root
from certificates.services.signing import signer_of_key
from pki_portal.access import universal_auth
from pki_portal.access.models import MachineIdentity, Membership, Project, Role, User
from pki_portal.access.requester import Requester
from pki_portal.access.services import add_identity, create_identity, create_project, make_set_password_link
from pki_portal.audit.services import record
from pki_portal.errors import NotFound
from profiles.enrollment import EnrollmentMethod
from profiles.models import CertificateProfile, CertificateTemplate
from profiles.policy.vocabulary import (
    ExtendedKeyUsage,
    KeyAlgorithm,
    KeyFamily,
    KeyUsage,
    NameType,
    SignatureAlgorithm,
    SubjectAttribute,
)
from profiles.services import ApiSettings, TemplateDocument, create_profile, create_template

DEMO_SLUG: Final = "demo"
ROOT: Final = "root"
ISSUING_EC: Final = "issuing-ec"
ISSUING_RSA: Final = "issuing-rsa"
TLS_SERVER: Final = "tls-server"
TLS_CLIENT: Final = "tls-client"
RENEW_BEFORE_DAYS: Final = 7
# Any number, the same in every version: whoever holds it makes the starter set.
_ADVISORY_LOCK: Final = 5_280_001

_ATTRIBUTES: Final = (
    SubjectAttribute.COMMON_NAME,
    SubjectAttribute.COUNTRY,
    SubjectAttribute.ORGANIZATION,
    SubjectAttribute.ORGANIZATIONAL_UNIT,
    SubjectAttribute.STATE,
    SubjectAttribute.LOCALITY,
)
# No UPN: whoever may pick one may pick whose account it opens.
_NAMES: Final = (NameType.DNS_NAME, NameType.EMAIL, NameType.URI, NameType.IP_ADDRESS)
_PURPOSES: Final = {TLS_SERVER: ExtendedKeyUsage.SERVER_AUTH, TLS_CLIENT: ExtendedKeyUsage.CLIENT_AUTH}


@dataclass(frozen=True, slots=True)
class Starter:
    """What there is; None for what was never made or has been deleted since. Secrets only where they were just made."""

    project: Project | None
    authorities: dict[str, UUID]
    templates: dict[str, UUID]
    profiles: dict[str, UUID]
    client_id: UUID | None
    admin_username: str | None
    client_secret: str | None = field(default=None, repr=False)
    admin_set_password_url: str | None = field(default=None, repr=False)


@contextmanager
def only_one_at_a_time() -> Iterator[None]:
    """Wait until no other process, on whatever machine, is inside; only PostgreSQL has such other machines."""
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [_ADVISORY_LOCK])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_ADVISORY_LOCK])


def check_authority_keys_open() -> None:
    """Return if the configured master keys open the newest CA key, or there is none yet. Raises Unavailable.

    Of keys in a token nothing is asked: one that is away comes back, and the portal serves what it can meanwhile.
    """
    newest = AuthorityKey.objects.filter(key_store=KeyStore.DATABASE).order_by("-created_at").first()
    if newest is not None:
        signer_of_key(newest)


def has_authority_keys() -> bool:
    """Whether anything has ever been sealed."""
    return AuthorityKey.objects.filter(key_store=KeyStore.DATABASE).exists()


def make_starter(*, requester: Requester, slug: str | None, new_client_secret: bool) -> Starter:
    """Make what is missing, all of it in one transaction, and tell what there is.

    Without ``slug`` the project ``demo`` is made on a database that has no project; one that is in use is left as it
    is. A project that exists is filled only if it is named and has neither CAs, templates nor profiles.

    Raises:
        Invalid: the slug is none.
        NotFound: a new client secret was asked for and there is no identity to give it to.
        Unavailable: the master key cannot be used.
    """
    with transaction.atomic():
        admin, admin_url = _administrator(requester)
        project = Project.objects.filter(slug=slug or DEMO_SLUG).first()
        if project is None and (slug is not None or not Project.objects.exists()):
            project = create_project(requester=requester, name=_title(slug or DEMO_SLUG), slug=slug or DEMO_SLUG)
            _fill(requester, project)
        elif project is not None and slug is not None and _is_empty(project):
            _fill(requester, project)
        client_id, client_secret = _client(requester, project, new_client_secret=new_client_secret)
    return Starter(
        project=project,
        authorities=_ids(CertificateAuthority.objects.filter(project=project).values_list("name", "pk")),
        templates=_ids(CertificateTemplate.objects.filter(project=project).values_list("name", "pk")),
        profiles=_ids(CertificateProfile.objects.filter(project=project).values_list("slug", "pk")),
        client_id=client_id,
        client_secret=client_secret,
        admin_username=admin,
        admin_set_password_url=admin_url,
    )


def _ids(rows: Iterable[tuple[str, UUID]]) -> dict[str, UUID]:
    return dict(rows)


def _title(slug: str) -> str:
    return slug.replace("-", " ").title()


def _is_empty(project: Project) -> bool:
    return not any(
        model._default_manager.filter(project=project).exists()
        for model in (CertificateAuthority, CertificateTemplate, CertificateProfile)
    )


# --- People and programs ----------------------------------------------------------------------------------------------


def _administrator(requester: Requester) -> tuple[str, str | None]:
    """Name of the administrator, and where a new one sets a first password: nobody ever has a default one."""
    known = User.objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
    if known is not None:
        return known.get_username(), None
    user = User(username=_free_username(), is_superuser=True, is_staff=True)
    user.set_unusable_password()
    user.save()
    record(
        event="create-user",
        actor=requester.actor,
        project_id=None,
        subject_type="user",
        subject_id=str(user.pk),
        data={"username": user.username, "isSuperuser": True},
    )
    return user.username, make_set_password_link(requester=requester, user=user)


def _free_username() -> str:
    taken = set(User.objects.filter(username__startswith="admin").values_list("username", flat=True))
    number = 1
    while (name := "admin" if number == 1 else f"admin-{number}") in taken:
        number += 1
    return name


def _client(
    requester: Requester, project: Project | None, *, new_client_secret: bool
) -> tuple[UUID | None, str | None]:
    """Client id of the project's starter identity, and the secret that was just made."""
    identity = _identity_of(project)
    if identity is None:
        if new_client_secret:
            raise NotFound("The machine identity of the quickstart is gone: make one in the portal.")
        return None, None
    has_secret = identity.universal_auth.client_secrets.exists()
    if has_secret and not new_client_secret:
        return identity.universal_auth.client_id, None
    issued = universal_auth.create_client_secret(requester=requester, identity_id=identity.pk)
    return identity.universal_auth.client_id, issued.client_secret


def _identity_of(project: Project | None) -> MachineIdentity | None:
    if project is None:
        return None
    membership = (
        Membership.objects.select_related("identity__universal_auth")
        .filter(project=project, identity__name=_identity_name(project), identity__universal_auth__isnull=False)
        .order_by("created_at")
        .first()
    )
    return membership.identity if membership is not None else None


def _identity_name(project: Project) -> str:
    return f"{project.slug}-client"


# --- The project ------------------------------------------------------------------------------------------------------


def _fill(requester: Requester, project: Project) -> None:
    """CAs, templates, profiles, and an identity that may use them, in the caller's transaction."""
    root = create_root(
        requester=requester,
        project=project,
        name=ROOT,
        subject=AuthoritySubject(common_name=f"{project.name} Root CA"[:64], organization=project.name[:64]),
        key_algorithm=KeyAlgorithm.EC_SECP384R1,
        max_path_length=1,
    )
    issuing_ec = _issuing(requester, root, ISSUING_EC, KeyAlgorithm.EC_PRIME256V1)
    # Samples of the API ask for RSA-SHA256, which only an RSA CA can sign.
    _issuing(requester, root, ISSUING_RSA, KeyAlgorithm.RSA_3072)
    for name, purpose in _PURPOSES.items():
        template = create_template(requester=requester, project=project, document=_document(name, purpose))
        create_profile(
            requester=requester,
            project=project,
            slug=name,
            description=template.description,
            certificate_authority_id=issuing_ec.pk,
            template_id=template.pk,
            enrollment_method=EnrollmentMethod.API,
            api=ApiSettings(auto_renew=True, renew_before_days=RENEW_BEFORE_DAYS),
        )
    if _identity_of(project) is None:
        identity = create_identity(requester=requester, name=_identity_name(project), can_create_projects=True)
        universal_auth.attach(requester=requester, identity_id=identity.pk)
        add_identity(requester=requester, project_id=project.pk, identity_id=identity.pk, role=Role.ADMIN)


def _issuing(
    requester: Requester, root: CertificateAuthority, name: str, key_algorithm: KeyAlgorithm
) -> CertificateAuthority:
    family = key_algorithm.family
    return create_intermediate(
        requester=requester,
        project=root.project,
        name=name,
        subject=AuthoritySubject(
            common_name=f"{root.project.name[:40]} Issuing CA {family}", organization=root.project.name[:64]
        ),
        key_algorithm=key_algorithm,
        parent=root,
        max_path_length=0,
    )


def _document(name: str, purpose: ExtendedKeyUsage) -> TemplateDocument:
    anything = ["*"]
    return TemplateDocument(
        name=name,
        description="TLS servers, any name" if purpose is ExtendedKeyUsage.SERVER_AUTH else "TLS clients, any name",
        # In the order in which people look for them.
        subject=[{"type": each.value, "allowed": anything} for each in _ATTRIBUTES],
        sans=[{"type": each.value, "allowed": anything} for each in _NAMES],
        key_usages={
            "required": [KeyUsage.DIGITAL_SIGNATURE.value],
            "allowed": [KeyUsage.KEY_ENCIPHERMENT.value, KeyUsage.KEY_AGREEMENT.value],
        },
        extended_key_usages={"required": [purpose.value]},
        algorithms={
            # The first that fits is what is taken where nothing is asked.
            "key_algorithm": [
                each.value
                for each in sorted(KeyAlgorithm, key=lambda each: each.family is not KeyFamily.EC)
                # TLS software of today reads no others.
                if each.family in {KeyFamily.EC, KeyFamily.RSA, KeyFamily.ED25519}
            ],
            "signature": [each.value for each in SignatureAlgorithm if each.family in {KeyFamily.EC, KeyFamily.RSA}],
        },
        validity={"max": "398d"},
    )
