"""What every template and profile says today becomes its version 1."""

from django.db import migrations

BATCH = 500
TEMPLATE_COLUMNS = (
    "name",
    "description",
    "subject",
    "sans",
    "key_usages",
    "extended_key_usages",
    "algorithms",
    "validity",
    "basic_constraints",
)
PROFILE_COLUMNS = ("slug", "description", "issuer_type", "enrollment_method", "defaults")
SETTINGS = {
    "api": ("auto_renew", "renew_before_days"),
    "est": ("disable_bootstrap_ca_validation", "ca_chain"),
    "acme": ("skip_dns_ownership_verification", "skip_eab_binding"),
}


def keep_first_versions(apps, schema_editor):
    """Nobody knows who wrote these: the author is the upgrade, the time that of the last change."""
    template_versions = apps.get_model("profiles", "TemplateVersion")
    profile_versions = apps.get_model("profiles", "ProfileVersion")
    templates = apps.get_model("profiles", "CertificateTemplate").objects.order_by("pk")
    profiles = apps.get_model("profiles", "CertificateProfile").objects.order_by("pk")
    related = ("certificate_authority", "template", "api_enrollment", "est_enrollment", "acme_enrollment")
    for rows in batches(templates):
        template_versions.objects.bulk_create(
            template_versions(
                template_id=row.pk, name=row.name, document=columns_of(row, TEMPLATE_COLUMNS), **by_upgrade(row)
            )
            for row in rows
        )
    for rows in batches(profiles.select_related(*related)):
        profile_versions.objects.bulk_create(
            profile_versions(profile_id=row.pk, name=row.slug, document=profile_document(row), **by_upgrade(row))
            for row in rows
        )


def batches(queryset):
    batch = []
    for row in queryset.iterator(chunk_size=BATCH):
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    yield batch


def columns_of(row, columns):
    return {column: getattr(row, column) for column in columns}


def by_upgrade(row):
    return {
        "project_id": row.project_id,
        "number": row.version,
        "author_kind": "system",
        "author_name": "upgrade",
        "created_at": row.updated_at,
    }


def profile_document(row):
    authority = row.certificate_authority
    return columns_of(row, PROFILE_COLUMNS) | {
        "certificate_authority": None if authority is None else {"id": str(authority.pk), "name": authority.name},
        "template": {"id": str(row.template.pk), "name": row.template.name},
        "settings": {
            method: columns_of(settings, columns)
            for method, columns in SETTINGS.items()
            if (settings := getattr(row, f"{method}_enrollment", None)) is not None
        },
    }


class Migration(migrations.Migration):
    dependencies = [
        ("profiles", "0002_versions"),
        # Profiles name their CA, whose table and links stand in these.
        ("certificates", "0002_links"),
    ]

    operations = [
        migrations.RunPython(keep_first_versions, migrations.RunPython.noop),
    ]
