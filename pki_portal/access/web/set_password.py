"""The one-time link by which an administrator, or whoever an administrator invites, sets a password."""

from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from pki_portal.access import services
from pki_portal.access.models import SetPasswordLink
from pki_portal.access.requester import client_address_of, request_id_of, requester_of_user
from pki_portal.errors import Gone, Invalid

# The session holds the row id of the opened link, never its token.
SESSION_KEY = "set_password_link"


class PasswordForm(forms.Form):
    """A new password, twice."""

    password = forms.CharField(
        label="New password",
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "autofocus": True}),
        help_text="At least 12 characters.",
    )
    repeated = forms.CharField(
        label="Repeat it",
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean(self) -> dict[str, Any]:
        """Compare the two."""
        cleaned: dict[str, Any] = super().clean() or {}
        if "password" in cleaned and "repeated" in cleaned and cleaned["password"] != cleaned["repeated"]:
            self.add_error("repeated", "The two passwords differ.")
        return cleaned


@never_cache
@require_safe
def open_link(request: HttpRequest, token: str) -> HttpResponse:
    """Take the token out of the address at once: history, referrers and screens keep addresses. The link is not used up
    by looking.
    """
    try:
        link = services.find_set_password_link(token=token)
    except Gone as refusal:
        return _gone(request, refusal)
    request.session[SESSION_KEY] = str(link.pk)
    answer = HttpResponseRedirect(reverse("set-password"))
    answer["Referrer-Policy"] = "no-referrer"
    return answer


@sensitive_post_parameters()
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def set_password(request: HttpRequest) -> HttpResponse:
    """Set the password, use the link up and log the person in."""
    try:
        link = _opened(request)
        form = PasswordForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            answer = _set(request, link, form)
            if answer is not None:
                return answer
    except Gone as refusal:
        request.session.pop(SESSION_KEY, None)
        return _gone(request, refusal)
    return render(request, "access/set_password.html", {"form": form, "username": link.user.get_username()})


def _opened(request: HttpRequest) -> SetPasswordLink:
    stored = request.session.get(SESSION_KEY)
    if stored is None:
        raise Gone("Open the link that you were given.")
    return services.get_set_password_link(link_id=UUID(stored))


def _set(request: HttpRequest, link: SetPasswordLink, form: PasswordForm) -> HttpResponse | None:
    person = requester_of_user(link.user, address=client_address_of(request), request_id=request_id_of(request))
    try:
        user = services.set_password(link=link, password=form.cleaned_data["password"], actor=person.actor)
    except Invalid as refusal:
        for violation in refusal.violations:
            form.add_error("password", violation.fix)
        return None
    request.session.pop(SESSION_KEY, None)
    login(request, user, backend=settings.AUTHENTICATION_BACKENDS[0])
    return redirect(settings.LOGIN_REDIRECT_URL)


def _gone(request: HttpRequest, refusal: Gone) -> HttpResponse:
    return render(request, "access/set_password_gone.html", {"reason": refusal.message}, status=410)
