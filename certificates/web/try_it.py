"""Try it: what a template or a profile, as stored or as it is being edited, would say to a request."""

from collections.abc import Sequence
from uuid import UUID

from django.http import HttpRequest, HttpResponse, QueryDict
from django.views.decorators.http import require_POST

from certificates.models.authority import AuthorityStatus
from certificates.services.authorities import authorities_of
from certificates.services.explaining import explain_rules
from certificates.web.explain import Explanation, explain, mended
from certificates.web.try_form import Side, TryForm, own_names
from certificates.x509.csr import read_csr
from pki_portal.access.permissions import Action
from pki_portal.access.web.pages import Page, project_page, show
from pki_portal.access.web.refusals import Refusal, place, refusal_of
from pki_portal.errors import NotFound, PortalError
from profiles.models import CertificateTemplate
from profiles.policy.plan import Decision
from profiles.policy.rules import TemplateRules
from profiles.querysets import profiles_visible_to
from profiles.services import find_profile, find_template, read_rules
from profiles.web.template_form import TemplateForm

# What htmx asks to be replaced, and with what.
PARTS = {
    "dialog-content": "certificates/try_dialog.html",
    "try-it": "certificates/try_inline.html",
    "try-form": "certificates/try_form.html",
    "decision": "certificates/try_decision.html",
}
_NOT_JUDGED = "These rules cannot be tried yet."


@project_page(section="templates", action=Action.CERTIFICATE_TEMPLATES_READ)
def try_template(request: HttpRequest, page: Page, template_id: UUID) -> HttpResponse:
    """Try a stored template or, where a POST brings its edited form along, the rules as they are typed there."""
    template = find_template(requester=page.requester, template_id=template_id)
    if template.project_id != page.project.pk:
        raise NotFound("There is no such template in this project.")
    rules, refusal = (template.rules(), None) if not _has_rules(request.POST) else _typed_rules(request.POST)
    return _try(request, page, name=template.name, rules=rules, refusal=refusal, sides=_sides(page, template))


@require_POST
@project_page(section="templates", action=Action.CERTIFICATE_TEMPLATES_READ)
def try_rules(request: HttpRequest, page: Page) -> HttpResponse:
    """Try the rules of a template that is being made."""
    rules, refusal = _typed_rules(request.POST)
    return _try(request, page, name="", rules=rules, refusal=refusal, sides=_sides(page, None))


@project_page(section="profiles", action=Action.CERTIFICATE_PROFILES_READ)
def try_profile(request: HttpRequest, page: Page, profile_id: UUID) -> HttpResponse:
    """Try a profile: its template, its defaults, its CA."""
    profile = find_profile(requester=page.requester, profile_id=profile_id)
    if profile.project_id != page.project.pk:
        raise NotFound("There is no such profile in this project.")
    sides = [Side(label=f"Profile {profile.slug}", profile=profile)]
    return _try(request, page, name=profile.slug, rules=profile.template.rules(), refusal=None, sides=sides)


def _try(
    request: HttpRequest,
    page: Page,
    *,
    name: str,
    rules: TemplateRules,
    refusal: Refusal | None,
    sides: Sequence[Side],
) -> HttpResponse:
    def make(sent: QueryDict) -> TryForm:
        return TryForm(sent, rules=rules, sides=sides)

    def judge(form: TryForm) -> Decision:
        return explain_rules(
            project=page.project,
            rules=rules,
            request=form.asked(read_csr),
            requester=page.requester,
            profile=form.side.profile,
            authority=form.side.authority,
        )

    sent = request.POST if "trying" in request.POST else None
    form = TryForm(sent, rules=rules, sides=sides)
    explanation: Explanation | None = None
    if sent is not None and refusal is None:
        form = mended(make, sent, judge) if "apply" in sent else form
        explanation = explain(form, lambda: judge(form)) if form.refusal is None else None
    target = request.headers.get("HX-Target", "")
    has_rules = _has_rules(request.POST)
    own = own_names(form)
    context = {
        "name": name,
        "form": form,
        "explanation": explanation,
        "rules_refusal": refusal,
        "address": request.path,
        "takes_focus": target != "decision",
        "is_beside_rules": has_rules and target in PARTS,
        # Without script the typed rules go from page to page with the try-out.
        "carried": [] if target in PARTS else [(key, value) for key, value in _pairs(request.POST) if key not in own],
    }
    is_refused = refusal is not None or (sent is not None and explanation is None)
    template = PARTS.get(target, "certificates/try_it.html")
    return show(request, page, template, context, status=422 if is_refused else 200)


def _sides(page: Page, template: CertificateTemplate | None) -> list[Side]:
    """The template's profiles, then the project's active CAs with no profile, then nobody but the subject's own key."""
    visible = profiles_visible_to(page.requester, page.project)
    profiles = visible.filter(template=template).order_by("slug") if template else visible.none()
    authorities = authorities_of(requester=page.requester, project_id=page.project.pk)
    return [
        *(Side(label=f"Profile {profile.slug}", profile=profile) for profile in profiles),
        *(
            Side(label=f"No profile, CA {authority.name}", authority=authority)
            for authority in authorities.filter(status=AuthorityStatus.ACTIVE).order_by("name")
        ),
        Side(label="No profile, self-signed"),
    ]


def _has_rules(sent: QueryDict) -> bool:
    """Whether the form of a template came along; this field it always sends."""
    return "validity_max" in sent


def _typed_rules(sent: QueryDict) -> tuple[TemplateRules, Refusal | None]:
    """The rules of a template's form, or why there are none; what is wrong in them stands beside them on saving."""
    form = TemplateForm(sent)
    if not form.is_valid():
        told = "; ".join(str(error) for errors in form.errors.values() for error in errors)
        return TemplateRules(), Refusal(title=_NOT_JUDGED, text=told)
    try:
        return read_rules(form.document()), None
    except PortalError as error:
        return TemplateRules(), refusal_of(error, place(error.violations, lambda path: None), title=_NOT_JUDGED)


def _pairs(sent: QueryDict) -> list[tuple[str, str]]:
    return [(key, value) for key, values in sent.lists() for value in values]
