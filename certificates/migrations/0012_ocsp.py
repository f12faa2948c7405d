"""OCSP: responders for CA keys, answers signed in advance, and a switch for each CA."""

import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("certificates", "0011_partial_crls"),
    ]

    operations = [
        migrations.AddField(
            model_name="certificateauthority",
            name="is_ocsp_enabled",
            field=models.BooleanField(default=True),
        ),
        migrations.CreateModel(
            name="OcspResponder",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("serial_number", models.CharField(max_length=40)),
                ("der", models.BinaryField()),
                ("sealed_private_key", models.BinaryField(null=True)),
                ("not_before", models.DateTimeField()),
                ("not_after", models.DateTimeField()),
                (
                    "key",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="ocsp_responders",
                        to="certificates.authoritykey",
                    ),
                ),
            ],
            options={
                "verbose_name": "OCSP responder",
                "indexes": [models.Index(fields=["key", "-not_after"], name="ocsp_responder_newest")],
                "constraints": [
                    models.UniqueConstraint(fields=("key", "serial_number"), name="ocsp_responder_serial_unique")
                ],
            },
        ),
        migrations.CreateModel(
            name="OcspResponse",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("id_digest", models.CharField(max_length=64, unique=True)),
                ("der", models.BinaryField()),
                ("this_update", models.DateTimeField()),
                ("next_update", models.DateTimeField()),
                (
                    "certificate",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="ocsp_responses",
                        to="certificates.certificate",
                    ),
                ),
            ],
            options={
                "verbose_name": "OCSP response",
                "indexes": [models.Index(fields=["next_update"], name="ocsp_response_oldest")],
            },
        ),
    ]
