"""Certification paths of our CAs: as they were signed, and as they are handed out while a root changes its key."""

from collections.abc import Sequence
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certificates.models import AuthorityCertificate
from certificates.models.authority import ChainPhase


def certification_path_of(authority_certificate: AuthorityCertificate) -> tuple[bytes, ...]:
    """DER of a certification path as it was signed: that certificate first, root last.

    One query for each certificate not yet loaded.
    """
    return _encoded(versions_above(authority_certificate))


def versions_above(authority_certificate: AuthorityCertificate) -> list[AuthorityCertificate]:
    """The certificate and those of our CAs above it as they were signed, each with its CA but the first.

    One query for each not yet loaded.
    """
    path = [authority_certificate]
    while (issuer := _issuer_of(path[-1])) is not None:
        path.append(issuer)
    return path


def chain_of(authority_certificate: AuthorityCertificate) -> tuple[bytes, ...]:
    """DER of a CA's certificate and of what is handed out above it, root last."""
    issuer = _issuer_of(authority_certificate)
    if issuer is None or issuer.authority_id == authority_certificate.authority_id:
        return certification_path_of(authority_certificate)
    return (bytes(authority_certificate.der), *chain_below(issuer))


def chain_below(issuer: AuthorityCertificate) -> tuple[bytes, ...]:
    """DER of what is handed out with a certificate that ``issuer`` signed: issuing CA first, root last.

    That is how it was signed, but where a root above has another key by now: there its phase chooses the certificates
    by which those who trust the one or the other find their way.
    """
    path = list(offered_versions(issuer))
    while (above := _issuer_of(path[-1])) is not None:
        path += offered_versions(above)
    return _encoded(path)


def offered_versions(version: AuthorityCertificate) -> tuple[AuthorityCertificate, ...]:
    """The certificates of one CA that are handed out for the key in ``version``, up to its own root or its issuer's.

    A version that was revoked is replaced by the newest of the same key that was not, if there is one.
    """
    if not version.authority.chain_phase:
        return (version if version.revoked_at is None else _unrevoked(version),)
    rows = AuthorityCertificate.objects.filter(authority_id=version.authority_id).select_related("authority", "key")
    generations = _Generations(list(rows.order_by("version")))
    return tuple(generations.chain(version.key_id, ChainPhase(version.authority.chain_phase)))


class _Generations:
    """The keys of a root in the order of their making, each with its newest certificates."""

    def __init__(self, rows: Sequence[AuthorityCertificate]) -> None:
        self._keys = [key.pk for key in sorted({row.key for row in rows}, key=lambda key: key.created_at)]
        by_id = {row.pk: row for row in rows}
        self._roots: dict[UUID, AuthorityCertificate] = {}
        self._crossed: dict[tuple[UUID, UUID], AuthorityCertificate] = {}
        for row in rows:  # the newest version comes last
            issuer = by_id.get(row.issuer_certificate_id) if row.issuer_certificate_id else None
            if issuer is None:
                self._roots[row.key_id] = row
            else:
                self._crossed[row.key_id, issuer.key_id] = row

    def chain(self, key: UUID, phase: ChainPhase) -> list[AuthorityCertificate]:
        """What stands above a certificate that ``key`` signed; each step leads to the next younger or older key."""
        place, newest = self._keys.index(key), len(self._keys) - 1
        if place < newest - 1:
            return self._by_way_of(key, self._keys[place + 1], self.chain(self._keys[place + 1], phase))
        is_newest = place == newest
        if phase is (ChainPhase.NEW if is_newest else ChainPhase.OLD):
            return [self._roots[key]]
        other = self._keys[newest - 1 if is_newest else newest]
        return self._by_way_of(key, other, [self._roots[other]])

    def _by_way_of(self, key: UUID, other: UUID, above: list[AuthorityCertificate]) -> list[AuthorityCertificate]:
        crossed = self._crossed.get((key, other))
        return [crossed, *above] if crossed is not None else [self._roots[key]]


def _issuer_of(version: AuthorityCertificate) -> AuthorityCertificate | None:
    """The issuing version with its CA; one query where it is not yet loaded."""
    if version.issuer_certificate_id is None:
        return None
    if not AuthorityCertificate.issuer_certificate.is_cached(version):
        rows = AuthorityCertificate.objects.select_related("authority")
        version.issuer_certificate = rows.get(pk=version.issuer_certificate_id)
    return version.issuer_certificate


def _unrevoked(version: AuthorityCertificate) -> AuthorityCertificate:
    others = AuthorityCertificate.objects.filter(key=version.key_id, revoked_at__isnull=True)
    return others.select_related("authority").order_by("-version").first() or version


def _encoded(path: Sequence[AuthorityCertificate]) -> tuple[bytes, ...]:
    above = x509.load_pem_x509_certificates(path[-1].external_chain.encode()) if path[-1].external_chain else []
    return (*(bytes(row.der) for row in path), *(each.public_bytes(Encoding.DER) for each in above))
