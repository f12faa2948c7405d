"""The forms that revoke: why, since when, and the name typed once more."""

from datetime import UTC, datetime, time

from django import forms
from django.http import QueryDict

from certificates.models.certificate import RevocationReason
from certificates.services.revocation import REASON_SENTENCES
from pki_portal.access.templatetags.portal import violations_of
from pki_portal.access.web.refusals import Refusal, place, refusal_of
from pki_portal.errors import PortalError, Violation


class RevokeForm(forms.Form):
    """A reason and the proof that it is meant; ``wanted`` is what must be typed.

    ``can_hold`` False offers no hold, for what is revoked for good only.
    """

    reason = forms.TypedChoiceField(
        choices=[(reason.value, reason.label) for reason in RevocationReason],
        coerce=lambda text: RevocationReason(int(text)),
    )
    invalidity_date = forms.DateField(
        label="Key in danger since",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text="The day from which signatures made with the key should not be trusted, if you know it.",
    )
    confirmation = forms.CharField(
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"}),
    )

    def __init__(self, data: QueryDict | None = None, *, wanted: str, can_hold: bool = True) -> None:
        super().__init__(data)
        self.wanted = wanted
        self.can_hold = can_hold
        self.refusal: Refusal | None = None
        self.violations: dict[str, list[Violation]] = {}
        self.fields["confirmation"].label = f"Type {wanted} to confirm"

    @property
    def reasons(self) -> list[tuple[int, str, str, bool]]:
        """Value, name and sentence of each reason, and whether it is chosen."""
        chosen = str(self["reason"].value() or "")
        return [
            (reason.value, reason.label, REASON_SENTENCES[reason], chosen == str(reason.value))
            for reason in RevocationReason
            if self.can_hold or reason != RevocationReason.CERTIFICATE_HOLD
        ]

    @property
    def reason_violations(self) -> list[Violation]:
        """What is wrong with the reason."""
        return violations_of(self["reason"])

    def clean_confirmation(self) -> str:
        """The name, but for space around it and case."""
        typed: str = self.cleaned_data["confirmation"]
        if typed.strip().casefold() != self.wanted.casefold():
            raise forms.ValidationError(f"Type {self.wanted}.")
        return typed

    def since(self) -> datetime | None:
        """The beginning of the day chosen, UTC."""
        day = self.cleaned_data["invalidity_date"]
        return None if day is None else datetime.combine(day, time(), tzinfo=UTC)

    def refuse(self, error: PortalError) -> None:
        """Put a refusal above the form and beside its fields."""
        placed = place(error.violations, lambda path: path if path in self.fields else None)
        self.violations = placed.by_field
        self.refusal = refusal_of(error, placed, title="Not revoked.")
