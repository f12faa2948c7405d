"""Revoked certificates of CAs; entries of revocation lists that outlive what they speak of."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("certificates", "0015_rehearsals"),
    ]

    operations = [
        migrations.AddField(
            model_name="authoritycertificate",
            name="revoked_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="revocationentry",
            name="authority_certificate",
            field=models.OneToOneField(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="revocation",
                to="certificates.authoritycertificate",
            ),
        ),
        migrations.AlterField(
            model_name="revocationentry",
            name="certificate",
            field=models.OneToOneField(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="revocation",
                to="certificates.certificate",
            ),
        ),
        migrations.AddConstraint(
            model_name="authoritycertificate",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("revoked_at__isnull", True), ("issuer_certificate__isnull", False), _connector="OR"
                ),
                name="authority_certificate_revoked_by_issuer",
            ),
        ),
        migrations.AddConstraint(
            model_name="revocationentry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("certificate__isnull", True), ("authority_certificate__isnull", True), _connector="OR"
                ),
                name="revocation_of_one_certificate",
            ),
        ),
    ]
