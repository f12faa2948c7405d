"""What was revoked, entry by entry; the keys that must not be certified again; the key of every certificate."""

import hashlib
import uuid

import django.db.models.deletion
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def fill_public_key_digests(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Read the key out of each certificate that is there already."""
    certificates = apps.get_model("certificates", "Certificate").objects.only("pk", "der", "public_key_sha256")
    for row in certificates.iterator(chunk_size=500):
        public_key = x509.load_der_x509_certificate(bytes(row.der)).public_key()
        row.public_key_sha256 = hashlib.sha256(
            public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        ).hexdigest()
        row.save(update_fields=["public_key_sha256"])


class Migration(migrations.Migration):
    dependencies = [
        ("access", "0001_initial"),
        ("certificates", "0009_authority_chain_phase"),
        ("profiles", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="BlockedKey",
            fields=[
                ("digest", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("blocked_at", models.DateTimeField()),
                ("serial_number", models.CharField(max_length=40)),
            ],
        ),
        migrations.CreateModel(
            name="RevocationEntry",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("serial_number", models.CharField(max_length=40)),
                ("not_after", models.DateTimeField()),
                ("revoked_at", models.DateTimeField()),
                (
                    "reason",
                    models.PositiveSmallIntegerField(
                        choices=[
                            (0, "Unspecified"),
                            (1, "Key compromise"),
                            (2, "CA compromise"),
                            (3, "Affiliation changed"),
                            (4, "Superseded"),
                            (5, "Cessation of operation"),
                            (6, "Certificate hold"),
                            (9, "Privilege withdrawn"),
                            (10, "Attribute authority compromise"),
                        ]
                    ),
                ),
                ("invalidity_date", models.DateTimeField(blank=True, null=True)),
                ("released_at", models.DateTimeField(blank=True, null=True)),
                ("revision", models.PositiveBigIntegerField()),
                ("der", models.BinaryField()),
                ("actor_kind", models.CharField(max_length=16)),
                ("actor_id", models.CharField(max_length=64)),
                ("actor_name", models.CharField(max_length=255)),
            ],
            options={
                "verbose_name_plural": "revocation entries",
                "ordering": ("revoked_at", "serial_number"),
            },
        ),
        migrations.AddField(
            model_name="certificate",
            name="public_key_sha256",
            field=models.CharField(default="", max_length=64),
            preserve_default=False,
        ),
        migrations.RunPython(fill_public_key_digests, migrations.RunPython.noop),
        migrations.AddField(
            model_name="certificaterevocationlist",
            name="published_revision",
            field=models.PositiveBigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="certificaterevocationlist",
            name="revision",
            field=models.PositiveBigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="idempotencyrecord",
            name="act",
            field=models.CharField(choices=[("issue", "Issue"), ("revoke", "Revoke")], default="issue", max_length=16),
        ),
        migrations.AddIndex(
            model_name="certificate",
            index=models.Index(fields=["public_key_sha256"], name="certificate_public_key"),
        ),
        migrations.AddField(
            model_name="revocationentry",
            name="certificate",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.PROTECT, related_name="revocation", to="certificates.certificate"
            ),
        ),
        migrations.AddField(
            model_name="revocationentry",
            name="revocation_list",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="entries",
                to="certificates.certificaterevocationlist",
            ),
        ),
        migrations.AddIndex(
            model_name="revocationentry",
            index=models.Index(
                fields=["revocation_list", "revoked_at", "serial_number"], name="revocation_in_list_order"
            ),
        ),
        migrations.AddIndex(
            model_name="revocationentry",
            index=models.Index(fields=["revocation_list", "revision"], name="revocation_by_revision"),
        ),
        migrations.AddConstraint(
            model_name="revocationentry",
            constraint=models.UniqueConstraint(
                fields=("revocation_list", "serial_number"), name="revocation_entry_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="revocationentry",
            constraint=models.CheckConstraint(
                condition=models.Q(("released_at__isnull", True), ("reason", 6), _connector="OR"),
                name="revocation_released_only_from_hold",
            ),
        ),
    ]
