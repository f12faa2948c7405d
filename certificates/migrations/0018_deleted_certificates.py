"""Requests remember that the certificate that came of them was deleted."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("certificates", "0017_imported"),
    ]

    operations = [
        migrations.AddField(
            model_name="certificaterequest",
            name="certificate_deleted_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
