"""Rows made again from what the journal has of them."""

from collections.abc import Iterable
from typing import Any, Final

from django.db import models

from certificates.models import (
    AuthorityCertificate,
    AuthorityKey,
    Certificate,
    CertificateAuthority,
    CertificateRequest,
    CertificateRevocationList,
    OcspResponder,
    RevocationListShard,
)
from pki_portal.access.models import Project
from pki_portal.rows import python_value

MODELS: Final[dict[str, type[models.Model]]] = {
    model._meta.label_lower: model
    for model in (
        AuthorityCertificate,
        AuthorityKey,
        Certificate,
        CertificateAuthority,
        CertificateRequest,
        CertificateRevocationList,
        OcspResponder,
        Project,
        RevocationListShard,
    )
}


class Missing(Exception):
    """A row cannot be made again without another one that is not there; the text says which."""


def row_of(document: dict[str, Any], **said: Any) -> models.Model:
    """The row, not stored; ``said`` are columns that the certificate itself tells. Columns of another version of the
    portal are left out, or keep their defaults.
    """
    model = MODELS[document["model"]]
    values = {
        field.attname: python_value(field, document["values"][field.attname])
        for field in model._meta.concrete_fields
        if field.attname in document["values"]
    }
    return model(**values | said)


def store_as_it_was(row: models.Model, *, needs: Iterable[str] = ()) -> None:
    """Store a row with the times and ids that it had, in the caller's transaction; over the one with its id, if any.

    Links to rows that are gone are emptied.

    Raises:
        Missing: a link that ``needs`` names, or that cannot be empty, leads nowhere.
        IntegrityError: the database refuses it.
    """
    for field in row._meta.concrete_fields:
        if not isinstance(field, models.ForeignKey):
            continue
        target = getattr(row, field.attname)
        if target is None or field.related_model._base_manager.filter(pk=target).exists():
            continue
        if field.attname in needs or not field.null:
            raise Missing(f"{field.related_model._meta.verbose_name} {target} is not in the database")
        setattr(row, field.attname, None)
    row.save_base(raw=True)
