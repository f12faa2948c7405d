"""The cast and its things, made by plain functions with good defaults.

alice is admin of a project, bob a member, charlie an outsider, robot a machine identity.
"""

from datetime import datetime
from itertools import count

from certificates.models import CertificateAuthority
from certificates.services.authorities import AuthoritySubject, create_intermediate, create_root
from pki_portal.access import universal_auth
from pki_portal.access.models import MachineIdentity, Membership, Project, Role, User
from pki_portal.access.requester import Requester, requester_of_identity, requester_of_user, system_requester
from pki_portal.access.services import create_identity, create_project
from pki_portal.audit.services import Actor
from profiles.policy.vocabulary import KeyAlgorithm

PASSWORD = "correct horse battery staple"
ADDRESS = "127.0.0.1"
REQUEST_ID = "req-0123456789abcdef"
SYSTEM = system_requester("tests")

_numbers = count(1)


def make_user(
    username: str = "alice", *, project: Project | None = None, role: str = Role.ADMIN, is_superuser: bool = False
) -> User:
    """A person with the password ``PASSWORD``, and with ``role`` in ``project`` if one is given."""
    user = User.objects.create_user(username=username, email=f"{username}@example.com", password=PASSWORD)
    if is_superuser:
        user.is_superuser = user.is_staff = True
        user.save(update_fields=["is_superuser", "is_staff"])
    if project is not None:
        Membership.objects.create(project=project, user=user, role=Role(role))
    return user


def make_project(name: str = "Acme", *, slug: str | None = None) -> Project:
    """A project without members."""
    return create_project(requester=SYSTEM, name=name, slug=slug or f"acme-{next(_numbers)}")


def make_identity(
    project: Project | None = None,
    *,
    role: str = Role.ADMIN,
    name: str = "robot",
    can_create_projects: bool = False,
) -> tuple[MachineIdentity, str, str]:
    """A machine identity with universal auth, its client id and one secret; with ``role`` in ``project`` if one is
    given.
    """
    identity = create_identity(requester=SYSTEM, name=name, can_create_projects=can_create_projects)
    if project is not None:
        Membership.objects.create(project=project, identity=identity, role=Role(role))
    configured = universal_auth.attach(requester=SYSTEM, identity_id=identity.pk)
    issued = universal_auth.create_client_secret(requester=SYSTEM, identity_id=identity.pk)
    return identity, str(configured.client_id), issued.client_secret


def make_token(identity: MachineIdentity) -> str:
    """A bearer token of an identity that has universal auth, by a login with a new secret."""
    issued = universal_auth.create_client_secret(requester=SYSTEM, identity_id=identity.pk)
    return universal_auth.log_in(
        client_id=str(identity.universal_auth.client_id), client_secret=issued.client_secret, actor=make_actor()
    ).access_token


def make_actor(address: str | None = ADDRESS) -> Actor:
    """Nobody known, from an address."""
    return Actor(kind="anonymous", id="", name="", address=address, request_id=REQUEST_ID)


def requester_for(member: User | MachineIdentity) -> Requester:
    """The requester that a request of this user or identity would have."""
    if isinstance(member, User):
        return requester_of_user(member, address=ADDRESS, request_id=REQUEST_ID)
    return requester_of_identity(
        identity_id=member.pk,
        name=member.name,
        can_create_projects=member.can_create_projects,
        address=ADDRESS,
        request_id=REQUEST_ID,
    )


def make_authority(
    project: Project,
    *,
    name: str = "",
    parent: CertificateAuthority | None = None,
    key_algorithm: KeyAlgorithm = KeyAlgorithm.EC_PRIME256V1,
    max_path_length: int | None = None,
    not_after: datetime | None = None,
) -> CertificateAuthority:
    """An active CA: a root, or an intermediate under ``parent`` (then of path length 0 unless told otherwise)."""
    name = name or f"ca-{next(_numbers)}"
    subject = AuthoritySubject(common_name=f"Acme {name}", organization="Acme", country="US")
    if parent is None:
        return create_root(
            requester=SYSTEM,
            project=project,
            name=name,
            subject=subject,
            key_algorithm=key_algorithm,
            max_path_length=max_path_length,
            not_after=not_after,
        )
    return create_intermediate(
        requester=SYSTEM,
        project=project,
        name=name,
        subject=subject,
        key_algorithm=key_algorithm,
        parent=parent,
        max_path_length=0 if max_path_length is None else max_path_length,
        not_after=not_after,
    )
