"""Give every certificate that renews by itself its row for the worker."""

from itertools import islice

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

BATCH = 500


def add_rows(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    certificates = apps.get_model("certificates", "Certificate").objects.using(editor.connection.alias)
    auto_renewal = apps.get_model("certificates", "AutoRenewal")
    renewing = certificates.filter(renew_at__isnull=False, renewed_by__isnull=True, status="active")

    rows = renewing.values_list("pk", "renew_at").iterator(BATCH)
    while batch := list(islice(rows, BATCH)):
        auto_renewal.objects.using(editor.connection.alias).bulk_create(
            [auto_renewal(certificate_id=key, due_at=renew_at) for key, renew_at in batch]
        )


class Migration(migrations.Migration):
    dependencies = (("certificates", "0013_renewals"),)

    operations = (migrations.RunPython(add_rows, migrations.RunPython.noop),)
