"""The form of a try-out: a request in which everything can be asked, and by whom it is judged."""

from collections.abc import Sequence
from dataclasses import dataclass

from django import forms
from django.http import QueryDict

from certificates.models import CertificateAuthority
from certificates.web.request_form import LABELS, RequestForm, usual_life
from profiles.models import CertificateProfile
from profiles.policy.rules import BasicConstraintsRule, ProfileDefaults, TemplateRules, UsageRule, ValueRule
from profiles.policy.vocabulary import (
    BasicConstraintsState,
    ExtendedKeyUsage,
    KeyAlgorithm,
    KeyUsage,
    NameType,
    SignatureAlgorithm,
)

# What the form offers; whether any of it may be had is for the rules that are tried.
_EVERYTHING = TemplateRules(
    subject=dict.fromkeys(LABELS, ValueRule(allowed=("*",))),
    subject_alternative_names=dict.fromkeys(NameType, ValueRule(allowed=("*",))),
    key_usages=UsageRule(allowed=tuple(KeyUsage)),
    extended_key_usages=UsageRule(allowed=tuple(ExtendedKeyUsage)),
    key_algorithms=tuple(KeyAlgorithm),
    signature_algorithms=tuple(SignatureAlgorithm),
    basic_constraints=BasicConstraintsRule(BasicConstraintsState.ALLOWED),
)


@dataclass(frozen=True, slots=True)
class Side:
    """What stands beside the rules in a try-out: a profile, or a CA alone, or nothing: self-signed."""

    label: str
    profile: CertificateProfile | None = None
    authority: CertificateAuthority | None = None

    @property
    def value(self) -> str:
        """Of its option in the form."""
        chosen = self.profile or self.authority
        return "none" if chosen is None else str(chosen.pk)


class TryForm(RequestForm):
    """A request to rules that need not be stored."""

    trying = forms.CharField(required=False, widget=forms.HiddenInput)
    by = forms.ChoiceField(label="Asked of", required=False)

    def __init__(self, data: QueryDict | None, *, rules: TemplateRules, sides: Sequence[Side]) -> None:
        """``sides`` can be chosen among, the first by default; ``rules`` only give a usual length of life."""
        self.sides = sides
        profile = sides[0].profile
        life = usual_life(rules, profile.profile_defaults() if profile else ProfileDefaults())
        super().__init__(
            data,
            rules=_EVERYTHING,
            defaults=ProfileDefaults(ttl=life),
            is_self_signed=False,
            initial={"trying": "1", "by": sides[0].value},
        )
        self.fields["by"].choices = [(side.value, side.label) for side in sides]  # type: ignore[attr-defined]

    @property
    def side(self) -> Side:
        """The chosen one; the form is cleaned."""
        chosen = self.cleaned_data.get("by")
        return next((side for side in self.sides if side.value == chosen), self.sides[0])


def own_names(form: TryForm) -> frozenset[str]:
    """The names of everything that the form itself sends; what is sent besides are rules as they are typed."""
    rows = {"san_type", "san_value", "key_usages", "extended_key_usages"}
    return frozenset({*form.fields, *rows, "apply", "csrfmiddlewaretoken"})
