"""Adds to the busiest table a column, with a default for whoever does not know it, and a table of its own."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("certificates", "0001_initial")]
    operations = [
        migrations.RunSQL("ALTER TABLE certificates_certificate ADD COLUMN later text NOT NULL DEFAULT ''"),
        migrations.RunSQL("CREATE TABLE later_release (id bigint PRIMARY KEY)"),
    ]
