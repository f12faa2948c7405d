"""Changing who may do what where: projects, members, machine identities and the links that let people in.

Every function checks what its requester may do, writes its audit event in the same transaction, and records a refusal
of its own.
"""

from pki_portal.access.services.identities import (
    create_identity,
    get_identity,
    require_identity_control,
    require_identity_revocation,
    update_identity,
)
from pki_portal.access.services.members import add_identity, add_user, change_role, remove_member
from pki_portal.access.services.passwords import (
    SET_PASSWORD_LINK_LIFE,
    find_set_password_link,
    get_set_password_link,
    make_set_password_link,
    set_password,
)
from pki_portal.access.services.projects import SLUG_MIN_LENGTH, create_project, update_project

__all__ = [
    "SET_PASSWORD_LINK_LIFE",
    "SLUG_MIN_LENGTH",
    "add_identity",
    "add_user",
    "change_role",
    "create_identity",
    "create_project",
    "find_set_password_link",
    "get_identity",
    "get_set_password_link",
    "make_set_password_link",
    "remove_member",
    "require_identity_control",
    "require_identity_revocation",
    "set_password",
    "update_identity",
    "update_project",
]
