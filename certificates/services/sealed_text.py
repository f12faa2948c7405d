"""Secrets of other parts of the portal that are texts: sealed to the row that holds them, like private keys."""

from uuid import UUID

from certificates.keystore.sealing import keyring


def seal_text(text: str, *, purpose: str, row_id: UUID) -> bytes:
    """Seal ``text`` so that it opens only for this purpose and row. Raises Unavailable."""
    return keyring().seal(text.encode(), _associated_data(purpose, row_id))


def open_text(sealed: bytes, *, purpose: str, row_id: UUID) -> str:
    """The text. Raises Unavailable: the master key is missing or another one, or the row was altered."""
    return keyring().open_sealed(sealed, _associated_data(purpose, row_id)).decode()


def _associated_data(purpose: str, row_id: UUID) -> bytes:
    return f"{purpose}:{row_id}".encode("ascii")
