"""Certificate authorities, their keys and the versions of their certificates."""

import uuid

from django.db import models

from pki_portal.access.models import Project


class AuthorityKind(models.TextChoices):
    ROOT = "root", "Root"
    INTERMEDIATE = "intermediate", "Intermediate"


class AuthorityStatus(models.TextChoices):
    ACTIVE = "active", "Active"
    DISABLED = "disabled", "Disabled"
    PENDING_CERTIFICATE = "pending-certificate", "Pending certificate"


class KeyStore(models.TextChoices):
    DATABASE = "database", "Database"
    PKCS11 = "pkcs11", "PKCS#11 token"


class ChainPhase(models.TextChoices):
    """Where a root stands on its way from one key to the next: which key signs, and which chain is handed out."""

    OLD = "old", "Old root"
    CROSS_SIGNED = "cross-signed", "Cross-signed"
    NEW = "new", "New root"


class CertificateAuthority(models.Model):
    """An issuer: a name, a key and the certificates that bind them.

    ``max_path_length`` is what the CA asks for in its own certificate; None means no limit. ``not_before`` and
    ``not_after`` are those of ``active_certificate``, or the wanted ones while there is none.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="certificate_authorities")
    name = models.CharField(max_length=64)
    kind = models.CharField(max_length=16, choices=AuthorityKind.choices)
    status = models.CharField(max_length=24, choices=AuthorityStatus.choices)
    # Empty until a root gets a second key.
    chain_phase = models.CharField(max_length=16, choices=ChainPhase.choices, blank=True, default="")
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="children")
    friendly_name = models.CharField(max_length=255, blank=True, default="")
    common_name = models.CharField(max_length=64, blank=True, default="")
    organization = models.CharField(max_length=64, blank=True, default="")
    organizational_unit = models.CharField(max_length=64, blank=True, default="")
    country = models.CharField(max_length=2, blank=True, default="")
    state = models.CharField(max_length=128, blank=True, default="")
    locality = models.CharField(max_length=128, blank=True, default="")
    # DER of the whole name where it was not made here: the columns above then repeat what of it they can hold.
    encoded_subject = models.BinaryField(null=True, blank=True)
    key_algorithm = models.CharField(max_length=32)
    # Where its next key is made; where each of its keys is, the key says.
    key_store = models.CharField(max_length=16, choices=KeyStore.choices, default=KeyStore.DATABASE)
    max_path_length = models.PositiveSmallIntegerField(null=True, blank=True)
    # As `profiles.policy.name_constraints` writes them; of the active certificate, or the wanted ones.
    name_constraints = models.JSONField(default=dict, blank=True)
    # Further addresses of the CRL, written into certificates after our own.
    crl_distribution_point_urls = models.JSONField(default=list, blank=True)
    not_before = models.DateTimeField(null=True, blank=True)
    not_after = models.DateTimeField(null=True, blank=True)
    # Whether its certificates name our OCSP responder, and whether that answers for them.
    is_ocsp_enabled = models.BooleanField(default=True)
    active_certificate = models.ForeignKey(
        "certificates.AuthorityCertificate", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "certificate authorities"
        ordering = ("-created_at", "id")
        constraints = (
            models.UniqueConstraint(fields=("project", "name"), name="authority_name_unique_in_project"),
            models.CheckConstraint(
                condition=models.Q(kind=AuthorityKind.INTERMEDIATE) | models.Q(parent__isnull=True),
                name="root_authority_has_no_parent",
            ),
            models.CheckConstraint(
                condition=models.Q(status=AuthorityStatus.PENDING_CERTIFICATE, active_certificate__isnull=True)
                | (~models.Q(status=AuthorityStatus.PENDING_CERTIFICATE) & models.Q(active_certificate__isnull=False)),
                name="authority_pending_exactly_without_certificate",
            ),
        )

    def __str__(self) -> str:
        return self.name


class AuthorityKey(models.Model):
    """A CA's key pair; the private half as sealed bytes that are bound to this row's id, or in a token by its label."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    authority = models.ForeignKey(CertificateAuthority, on_delete=models.CASCADE, related_name="keys")
    subject_public_key_info = models.BinaryField()
    key_store = models.CharField(max_length=16, choices=KeyStore.choices, default=KeyStore.DATABASE)
    sealed_private_key = models.BinaryField(null=True)
    token_label = models.CharField(max_length=64, blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=models.Q(key_store=KeyStore.DATABASE, sealed_private_key__isnull=False, token_label="")
                | (models.Q(key_store=KeyStore.PKCS11, sealed_private_key__isnull=True) & ~models.Q(token_label="")),
                name="authority_key_sealed_or_in_token",
            ),
        )

    def __str__(self) -> str:
        return f"key {self.id}"


class AuthorityCertificate(models.Model):
    """One version of a CA's own certificate; ``issuer_certificate`` is None where no CA of ours signed it.

    ``revoked_at`` repeats what its ``revocation`` says, which has the reason; only what ours signed can be revoked.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    authority = models.ForeignKey(CertificateAuthority, on_delete=models.CASCADE, related_name="certificates")
    key = models.ForeignKey(AuthorityKey, on_delete=models.PROTECT, related_name="certificates")
    issuer_certificate = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="issued_authority_certificates"
    )
    version = models.PositiveIntegerField()
    serial_number = models.CharField(max_length=40)
    der = models.BinaryField()
    # Certificates above the issuer's that live elsewhere, issuer first, root last (PEM); empty where all are ours.
    external_chain = models.TextField(blank=True, default="")
    path_length = models.PositiveSmallIntegerField(null=True, blank=True)
    not_before = models.DateTimeField()
    not_after = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("authority", "version")
        constraints = (
            models.UniqueConstraint(fields=("authority", "version"), name="authority_certificate_version_unique"),
            # RFC 5280, 4.1.2.2, for one version of an issuer of ours. Those without an issuer (roots, and what
            # others signed) are not compared, nor are end entities: there the randomness of serial numbers is all.
            models.UniqueConstraint(
                fields=("issuer_certificate", "serial_number"), name="authority_certificate_serial_unique"
            ),
            models.CheckConstraint(
                condition=models.Q(revoked_at__isnull=True) | models.Q(issuer_certificate__isnull=False),
                name="authority_certificate_revoked_by_issuer",
            ),
        )

    def __str__(self) -> str:
        return f"{self.serial_number} (version {self.version})"
