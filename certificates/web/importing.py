"""The page that takes certificates from elsewhere into the project."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters

from certificates.models.certificate import CertificateSource
from certificates.services import importing
from certificates.services.importing import IMPORT_EVENT, Import, Upload
from certificates.x509.bundles import MAX_BUNDLE_BYTES, MAX_CERTIFICATES
from certificates.x509.private_keys import MAX_KEY_BYTES
from pki_portal.access.permissions import Action
from pki_portal.access.web.pages import Page, project_page, show
from pki_portal.access.web.refusals import Refusal, place, refusal_of
from pki_portal.errors import PermissionDenied, PortalError, Violation


class ImportForm(forms.Form):
    """A file or a text of certificates, and perhaps a key. Neither key nor password is ever sent back into a page."""

    certificate_file = forms.FileField(
        label="File",
        required=False,
        help_text=f"PEM, DER, PKCS#7 or PKCS#12; one certificate or up to {MAX_CERTIFICATES}. Certificates that issued "
        "others in it become their chain.",
    )
    certificate = forms.CharField(
        label="Or paste",
        required=False,
        widget=forms.Textarea(attrs={"rows": 5, "class": "mono", "placeholder": "-----BEGIN CERTIFICATE-----"}),
    )
    friendly_name = forms.CharField(
        label="Friendly name", required=False, max_length=255, help_text="What people call it, for one certificate."
    )
    private_key = forms.FileField(
        label="Key file", required=False, help_text="PKCS#8, where the key is not in the file above."
    )
    password = forms.CharField(
        label="Password",
        required=False,
        strip=False,
        max_length=1024,
        help_text="Of a PKCS#12 file or an encrypted key.",
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
    )
    keep_private_key = forms.BooleanField(
        label="Keep the private key",
        required=False,
        help_text="Encrypted, for whoever may read private keys. Without this it is only compared, and forgotten.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.refusal: Refusal | None = None
        self.violations: dict[str, list[Violation]] = {}

    def full_clean(self) -> None:
        """Judge the fields; whatever comes of it, a key that was pasted is not sent back into a page."""
        super().full_clean()
        if "PRIVATE KEY" in self.data.get("certificate", ""):
            self.data = {**self.data, "certificate": ""}

    def clean(self) -> dict[str, Any]:
        """One of the two, not both."""
        values: dict[str, Any] = super().clean() or {}
        if not self.errors and bool(values["certificate_file"]) == bool(values["certificate"].strip()):
            self.add_error("certificate_file", "Choose a file or paste certificates: one of the two.")
        return values

    def upload(self) -> Upload:
        """What the service is asked with."""
        values = self.cleaned_data
        file, key = values["certificate_file"], values["private_key"]
        return Upload(
            content=file.read(MAX_BUNDLE_BYTES + 1) if file else values["certificate"].encode(),
            private_key=key.read(MAX_KEY_BYTES + 1) if key else b"",
            password=values["password"],
        )

    def refuse(self, error: PortalError) -> None:
        """Put the violations of a refusal beside the fields that they speak of."""
        sent = "certificate_file" if self.cleaned_data["certificate_file"] else "certificate"
        placed = place(
            error.violations, lambda path: sent if path == "certificate" else path if path in self.fields else None
        )
        self.violations = placed.by_field
        self.refusal = refusal_of(error, placed, title="Not imported.")


@sensitive_post_parameters("password", "certificate")
@project_page(section="certificates", action=Action.CERTIFICATES_IMPORT, event=IMPORT_EVENT)
def import_certificates(request: HttpRequest, page: Page) -> HttpResponse:
    """GET shows the form; POST imports, and leads to the certificate, or to the list of what is imported."""
    form = ImportForm(request.POST, request.FILES) if request.method == "POST" else ImportForm()
    if form.is_bound and form.is_valid():
        try:
            done = importing.import_certificates(
                requester=page.requester,
                project=page.project,
                upload=form.upload(),
                is_key_kept=form.cleaned_data["keep_private_key"],
                friendly_name=form.cleaned_data["friendly_name"],
            )
        except PermissionDenied:
            raise
        except PortalError as error:
            form.refuse(error)
        else:
            return _imported(request, page, done)
    status = 200 if not form.is_bound else form.refusal.status if form.refusal else 422
    return show(request, page, "certificates/import_certificates.html", {"form": form}, status=status)


def _imported(request: HttpRequest, page: Page, done: Import) -> HttpResponse:
    new = sum(each.is_new for each in done.certificates)
    old = len(done.certificates) - new
    told = [f"{new} certificate{'' if new == 1 else 's'} imported."] if new else []
    told += [f"{old} {'was' if old == 1 else 'were'} here before."] if old else []
    messages.success(request, " ".join(told))
    for note in done.notes:
        messages.info(request, note)
    if len(done.certificates) == 1:
        return redirect("certificate", page.project.slug, done.certificates[0].certificate.pk)
    return redirect(f"{reverse('certificates', args=[page.project.slug])}?source={CertificateSource.IMPORTED.value}")
