"""`manage.py check_certificates`: does the database still say what was signed?

Reads everything, and changes nothing but what any relying party's question does: a CRL that is due is published. Rows
are streamed, so that memory does not grow with their number. Its time does: about 4 ms of one core for each
certificate, most of it the linter's (100,000 take 7 minutes), for every night.
"""

from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db.models import Count, F, Max, Q
from django.utils import timezone

from certificates.management.revocation_findings import Addresses, revocation_findings
from certificates.models import (
    AuthorityCertificate,
    AuthorityKey,
    Certificate,
    CertificateAuthority,
    CertificateRequest,
    CertificateRevocationList,
    CertificateSecret,
    IdempotencyRecord,
)
from certificates.models.authority import AuthorityStatus
from certificates.models.certificate import CertificateSource, CertificateStatus, IdempotentAct
from certificates.models.request import RequestStatus
from certificates.services.authorities import certification_path_of
from certificates.services.authorities.rules import is_cut_off
from certificates.services.columns import columns_of
from certificates.services.kept_keys import open_secret
from certificates.services.reconcile import RECONCILED_EVENT, Kind, Reconciliation
from certificates.services.signing import check_authority_key, orphaned_token_keys
from certificates.x509.inspect import UNREADABLE, facts_of, is_issued_by
from certificates.x509.keys import public_key_info
from certificates.x509.lint import Severity, lint, marked
from certificates.x509.names import distinguished_name
from certificates.x509.path import PathError, verify_path
from pki_portal.audit.models import AuditEvent
from pki_portal.errors import PortalError
from profiles.models import CertificateProfile, CertificateTemplate, ProfileVersion, TemplateVersion
from profiles.policy.vocabulary import KeyUsage

CHUNK = 500
PROGRESS_EVERY = 10_000

Path = tuple[x509.Certificate, ...]


class Command(BaseCommand):
    """Compare every row with its encoding, verify every path, lint every certificate, and look for orphans."""

    help = (
        "Check that rows equal their certificates, paths verify, the linter finds nothing new, kept private keys open "
        "and nothing is orphaned; exit code 1 on any finding."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """How much to print."""
        parser.add_argument("--max-findings", type=int, default=1000, metavar="N", help="stop printing after N (1000)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the findings, one a line."""
        count = 0
        for finding in self._findings():
            count += 1
            if count <= options["max_findings"]:
                self.stdout.write(finding)
        totals = f"{Certificate.objects.count()} certificates and {CertificateAuthority.objects.count()} authorities"
        if count:
            raise CommandError(f"{count} findings in {totals}.")
        self.stdout.write(f"No findings in {totals}.")

    def _findings(self) -> Iterator[str]:
        yield from authority_findings()
        yield from key_findings()
        yield from token_findings()
        addresses = Addresses()
        yield from authority_certificate_findings(addresses)
        yield from revocation_findings()
        for number, finding in enumerate(certificate_findings(addresses), start=1):
            if finding:
                yield finding
            if number % PROGRESS_EVERY == 0:
                self.stderr.write(f"{number} certificates checked")
        yield from secret_findings()
        yield from addresses.findings()
        yield from orphan_findings()
        yield from journal_findings()


# --- Authorities ------------------------------------------------------------------------------------------------------


def authority_findings() -> Iterator[str]:
    """A CA that is active or disabled has its own newest certificate and its dates; revoked, it is not active."""
    for authority in CertificateAuthority.objects.select_related("active_certificate__key").iterator(chunk_size=CHUNK):
        name = f"authority {authority.id}"
        active = authority.active_certificate
        if active is None:
            if authority.status != AuthorityStatus.PENDING_CERTIFICATE:
                yield f"{name}: is {authority.status} without a certificate"
            continue
        if active.authority_id != authority.id:
            yield f"{name}: its active certificate {active.id} belongs to authority {active.authority_id}"
        if (authority.not_before, authority.not_after) != (active.not_before, active.not_after):
            yield f"{name}: its dates are not those of its active certificate {active.id}"
        if authority.status == AuthorityStatus.ACTIVE and is_cut_off(authority):
            yield f"{name}: is active, and its certificate {active.id} is revoked or its key compromised"


def key_findings() -> Iterator[str]:
    """A CA's key opens, or is in its token, and is the one whose public half stands beside it (the keystore looks)."""
    for key in AuthorityKey.objects.iterator(chunk_size=CHUNK):
        try:
            check_authority_key(key)
        except (PortalError, *UNREADABLE) as problem:
            yield f"authority key {key.id}: cannot be used: {problem}"
        if not CertificateRevocationList.objects.filter(key=key).exists():
            yield f"authority key {key.id}: has no revocation list"


def token_findings() -> Iterator[str]:
    """What is in the token belongs to a CA."""
    try:
        labels = orphaned_token_keys()
    except PortalError as problem:
        yield f"token: cannot be looked through: {problem.message}"
        return
    for label in labels:
        yield (
            f"token key {label}: belongs to no CA. Unless a backup was restored (then run manage.py reconcile), a CA is"
            " being made at this moment, or another installation uses the token, remove it:"
            f" manage.py destroy_token_key {label}"
        )


def authority_certificate_findings(addresses: Addresses) -> Iterator[str]:
    """Each version of a CA's certificate: columns as encoded, its own key, and a path that verifies.

    Fills ``addresses`` with what those name that our own CAs signed.
    """
    for row in AuthorityCertificate.objects.select_related("key", "authority").iterator(chunk_size=CHUNK):
        name = f"authority certificate {row.id}"
        try:
            certificate = x509.load_der_x509_certificate(bytes(row.der))
            facts = facts_of(certificate)
        except UNREADABLE as problem:
            yield f"{name}: cannot be read: {problem}"
            continue
        said = {
            "serial_number": facts.serial_number,
            "not_before": facts.not_before,
            "not_after": facts.not_after,
            "path_length": facts.path_length,
        }
        for column, value in said.items():
            if getattr(row, column) != value:
                yield f"{name}: {column} is {getattr(row, column)}, the certificate says {value}"
        if not facts.is_ca:
            yield f"{name}: is not a CA's"
        if public_key_info(certificate.public_key()) != bytes(row.key.subject_public_key_info):
            yield f"{name}: holds another key than authority key {row.key_id}"
        if row.key.authority_id != row.authority_id:
            yield f"{name}: authority key {row.key_id} belongs to authority {row.key.authority_id}"
        path = load_path(row)
        yield from (f"{name}: {reason}" for reason in path_reasons(path, certificate))
        if row.issuer_certificate_id is not None and len(path) > 1:
            addresses.add(name, certificate, path[1], is_revoked=row.revoked_at is not None)


# --- Certificates -----------------------------------------------------------------------------------------------------


def certificate_findings(addresses: Addresses) -> Iterator[str]:
    """One item for each certificate checked: an empty text where all is well, else its findings.

    Fills ``addresses`` with what the certificates name.
    """
    paths: dict[UUID, Path] = {}
    now = timezone.now()
    rows = Certificate.objects.select_related("authority_certificate", "profile").order_by("pk")
    for row in rows.iterator(chunk_size=CHUNK):
        yield "\n".join(
            f"certificate {row.id}: {reason}"
            for reason in (*_reasons(row, paths, addresses), *lint_reasons(row, now=now))
        )


def lint_reasons(row: Certificate, *, now: datetime) -> Iterator[str]:
    """What the linter says from WARNING up that neither stands with the certificate nor is waived.

    The memory of clean shapes has no part in this: every certificate is linted by itself. Addresses that the
    certificate has for its CRL and its CA are the portal's own, of whatever time. What was imported is not judged.
    """
    if row.is_imported:
        return
    try:
        facts = facts_of(x509.load_der_x509_certificate(bytes(row.der)))
    except UNREADABLE:
        return  # told already
    stored = {(finding["severity"], finding["code"], finding["node"]) for finding in row.lint_findings}
    waivers = row.profile.waivers() if row.profile else ()
    found = marked(
        lint(bytes(row.der)),
        own_urls=(*facts.crl_urls, *facts.ca_issuer_urls, *facts.ocsp_urls),
        waivers=[waiver for waiver in waivers if waiver.counts_at(now)],
    )
    for finding in found:
        is_stored = (finding.severity, finding.code, finding.node) in stored
        if finding.severity != Severity.NOTICE and not finding.waived and not is_stored:
            yield f"lint has a finding that is not stored: {finding.severity} {finding.code} at {finding.node}"


def secret_findings() -> Iterator[str]:
    """A private key that is kept opens, and is that of its certificate."""
    kept = CertificateSecret.objects.filter(destroyed_at__isnull=True).select_related("certificate").order_by("pk")
    for secret in kept.iterator(chunk_size=CHUNK):
        try:
            open_secret(secret)
        except (PortalError, *UNREADABLE) as problem:
            yield f"certificate {secret.certificate_id}: its kept private key cannot be used: {problem}"


def _reasons(row: Certificate, paths: dict[UUID, Path], addresses: Addresses) -> Iterator[str]:
    try:
        certificate = x509.load_der_x509_certificate(bytes(row.der))
        said = columns_of(certificate)
    except UNREADABLE as problem:
        yield f"cannot be read: {problem}"
        return
    for column, value in said.items():
        if column != "der" and getattr(row, column) != value:
            yield f"{column} is {getattr(row, column)!r}, the certificate says {value!r}"
    if row.is_imported:
        yield from imported_reasons(row, certificate)
        return
    issuer = row.authority_certificate
    if issuer is None:
        yield from path_reasons((certificate,), certificate)
        return
    if issuer.authority_id != row.authority_id:
        yield f"its issuing certificate {issuer.id} belongs to authority {issuer.authority_id}, not {row.authority_id}"
    if issuer.id not in paths:
        paths[issuer.id] = load_path(issuer)
        yield from issuer_reasons(paths[issuer.id])
    path = paths[issuer.id]
    if not path:
        yield f"the path of authority certificate {issuer.id} cannot be read"
        return
    is_revoked = row.status == CertificateStatus.REVOKED
    addresses.add(f"certificate {row.id}", certificate, path[0], is_revoked=is_revoked)
    if certificate.not_valid_after_utc > path[0].not_valid_after_utc:
        yield "outlives its issuer"
    if said["is_ca"]:
        yield from path_reasons((certificate, *path), certificate)
    else:
        yield from link_reasons(certificate, path[0])


def imported_reasons(row: Certificate, certificate: x509.Certificate) -> Iterator[str]:
    """Why what was imported as a certificate's chain is none. How others issue is theirs: nothing else is judged."""
    try:
        chain = x509.load_pem_x509_certificates(row.external_chain.encode()) if row.external_chain else []
    except UNREADABLE as problem:
        yield f"its imported chain cannot be read: {problem}"
        return
    for below, issuer in pairwise((certificate, *chain)):
        if not is_issued_by(below, issuer):
            yield f"{distinguished_name(issuer.subject)} of its imported chain did not issue what stands below it"


def link_reasons(certificate: x509.Certificate, issuer: x509.Certificate) -> Iterator[str]:
    """Why an end entity's certificate is not one of its issuer's. The path above that is verified once, as its own."""
    if not is_issued_by(certificate, issuer):
        yield f"was not issued by {distinguished_name(issuer.subject)}"
    if certificate.not_valid_before_utc < issuer.not_valid_before_utc:
        yield "is older than its issuer"


def issuer_reasons(path: Path) -> Iterator[str]:
    """Why the CA at the start of a path may not sign certificates (RFC 5280, 6.1.4 k and n); told once for each CA."""
    for issuer in path[:1]:
        facts = facts_of(issuer)
        if not facts.is_ca or KeyUsage.KEY_CERT_SIGN not in facts.key_usages:
            yield f"its issuer {distinguished_name(issuer.subject)} is no CA that may sign certificates"


def load_path(row: AuthorityCertificate) -> Path:
    """The path from a CA's certificate to its root; empty where it cannot be read."""
    try:
        return tuple(x509.load_der_x509_certificate(der) for der in certification_path_of(row))
    except (PortalError, *UNREADABLE):
        return ()


def path_reasons(path: Path, certificate: x509.Certificate) -> Iterator[str]:
    """Why the path does not verify at the beginning of the certificate's life, when it was signed."""
    try:
        verify_path(path, at=certificate.not_valid_before_utc)
    except PathError as problem:
        yield problem.message
    except (InvalidSignature, *UNREADABLE) as problem:
        yield f"its path cannot be verified: {problem}"


# --- Orphans ----------------------------------------------------------------------------------------------------------


def orphan_findings() -> Iterator[str]:
    """Rows whose other half is missing or is another's."""
    issued_without = CertificateRequest.objects.filter(
        status=RequestStatus.ISSUED, certificate__isnull=True, certificate_deleted_at__isnull=True
    )
    for request_id in issued_without.values_list("pk", flat=True).iterator(chunk_size=CHUNK):
        yield f"request {request_id}: is issued, and there is no certificate"
    unasked = Certificate.objects.filter(
        Q(request__isnull=True) & ~Q(source=CertificateSource.IMPORTED)
        | Q(request__isnull=False) & ~Q(request__status=RequestStatus.ISSUED)
    )
    for certificate_id in unasked.values_list("pk", flat=True).iterator(chunk_size=CHUNK):
        yield f"certificate {certificate_id}: its request is missing or not issued"
    astray = Certificate.objects.filter(
        Q(request__isnull=False) & ~Q(project=F("request__project"))
        | Q(profile__isnull=False) & ~Q(project=F("profile__project"))
        | Q(authority__isnull=False) & ~Q(project=F("authority__project"))
    )
    for certificate_id in astray.values_list("pk", flat=True).iterator(chunk_size=CHUNK):
        yield f"certificate {certificate_id}: its request, profile or authority is of another project"
    yield from version_findings()
    issued = IdempotencyRecord.objects.filter(act=IdempotentAct.ISSUE, certificate__isnull=False)
    other_owner = issued.exclude(
        certificate__request__requester_kind=F("requester_kind"),
        certificate__request__requester_id=F("requester_id"),
    )
    for record_id in other_owner.values_list("pk", flat=True).iterator(chunk_size=CHUNK):
        yield f"idempotency record {record_id}: stands for a certificate of another requester"


def journal_findings() -> Iterator[str]:
    """What the journal knows and the database does not, or the other way round."""
    try:
        for difference in Reconciliation(now=timezone.now(), apply=False).differences():
            if difference.kind is not Kind.UNDER_WAY:
                told = difference.problem or "run manage.py reconcile"
                yield f"journal and database differ in {difference.kind}: {difference.subject}: {told}"
    except (OSError, EOFError) as problem:
        yield f"the journal in {settings.PKI_PORTAL_JOURNAL} cannot be read: {problem}"


def version_findings() -> Iterator[str]:
    """A request points at versions of its own profile and of the template that the profile had; numbers have no gap."""
    astray = CertificateRequest.objects.filter(
        Q(profile_version__isnull=False)
        & (
            ~Q(project=F("profile_version__project"))
            | Q(profile__isnull=False) & ~Q(profile=F("profile_version__profile_id"))
        )
        | Q(template_version__isnull=False) & ~Q(project=F("template_version__project"))
    )
    for request_id in astray.values_list("pk", flat=True).iterator(chunk_size=CHUNK):
        yield f"request {request_id}: the versions that judged it are of another profile or of another project"
    unjudged = CertificateRequest.objects.filter(
        decision__isnull=False, profile_version__isnull=True, profile__isnull=False
    )
    for request_id, certificate_id in unjudged.values_list("pk", "certificate").iterator(chunk_size=CHUNK):
        # One that `reconcile` brought back may have been judged by versions that the database has lost.
        history = AuditEvent.objects.filter(subject_type="certificate", subject_id=str(certificate_id))
        if not history.filter(event=RECONCILED_EVENT).exists():
            yield f"request {request_id}: the versions that judged it are missing"
    yield from _pairing_findings()
    for rows, versions, owner in (
        (CertificateTemplate.objects, TemplateVersion.objects, "template_id"),
        (CertificateProfile.objects, ProfileVersion.objects, "profile_id"),
    ):
        kept = {
            row[owner]: (row["count"], row["newest"])
            for row in versions.order_by().values(owner).annotate(count=Count("pk"), newest=Max("number"))
        }
        for pk, version in rows.order_by("pk").values_list("pk", "version").iterator(chunk_size=CHUNK):
            if kept.get(pk) != (version, version):
                yield f"{owner.removesuffix('_id')} {pk}: is at version {version}; not all versions up to it are kept"


def _pairing_findings() -> Iterator[str]:
    pairs = (
        CertificateRequest.objects.filter(profile_version__isnull=False)
        .order_by()
        .values_list(
            "profile_version_id",
            "profile_version__document__template__id",
            "template_version_id",
            "template_version__template_id",
        )
        .distinct()
    )
    for profile_version, named, template_version, template in pairs.iterator(chunk_size=CHUNK):
        if named != str(template):
            yield (
                f"profile version {profile_version}: requests that it judged point at template version"
                f" {template_version}, which is not of its template {named}"
            )
