"""The form that packs a certificate with its key into a file with a password."""

from django import forms
from django.core.validators import RegexValidator
from django.http import QueryDict

from certificates.models import Certificate
from certificates.services.export import (
    LONGEST_ALIAS,
    LONGEST_PASSWORD,
    PASSWORD_FORM,
    PASSWORD_HINT,
    SHORTEST_PASSWORD,
    KeyFormat,
    Packing,
    is_for_keystores,
)
from certificates.services.file_names import file_stem
from pki_portal.access.web.refusals import Refusal, place, refusal_of
from pki_portal.errors import PortalError, Violation

_FORMATS = (
    (KeyFormat.PKCS12, "PKCS#12 (.p12), for programs of today"),
    (KeyFormat.PKCS12_LEGACY, "PKCS#12 (.p12), for old programs: 3DES and SHA-1"),
    (KeyFormat.JKS, "JKS (.jks), for old Java: weak, PKCS#12 is better"),
    (KeyFormat.PEM, "PEM, the key encrypted (PKCS#8)"),
)


class PackForm(forms.Form):
    """Format, password and alias; a key that was just shown comes back beside them, packed and not stored."""

    format = forms.ChoiceField(label="Format")
    password = forms.CharField(
        label="Password of the file",
        strip=False,
        min_length=SHORTEST_PASSWORD,
        max_length=LONGEST_PASSWORD,
        validators=[RegexValidator(PASSWORD_FORM, PASSWORD_HINT)],
        help_text=f"At least {SHORTEST_PASSWORD} characters. Whoever has the file can try passwords at leisure.",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    alias = forms.CharField(
        label="Alias", max_length=LONGEST_ALIAS, help_text="What the key is called in the file; PEM has none."
    )

    def __init__(self, data: QueryDict | None = None, *, certificate: Certificate) -> None:
        super().__init__(data, auto_id="pack-%s", initial={"alias": file_stem(certificate)})
        takes_all = is_for_keystores(certificate)
        self.fields["format"].choices = [  # type: ignore[attr-defined]
            (each.value, label) for each, label in _FORMATS if takes_all or each is KeyFormat.PEM
        ]
        self.refusal: Refusal | None = None
        self.violations: dict[str, list[Violation]] = {}

    def packing(self) -> Packing:
        """What the service is asked with."""
        values = self.cleaned_data
        return Packing(format=KeyFormat(values["format"]), alias=values["alias"], password=values["password"])

    def refuse(self, error: PortalError) -> None:
        """Put the violations of a refusal beside the fields that they speak of."""
        placed = place(error.violations, lambda path: path if path in self.fields else None)
        self.violations = placed.by_field
        self.refusal = refusal_of(error, placed, title="No file was made.")
