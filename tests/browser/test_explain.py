"""Rules explained in a real browser: a new user's way from a preset to a certificate, the check, the try-out."""

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from cryptography import x509
from playwright.sync_api import Page, expect

from certificates.models import Certificate, CertificateRequest
from profiles.models import CertificateTemplate
from tests.pages import DESKTOP, PHONE, Scene, make_issued, sign_in
from tests.scenery import make_issuing_profile
from tests.wire import make_csr

pytestmark = pytest.mark.browser
NAMES: dict[str, Any] = {
    "subject": [{"type": "common_name", "allowed": ["*.acme.com"]}],
    "sans": [{"type": "dns_name", "allowed": ["*.acme.com"]}],
}


def narrow(page: Page, part: str, kind: str) -> None:
    """Have the rules of one part say ``*.acme.com`` for one kind, and nothing else."""
    rows = page.locator(f"#{part}-rows .row-line")
    while rows.count() > 1:
        rows.first.get_by_role("button", name="Remove this rule").click()
    rows.first.get_by_label("Kind").select_option(kind)
    rows.first.get_by_label("Rule").select_option("allowed")
    rows.first.get_by_label("Pattern").fill("*.acme.com")


def open_dialog(page: Page, scene: Scene, profile: str = "server") -> None:
    page.goto(scene.address("certificates/"))
    page.get_by_role("link", name="Issue certificate").first.click()
    expect(page.get_by_label("Common name")).to_be_focused()
    if profile != "server":
        page.get_by_role("dialog").get_by_label("Profile").select_option(label=profile)
        expect(page.get_by_text("Allowed: *.acme.com")).to_be_visible()


def press(page: Page, name: str) -> None:
    page.get_by_role("dialog").get_by_role("button", name=name, exact=True).first.click()


def type_name(page: Page, name: str) -> None:
    """Key by key, as people type: htmx listens a moment after the fields have come."""
    page.get_by_label("Common name").fill("")
    page.get_by_label("Common name").press_sequentially(name, delay=20)


def test_a_new_user_makes_rules_is_refused_clicks_the_fix_and_issues(signed_in: Page, scene: Scene) -> None:
    page = signed_in
    page.goto(scene.address("templates/"))
    page.get_by_role("link", name="Create template").first.click()
    page.get_by_role("link", name="TLS server").click()
    page.get_by_label("Name", exact=True).fill("acme-web")
    narrow(page, "subject", "common_name")
    narrow(page, "sans", "dns_name")
    page.get_by_role("button", name="Create template").click()
    expect(page.get_by_role("heading", name="acme-web")).to_be_visible()

    page.get_by_role("link", name="create one").click()
    page.get_by_label("Name", exact=True).fill("acme-web")
    page.get_by_label("Issuing CA").select_option(label="server-root")
    page.get_by_role("button", name="Create profile").click()
    expect(page.get_by_role("heading", name="acme-web")).to_be_visible()

    page.get_by_role("link", name="Issue certificate").click()
    page.get_by_label("Common name").fill("www.other.com")
    press(page, "Issue")
    refused = page.locator("#id_common_name-violations")
    expect(refused).to_contain_text("*.acme.com")
    expect(page.get_by_label("Common name")).to_have_attribute("aria-invalid", "true")
    assert Certificate.objects.count() == 0

    refused.get_by_role("button", name="Use www.acme.com").click()
    expect(page.get_by_label("Common name")).to_have_value("www.acme.com")
    expect(page.get_by_role("heading", name="Would be issued")).to_be_focused()
    assert Certificate.objects.count() == 0

    press(page, "Issue")
    expect(page.locator("#private-key")).to_contain_text("BEGIN PRIVATE KEY")
    certificate = x509.load_der_x509_certificate(bytes(Certificate.objects.get().der))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["www.acme.com"]


def test_a_check_issues_nothing_and_the_checked_form_issues(signed_in: Page, scene: Scene) -> None:
    page = signed_in
    open_dialog(page, scene)
    page.get_by_label("Common name").fill("service.acme.com")
    press(page, "Check")
    expect(page.get_by_role("heading", name="Would be issued")).to_be_focused()
    assert Certificate.objects.count() == CertificateRequest.objects.count() == 0
    press(page, "Issue")
    expect(page.locator("#private-key")).to_be_visible()


def test_enter_means_issue_whatever_buttons_stand_in_the_form(signed_in: Page, scene: Scene) -> None:
    page = signed_in
    make_issuing_profile(scene.project, slug="narrow", **NAMES)
    open_dialog(page, scene, "narrow")
    page.get_by_label("Common name").fill("www.other.com")
    press(page, "Check")
    expect(page.get_by_role("heading", name="Would be refused")).to_be_focused()
    page.get_by_label("Common name").fill("own.acme.com")
    page.get_by_label("Common name").press("Enter")
    expect(page.locator("#private-key")).to_be_visible()
    assert Certificate.objects.get().common_name == "own.acme.com"


def test_without_script_check_fix_and_enter_do_the_same(open_page: Callable[..., Page], scene: Scene) -> None:
    make_issuing_profile(scene.project, slug="narrow", **NAMES)
    page = open_page(java_script_enabled=False)
    sign_in(page, scene)
    page.goto(scene.address("certificates/issue/"))
    page.locator("#issue-profile").select_option(label="narrow")
    page.get_by_role("button", name="Use this profile").click()
    page.get_by_label("Common name").fill("www.other.com")
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.get_by_role("heading", name="Would be refused")).to_be_in_viewport()
    page.locator("#id_common_name-violations").get_by_role("button", name="Use www.acme.com").click()
    expect(page.get_by_role("heading", name="Would be issued")).to_be_visible()
    assert Certificate.objects.count() == 0
    page.get_by_label("Common name").press("Enter")
    expect(page.locator("#private-key")).to_contain_text("BEGIN PRIVATE KEY")


def test_a_try_out_of_a_template_is_judged_as_one_types(signed_in: Page, scene: Scene) -> None:
    page = signed_in
    profile = make_issuing_profile(scene.project, slug="narrow", **NAMES)
    page.goto(scene.address(f"templates/{profile.template_id}/"))
    page.get_by_role("link", name="Try it").click()
    type_name(page, "www.other.com")
    expect(page.get_by_role("heading", name="Would be refused")).to_be_visible()
    expect(page.get_by_label("Common name")).to_be_focused()
    page.locator("#decision").get_by_role("button", name="Use www.acme.com").first.click()
    expect(page.get_by_label("Common name")).to_have_value("www.acme.com")
    expect(page.get_by_role("heading", name="Would be issued")).to_be_visible()
    page.get_by_label("Paste a CSR").check()
    page.get_by_label("Certificate signing request").fill(make_csr(common_name="www.other.com"))
    expect(page.get_by_role("heading", name="Would be refused")).to_be_visible()
    assert Certificate.objects.count() == CertificateRequest.objects.count() == 0


def test_rules_are_judged_as_they_are_typed_beside_the_try_out(signed_in: Page, scene: Scene) -> None:
    page = signed_in
    profile = make_issuing_profile(scene.project, slug="narrow", **NAMES)
    page.goto(scene.address(f"templates/{profile.template_id}/edit/"))
    page.get_by_role("button", name="Try it").click()
    type_name(page, "www.other.com")
    expect(page.get_by_role("heading", name="Would be refused")).to_be_visible()
    for part in ("subject", "sans"):
        page.locator(f"#{part}-rows").get_by_label("Pattern").first.fill("*.other.com")
    expect(page.get_by_role("heading", name="Would be issued")).to_be_visible()
    page.locator("#sans-rows").get_by_role("button", name="Remove this rule").first.click()
    expect(page.get_by_role("heading", name="Would be refused")).to_be_visible()
    profile.template.refresh_from_db()
    assert profile.template.sans == NAMES["sans"]


def test_without_script_typed_rules_are_tried_on_a_page_of_their_own(
    open_page: Callable[..., Page], scene: Scene
) -> None:
    profile = make_issuing_profile(scene.project, slug="narrow", **NAMES)
    page = open_page(java_script_enabled=False)
    sign_in(page, scene)
    page.goto(scene.address(f"templates/{profile.template_id}/edit/"))
    for part in ("subject", "sans"):
        page.locator(f"#{part}-rows").get_by_label("Pattern").first.fill("*.other.com")
    page.get_by_role("button", name="Try it").click()
    page.get_by_label("Common name").fill("www.other.com")
    page.get_by_label("Common name").press("Enter")
    expect(page.get_by_role("heading", name="Would be issued")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_check_is_accessible_and_fits_on_a_phone(open_page: Callable[..., Page], scene: Scene, scheme: str) -> None:
    make_issuing_profile(scene.project, slug="narrow", **NAMES)
    # axe is put into the page as a script, which the content security policy forbids to everyone else.
    page = open_page(bypass_csp=True, viewport=PHONE, color_scheme=scheme)
    sign_in(page, scene)
    open_dialog(page, scene, "narrow")
    page.get_by_label("Common name").fill("a-rather-long-name-of-a-service.department.other.com")
    press(page, "Check")
    expect(page.get_by_role("heading", name="Would be refused")).to_be_focused()
    too_wide = page.evaluate(
        "[...document.querySelectorAll('dialog *')].filter(each => each.getBoundingClientRect().right > innerWidth + 1"
        " && !each.closest('.visually-hidden, template')).map(each => each.outerHTML.slice(0, 80))"
    )
    assert too_wide == []
    violations = Axe().run(page).response["violations"]
    assert [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in violations] == []


@pytest.mark.parametrize(("scheme", "size"), [("light", DESKTOP), ("dark", PHONE)], ids=["light", "dark-phone"])
def test_rules_are_told_as_they_are_typed_and_a_harmful_save_asks_once(
    open_page: Callable[..., Page], scene: Scene, scheme: str, size: dict[str, int]
) -> None:
    make_issued(scene.profile, "www.other.com")
    page = open_page(bypass_csp=True, color_scheme=scheme, viewport=size)
    sign_in(page, scene)
    page.goto(scene.address(f"templates/{scene.profile.template_id}/edit/"))
    narrow(page, "sans", "dns_name")
    expect(page.locator("#rules-in-words")).to_contain_text("DNS names must match *.acme.com.")

    page.get_by_role("button", name="Preview").click()
    panel = page.get_by_role("status").filter(has_text="Nothing is saved yet.")
    expect(panel).to_contain_text("0 of 1 recent request pass as before; 1 would be refused.")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="Not saved yet: renewals would fail")).to_be_visible()
    assert Axe().run(page).response["violations"] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert CertificateTemplate.objects.get().version == 1

    page.get_by_role("button", name="Save all the same").click()
    expect(page.get_by_text("The template was saved.")).to_be_visible()
    assert CertificateTemplate.objects.get().version == 2
