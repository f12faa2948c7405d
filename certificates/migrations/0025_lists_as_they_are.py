"""Store published lists as they are, not compressed."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

TABLES = ("certificaterevocationlist", "revocationlistshard", "deltarevocationlist")


def store_as_they_are(_: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    """Serial numbers are random, so PostgreSQL would spend a second on a list of a million entries for little."""
    if editor.connection.vendor == "postgresql":
        for table in TABLES:
            editor.execute(f"ALTER TABLE certificates_{table} ALTER COLUMN der SET STORAGE EXTERNAL")


class Migration(migrations.Migration):
    dependencies = (("certificates", "0024_fewer_indexes"),)

    operations = (migrations.RunPython(store_as_they_are, migrations.RunPython.noop),)
