"""Every page, as people with and without good eyes, small screens and dark rooms meet it."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from certificates.models import Certificate, CertificateAuthority, CertificateRequest, Incident
from certificates.services.approvals.steps import Step
from certificates.services.incidents import Criteria, declare_incident
from pki_portal.access.models import Role
from profiles.models import CertificateTemplate
from tests.addresses import SHARED_PAGES, project_pages
from tests.certificates.alerts.scenery import HOOK, MAIL, SLACK, make_rule
from tests.certificates.services.approvals.scenery import ADMINS, ask, make_policy, person
from tests.factories import SYSTEM
from tests.pages import DESKTOP, PHONE, Scene, make_issued, sign_in

pytestmark = pytest.mark.browser


def make_incident(scene: Scene) -> Incident:
    """All that the profile has issued is to be replaced."""
    return declare_incident(
        requester=SYSTEM,
        project=scene.project,
        reason="Broken into",
        criteria=Criteria(profile_id=scene.profile.pk),
        over=timedelta(hours=1),
    )


def addresses(scene: Scene) -> list[str]:
    """One address of every kind of page, with something on it."""
    pages = project_pages(
        slug=scene.project.slug,
        certificate=make_issued(scene.profile).pk,
        request=CertificateRequest.objects.get().pk,
        profile=scene.profile.pk,
        template=CertificateTemplate.objects.get().pk,
        authority=CertificateAuthority.objects.get().pk,
        alert=make_rule(scene.project, channels=(MAIL, HOOK, SLACK)).rule.pk,
        incident=make_incident(scene).pk,
    )
    # Last: from here on requests wait.
    policy = make_policy(scene.project, Step((ADMINS,)))
    waiting = ask(scene.profile, person("bob", scene.project, Role.MEMBER))
    approvals = [f"approvals/policies/{policy.pk}/edit/", f"requests/{waiting.request_id}/"]
    paths = [*(pages | SHARED_PAGES).values(), *(f"/projects/{scene.project.slug}/{path}" for path in approvals)]
    return [scene.origin + path for path in paths]


@pytest.mark.timeout(300)  # some twenty pages, each judged by axe
@pytest.mark.parametrize(("scheme", "size"), [("light", DESKTOP), ("dark", PHONE)], ids=["light", "dark-phone"])
def test_every_page_is_accessible_and_fits(
    open_page: Callable[..., Page], scene: Scene, scheme: str, size: dict[str, int]
) -> None:
    # axe is put into the page as a script, which the content security policy forbids to everyone else.
    page = open_page(bypass_csp=True, color_scheme=scheme, viewport=size)
    page.goto(f"{scene.origin}/accounts/login/")
    found = {"login": Axe().run(page).response["violations"]}
    sign_in(page, scene)
    for address in addresses(scene):
        page.goto(address)
        found[address] = Axe().run(page).response["violations"]
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], address
    told = {
        address: [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in violations]
        for address, violations in found.items()
        if violations
    }
    assert told == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_issue_dialog_is_accessible(open_page: Callable[..., Page], scene: Scene, scheme: str) -> None:
    page = open_page(bypass_csp=True, color_scheme=scheme)
    sign_in(page, scene)
    page.goto(scene.address("certificates/"))
    page.get_by_role("link", name="Issue certificate").first.click()
    page.get_by_text("Details").click()
    page.get_by_label("Common name").fill("bad name")
    assert Axe().run(page).response["violations"] == []
    page.get_by_role("dialog").get_by_role("button", name="Issue").click()
    expect(page.get_by_role("alert").filter(has_text="Not issued")).to_be_visible()
    assert Axe().run(page).response["violations"] == []
    page.get_by_label("Common name").fill("good.acme.com")
    page.get_by_role("dialog").get_by_role("button", name="Issue").click()
    expect(page.locator("#private-key")).to_be_visible()
    assert Axe().run(page).response["violations"] == []


def test_no_page_breaks_the_content_security_policy_or_leaves_the_portal(signed_in: Page, scene: Scene) -> None:
    page = signed_in
    visited = [page.goto(address) for address in addresses(scene)]
    assert [answer.status for answer in visited if answer is not None and answer.status >= 400] == [404]
    # The watch asserts the rest when the test ends.


def test_the_theme_is_chosen_and_kept(open_page: Callable[..., Page], scene: Scene) -> None:
    page = open_page(color_scheme="light")
    sign_in(page, scene)
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "light")
    page.get_by_text("Signed in as alice", exact=True).click()
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    page.goto(scene.address("profiles/"))
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")


def test_the_menu_opens_on_a_phone(open_page: Callable[..., Page], scene: Scene) -> None:
    page = open_page(viewport=PHONE)
    sign_in(page, scene)
    expect(page.get_by_role("link", name="Profiles")).to_be_hidden()
    page.get_by_role("button", name="Menu").click()
    page.get_by_role("link", name="Profiles").click()
    expect(page.get_by_role("heading", name="Profiles")).to_be_visible()


def test_the_table_narrows_while_one_types(signed_in: Page, scene: Scene) -> None:
    page = signed_in
    for name in ("alpha.acme.com", "beta.acme.com"):
        make_issued(scene.profile, name)
    page.goto(scene.address("certificates/"))
    page.get_by_label("Search certificates").fill("alpha")
    expect(page.get_by_role("link", name="beta.acme.com")).to_have_count(0)
    expect(page.get_by_role("link", name="alpha.acme.com")).to_be_visible()
    page.get_by_label("Status").select_option("revoked")
    expect(page.get_by_text("No certificate fits")).to_be_visible()
    assert Certificate.objects.count() == 2


def test_an_incident_is_declared_once_its_list_was_seen(signed_in: Page, scene: Scene) -> None:
    page = signed_in
    make_issued(scene.profile, "alpha.acme.com")
    page.goto(scene.address())
    page.get_by_role("link", name="Incidents").click()
    page.get_by_role("link", name="Declare incident").first.click()
    page.get_by_label("What happened").fill("The signing host was broken into")
    page.get_by_label("Profile").select_option(label="server")
    page.keyboard.press("Enter")  # looks, and declares nothing
    page.get_by_role("button", name="See what is affected").click()
    expect(page.get_by_role("heading", name="1 certificate affected")).to_be_in_viewport()
    expect(page.get_by_role("link", name="alpha.acme.com")).to_be_visible()
    assert not Incident.objects.exists()
    page.get_by_role("button", name="Replace 1").click()
    expect(page.get_by_text("1 certificates are to be replaced.")).to_be_visible()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_text("The incident is closed")).to_be_visible()
    assert Incident.objects.get().closed_by == "alice"


def test_an_operator_goes_from_nothing_to_a_certificate(signed_in: Page, scene: Scene) -> None:
    page = signed_in
    page.goto(scene.address("authorities/create/"))
    page.get_by_label("Name", exact=True).fill("new-root")
    page.get_by_label("Common name").fill("Acme New Root")
    page.get_by_role("button", name="Create CA").click()
    expect(page.get_by_role("heading", name="new-root")).to_be_visible()

    page.goto(scene.address("templates/create/"))
    page.get_by_role("link", name="TLS server").click()
    page.get_by_label("Pattern").first.fill("*.acme.com")
    page.get_by_role("button", name="Create template").click()
    expect(page.get_by_role("heading", name="tls-server")).to_be_visible()

    page.goto(scene.address("profiles/create/"))
    page.get_by_label("Name", exact=True).fill("web")
    page.get_by_label("Issuing CA").select_option(label="new-root")
    page.get_by_label("Template").select_option(label="tls-server")
    expect(page.get_by_label("Enable Auto-Renewal By Default")).to_be_checked()
    page.get_by_role("button", name="Create profile").click()
    expect(page.get_by_role("heading", name="web", exact=True)).to_be_visible()

    page.get_by_role("link", name="Issue certificate").click()
    page.get_by_label("Common name").fill("www.acme.com")
    page.get_by_role("dialog").get_by_role("button", name="Issue").click()
    expect(page.locator("#private-key")).to_be_visible()
    assert Certificate.objects.get().profile is not None
    assert Certificate.objects.get().renew_before_days == 7


def test_a_refusal_outside_the_form_is_told_in_words(signed_in: Page, scene: Scene) -> None:
    page = signed_in
    page.goto(scene.address("certificates/"))
    page.get_by_role("link", name="Issue certificate").first.click()
    page.get_by_label("Common name").fill("late.acme.com")
    scene.alice.memberships.update(role="viewer")
    page.get_by_role("dialog").get_by_role("button", name="Issue").click()
    expect(page.get_by_role("alert").filter(has_text="This is not allowed")).to_be_visible()
    expect(page.get_by_label("Common name")).to_have_value("late.acme.com")
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Issue certificate").first.click()
    expect(page.get_by_role("heading", name="Not allowed")).to_be_visible()
    assert Certificate.objects.count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_admin_is_accessible_in_the_portals_colours(
    open_page: Callable[..., Page], scene: Scene, scheme: str
) -> None:
    scene.alice.is_superuser = scene.alice.is_staff = True
    scene.alice.save(update_fields=["is_superuser", "is_staff"])
    make_issued(scene.profile)
    page = open_page(bypass_csp=True, color_scheme=scheme)
    sign_in(page, scene)
    for path in ("", "access/project/", "certificates/certificate/", "profiles/certificateprofile/"):
        page.goto(f"{scene.origin}/admin/{path}")
        expect(page.get_by_role("link", name="PKI Portal administration")).to_be_visible()
        assert Axe().run(page).response["violations"] == [], path
