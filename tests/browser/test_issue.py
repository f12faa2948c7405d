"""The main job in a real browser: a certificate from the Issue button."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12
from playwright.sync_api import Page, expect

from certificates.models import Certificate
from certificates.x509.keys import private_key_pem
from pki_portal.access.services import make_set_password_link
from tests.factories import SYSTEM
from tests.pages import Scene, sign_in
from tests.scenery import make_issuing_profile
from tests.wire import make_csr

pytestmark = pytest.mark.browser


def open_dialog(page: Page, scene: Scene) -> None:
    page.goto(scene.address("certificates/"))
    page.get_by_role("link", name="Issue certificate").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(page.get_by_label("Common name")).to_be_focused()


def issue(page: Page, scene: Scene, name: str = "service.acme.com") -> None:
    open_dialog(page, scene)
    page.get_by_label("Common name").fill(name)
    page.get_by_role("dialog").get_by_role("button", name="Issue").click()
    expect(page.locator("#private-key")).to_be_visible()


def spki(key: object) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined, no-any-return]


def test_the_set_password_link_leads_to_a_certificate_whose_downloaded_key_matches(
    open_page: Callable[..., Page], scene: Scene, tmp_path: Path
) -> None:
    link = make_set_password_link(requester=SYSTEM, user=scene.alice)
    page = open_page(accept_downloads=True)
    page.goto(scene.origin + link[link.index("/accounts/") :])
    page.get_by_label("New password").fill("a long and quiet river")
    page.get_by_label("Repeat it").fill("a long and quiet river")
    page.get_by_role("button", name="Set password").click()
    page.wait_for_url(scene.address())

    page.get_by_role("link", name="Issue certificate").click()
    page.get_by_label("Common name").fill("service.acme.com")
    page.get_by_role("dialog").get_by_role("button", name="Issue").click()
    with page.expect_download() as key_download:
        page.get_by_role("button", name="Download Private key").click()
    with page.expect_download() as certificate_download:
        page.get_by_role("link", name="Download Certificate", exact=True).click()

    key = load_pem_private_key(Path(key_download.value.path()).read_bytes(), password=None)
    certificate = x509.load_pem_x509_certificate(Path(certificate_download.value.path()).read_bytes())
    assert key_download.value.suggested_filename == "service.acme.com.key"
    assert spki(key.public_key()) == spki(certificate.public_key())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["service.acme.com"]
    assert certificate.serial_number == int(Certificate.objects.get().serial_number, 16)


def test_a_reload_shows_the_certificate_without_its_key(signed_in: Page, scene: Scene) -> None:
    page = signed_in
    issue(page, scene)
    expect(page.get_by_text("Save the private key now")).to_be_visible()
    certificate = Certificate.objects.get()
    expect(page).to_have_url(scene.address(f"certificates/{certificate.pk}/"))

    page.reload()

    expect(page.get_by_role("heading", name="service.acme.com")).to_be_visible()
    assert "PRIVATE KEY" not in page.content()
    assert Certificate.objects.count() == 1


def test_back_and_forward_show_no_key(signed_in: Page, scene: Scene) -> None:
    page = signed_in
    issue(page, scene)
    page.get_by_role("link", name="Overview").click()
    page.wait_for_url(scene.address())

    page.go_back()
    expect(page.locator("#main")).to_contain_text("service.acme.com")
    expect(page.locator("body")).not_to_contain_text("PRIVATE KEY")
    page.go_back()
    expect(page.get_by_role("heading", name="Certificates", exact=True)).to_be_visible()
    expect(page.locator("body")).not_to_contain_text("PRIVATE KEY")
    page.go_forward()
    expect(page.locator("#main")).to_contain_text("service.acme.com")
    expect(page.locator("body")).not_to_contain_text("PRIVATE KEY")
    assert Certificate.objects.count() == 1


def test_the_key_is_kept_in_no_storage_of_the_browser(signed_in: Page, scene: Scene) -> None:
    page = signed_in
    issue(page, scene)
    kept = page.evaluate(
        "JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage), history.state])"
    )
    assert "PRIVATE KEY" not in kept


def test_a_double_click_issues_one_certificate(signed_in: Page, scene: Scene) -> None:
    page = signed_in
    open_dialog(page, scene)
    page.get_by_label("Common name").fill("service.acme.com")
    page.get_by_role("dialog").get_by_role("button", name="Issue").dblclick()
    expect(page.locator("#private-key")).to_be_visible()
    assert Certificate.objects.count() == 1


def test_violations_stand_beside_their_fields(signed_in: Page, scene: Scene) -> None:
    page = signed_in
    open_dialog(page, scene)
    page.get_by_label("Common name").fill("bad name")
    page.get_by_label("Valid for").fill("4000d")
    page.get_by_role("dialog").get_by_role("button", name="Issue").click()

    expect(page.get_by_role("alert").filter(has_text="Not issued")).to_be_visible()
    life = page.get_by_label("Valid for")
    expect(life).to_have_attribute("aria-invalid", "true")
    described = page.locator("#id_ttl-violations")
    expect(described).to_contain_text("398d")
    assert "id_ttl-violations" in (life.get_attribute("aria-describedby") or "")
    expect(page.locator("#id_common_name_as_dns-violations")).to_contain_text("bad name")
    assert Certificate.objects.count() == 0

    page.get_by_label("Common name").fill("good.acme.com")
    life.fill("30d")
    page.get_by_role("dialog").get_by_role("button", name="Issue").click()
    expect(page.locator("#private-key")).to_be_visible()


def test_a_row_of_names_is_refused_beside_the_row(signed_in: Page, scene: Scene) -> None:
    page = signed_in
    open_dialog(page, scene)
    page.get_by_label("Common name").fill("service.acme.com")
    page.get_by_label("Kind of name").select_option("ip_address")
    page.get_by_label("Name", exact=True).fill("10.0.0.1")
    page.get_by_role("button", name="Add a name").click()
    page.get_by_label("Kind of name").nth(1).select_option("ip_address")
    page.get_by_label("Name", exact=True).nth(1).fill("999.0.0.1")
    page.get_by_role("dialog").get_by_role("button", name="Issue").click()

    wrong = page.get_by_label("Name", exact=True).nth(1)
    expect(wrong).to_have_attribute("aria-invalid", "true")
    expect(wrong).to_have_value("999.0.0.1")
    expect(page.locator("#name-2-violations")).to_contain_text("999.0.0.1")
    expect(page.get_by_label("Name", exact=True).nth(0)).not_to_have_attribute("aria-invalid", "true")


def test_a_dropped_csr_is_signed_and_shows_no_key(signed_in: Page, scene: Scene) -> None:
    page = signed_in
    csr = make_csr()
    open_dialog(page, scene)
    page.get_by_label("Paste a CSR").check()
    expect(page.get_by_label("Common name")).to_be_hidden()
    transfer = page.evaluate_handle(
        "text => { const data = new DataTransfer(); data.items.add(new File([text], 'host.csr')); return data; }", csr
    )
    page.locator("[data-drop-for]").dispatch_event("drop", {"dataTransfer": transfer})
    expect(page.get_by_label("Certificate signing request")).to_have_value(csr)
    page.get_by_role("dialog").get_by_role("button", name="Issue").click()

    expect(page.get_by_text("Signed from your CSR")).to_be_visible()
    assert "PRIVATE KEY" not in page.content()
    certificate = x509.load_der_x509_certificate(bytes(Certificate.objects.get().der))
    assert spki(certificate.public_key()) == spki(x509.load_pem_x509_csr(csr.encode()).public_key())


def test_a_binary_csr_file_is_read(signed_in: Page, scene: Scene) -> None:
    page = signed_in
    open_dialog(page, scene)
    page.get_by_label("Paste a CSR").check()
    der = x509.load_pem_x509_csr(make_csr().encode()).public_bytes(Encoding.DER)
    page.locator("#csr-file").set_input_files({"name": "host.csr", "mimeType": "application/pkcs10", "buffer": der})
    page.get_by_role("dialog").get_by_role("button", name="Issue").click()
    expect(page.get_by_text("Signed from your CSR")).to_be_visible()


def test_what_is_no_csr_is_refused_beside_the_text(signed_in: Page, scene: Scene) -> None:
    page = signed_in
    open_dialog(page, scene)
    page.get_by_label("Paste a CSR").check()
    page.get_by_label("Certificate signing request").fill("hello")
    page.get_by_role("dialog").get_by_role("button", name="Issue").click()
    expect(page.locator("#id_csr-violations")).to_be_visible()
    expect(page.get_by_label("Certificate signing request")).to_have_value("hello")


def test_another_profile_shows_what_its_template_allows_and_keeps_what_was_typed(signed_in: Page, scene: Scene) -> None:
    page = signed_in
    narrow = [{"type": "common_name", "allowed": ["*.acme.com"]}]
    make_issuing_profile(scene.project, slug="narrow", subject=narrow, sans=[])
    open_dialog(page, scene)
    expect(page.get_by_label("Kind of name")).to_be_visible()
    page.get_by_label("Paste a CSR").check()
    page.get_by_label("Certificate signing request").fill("half a request")
    page.get_by_label("Fill in fields").check()
    page.get_by_label("Common name").fill("typed.acme.com")

    page.get_by_role("dialog").get_by_label("Profile").select_option(label="narrow")

    expect(page.get_by_label("Kind of name")).to_have_count(0)
    expect(page.get_by_text("Allowed: *.acme.com")).to_be_visible()
    expect(page.get_by_label("Common name")).to_have_value("typed.acme.com")
    page.get_by_label("Paste a CSR").check()
    expect(page.get_by_label("Certificate signing request")).to_have_value("half a request")


def test_required_usages_are_ticked_and_locked(signed_in: Page, scene: Scene) -> None:
    page = signed_in
    open_dialog(page, scene)
    page.get_by_text("Details").click()
    required = page.get_by_label("Digital signature")
    expect(required).to_be_checked()
    expect(required).to_be_disabled()
    allowed = page.get_by_label("Key encipherment")
    expect(allowed).to_be_enabled()
    expect(allowed).not_to_be_checked()
    expect(page.get_by_label("CRL sign")).to_have_count(0)


def test_the_keyboard_is_enough(signed_in: Page, scene: Scene) -> None:
    page = signed_in
    page.goto(scene.address("certificates/"))
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(3):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.includes('Issue certificate')"):
            break
    page.keyboard.press("Enter")
    expect(page.get_by_label("Common name")).to_be_focused()
    page.keyboard.type("keys.acme.com")
    page.keyboard.press("Enter")
    expect(page.locator("#private-key")).to_be_visible()
    expect(page.locator("#main")).to_be_focused()


def test_escape_closes_the_dialog(signed_in: Page, scene: Scene) -> None:
    page = signed_in
    open_dialog(page, scene)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_role("link", name="Issue certificate").first).to_be_focused()


def test_without_script_the_form_issues_and_a_repeated_post_shows_no_key(
    open_page: Callable[..., Page], scene: Scene
) -> None:
    page = open_page(java_script_enabled=False)
    sign_in(page, scene)
    page.goto(scene.address("certificates/issue/"))
    page.get_by_label("Common name").fill("plain.acme.com")
    page.get_by_role("button", name="Issue", exact=True).click()
    expect(page.locator("#private-key")).to_contain_text("BEGIN PRIVATE KEY")

    page.reload()  # sends the same form again

    assert "PRIVATE KEY" not in page.content()
    expect(page.get_by_role("heading", name="plain.acme.com")).to_be_visible()
    assert Certificate.objects.count() == 1


def test_the_key_on_the_page_is_downloaded_as_pkcs12_and_stays_on_the_page(signed_in: Page, scene: Scene) -> None:
    page = signed_in
    issue(page, scene)
    shown = page.locator("#private-key").text_content()
    page.get_by_text("As one file with certificate and chain").click()
    for password in ("one long secret", "another one"):
        page.get_by_label("Password of the file").fill(password)
        with page.expect_download() as download:
            page.get_by_role("button", name="Download file").click()
        store = load_pkcs12(Path(download.value.path()).read_bytes(), password.encode())
        assert private_key_pem(store.key) == shown  # type: ignore[arg-type]
        assert download.value.suggested_filename == "service.acme.com.p12"
    expect(page.locator("#private-key")).to_be_visible()
    page.get_by_label("Password of the file").fill("short")
    page.get_by_role("button", name="Download file").click()
    expect(page.get_by_text("Ensure this value has at least 6 characters")).to_be_visible()
    assert page.locator("#private-key").text_content() == shown
