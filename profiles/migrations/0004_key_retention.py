from django.db import migrations, models

import profiles.models.profile


class Migration(migrations.Migration):
    dependencies = [
        ("profiles", "0003_first_versions"),
    ]

    operations = [
        migrations.AddField(
            model_name="certificateprofile",
            name="key_retention",
            field=models.CharField(choices=profiles.models.profile.key_retentions, default="once", max_length=16),
        ),
    ]
