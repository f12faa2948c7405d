"""Which changes of who may do what change the stamp."""

from pki_portal.access.models import AccessToken, MachineIdentity, Membership, Project, UniversalAuth
from pki_portal.access.remembering import Scope
from pki_portal.access.stamp_triggers import connect, watch


def watch_all() -> None:
    """A new token, identity or login method is in nobody's memory, so only what becomes of it counts."""
    connect()
    told = ("UPDATE", "DELETE")
    watch(Scope.ACCESS, Membership)
    watch(Scope.ACCESS, Project, events=("DELETE",))
    watch(Scope.ACCESS, MachineIdentity, fields=("name", "can_create_projects"), events=told)
    watch(Scope.ACCESS, UniversalAuth, fields=("identity", "access_token_trusted_ips"), events=told)
    watch(
        Scope.ACCESS,
        AccessToken,
        fields=("universal_auth", "token_hash", "expires_at", "num_uses_limit", "revoked_at"),
        events=told,
    )
