"""What was revoked, and what is published about it."""

import uuid

from django.db import models

from certificates.models.authority import AuthorityCertificate, AuthorityKey
from certificates.models.certificate import Certificate, RevocationReason


class PublishedList(models.Model):
    """What every CRL here has; ``id`` is in the URL that certificates carry: it never changes.

    ``revision`` counts the revocations and releases that the list has to tell, each in the transaction of the act;
    ``published_revision`` is what it was when the published list was counted. Where they differ, the list is stale.
    ``scheduled_at`` is thisUpdate of the last list that was published because its time had come, not because of a
    revocation. ``der`` is the published list without its ``segments``, the ids of ``RevocationSegment`` rows in their
    order, which belong ``segments_at`` octets after its beginning; a list of few entries has none.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    revision = models.PositiveBigIntegerField(default=0)
    # None only until the first is published: there may be no issuer name to sign with.
    number = models.PositiveBigIntegerField(null=True, blank=True)
    der = models.BinaryField(null=True, blank=True)
    segments = models.JSONField(default=list, db_default=models.Value([], output_field=models.JSONField()), blank=True)
    segments_at = models.PositiveIntegerField(default=0, db_default=0)
    this_update = models.DateTimeField(null=True, blank=True)
    next_update = models.DateTimeField(null=True, blank=True)
    published_revision = models.PositiveBigIntegerField(default=0)
    entry_count = models.PositiveIntegerField(default=0)
    scheduled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True


class CertificateRevocationList(PublishedList):
    """The complete CRL of one CA key (RFC 5280, 5): all that was revoked under the key, wherever else it is listed.

    ``base_number`` and ``base_revision`` are those of the last scheduled list: delta CRLs say what changed since.
    ``shard_generation`` counts how often shards were opened; certificates name those of the last time.
    """

    key = models.OneToOneField(AuthorityKey, on_delete=models.CASCADE, related_name="revocation_list")
    base_number = models.PositiveBigIntegerField(null=True, blank=True)
    base_revision = models.PositiveBigIntegerField(default=0)
    shard_generation = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=models.Q(
                    number__isnull=True, der__isnull=True, this_update__isnull=True, next_update__isnull=True
                )
                | models.Q(
                    number__isnull=False, der__isnull=False, this_update__isnull=False, next_update__isnull=False
                ),
                name="crl_complete_or_not_yet_made",
            ),
        )

    def __str__(self) -> str:
        return f"CRL {self.id}"


class RevocationListShard(PublishedList):
    """A CRL of only those certificates that name it (RFC 5280, 5.2.5), so that none grows without bound."""

    revocation_list = models.ForeignKey(CertificateRevocationList, on_delete=models.CASCADE, related_name="shards")
    generation = models.PositiveIntegerField()

    class Meta:
        indexes = (models.Index(fields=("revocation_list", "generation"), name="crl_shard_generation"),)

    def __str__(self) -> str:
        return f"CRL shard {self.id}"


class DeltaRevocationList(models.Model):
    """What changed since the last scheduled CRL of a key (RFC 5280, 5.2.4).

    ``revision`` is that of the complete list when the changes were counted.
    """

    revocation_list = models.OneToOneField(
        CertificateRevocationList, on_delete=models.CASCADE, primary_key=True, related_name="delta"
    )
    number = models.PositiveBigIntegerField()
    base_number = models.PositiveBigIntegerField()
    der = models.BinaryField()
    this_update = models.DateTimeField()
    next_update = models.DateTimeField()
    revision = models.PositiveBigIntegerField()

    def __str__(self) -> str:
        return f"delta of CRL {self.revocation_list_id}"


class RevocationEntry(models.Model):
    """One certificate that was revoked or put on hold, as its CRL lists it; stored in the transaction of the act.

    It is an end entity's or a CA's, or of neither where ``reconcile`` does not know if the certificate was signed: then
    its serial number is on hold. The entry outlives both rows: relying parties may hold the certificate for longer
    than we do (RFC 5280, 3.3). A released hold stays as a row with ``released_at``: it is on no list any more, but a
    delta CRL may have to say so.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    revocation_list = models.ForeignKey(CertificateRevocationList, on_delete=models.PROTECT, related_name="entries")
    # The shard that the certificate names, if it names one; the complete list has the entry as well.
    shard = models.ForeignKey(
        RevocationListShard, on_delete=models.PROTECT, null=True, blank=True, related_name="entries"
    )
    certificate = models.OneToOneField(
        Certificate, on_delete=models.SET_NULL, null=True, blank=True, related_name="revocation"
    )
    authority_certificate = models.OneToOneField(
        AuthorityCertificate, on_delete=models.SET_NULL, null=True, blank=True, related_name="revocation"
    )
    # 40 lower-case hex digits; repeated from the certificate, as is not_after: lists are made from this table alone.
    serial_number = models.CharField(max_length=40)
    not_after = models.DateTimeField()
    revoked_at = models.DateTimeField()
    reason = models.PositiveSmallIntegerField(choices=RevocationReason.choices)
    invalidity_date = models.DateTimeField(null=True, blank=True)
    released_at = models.DateTimeField(null=True, blank=True)
    # The list's revision at the last change of this row.
    revision = models.PositiveBigIntegerField()
    # The entry as it stands in the CRL (RFC 5280, 5.1.2.6): encoded once, here, however many lists it goes into.
    der = models.BinaryField()
    actor_kind = models.CharField(max_length=16)
    actor_id = models.CharField(max_length=64)
    actor_name = models.CharField(max_length=255)

    class Meta:
        verbose_name_plural = "revocation entries"
        ordering = ("revoked_at", "serial_number")
        constraints = (
            # RFC 5280, 5.1.2.6: one entry for each serial number.
            models.UniqueConstraint(fields=("revocation_list", "serial_number"), name="revocation_entry_once"),
            models.CheckConstraint(
                condition=models.Q(released_at__isnull=True) | models.Q(reason=RevocationReason.CERTIFICATE_HOLD),
                name="revocation_released_only_from_hold",
            ),
            models.CheckConstraint(
                condition=models.Q(certificate__isnull=True) | models.Q(authority_certificate__isnull=True),
                name="revocation_of_one_certificate",
            ),
        )
        indexes = (
            models.Index(fields=("revocation_list", "revoked_at", "serial_number"), name="revocation_in_list_order"),
            models.Index(fields=("revocation_list", "revision"), name="revocation_by_revision"),
            models.Index(
                fields=("shard", "revoked_at", "serial_number"),
                condition=models.Q(shard__isnull=False),
                name="revocation_in_shard_order",
            ),
            models.Index(
                fields=("revocation_list", "revision"),
                condition=models.Q(reason=RevocationReason.CERTIFICATE_HOLD, released_at__isnull=True),
                name="revocation_on_hold",
            ),
        )

    def __str__(self) -> str:
        return f"revocation of {self.serial_number}"


class RevocationSegment(models.Model):
    """Entries of a complete list that were encoded one after the other once, for all lists to come.

    They are those that were revoked for good by ``first_revision`` to ``last_revision`` and were still to be listed
    then, in the order of their revisions, those of one revision in the order of their encodings. The segments of a list
    leave out no revision up to the last one's. A row never changes, except that another takes its place: it is kept for
    a while then, for those who are downloading a list that it is part of.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    revocation_list = models.ForeignKey(
        CertificateRevocationList, on_delete=models.CASCADE, related_name="segment_rows"
    )
    first_revision = models.PositiveBigIntegerField()
    last_revision = models.PositiveBigIntegerField()
    entry_count = models.PositiveIntegerField()
    # Octets of der.
    size = models.PositiveIntegerField()
    der = models.BinaryField()
    # The earliest end of an entry: the later one of its not_after and revoked_at. None without entries.
    first_end = models.DateTimeField(null=True)
    replaced_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("revocation_list", "first_revision"),
                condition=models.Q(replaced_at__isnull=True),
                name="revocation_segment_once",
            ),
        )

    def __str__(self) -> str:
        return f"revocations {self.first_revision} to {self.last_revision} of CRL {self.revocation_list_id}"


class BlockedKey(models.Model):
    """A public key that was revoked for keyCompromise, or a CA's for cACompromise: it is certified never again."""

    # SHA-256 of the DER of SubjectPublicKeyInfo, lower-case hex.
    digest = models.CharField(max_length=64, primary_key=True)
    blocked_at = models.DateTimeField()
    # The serial number of the certificate whose revocation blocked it.
    serial_number = models.CharField(max_length=40)

    def __str__(self) -> str:
        return self.digest


class OcspResponder(models.Model):
    """A certificate with which OCSP answers are signed for one CA key; its sealed key until it has ended."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key = models.ForeignKey(AuthorityKey, on_delete=models.CASCADE, related_name="ocsp_responders")
    serial_number = models.CharField(max_length=40)
    der = models.BinaryField()
    sealed_private_key = models.BinaryField(null=True)
    not_before = models.DateTimeField()
    not_after = models.DateTimeField()

    class Meta:
        verbose_name = "OCSP responder"
        indexes = (models.Index(fields=("key", "-not_after"), name="ocsp_responder_newest"),)
        constraints = (models.UniqueConstraint(fields=("key", "serial_number"), name="ocsp_responder_serial_unique"),)

    def __str__(self) -> str:
        return f"OCSP responder {self.serial_number}"


class OcspResponse(models.Model):
    """An answer about one certificate, signed before it is asked for again; deleted in the transaction that revokes."""

    certificate = models.ForeignKey(Certificate, on_delete=models.CASCADE, related_name="ocsp_responses")
    # Of the CA's id and the request's CertID as sent, which the answer repeats.
    id_digest = models.CharField(max_length=64, unique=True)
    der = models.BinaryField()
    this_update = models.DateTimeField()
    next_update = models.DateTimeField()

    class Meta:
        verbose_name = "OCSP response"
        indexes = (models.Index(fields=("next_update",), name="ocsp_response_oldest"),)

    def __str__(self) -> str:
        return f"OCSP response {self.pk}"
