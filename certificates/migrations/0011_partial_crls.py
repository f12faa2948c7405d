"""Delta CRLs, CRLs in shards, and what tells a scheduled list from one that a revocation called for."""

import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("certificates", "0010_revocation"),
    ]

    operations = [
        migrations.CreateModel(
            name="DeltaRevocationList",
            fields=[
                (
                    "revocation_list",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="delta",
                        serialize=False,
                        to="certificates.certificaterevocationlist",
                    ),
                ),
                ("number", models.PositiveBigIntegerField()),
                ("base_number", models.PositiveBigIntegerField()),
                ("der", models.BinaryField()),
                ("this_update", models.DateTimeField()),
                ("next_update", models.DateTimeField()),
                ("revision", models.PositiveBigIntegerField()),
            ],
        ),
        migrations.AddField(
            model_name="certificaterevocationlist",
            name="base_number",
            field=models.PositiveBigIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="certificaterevocationlist",
            name="base_revision",
            field=models.PositiveBigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="certificaterevocationlist",
            name="entry_count",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="certificaterevocationlist",
            name="scheduled_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="certificaterevocationlist",
            name="shard_generation",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.CreateModel(
            name="RevocationListShard",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("revision", models.PositiveBigIntegerField(default=0)),
                ("number", models.PositiveBigIntegerField(blank=True, null=True)),
                ("der", models.BinaryField(blank=True, null=True)),
                ("this_update", models.DateTimeField(blank=True, null=True)),
                ("next_update", models.DateTimeField(blank=True, null=True)),
                ("published_revision", models.PositiveBigIntegerField(default=0)),
                ("entry_count", models.PositiveIntegerField(default=0)),
                ("scheduled_at", models.DateTimeField(blank=True, null=True)),
                ("generation", models.PositiveIntegerField()),
                (
                    "revocation_list",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="shards",
                        to="certificates.certificaterevocationlist",
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="revocationentry",
            name="shard",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="entries",
                to="certificates.revocationlistshard",
            ),
        ),
        migrations.AddIndex(
            model_name="revocationentry",
            index=models.Index(
                condition=models.Q(("shard__isnull", False)),
                fields=["shard", "revoked_at", "serial_number"],
                name="revocation_in_shard_order",
            ),
        ),
        migrations.AddIndex(
            model_name="revocationlistshard",
            index=models.Index(fields=["revocation_list", "generation"], name="crl_shard_generation"),
        ),
    ]
