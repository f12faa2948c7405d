"""The forms that renew: whose key, and when by itself."""

from dataclasses import replace

from django import forms
from django.http import QueryDict

from certificates.models import Certificate
from certificates.models.certificate import KeySource
from certificates.services.renewal import RenewalKeySource
from pki_portal.access.templatetags.portal import violations_of
from pki_portal.access.web.refusals import Refusal, place, refusal_of
from pki_portal.errors import PortalError, Violation

_NEW = (
    RenewalKeySource.NEW,
    "A new key, made by the portal",
    "It is shown on the next page, once. The best choice where you can install a new key.",
)
_REUSE = (
    RenewalKeySource.REUSE,
    "The same key",
    "Only the certificate is new. For servers whose key cannot be changed.",
)
_CSR = (RenewalKeySource.CSR, "The key of a CSR", "Names and usages are those that the CSR says.")


class RenewForm(forms.Form):
    """Whose key the successor certifies; of what can be had for this certificate."""

    token = forms.CharField(widget=forms.HiddenInput)
    key_source = forms.TypedChoiceField(
        choices=[(source.value, source.name) for source in RenewalKeySource], coerce=RenewalKeySource
    )
    csr = forms.CharField(
        label="CSR",
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false", "class": "mono"}),
        help_text="PEM, only where its key is chosen.",
    )

    def __init__(self, data: QueryDict | None = None, *, certificate: Certificate, token: str) -> None:
        offered = [_REUSE, _CSR] if certificate.key_source == KeySource.APPLICANT else [_NEW, _REUSE, _CSR]
        if certificate.authority_id is None:
            offered = [_NEW]
        super().__init__(data, initial={"token": token, "key_source": offered[0][0]})
        self.offered = offered
        self.refusal: Refusal | None = None
        self.violations: dict[str, list[Violation]] = {}

    @property
    def sources(self) -> list[tuple[str, str, str, bool]]:
        """Value, name and sentence of each source, and whether it is chosen."""
        chosen = str(self["key_source"].value())
        return [(source.value, label, sentence, chosen == source) for source, label, sentence in self.offered]

    @property
    def source_violations(self) -> list[Violation]:
        """What is wrong with the choice."""
        return violations_of(self["key_source"])

    def renew_token(self, token: str) -> None:
        """Let the form, whose token another renewal has used, be sent once more; it says what became of the first."""
        self.data = {**self.data, "token": token}
        self.refusal = Refusal(
            title="This form has renewed the certificate already.",
            text="What stands here now was changed after that, and nothing was done. The certificate's page names its"
            " successor.",
        )

    def refuse(self, error: PortalError) -> None:
        """Put a refusal above the form and beside its fields."""
        # No fix can be clicked: what would change is not in this form.
        told = [replace(violation, changes=()) for violation in error.violations]
        placed = place(told, lambda path: path if path in self.fields else None)
        self.violations = placed.by_field
        self.refusal = refusal_of(error, placed, title="Not renewed.")


class RenewalConfigForm(forms.Form):
    """When a certificate renews by itself; empty: never."""

    renew_before_days = forms.IntegerField(
        label="Days before the end",
        required=False,
        min_value=1,
        max_value=30,
        widget=forms.NumberInput(attrs={"min": 1, "max": 30, "inputmode": "numeric"}),
    )
