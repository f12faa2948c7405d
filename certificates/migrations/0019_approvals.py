"""Approvals: policies, requests that wait, and who agreed."""

import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("access", "0001_initial"),
        ("certificates", "0018_deleted_certificates"),
        ("profiles", "0006_approval"),
    ]

    operations = [
        migrations.AddField(
            model_name="idempotencyrecord",
            name="request",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="certificates.certificaterequest",
            ),
        ),
        migrations.AlterField(
            model_name="certificaterequest",
            name="status",
            field=models.CharField(
                choices=[
                    ("pending_approval", "Waits for approval"),
                    ("pending", "Pending"),
                    ("issued", "Issued"),
                    ("failed", "Failed"),
                    ("rejected", "Rejected"),
                    ("cancelled", "Cancelled"),
                    ("expired", "Expired"),
                ],
                max_length=16,
            ),
        ),
        migrations.CreateModel(
            name="ApprovalRequest",
            fields=[
                ("due_at", models.DateTimeField(blank=True, null=True)),
                ("lease", models.UUIDField(blank=True, editable=False, null=True)),
                ("leased_until", models.DateTimeField(blank=True, editable=False, null=True)),
                ("attempts", models.PositiveIntegerField(default=0, editable=False)),
                ("last_error", models.TextField(blank=True, default="", editable=False)),
                ("gave_up_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("steps", models.JSONField()),
                ("expires_at", models.DateTimeField()),
                ("approved_at", models.DateTimeField(blank=True, null=True)),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
                ("closed_by", models.CharField(blank=True, default="", max_length=255)),
                ("comment", models.CharField(blank=True, default="", max_length=1000)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "request",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="approval",
                        to="certificates.certificaterequest",
                    ),
                ),
            ],
            options={
                "ordering": ("-created_at", "id"),
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Approval",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("step", models.PositiveSmallIntegerField()),
                ("user_id", models.PositiveBigIntegerField()),
                ("user_name", models.CharField(max_length=255)),
                ("comment", models.CharField(blank=True, default="", max_length=1000)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "approval_request",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="approvals",
                        to="certificates.approvalrequest",
                    ),
                ),
            ],
            options={
                "ordering": ("created_at", "id"),
            },
        ),
        migrations.CreateModel(
            name="ApprovalPolicy",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=128)),
                ("is_for_all_profiles", models.BooleanField(default=True)),
                ("steps", models.JSONField(default=list)),
                ("bypass_for_machine_identities", models.BooleanField(default=False)),
                ("max_request_ttl", models.CharField(blank=True, default="", max_length=32)),
                ("max_request_seconds", models.PositiveIntegerField(blank=True, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "profiles",
                    models.ManyToManyField(
                        blank=True, related_name="approval_policies", to="profiles.certificateprofile"
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="approval_policies",
                        to="access.project",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "approval policies",
                "ordering": ("created_at", "id"),
                "constraints": [
                    models.UniqueConstraint(fields=("project", "name"), name="approval_policy_name_unique_in_project"),
                    models.CheckConstraint(
                        condition=models.Q(("name", ""), _negated=True), name="approval_policy_has_name"
                    ),
                ],
            },
        ),
        migrations.AddIndex(
            model_name="approvalrequest",
            index=models.Index(
                condition=models.Q(("due_at__isnull", False)), fields=["due_at"], name="approvalrequest_due"
            ),
        ),
        migrations.AddIndex(
            model_name="approvalrequest",
            index=models.Index(
                condition=models.Q(("lease__isnull", False)), fields=["lease"], name="approvalrequest_lease"
            ),
        ),
        migrations.AddConstraint(
            model_name="approval",
            constraint=models.UniqueConstraint(fields=("approval_request", "user_id"), name="approval_once_per_user"),
        ),
    ]
