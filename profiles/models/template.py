"""Templates: what may be in a certificate."""

import uuid
from typing import Any

from django.db import models

from pki_portal.access.models import Project
from profiles.policy.rules import TemplateRules

# The columns that hold rules, and all that a version of a template keeps.
RULES = ("subject", "sans", "key_usages", "extended_key_usages", "algorithms", "validity", "basic_constraints")
DOCUMENTED = ("name", "description", *RULES)


class CertificateTemplate(models.Model):
    """Template rules as their author wrote them; ``rules()`` is what they mean.

    The JSON columns hold the wire's structure in inside spelling (``subject: [{type, allowed, required, denied}]``).
    They are checked by the service before they are stored, so that ``rules()`` of a stored row does not raise.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="certificate_templates")
    name = models.CharField(max_length=255)
    description = models.CharField(max_length=1000, blank=True, default="")
    subject = models.JSONField(default=list)
    sans = models.JSONField(default=list)
    key_usages = models.JSONField(null=True, blank=True)
    extended_key_usages = models.JSONField(null=True, blank=True)
    algorithms = models.JSONField(null=True, blank=True)
    validity = models.JSONField(null=True, blank=True)
    basic_constraints = models.JSONField(null=True, blank=True)
    # The number of the TemplateVersion that says the same as this row.
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("-created_at", "id")
        constraints = (
            models.UniqueConstraint(fields=("project", "name"), name="template_name_unique_in_project"),
            models.CheckConstraint(condition=~models.Q(name=""), name="template_name_not_empty"),
        )

    def __str__(self) -> str:
        return self.name

    def rules(self) -> TemplateRules:
        """The stored rules, compiled; pure, no query."""
        return TemplateRules.from_json({rule: getattr(self, rule) for rule in RULES})

    def document(self) -> dict[str, Any]:
        """The whole template as JSON values, for its versions; pure, no query."""
        return {column: getattr(self, column) for column in DOCUMENTED}
