"""Issued certificates."""

import uuid

from cryptography import x509
from django.db import models

from certificates.models.authority import AuthorityCertificate, CertificateAuthority
from certificates.models.request import CertificateRequest
from certificates.x509.names import distinguished_name
from pki_portal.access.models import Project
from pki_portal.errors import NotFound
from profiles.models import CertificateProfile


class CertificateStatus(models.TextChoices):
    """Stored states; "expired" is computed from ``not_after``."""

    ACTIVE = "active", "Active"
    REVOKED = "revoked", "Revoked"


class CertificateSource(models.TextChoices):
    ISSUED = "issued", "Issued here"
    IMPORTED = "imported", "Imported"


class KeySource(models.TextChoices):
    PORTAL = "portal", "Made by the portal"
    APPLICANT = "applicant", "From a CSR"
    IMPORTED = "imported", "Imported"


class RevocationReason(models.IntegerChoices):
    """CRLReason codes (RFC 5280, 5.3.1); 7 is unused and 8 (removeFromCRL) is for delta CRLs alone."""

    UNSPECIFIED = 0, "Unspecified"
    KEY_COMPROMISE = 1, "Key compromise"
    CA_COMPROMISE = 2, "CA compromise"
    AFFILIATION_CHANGED = 3, "Affiliation changed"
    SUPERSEDED = 4, "Superseded"
    CESSATION_OF_OPERATION = 5, "Cessation of operation"
    CERTIFICATE_HOLD = 6, "Certificate hold"
    PRIVILEGE_WITHDRAWN = 9, "Privilege withdrawn"
    A_A_COMPROMISE = 10, "Attribute authority compromise"


class Certificate(models.Model):
    """One end-entity (or profile-issued CA) certificate; every column but the links repeats what ``der`` says.

    An imported one was issued elsewhere, to anybody: it has no request, profile or CA here, and is watched alone. What
    is in one project says nothing to another, so that each can have a row of its own for the same certificate.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # The indexes below that begin with it do for its own, as with the CA.
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="certificates", db_index=False)
    profile = models.ForeignKey(
        CertificateProfile, on_delete=models.SET_NULL, null=True, blank=True, related_name="certificates"
    )
    source = models.CharField(max_length=16, choices=CertificateSource.choices, default=CertificateSource.ISSUED)
    # None where it was imported.
    request = models.OneToOneField(
        CertificateRequest, on_delete=models.PROTECT, null=True, blank=True, related_name="certificate"
    )
    # Both None for a self-signed and for an imported certificate.
    authority = models.ForeignKey(
        CertificateAuthority,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="issued_certificates",
        db_index=False,
    )
    authority_certificate = models.ForeignKey(
        AuthorityCertificate, on_delete=models.PROTECT, null=True, blank=True, related_name="issued_certificates"
    )
    # PEM of what was imported with a certificate: issuer first, as far as it was given.
    external_chain = models.TextField(blank=True, default="")
    # What people call an imported certificate.
    friendly_name = models.CharField(max_length=255, blank=True, default="")
    status = models.CharField(max_length=16, choices=CertificateStatus.choices, default=CertificateStatus.ACTIVE)
    # 40 lower-case hex digits (RFC 5280, 4.1.2.2: at most 20 octets, positive).
    serial_number = models.CharField(max_length=40)
    # Several values of one attribute, as a CSR's subject may hold, are comma-joined.
    common_name = models.TextField(blank=True, default="")
    organization = models.TextField(blank=True, default="")
    organizational_unit = models.TextField(blank=True, default="")
    country = models.TextField(blank=True, default="")
    state = models.TextField(blank=True, default="")
    locality = models.TextField(blank=True, default="")
    # In the order of the certificate: [{"type": "dns_name", "value": "..."}].
    subject_alternative_names = models.JSONField(default=list)
    # The values alone, comma-joined, for search and the wire's `altNames`.
    alt_names = models.TextField(blank=True, default="")
    key_usages = models.JSONField(default=list)
    extended_key_usages = models.JSONField(default=list)
    key_algorithm = models.CharField(max_length=32)
    signature_algorithm = models.CharField(max_length=32)
    is_ca = models.BooleanField(default=False)
    path_length = models.PositiveSmallIntegerField(null=True, blank=True)
    not_before = models.DateTimeField()
    not_after = models.DateTimeField()
    fingerprint_sha256 = models.CharField(max_length=64)
    fingerprint_sha1 = models.CharField(max_length=40)
    # SHA-256 of the DER of SubjectPublicKeyInfo: finds the other certificates of one key.
    public_key_sha256 = models.CharField(max_length=64)
    der = models.BinaryField()
    key_source = models.CharField(max_length=16, choices=KeySource.choices)
    metadata = models.JSONField(default=list, blank=True)
    lint_findings = models.JSONField(default=list, blank=True)
    renewed_from = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="renewed_by"
    )
    renew_before_days = models.PositiveSmallIntegerField(null=True, blank=True)
    renew_at = models.DateTimeField(null=True, blank=True)
    # Set by hand on this certificate: its successor takes it over, where others take what their profile says.
    has_own_renewal = models.BooleanField(default=False)
    # Why its last renewal was refused, for people; empty after a success.
    renewal_error = models.TextField(blank=True, default="")
    revoked_at = models.DateTimeField(null=True, blank=True)
    revocation_reason = models.PositiveSmallIntegerField(null=True, blank=True, choices=RevocationReason.choices)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("-created_at", "id")
        indexes = (
            models.Index(fields=("project", "-created_at", "id"), name="certificate_project_newest"),
            models.Index(fields=("project", "not_after"), name="certificate_project_expiry"),
            models.Index(fields=("serial_number",), name="certificate_serial"),
            models.Index(fields=("public_key_sha256",), name="certificate_public_key"),
            models.Index(
                fields=("renew_at",), condition=models.Q(renew_at__isnull=False), name="certificate_renewal_due"
            ),
            models.Index(fields=("project",), condition=~models.Q(renewal_error=""), name="certificate_renewal_failed"),
            models.Index(
                fields=("project", "-created_at", "id"),
                condition=models.Q(status=CertificateStatus.REVOKED),
                name="certificate_revoked_newest",
            ),
            # All that finds the newest certificates of a profile that renew by themselves, so that no row is read.
            models.Index(
                fields=("profile", "-created_at", "id", "status", "not_after"),
                condition=models.Q(renew_at__isnull=False),
                name="certificate_renewing",
            ),
        )
        constraints = (
            # RFC 5280, 4.1.2.2: the serial number is unique for each issuer.
            models.UniqueConstraint(fields=("authority", "serial_number"), name="certificate_serial_unique_per_issuer"),
            # In this order it finds a fingerprint in whatever project, too.
            models.UniqueConstraint(
                fields=("fingerprint_sha256", "project"), name="certificate_fingerprint_once_per_project"
            ),
            models.CheckConstraint(
                condition=models.Q(not_after__gt=models.F("not_before")), name="certificate_validity_forward"
            ),
            models.CheckConstraint(
                condition=models.Q(authority__isnull=True, authority_certificate__isnull=True)
                | models.Q(authority__isnull=False, authority_certificate__isnull=False),
                name="certificate_issuer_whole_or_none",
            ),
            models.CheckConstraint(
                condition=(
                    models.Q(source=CertificateSource.ISSUED, request__isnull=False, external_chain="")
                    & ~models.Q(key_source=KeySource.IMPORTED)
                )
                | models.Q(
                    source=CertificateSource.IMPORTED,
                    key_source=KeySource.IMPORTED,
                    request__isnull=True,
                    profile__isnull=True,
                    authority__isnull=True,
                    status=CertificateStatus.ACTIVE,
                    renew_at__isnull=True,
                ),
                name="certificate_imported_has_nothing_here",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    status=CertificateStatus.REVOKED, revoked_at__isnull=False, revocation_reason__isnull=False
                )
                | models.Q(status=CertificateStatus.ACTIVE, revoked_at__isnull=True, revocation_reason__isnull=True),
                name="certificate_revoked_with_time_and_reason",
            ),
            models.CheckConstraint(
                condition=models.Q(renew_before_days__isnull=True, renew_at__isnull=True)
                | models.Q(renew_before_days__isnull=False, renew_at__isnull=False),
                name="certificate_renewal_day_with_instant",
            ),
        )

    def __str__(self) -> str:
        return self.common_name or self.alt_names or self.serial_number

    @property
    def is_imported(self) -> bool:
        """Whether it was issued elsewhere."""
        return self.source == CertificateSource.IMPORTED

    @property
    def issuing_request(self) -> CertificateRequest:
        """What it was issued for. Raises NotFound where it was imported: nothing was asked here then."""
        if self.request is None:
            raise NotFound("The certificate was imported: there is no request for it here, nor a decision.")
        return self.request

    @property
    def subject_name(self) -> str:
        """The subject as ``C=US, O=Acme, CN=www.acme.com``, read from the encoding."""
        return distinguished_name(x509.load_der_x509_certificate(bytes(self.der)).subject)

    @property
    def issuer_name(self) -> str:
        """The issuer likewise."""
        return distinguished_name(x509.load_der_x509_certificate(bytes(self.der)).issuer)


class IdempotentAct(models.TextChoices):
    """What an Idempotency-Key can stand for."""

    ISSUE = "issue", "Issue"
    RENEW = "renew", "Renew"
    REVOKE = "revoke", "Revoke"


class IdempotencyRecord(models.Model):
    """One use of an Idempotency-Key by one requester; kept 24 h, holds digests and a link, never an answer.

    ``certificate``, the one issued or revoked, or ``request``, the one that waits for approval, is set in the
    transaction of the act, by whoever still holds ``claim``: of two processes that work on one key, at most one
    commits.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    act = models.CharField(max_length=16, choices=IdempotentAct.choices, default=IdempotentAct.ISSUE)
    requester_kind = models.CharField(max_length=16)
    requester_id = models.CharField(max_length=64)
    key_digest = models.CharField(max_length=64)
    body_digest = models.CharField(max_length=64)
    claim = models.UUIDField(default=uuid.uuid4)
    claimed_at = models.DateTimeField()
    certificate = models.ForeignKey(Certificate, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    request = models.ForeignKey(CertificateRequest, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("requester_kind", "requester_id", "key_digest"), name="idempotency_key_once_per_requester"
            ),
        )
        indexes = (models.Index(fields=("created_at",), name="idempotency_oldest"),)

    def __str__(self) -> str:
        return f"idempotency record {self.id}"
