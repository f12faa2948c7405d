from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("profiles", "0004_key_retention"),
    ]

    operations = [
        migrations.AddField(
            model_name="certificateprofile",
            name="lint_waivers",
            field=models.JSONField(blank=True, default=list),
        ),
    ]
