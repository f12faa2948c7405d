"""The Issue form: a request to one profile, as far as its template speaks of things."""

from django import forms
from django.http import QueryDict

from certificates.services.requests import read_applicant_csr, read_csr_to_explain
from certificates.web.request_form import RequestForm
from pki_portal.access.requester import Requester
from pki_portal.access.web.refusals import Refusal
from profiles.models import CertificateProfile
from profiles.policy.request import IssuanceRequest


class IssueForm(RequestForm):
    """What one profile's template lets an applicant say. ``profile`` comes with its template loaded."""

    token = forms.CharField(max_length=64, widget=forms.HiddenInput)

    def __init__(
        self,
        data: QueryDict | None = None,
        *,
        profile: CertificateProfile,
        token: str,
        typed: QueryDict | None = None,
    ) -> None:
        """``data`` is a sent form; ``typed`` what was typed so far when another profile is chosen."""
        self.profile = profile
        typed = typed if typed is not None else QueryDict()
        kept = {name: typed[name] for name in typed if name not in {"token", "ttl", "profile"} and typed[name]}
        super().__init__(
            data,
            rules=profile.template.rules(),
            defaults=profile.profile_defaults(),
            # No CA signs then, and there is no CSR to sign either.
            is_self_signed=profile.certificate_authority_id is None,
            initial={**kept, "token": token},
            typed=typed,
        )

    def asked_of(self, requester: Requester) -> IssuanceRequest:
        """The request that the form spells.

        Raises:
            PermissionDenied: there is a CSR, and the requester may not have it signed.
            Malformed, Invalid: the CSR cannot be read, or its self-signature does not hold.
        """
        return self.asked(lambda csr: read_applicant_csr(profile=self.profile, requester=requester, csr=csr))

    def asked_to_explain(self, requester: Requester) -> IssuanceRequest:
        """As :meth:`asked_of`, for a check: nothing is recorded."""
        return self.asked(lambda csr: read_csr_to_explain(profile=self.profile, requester=requester, csr=csr))

    def renew_token(self, token: str) -> None:
        """Let the form, whose token another certificate has used, be sent once more."""
        self._change_sent("token", token)
        self.refusal = Refusal(
            title="This form has issued a certificate already.",
            text="What stands here now was changed after that. Press Issue again to make another certificate.",
        )

    @property
    def _is_told(self) -> bool:
        return "token" in self._sent
