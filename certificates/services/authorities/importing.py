"""CAs that were made elsewhere, taken over with their key."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import datetime

from cryptography import x509
from django.db import models, transaction
from django.utils import timezone

from certificates.models import AuthorityKey, CertificateAuthority
from certificates.models.authority import AuthorityKind, AuthorityStatus
from certificates.services.authorities.acts import name_taken_told, record_act, recorded, refuse_any
from certificates.services.authorities.imported import (
    ImportedPath,
    authority_violations,
    imported_path,
    read_certificates,
    require_readable,
    unreadable_certificates,
)
from certificates.services.authorities.rules import (
    AuthoritySubject,
    friendly_name_violations,
    name_taken,
    name_violations,
)
from certificates.services.authorities.versions import install, our_version, store_version, version_facts
from certificates.services.crl import create_revocation_list
from certificates.services.signing import store_authority_key
from certificates.x509.inspect import CertificateFacts, is_self_issued
from certificates.x509.key_process import read_key_material_apart
from certificates.x509.keys import algorithm_of, public_key_info, weaknesses
from certificates.x509.private_keys import KeyMaterial, KeyUnreadable
from pki_portal.access.models import Project
from pki_portal.access.permissions import Action, require
from pki_portal.access.requester import Requester
from pki_portal.errors import Malformed, Violation
from profiles.policy.name_constraints import document_of


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A file with a private key as it was sent, PKCS#8 or PKCS#12, and the password that opens it."""

    content: bytes = field(repr=False)
    password: str = field(default="", repr=False)


def import_authority(
    *,
    requester: Requester,
    project: Project,
    name: str,
    key_file: KeyFile,
    certificate: str = "",
    certificate_chain: str = "",
    friendly_name: str = "",
) -> CertificateAuthority:
    """Take over a CA with its key, its certificate and everything above that; it is active at once.

    A PKCS#12 file brings its certificates itself; what is given besides replaces or completes them. The issuer becomes
    the parent where it is a CA of the project. Up to a second for RSA keys.

    Raises:
        PermissionDenied: the requester may not make CAs there.
        Malformed: the key or a certificate cannot be read. Nothing of what was sent is repeated.
        Invalid: with every violation.
        Unavailable: the master key cannot be used.
    """
    now = timezone.now()
    with recorded("import-ca", requester, project.pk, data={"name": name}):
        require(requester=requester, action=Action.CERTIFICATE_AUTHORITIES_CREATE, project_id=project.pk)
        material = _read_key(key_file)
        imported = _read_path(material, certificate, certificate_chain, now)
        with name_taken_told(project, name), transaction.atomic():
            # One import after the other, for two of one key at once would both find that it is new.
            Project.objects.select_for_update(no_key=True).get(pk=project.pk)
            refuse_any(_violations(project, name, friendly_name, material, imported))
            authority = _store(project, name, friendly_name, material, imported, now)
            version = authority.active_certificate
            facts = version_facts(version) if version is not None else {}
            record_act("import-ca", requester, authority, data={"type": authority.kind, **facts})
    return authority


def _read_key(key_file: KeyFile) -> KeyMaterial:
    try:
        return read_key_material_apart(key_file.content, key_file.password)
    except KeyUnreadable as problem:
        violation = Violation(
            field="password" if problem.is_password else "private_key",
            code=problem.code,
            rule="PKCS#8 (RFC 5958) or PKCS#12 (RFC 7292)",
            asked=problem.reason,
            allowed="a private key that can be read",
            fix=problem.fix,
        )
    raise Malformed(f"{violation.asked[:1].upper()}{violation.asked[1:]}. {violation.fix}", violations=[violation])


def _read_path(material: KeyMaterial, certificate: str, certificate_chain: str, now: datetime) -> ImportedPath:
    beside = [material.certificate] if material.certificate is not None else []
    require_readable([*beside, *material.chain], field="private_key")
    given = read_certificates(certificate, field="certificate") if certificate.strip() else []
    chain = read_certificates(certificate_chain, field="certificate_chain") if certificate_chain.strip() else []
    own = [each for each in given if _has_key(each, material)] or given[:1]
    own = own or beside
    if not own:
        raise unreadable_certificates("certificate", "none", "the CA's certificate")
    above = [each for each in (*given, *material.chain, *chain) if each != own[0]]
    return imported_path(own[0], list(dict.fromkeys(above)), now=now, is_root_allowed=True)


def _has_key(certificate: x509.Certificate, material: KeyMaterial) -> bool:
    return public_key_info(certificate.public_key()) == public_key_info(material.private_key.public_key())


def _violations(
    project: Project, name: str, friendly_name: str, material: KeyMaterial, imported: ImportedPath
) -> Iterator[Violation]:
    yield from name_violations(name)
    if CertificateAuthority.objects.filter(project=project, name=name).exists():
        yield name_taken(name)
    yield from friendly_name_violations(friendly_name)
    yield from imported.violations
    yield from authority_violations(imported)
    if not _has_key(imported.certificate, material):
        yield _violation(
            "private_key",
            "key_does_not_match",
            "a key that is not the certificate's",
            f"the private key of {imported.facts.subject_name}",
            "Send the key that belongs to the certificate.",
        )
    for weakness in weaknesses(material.private_key.public_key()):
        yield _violation("private_key", "key_weak", "a weak key", f"a sound key: {weakness}", "Make a new CA instead.")
    if not imported.facts.subject:
        yield _violation(
            "certificate",
            "subject_empty",
            "an empty subject",
            "a CA with a name (RFC 5280, 4.1.2.6)",
            "Use another CA.",
        )
    public_key = public_key_info(material.private_key.public_key())
    twin = AuthorityKey.objects.filter(authority__project=project, subject_public_key_info=public_key).first()
    if twin is not None:
        yield _violation(
            "private_key",
            "duplicate",
            f"the key of CA {twin.authority.name}",
            "a key that no CA of the project has",
            f"Use CA {twin.authority.name}.",
        )


def _violation(field: str, code: str, asked: str, allowed: str, fix: str) -> Violation:
    return Violation(field=field, code=code, rule="import of a CA", asked=asked, allowed=allowed, fix=fix)


def _store(
    project: Project, name: str, friendly_name: str, material: KeyMaterial, imported: ImportedPath, now: datetime
) -> CertificateAuthority:
    facts = imported.facts
    is_root = is_self_issued(imported.certificate) and len(imported.path) == 1
    authority = CertificateAuthority.objects.create(
        project=project,
        name=name,
        friendly_name=friendly_name,
        kind=AuthorityKind.ROOT if is_root else AuthorityKind.INTERMEDIATE,
        status=AuthorityStatus.PENDING_CERTIFICATE,
        # A key that was read is of a kind that has a name.
        key_algorithm=algorithm_of(material.private_key.public_key()) or "",
        max_path_length=facts.path_length,
        name_constraints=document_of(facts.name_constraints),
        encoded_subject=imported.certificate.subject.public_bytes(),
        **_subject_columns(facts),
    )
    key = store_authority_key(authority=authority, private_key=material.private_key)
    create_revocation_list(key)
    issuer = our_version(project.pk, imported) if not is_root else None
    version = store_version(
        authority=authority,
        key=key,
        issuer=issuer,
        certificate=imported.certificate,
        external_chain="" if issuer is not None or is_root else imported.chain_pem,
    )
    install(authority, version, parent=issuer.authority if issuer is not None else None, now=now)
    return authority


def _subject_columns(facts: CertificateFacts) -> dict[str, str]:
    """What of the name the columns can hold; the whole name is kept beside them."""
    columns = {}
    for name in (each.name for each in fields(AuthoritySubject)):
        column = CertificateAuthority._meta.get_field(name)
        longest = column.max_length if isinstance(column, models.CharField) else 0
        columns[name] = ", ".join(each.value for each in facts.subject if each.type == name)[:longest]
    return columns
