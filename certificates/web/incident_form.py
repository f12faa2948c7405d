"""The form that declares an incident: what is affected, why, and how fast it is replaced."""

import hashlib
import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.http import QueryDict
from django.utils import timezone

from certificates.models import Certificate, CertificateAuthority
from certificates.models.certificate import CertificateStatus
from certificates.models.incident import REASON_LENGTH
from certificates.querysets import id_in, normal_fingerprint, normal_serial_number
from certificates.services.incidents import DEFAULT_SPREAD, MOST_IDS, Criteria
from pki_portal.access.models import Project
from pki_portal.access.web.refusals import Refusal, place, refusal_of
from pki_portal.errors import PortalError, Violation
from profiles.models import CertificateProfile, CertificateTemplate
from profiles.policy.validity import InvalidDuration, parse_ttl
from profiles.policy.wording import duration, listed

# So many certificates tell who asked; to look at all of a million would take seconds. Others are named by the API.
REQUESTERS_OF = 10_000
Choices = list[tuple[str, str]]


class IncidentForm(forms.Form):
    """All that is picked must fit, and something must be."""

    reason = forms.CharField(label="What happened", max_length=REASON_LENGTH, help_text="For people, in one sentence.")
    authority_id = forms.ChoiceField(label="CA", required=False, help_text="What it issued, by whichever of its keys.")
    profile_id = forms.ChoiceField(label="Profile", required=False)
    template_id = forms.ChoiceField(label="Template", required=False, help_text="Of any profile with it.")
    requester_id = forms.ChoiceField(
        label="Requester", required=False, help_text="The person or machine identity that asked for them."
    )
    public_key_sha256 = forms.CharField(
        label="Key",
        required=False,
        max_length=200,
        help_text="SHA-256 of the public key, as the page of a certificate tells it.",
    )
    certificate_ids = forms.CharField(
        label="Certificates",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Ids or serial numbers, one a line.",
    )
    replace_within = forms.CharField(
        label="Replace within",
        max_length=32,
        initial=duration(DEFAULT_SPREAD),
        help_text="One after the other, the soonest end first; at most 30d.",
    )

    def __init__(self, data: QueryDict | None = None, *, project: Project) -> None:
        super().__init__(data)
        self.project = project
        for name, choices in (
            ("authority_id", _named(CertificateAuthority.objects.filter(project=project).values_list("pk", "name"))),
            ("profile_id", _named(CertificateProfile.objects.filter(project=project).values_list("pk", "slug"))),
            ("template_id", _named(CertificateTemplate.objects.filter(project=project).values_list("pk", "name"))),
            ("requester_id", _requesters(project)),
        ):
            field: Any = self.fields[name]
            field.choices = [("", "Any"), *choices]
        self.refusal: Refusal | None = None
        self.violations: dict[str, list[Violation]] = {}

    def clean_public_key_sha256(self) -> str:
        """In whatever spelling."""
        typed: str = self.cleaned_data["public_key_sha256"]
        digest = normal_fingerprint(typed)
        if typed and not digest:
            raise forms.ValidationError("Give the 64 hexadecimal digits of a SHA-256.")
        return digest

    def clean_certificate_ids(self) -> tuple[UUID, ...]:
        """The certificates of the lines, all of which must be there: one that is not would pick nothing, unseen."""
        lines = self.cleaned_data["certificate_ids"].split()
        if len(lines) > MOST_IDS:
            raise forms.ValidationError(f"Name at most {MOST_IDS} certificates.")
        rows = Certificate.objects.filter(project=self.project)
        ids = {str(found) for line in lines if (found := id_in(line)) is not None}
        numbers = {digits for line in lines if (digits := normal_serial_number(line))}
        by_id = set(rows.filter(pk__in=ids).values_list("pk", flat=True))
        by_number = dict(rows.filter(serial_number__in=numbers).values_list("pk", "serial_number"))
        known = {*map(str, by_id), *by_number.values()}
        missing = [line for line in lines if not known & {line.lower(), normal_serial_number(line)}]
        if missing:
            raise forms.ValidationError(
                f"The project has no certificate with this id or serial number: {listed(missing)}."
            )
        return tuple(sorted(by_id | set(by_number)))

    def clean_replace_within(self) -> timedelta:
        """A length of time."""
        try:
            return parse_ttl(self.cleaned_data["replace_within"])
        except InvalidDuration as problem:
            raise forms.ValidationError(str(problem)) from None

    @property
    def criteria(self) -> Criteria:
        """What was picked."""
        typed = self.cleaned_data
        chosen = {
            name: UUID(typed[name]) if typed[name] else None for name in ("authority_id", "profile_id", "template_id")
        }
        return Criteria(
            **chosen,
            certificate_ids=typed["certificate_ids"],
            requester_id=typed["requester_id"],
            public_key_sha256=typed["public_key_sha256"],
        )

    @property
    def previewed(self) -> str:
        """Stands for what was picked, so that nothing else is declared than what was looked at."""
        return hashlib.sha256(json.dumps(self.criteria.as_document(), sort_keys=True).encode()).hexdigest()

    def refuse(self, error: PortalError) -> None:
        """Put the violations of a refusal beside the fields that they speak of."""
        placed = place(error.violations, lambda path: path if path in self.fields else None)
        self.violations = placed.by_field
        self.refusal = refusal_of(error, placed, title="Not declared.")


def _named(rows: Iterable[tuple[UUID, str]]) -> Choices:
    return sorted(((str(key), name) for key, name in rows), key=lambda each: each[1].casefold())


def _requesters(project: Project) -> Choices:
    """Members of the project, and whoever else asked for one of the newest certificates that are in force."""
    members = project.memberships.values_list("user_id", "user__username", "identity_id", "identity__name")
    found = {str(user or identity): username or name for user, username, identity, name in members}
    live = Certificate.objects.filter(project=project, status=CertificateStatus.ACTIVE, not_after__gt=timezone.now())
    asked = live.filter(request__requester_kind__in=("user", "identity")).order_by("-created_at", "id")
    found |= dict(asked.values_list("request__requester_id", "request__requester_name")[:REQUESTERS_OF])
    return sorted(found.items(), key=lambda each: each[1].casefold())
