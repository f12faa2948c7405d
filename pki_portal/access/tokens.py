"""Random credentials: how they look, and the only form of them that is stored."""

import hashlib
import re
import secrets

ACCESS_TOKEN_PREFIX = "pkt_"  # noqa: S105  # what secret scanners look for, not a secret
CLIENT_SECRET_PREFIX = "pks_"  # noqa: S105
_RANDOM_BYTES = 32
_ACCESS_TOKEN = re.compile(r"pkt_[A-Za-z0-9_-]{43}")


def new_access_token() -> str:
    """Make a bearer token with 256 random bits."""
    return ACCESS_TOKEN_PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def new_client_secret() -> str:
    """Make a client secret with 256 random bits."""
    return CLIENT_SECRET_PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def new_link_token() -> str:
    """Make the token of a one-time link with 256 random bits."""
    return secrets.token_urlsafe(_RANDOM_BYTES)


def is_access_token(text: str) -> bool:
    """Tell whether ``text`` has the form of one of our bearer tokens."""
    return _ACCESS_TOKEN.fullmatch(text) is not None


def hash_of(credential: str) -> str:
    """SHA-256 in hex: enough for 256 random bits, and found by one indexed look-up, so no comparison leaks its time."""
    return hashlib.sha256(credential.encode()).hexdigest()


def visible_prefix_of(client_secret: str) -> str:
    """The first four random characters, by which people tell their secrets apart."""
    return client_secret.removeprefix(CLIENT_SECRET_PREFIX)[:4]
