"""The form that makes a root or an intermediate CA."""

from datetime import UTC, datetime, time
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django import forms
from django.http import QueryDict

from certificates.models import CertificateAuthority
from certificates.models.authority import AuthorityKind, AuthorityStatus
from certificates.services.authorities import AuthoritySubject, KeyFile
from certificates.services.signing import key_stores
from pki_portal.access.models import Project
from pki_portal.access.templatetags.portal import words
from pki_portal.access.web.refusals import Refusal, place, refusal_of
from pki_portal.errors import PortalError, Violation
from profiles.policy.name_constraints import SUBTREE_WORDS, constraints_of
from profiles.policy.request import NameConstraints
from profiles.policy.vocabulary import KeyAlgorithm

USUAL_KEY = KeyAlgorithm.EC_SECP384R1


class AuthorityForm(forms.Form):
    """Kind, names, key and life of a new CA.

    An intermediate without a parent here waits for a certificate from elsewhere.
    """

    kind = forms.ChoiceField(label="Type", choices=AuthorityKind.choices, initial=AuthorityKind.ROOT)
    name = forms.CharField(
        label="Name",
        required=False,
        max_length=64,
        help_text="Lower-case letters, digits and hyphens; for this portal only.",
    )
    parent = forms.ChoiceField(label="Parent CA", required=False, help_text="Signs the new CA's certificate at once.")
    common_name = forms.CharField(
        label="Common name", required=False, max_length=64, help_text="What certificates will name as their issuer."
    )
    organization = forms.CharField(label="Organization", required=False, max_length=64)
    organizational_unit = forms.CharField(label="Organizational unit", required=False, max_length=64)
    country = forms.CharField(label="Country", required=False, max_length=2, help_text="Two letters.")
    state = forms.CharField(label="State or province", required=False, max_length=128)
    locality = forms.CharField(label="Locality", required=False, max_length=128)
    key_algorithm = forms.ChoiceField(
        label="Key algorithm",
        choices=[(algorithm.value, words(algorithm.value)) for algorithm in KeyAlgorithm],
        initial=USUAL_KEY.value,
    )
    key_store = forms.ChoiceField(
        label="Key store", required=False, help_text="A key that is made in a token never leaves it."
    )
    not_after = forms.DateField(
        label="Valid until",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text="Empty: 10 years for a root, 5 for an intermediate.",
    )
    max_path_length = forms.IntegerField(
        label="Path length",
        required=False,
        min_value=0,
        max_value=255,
        help_text="How many CAs may stand below it. Empty: no limit; 0: it issues end-entity certificates only.",
    )

    permitted_names = forms.CharField(
        label="Permitted names",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "class": "mono"}),
        help_text="One a line, with its kind: dns:example.com, ip:10.0.0.0/8, email:example.com, uri:.example.com. "
        "All below may have names of a kind listed here only within these; other kinds are not limited.",
    )
    excluded_names = forms.CharField(
        label="Excluded names",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "class": "mono"}),
        help_text="In the same form: nothing below may have these.",
    )
    crl_urls = forms.CharField(
        label="CRL mirrors",
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "class": "mono"}),
        help_text="Further addresses of the CRL, one a line, at most 4; named after this portal's own.",
    )

    def __init__(self, data: QueryDict | None = None, *, project: Project) -> None:
        super().__init__(data)
        self.refusal: Refusal | None = None
        self.violations: dict[str, list[Violation]] = {}
        found = CertificateAuthority.objects.filter(project=project, status=AuthorityStatus.ACTIVE).order_by("name")
        self.parents = {str(authority.pk): authority for authority in found}
        field = self.fields["parent"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - for the type checker: declared above
        field.choices = [
            ("", "None: a CA elsewhere will sign"),
            *((key, authority.name) for key, authority in self.parents.items()),
        ]

        self._offer_key_stores()

    def _offer_key_stores(self) -> None:
        """No choice where there is but one."""
        stores = key_stores()
        field = self.fields["key_store"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - for the type checker: declared above
        field.choices = [(store.value, store.label) for store in stores]
        self.has_key_stores = len(stores) > 1

    def subject(self) -> AuthoritySubject:
        """The distinguished name as typed."""
        names = ("common_name", "organization", "organizational_unit", "country", "state", "locality")
        return AuthoritySubject(**{name: self.cleaned_data[name] for name in names})

    def chosen_parent(self) -> CertificateAuthority | None:
        """The parent chosen."""
        return self.parents.get(self.cleaned_data["parent"])

    def ends(self) -> datetime | None:
        """The last second of the day chosen, UTC."""
        day = self.cleaned_data["not_after"]
        return None if day is None else datetime.combine(day, time(23, 59, 59), tzinfo=UTC)

    def clean_permitted_names(self) -> dict[str, list[str]]:
        """The lines by kind."""
        return _names_in(self.cleaned_data["permitted_names"])

    def clean_excluded_names(self) -> dict[str, list[str]]:
        """The lines by kind."""
        return _names_in(self.cleaned_data["excluded_names"])

    def name_constraints(self) -> NameConstraints:
        """What the CA and all below it may issue for."""
        sides = {"permitted": self.cleaned_data["permitted_names"], "excluded": self.cleaned_data["excluded_names"]}
        return constraints_of(sides)

    def crl_mirrors(self) -> list[str]:
        """The addresses typed."""
        return [line.strip() for line in self.cleaned_data["crl_urls"].splitlines() if line.strip()]

    def refuse(self, error: PortalError) -> None:
        """Put the violations of a refusal beside the fields that they speak of."""
        placed = place(error.violations, self._field_of)
        self.violations = placed.by_field
        self.refusal = refusal_of(error, placed, title="Not created.")

    def _field_of(self, path: str) -> str | None:
        if path.startswith("name_constraints"):
            return "excluded_names" if "/excluded" in path else "permitted_names"
        if path.startswith("crl_distribution_point_urls"):
            return "crl_urls"
        name = {"not_before": "not_after"}.get(path.split("/")[-1], path.split("/")[-1])
        return name if name in self.fields else None


def _names_in(text: str) -> dict[str, list[str]]:
    """``dns:example.com`` and the like, one a line, as lists by kind. Raises ValidationError."""
    kinds: dict[str, list[str]] = {word: [] for word in SUBTREE_WORDS.values()}
    for line in text.splitlines():
        kind, colon, value = line.strip().partition(":")
        if not line.strip():
            continue
        if not colon or kind.strip().lower() not in kinds:
            raise forms.ValidationError(
                "%(line)s: begin each line with one of %(kinds)s.",
                params={"line": line.strip()[:100], "kinds": ", ".join(f"{word}:" for word in kinds)},
            )
        kinds[kind.strip().lower()].append(value.strip())
    return kinds


FILE_LIMIT = 256 * 1024


class _RefusableForm(forms.Form):
    """A form that shows a service's refusal beside its fields."""

    refusal_title = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.refusal: Refusal | None = None
        self.violations: dict[str, list[Violation]] = {}

    def refuse(self, error: PortalError) -> None:
        """Put the violations of a refusal beside the fields that they speak of."""
        placed = place(error.violations, lambda path: path if path in self.fields else None)
        self.violations = placed.by_field
        self.refusal = refusal_of(error, placed, title=self.refusal_title)

    def _text_of(self, name: str) -> str:
        """A file of certificates as PEM; what is neither PEM nor DER stays what it is, for the service to refuse."""
        file = self.cleaned_data[f"{name}_file"]
        content = file.read(FILE_LIMIT + 1) if file is not None else b""
        if content and b"-----BEGIN" not in content:
            content = _pem_of_der(content)
        return "\n".join(part for part in (self.cleaned_data[name], content.decode("latin-1")) if part)


class InstallForm(_RefusableForm):
    """The certificate that another CA signed for a CA of ours, and all above it; pasted, or as files."""

    refusal_title = "Not installed."

    certificate = forms.CharField(
        label="Certificate",
        required=False,
        widget=forms.Textarea(attrs={"rows": 5, "class": "mono", "placeholder": "-----BEGIN CERTIFICATE-----"}),
    )
    certificate_file = forms.FileField(label="Certificate as a file", required=False)
    certificate_chain = forms.CharField(
        label="Chain",
        required=False,
        widget=forms.Textarea(attrs={"rows": 5, "class": "mono", "placeholder": "-----BEGIN CERTIFICATE-----"}),
        help_text="Every certificate above it up to the root, in any order, and no other.",
    )
    certificate_chain_file = forms.FileField(label="Chain as a file", required=False)

    def full_clean(self) -> None:
        """Judge the fields; whatever comes of it, a key pasted by mistake is not sent back into a page."""
        super().full_clean()
        pasted = [name for name in ("certificate", "certificate_chain") if "PRIVATE KEY" in self.data.get(name, "")]
        if pasted:
            self.data = {**self.data, **dict.fromkeys(pasted, "")}

    def given(self) -> dict[str, str]:
        """What the service is asked with."""
        return {"certificate": self._text_of("certificate"), "certificate_chain": self._text_of("certificate_chain")}


class ImportForm(InstallForm):
    """A CA from elsewhere with its key. Neither the key nor its password is ever shown again."""

    refusal_title = "Not imported."

    name = AuthorityForm.base_fields["name"]
    friendly_name = forms.CharField(label="Friendly name", required=False, max_length=255)
    private_key = forms.FileField(
        label="Key file",
        help_text="PKCS#8 in PEM or DER, encrypted or not; or PKCS#12, which may hold the certificates too.",
    )
    password = forms.CharField(
        label="Password of the file",
        required=False,
        strip=False,
        max_length=1024,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
    )
    field_order = ("name", "friendly_name", "private_key", "password")

    def given(self) -> dict[str, Any]:
        """What the service is asked with."""
        values = self.cleaned_data
        return {
            **super().given(),
            "name": values["name"],
            "friendly_name": values["friendly_name"],
            "key_file": KeyFile(content=values["private_key"].read(FILE_LIMIT + 1), password=values["password"]),
        }


def _pem_of_der(content: bytes) -> bytes:
    try:
        return x509.load_der_x509_certificate(content).public_bytes(Encoding.PEM)
    except ValueError:
        return content


class RenewForm(_RefusableForm):
    """A later end for the same key, or a new key under the same name."""

    refusal_title = "Not renewed."

    key = forms.ChoiceField(
        label="Key", choices=(("existing", "Same key"), ("new-key", "New key")), initial="existing", required=False
    )
    not_after = forms.DateField(label="Valid until", widget=forms.DateInput(attrs={"type": "date"}))
    key_algorithm = forms.ChoiceField(
        label="Algorithm of a new key",
        required=False,
        choices=[("", "As it is now"), *((each.value, words(each.value)) for each in KeyAlgorithm)],
    )

    def ends(self) -> datetime:
        """The last second of the day chosen, UTC."""
        return datetime.combine(self.cleaned_data["not_after"], time(23, 59, 59), tzinfo=UTC)

    def new_algorithm(self) -> KeyAlgorithm | None:
        """Of a new key; None leaves it as it is."""
        chosen = self.cleaned_data["key_algorithm"]
        return KeyAlgorithm(chosen) if chosen else None

    @property
    def is_rekey(self) -> bool:
        """Whether a new key is asked for."""
        return bool(self.cleaned_data["key"] == "new-key")


class MirrorsForm(_RefusableForm):
    """Further addresses of the CRL."""

    refusal_title = "Not changed."

    crl_distribution_point_urls = forms.CharField(
        label="CRL mirrors",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "class": "mono"}),
        help_text="One a line, at most 4. What is signed from now on names them after this portal's own address.",
    )

    def refuse(self, error: PortalError) -> None:
        """All of them stand in one field."""
        placed = place(error.violations, lambda path: path.partition("/")[0])
        self.violations = placed.by_field
        self.refusal = refusal_of(error, placed, title=self.refusal_title)

    def urls(self) -> list[str]:
        """The addresses typed."""
        lines = self.cleaned_data["crl_distribution_point_urls"].splitlines()
        return [line.strip() for line in lines if line.strip()]
