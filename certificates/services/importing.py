"""Certificates that were issued elsewhere, taken into a project's inventory: listed, watched, handed out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import transaction

from certificates.models import Certificate, CertificateSecret
from certificates.models.certificate import CertificateSource, KeySource
from certificates.services.columns import columns_of
from certificates.services.kept_keys import SealedKey, seal_key, store_sealed_key
from certificates.x509.bundles import MAX_BUNDLE_BYTES, BundleUnreadable, distinct, paths_in, read_bundle
from certificates.x509.inspect import pem_of
from certificates.x509.key_process import read_key_material_apart, read_store_apart
from certificates.x509.keys import PrivateKey, public_key_info
from certificates.x509.private_keys import KeyUnreadable, is_pkcs12
from pki_portal.access.models import Project
from pki_portal.access.permissions import Action, require
from pki_portal.access.requester import Requester
from pki_portal.audit.services import record, recorded_refusals
from pki_portal.errors import Invalid, Malformed, Violation
from pki_portal.storable import is_storable
from profiles.policy.judges.alternative_names import MOST_NAMES
from profiles.policy.rules import LONGEST_PATH
from profiles.policy.vocabulary import KeyRetention

IMPORT_EVENT = "import-cert"
# 20 octets, all of them used: above what RFC 5280, 4.1.2.2 permits, within what is in use.
_SERIAL_NUMBERS = range(1, 2**160)
Path = tuple[x509.Certificate, ...]


@dataclass(frozen=True, slots=True)
class Upload:
    """What was sent, as it was sent.

    Attributes:
        content: certificates in PEM, DER or PKCS#7, with their issuers or without; or PKCS#12, with its key.
        chain: more issuers, in PEM, DER or PKCS#7.
        private_key: the key of one of the certificates, PKCS#8 in PEM or DER, where it does not lie beside them.
        password: of whatever is encrypted.
    """

    content: bytes = field(repr=False)
    chain: bytes = field(default=b"", repr=False)
    private_key: bytes = field(default=b"", repr=False)
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Imported:
    """One certificate of an upload: new, or there already (and then perhaps completed by a chain, a key or a name)."""

    certificate: Certificate
    is_new: bool
    is_completed: bool = False


@dataclass(frozen=True, slots=True)
class Import:
    """What came of an upload; ``notes`` are for people, about what was sent and not used."""

    certificates: tuple[Imported, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Found:
    """What an upload holds."""

    paths: tuple[Path, ...]
    unused: int
    private_key: PrivateKey | None = field(default=None, repr=False)
    has_other_key: bool = False


def import_certificates(
    *,
    requester: Requester,
    project: Project,
    upload: Upload,
    is_key_kept: bool = False,
    friendly_name: str = "",
) -> Import:
    """A row for every certificate in the upload that is no other's issuer; the issuers become their chains.

    A certificate that the project has already, issued here or imported, is answered as it is; one that was imported
    without its chain, key or name is completed. A private key must belong to one of the certificates. It is kept, as
    keys in escrow are, only where ``is_key_kept`` asks for it, and else forgotten. Up to a second where a key is read.

    Raises:
        PermissionDenied: the requester may not import there.
        Malformed: something cannot be read. Nothing of what was sent is repeated.
        Invalid: with every violation.
        Unavailable: the key is to be kept, and the master key cannot be used.
    """
    with recorded_refusals(
        event=IMPORT_EVENT,
        actor=requester.actor,
        project_id=project.pk,
        subject_type="project",
        subject_id=str(project.pk),
    ):
        require(requester=requester, action=Action.CERTIFICATES_IMPORT, project_id=project.pk)
        found = _read(upload)
        owner = _owner_of(found, is_key_kept=is_key_kept)
        violations = [each for path in found.paths for each in _violations(path)]
        if violations:
            raise Invalid(violations[0].fix, violations=violations)
        sealed = seal_key(found.private_key) if found.private_key is not None and is_key_kept else None
        with transaction.atomic():
            # One import after the other: two of one certificate at once would both find that it is new.
            Project.objects.select_for_update(no_key=True).get(pk=project.pk)
            imported = tuple(
                _take(
                    requester,
                    project,
                    path,
                    key=sealed if path[0] == owner else None,
                    friendly_name=friendly_name if len(found.paths) == 1 else "",
                )
                for path in found.paths
            )
    return Import(imported, tuple(_notes(found, imported, friendly_name=friendly_name, is_key_kept=is_key_kept)))


# --- Reading ----------------------------------------------------------------------------------------------------------


def _read(upload: Upload) -> _Found:
    chain = _certificates(upload.chain, field="certificate_chain") if upload.chain.strip() else ()
    if is_pkcs12(upload.content):
        return _read_pkcs12(upload, chain)
    certificates = _certificates(upload.content, field="certificate")
    paths = paths_in(certificates, chain)
    unused = sum(each not in {member for path in paths for member in path} for each in chain)
    # A PEM file that holds the key beside the certificates is what servers are given.
    key_file = upload.private_key or (upload.content if b"PRIVATE KEY-----" in upload.content else b"")
    if not key_file:
        return _Found(tuple(paths), unused)
    try:
        key = read_key_material_apart(key_file, upload.password).private_key
    except KeyUnreadable as problem:
        raise _key_refused(problem) from None
    return _Found(tuple(paths), unused, key)


def _read_pkcs12(upload: Upload, chain: tuple[x509.Certificate, ...]) -> _Found:
    if upload.private_key:
        raise _malformed(
            "private_key", "key_given_twice", "a key beside a PKCS#12 file", "one of the two", "Send the file alone."
        )
    if len(upload.content) > MAX_BUNDLE_BYTES:
        raise _unreadable(BundleUnreadable("bundle_too_large", "a large file", "at most 512 KiB"), "certificate")
    try:
        store = read_store_apart(upload.content, upload.password)
    except KeyUnreadable as problem:
        raise _key_refused(problem) from None
    try:
        certificates = distinct(store.certificates)
    except BundleUnreadable as problem:
        raise _unreadable(problem, "certificate") from None
    if not certificates:
        raise _unreadable(
            BundleUnreadable("certificate_missing", "a PKCS#12 file without one", "with certificates"), "certificate"
        )
    paths = paths_in(certificates, chain)
    unused = sum(each not in {member for path in paths for member in path} for each in chain)
    return _Found(tuple(paths), unused, store.private_key, store.has_other_key)


def _certificates(data: bytes, *, field: str) -> tuple[x509.Certificate, ...]:
    try:
        return read_bundle(data)
    except BundleUnreadable as problem:
        raise _unreadable(problem, field) from None


def _unreadable(problem: BundleUnreadable, field: str) -> Malformed:
    return _malformed(field, problem.code, problem.reason, problem.allowed, f"Send {problem.allowed}.")


def _key_refused(problem: KeyUnreadable) -> Malformed:
    return _malformed(
        "password" if problem.is_password else "private_key",
        problem.code,
        problem.reason,
        "PKCS#8 (RFC 5958) or PKCS#12 (RFC 7292) that opens",
        problem.fix,
    )


def _malformed(field: str, code: str, asked: str, allowed: str, fix: str) -> Malformed:
    violation = Violation(field=field, code=code, rule="import", asked=asked, allowed=allowed, fix=fix)
    return Malformed(f"{asked[:1].upper()}{asked[1:]}. {fix}", violations=[violation])


# --- Judging ----------------------------------------------------------------------------------------------------------


def _owner_of(found: _Found, *, is_key_kept: bool) -> x509.Certificate | None:
    """The certificate that the key belongs to; None without a key. Raises Invalid where it belongs to none."""
    if found.has_other_key and is_key_kept:
        raise _refused(
            "private_key", "key_not_supported", "a key of a kind that is not kept here", "Import it without the key."
        )
    if found.private_key is None:
        return None
    public_key = public_key_info(found.private_key.public_key())
    for path in found.paths:
        if public_key_info(path[0].public_key()) == public_key:
            return path[0]
    raise _refused(
        "private_key",
        "key_does_not_match",
        "a private key that is not that of the certificate",
        "Send the key that belongs to the certificate, or none.",
    )


def _refused(field: str, code: str, asked: str, fix: str) -> Invalid:
    allowed = "the private key of a certificate that is sent with it"
    violation = Violation(field=field, code=code, rule="import", asked=asked, allowed=allowed, fix=fix)
    return Invalid(f"{asked[:1].upper()}{asked[1:]}. {fix}", violations=[violation])


def _violations(path: Path) -> Iterator[Violation]:
    """What no row can hold; everything else is the business of those who issued it."""
    columns = columns_of(path[0])
    for code, is_amiss, asked, allowed in (
        (
            "validity_backward",
            columns["not_after"] <= columns["not_before"],
            "a certificate that ends before it begins",
            "an end after the beginning",
        ),
        (
            "serial_number_out_of_range",
            path[0].serial_number not in _SERIAL_NUMBERS,
            "a serial number that is not positive or longer than 20 octets",
            "a positive serial number of at most 20 octets",
        ),
        (
            "path_length_out_of_range",
            (columns["path_length"] or 0) > LONGEST_PATH,
            "a huge path length",
            f"at most {LONGEST_PATH}",
        ),
        (
            "too_many_names",
            len(columns["subject_alternative_names"]) > MOST_NAMES,
            f"{len(columns['subject_alternative_names'])} alternative names",
            f"at most {MOST_NAMES:,}",
        ),
        (
            "name_not_storable",
            not _is_storable(columns),
            "a name with a NUL character or half of a surrogate pair",
            "names of text",
        ),
    ):
        if is_amiss:
            fix = f"Leave out certificate {columns['fingerprint_sha256'][:16]}…: it has {asked}."
            yield Violation(field="certificate", code=code, rule="RFC 5280", asked=asked, allowed=allowed, fix=fix)


def _is_storable(columns: dict[str, object]) -> bool:
    texts = [value for value in columns.values() if isinstance(value, str)]
    return all(is_storable(text) for text in texts)


# --- Storing ----------------------------------------------------------------------------------------------------------


def _take(requester: Requester, project: Project, path: Path, *, key: SealedKey | None, friendly_name: str) -> Imported:
    columns = columns_of(path[0])
    there = Certificate.objects.filter(project=project, fingerprint_sha256=columns["fingerprint_sha256"]).first()
    chain = _chain_of(path)
    if there is not None:
        is_completed = there.is_imported and _complete(there, chain=chain, key=key, friendly_name=friendly_name)
        if is_completed:
            _record(requester, there, is_key_kept=key is not None, is_new=False)
        return Imported(there, is_new=False, is_completed=is_completed)
    certificate = Certificate.objects.create(
        project=project,
        source=CertificateSource.IMPORTED,
        key_source=KeySource.IMPORTED,
        external_chain=chain,
        friendly_name=friendly_name,
        **columns,
    )
    if key is not None:
        store_sealed_key(key, certificate=certificate, retention=KeyRetention.ESCROW)
    _record(requester, certificate, is_key_kept=key is not None, is_new=True)
    return Imported(certificate, is_new=True)


def _complete(certificate: Certificate, *, chain: str, key: SealedKey | None, friendly_name: str) -> bool:
    """Add what an earlier import lacked; nothing that is there is changed, and a destroyed key does not come back."""
    changed = []
    if len(chain) > len(certificate.external_chain) and chain.startswith(certificate.external_chain):
        certificate.external_chain = chain
        changed.append("external_chain")
    if friendly_name and not certificate.friendly_name:
        certificate.friendly_name = friendly_name
        changed.append("friendly_name")
    if changed:
        certificate.save(update_fields=[*changed, "updated_at"])
    is_key_wanted = key is not None and not CertificateSecret.objects.filter(certificate=certificate).exists()
    if key is not None and is_key_wanted:
        store_sealed_key(key, certificate=certificate, retention=KeyRetention.ESCROW)
    return bool(changed) or is_key_wanted


def _chain_of(path: Path) -> str:
    return "\n".join(pem_of(each.public_bytes(Encoding.DER)) for each in path[1:])


def _record(requester: Requester, certificate: Certificate, *, is_key_kept: bool, is_new: bool) -> None:
    record(
        event=IMPORT_EVENT,
        actor=requester.actor,
        project_id=certificate.project_id,
        subject_type="certificate",
        subject_id=str(certificate.pk),
        data={
            "serialNumber": certificate.serial_number,
            "fingerprintSha256": certificate.fingerprint_sha256,
            "commonName": certificate.common_name[:255],
            "isKeyKept": is_key_kept,
            "isNew": is_new,
        },
    )


def _notes(found: _Found, imported: Sequence[Imported], *, friendly_name: str, is_key_kept: bool) -> Iterator[str]:
    if found.unused:
        yield f"{found.unused} of the chain's certificates are above none of these and were left out."
    if friendly_name and len(imported) > 1:
        yield "The friendly name was left out: it is for one certificate, and there are several."
    if (found.private_key is not None or found.has_other_key) and not is_key_kept:
        yield "The private key was not kept: that was not asked."
    if is_key_kept and found.private_key is None:
        yield "No private key was kept: none was sent."
    elif is_key_kept and not any(each.is_new or each.is_completed for each in imported):
        yield "The private key was not kept: the certificate was here before."
