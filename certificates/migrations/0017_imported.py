import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("access", "0001_initial"),
        ("certificates", "0016_authority_revocation"),
        ("profiles", "0005_lint_waivers"),
    ]

    operations = [
        migrations.AddField(
            model_name="certificate",
            name="external_chain",
            field=models.TextField(blank=True, default=""),
        ),
        migrations.AddField(
            model_name="certificate",
            name="friendly_name",
            field=models.CharField(blank=True, default="", max_length=255),
        ),
        migrations.AddField(
            model_name="certificate",
            name="source",
            field=models.CharField(
                choices=[("issued", "Issued here"), ("imported", "Imported")], default="issued", max_length=16
            ),
        ),
        migrations.AlterField(
            model_name="certificate",
            name="fingerprint_sha256",
            field=models.CharField(max_length=64),
        ),
        migrations.AlterField(
            model_name="certificate",
            name="key_source",
            field=models.CharField(
                choices=[("portal", "Made by the portal"), ("applicant", "From a CSR"), ("imported", "Imported")],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="certificate",
            name="request",
            field=models.OneToOneField(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="certificate",
                to="certificates.certificaterequest",
            ),
        ),
        migrations.AddConstraint(
            model_name="certificate",
            constraint=models.UniqueConstraint(
                fields=("fingerprint_sha256", "project"), name="certificate_fingerprint_once_per_project"
            ),
        ),
        migrations.AddConstraint(
            model_name="certificate",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("external_chain", ""),
                        ("request__isnull", False),
                        ("source", "issued"),
                        models.Q(("key_source", "imported"), _negated=True),
                    ),
                    models.Q(
                        ("authority__isnull", True),
                        ("key_source", "imported"),
                        ("profile__isnull", True),
                        ("renew_at__isnull", True),
                        ("request__isnull", True),
                        ("source", "imported"),
                        ("status", "active"),
                    ),
                    _connector="OR",
                ),
                name="certificate_imported_has_nothing_here",
            ),
        ),
    ]
