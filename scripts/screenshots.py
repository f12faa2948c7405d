"""Pictures of every page, light and dark, on a desk and on a phone, of an installation made for them.

python -m scripts.screenshots [FOLDER]
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from playwright.sync_api import Page, ViewportSize, sync_playwright

from tests.addresses import SHARED_PAGES, project_pages
from tests.chromium import launch_options
from tests.portal import Portal, install

DESK: ViewportSize = {"width": 1440, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
LOOKS = [(scheme, size) for scheme in ("light", "dark") for size in (DESK, PHONE)]
PASSWORD = "a long and quiet river"  # noqa: S105 - of an installation that ends with this script
ADMIN_PAGES = {
    "admin": "/admin/",
    "admin-certificates": "/admin/certificates/certificate/",
    "admin-create-template": "/admin/profiles/certificatetemplate/add/",
}


@dataclass(frozen=True)
class Album:
    """Pictures of one page at a time, in all four looks, as ``<name>.<scheme>-<width>.png``."""

    page: Page
    folder: Path

    def visit(self, name: str, path: str) -> None:
        """Open a page and take its pictures; raises RuntimeError for a fault of the portal."""
        answer = self.page.goto(path)
        if answer is None or answer.status >= 500:
            raise RuntimeError(f"{path} did not answer with a page")
        self.take(name)

    def take(self, name: str) -> None:
        """Take pictures of what is shown now."""
        for scheme, size in LOOKS:
            self.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type] # a Literal, from a list of str
            self.page.set_viewport_size(size)
            file = self.folder / f"{name}.{scheme}-{size['width']}.png"
            self.page.screenshot(path=file, full_page=True, animations="disabled")
        self.page.set_viewport_size(DESK)


def main(folder: Path) -> None:
    """Fill the folder."""
    with tempfile.TemporaryDirectory(prefix="pki-portal-screenshots-") as state, sync_playwright() as playwright:
        portal = install(Path(state) / "var")
        portal.start()
        try:
            browser = playwright.chromium.launch(**launch_options())
            page = browser.new_page(base_url=portal.base_url, viewport=DESK)
            page.set_default_timeout(10_000)
            _take_all(Album(page, folder), portal)
            browser.close()
        finally:
            portal.kill()


def _take_all(album: Album, portal: Portal) -> None:
    _enter(album, portal)
    album.visit("overview-empty", f"/projects/{portal.made['projectSlug']}/")
    album.visit("certificates-empty", f"/projects/{portal.made['projectSlug']}/certificates/")
    pages = _fill(portal)
    for name, path in (pages | SHARED_PAGES | ADMIN_PAGES).items():
        album.visit(name, path)
    album.page.goto("/api/docs/")
    album.page.locator(".opblock").first.wait_for()
    album.take("api-docs")
    _issue(album, pages["certificates"])
    _declare(album, pages["declare-incident"])
    _renew(album, refused=pages["certificate"], granted=pages["certificate-unclaimed"])
    _judge(album, edit=pages["edit-template"], attempt=pages["try-template"])


def _judge(album: Album, *, edit: str, attempt: str) -> None:
    """What a change of rules would do, before it is saved; a request tried, refused, and mended by its fix."""
    page = album.page
    page.goto(edit)
    page.locator("#sans-rows").get_by_label("Pattern").first.fill("*.eu-west.internal.example.com")
    page.get_by_role("button", name="Preview").click()
    page.get_by_text("Nothing is saved yet.").wait_for()
    album.take("edit-template-preview")
    page.goto(attempt)
    page.get_by_label("Common name").fill("www.other.com")
    page.get_by_role("heading", name="Would be refused").wait_for()
    album.take("try-template-refused")
    page.get_by_role("button", name="Use www.example.com").first.click()
    page.get_by_role("heading", name="Would be issued").wait_for()
    album.take("try-template-mended")


def _renew(album: Album, *, refused: str, granted: str) -> None:
    """The dialog and its refusal; what comes of a renewal, and the page of a key that was claimed."""
    page = album.page
    page.goto(refused)
    page.get_by_role("link", name="Renew", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Renew").wait_for()
    album.take("renew-dialog")
    dialog.get_by_role("button", name="Renew").click()
    dialog.get_by_text("Not renewed").wait_for()
    album.take("renew-dialog-refused")
    album.visit("certificate-renewal-refused", refused)
    page.goto(granted)
    page.get_by_role("link", name="Renew", exact=True).click()
    dialog.get_by_role("button", name="Renew").click()
    page.locator("#private-key").wait_for()
    album.take("renewed")
    page.goto(granted)
    page.get_by_role("link", name="its successor").click()
    page.get_by_text("was claimed by").wait_for()
    album.take("certificate-claimed")


def _declare(album: Album, address: str) -> None:
    """The form of an incident with what it would affect, and refused."""
    page = album.page
    page.goto(address)
    page.get_by_label("What happened").fill("The token of a deployment leaked")
    page.get_by_label("Profile").select_option(label="tls-server")
    page.get_by_role("button", name="See what is affected").click()
    page.get_by_role("heading", name="affected").wait_for()
    album.take("declare-incident-affected")
    page.get_by_label("Key").fill("not a hash")
    page.get_by_role("button", name="See what is affected").click()
    page.get_by_text("64 hexadecimal digits").wait_for()
    album.take("declare-incident-refused")


def _enter(album: Album, portal: Portal) -> None:
    """The pages of people who are not signed in, then sign in by the link that the start printed."""
    page, link = album.page, portal.made["adminSetPasswordUrl"]
    album.visit("login", "/accounts/login/")
    page.locator("[name=login]").fill("admin")
    page.locator("[name=password]").fill("not it")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("alert").wait_for()
    album.take("login-refused")
    album.visit("set-password", link)
    page.get_by_label("New password").fill(PASSWORD)
    page.get_by_label("Repeat it").fill(PASSWORD)
    page.get_by_role("button", name="Set password").click()
    page.wait_for_url("**/projects/**")
    album.visit("set-password-gone", link)


def _issue(album: Album, certificates: str) -> None:
    """The dialog: as it opens, with everything unfolded and refused, with a CSR, and what comes of it."""
    page = album.page
    page.goto(certificates)
    page.get_by_role("link", name="Issue certificate").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Common name").wait_for()
    album.take("issue-dialog")
    dialog.get_by_text("Details").click()
    album.take("issue-dialog-details")
    dialog.get_by_label("Common name").fill("not a name")
    dialog.get_by_label("Valid for").fill("9y")
    dialog.get_by_role("button", name="Issue").click()
    dialog.get_by_role("alert").filter(has_text="Not issued").wait_for()
    album.take("issue-dialog-refused")
    dialog.get_by_label("Paste a CSR").check()
    album.take("issue-dialog-csr")
    dialog.get_by_label("Fill in fields").check()
    dialog.get_by_label("Common name").fill("service.example.com")
    dialog.get_by_label("Valid for").fill("90d")
    dialog.get_by_role("button", name="Issue").click()
    page.locator("#private-key").wait_for()
    album.take("issued")


def _fill(portal: Portal) -> dict[str, str]:
    """Put things on the pages, short and long ones, and answer the pages' paths by name."""
    token, made = portal.token(), portal.made
    server, client = made["profileIds"]["tls-server"], made["profileIds"]["tls-client"]

    def issue(profile: str, **body: Any) -> dict[str, Any]:
        return portal.call("POST", "/api/v1/cert-manager/certificates", {"profileId": profile} | body, token=token)

    def names(*values: str) -> list[dict[str, str]]:
        return [{"type": "DNS", "value": value} for value in values]

    long = f"{'a-host-with-a-long-name-' * 2}in.a-region-with-a-long-name.example.com"
    agent = issue(client, attributes={"commonName": "build agent 7", "ttl": "3d", "organization": "Acme"})
    others = [
        issue(server, attributes={"altNames": names(long, *(f"node-{number}.example.com" for number in range(12)))}),
        issue(server, csr=_csr("signed-from-a-csr.example.com"), attributes={"ttl": "30d"}),
        issue(server, attributes={"commonName": "api.example.com", "ttl": "20d"}),
    ]
    shown = issue(
        server,
        attributes={
            "commonName": "shop.example.com",
            "organization": "Acme",
            "country": "US",
            "altNames": [*names("shop.example.com", "*.shop.example.com"), {"type": "IP", "value": "10.20.0.7"}],
            "ttl": "90d",
        },
    )
    renewed = portal.call(
        "POST", f"/api/v1/cert-manager/certificates/{agent['certificate']['certificateId']}/renew", token=token
    )
    try:
        issue(server, attributes={"commonName": "too-long.example.com", "ttl": "9y"})
    except HTTPError as refusal:  # it stands among the requests
        refusal.close()
    template = f"/api/v1/cert-manager/certificate-templates/{made['templateIds']['tls-server']}"
    narrow = {"type": "common_name", "allowed": ["*.example.com", "*.eu-west.internal.example.com"]}
    portal.call("PATCH", template, {"validity": {"max": "180d"}, "subject": [narrow]}, token=token)
    portal.call("PATCH", template, {"description": "For web servers, at most 90 days"}, token=token)
    profile = f"/api/v1/cert-manager/certificate-profiles/{server}"
    portal.call("PATCH", profile, {"apiConfig": {"renewBeforeDays": 20}, "defaults": {"ttl": "90d"}}, token=token)
    alert = portal.call(
        "POST",
        "/api/v1/cert-manager/alerts",
        {
            "projectId": made["projectId"],
            "name": "Web servers",
            "description": "Everything under acme.com, a month before it ends",
            "type": "certificate-expiry",
            "alertBefore": "30d",
            "filters": [{"field": "san", "operator": "matches", "value": "*.acme.com"}],
            "channels": [
                {"channelType": "email", "config": {"recipients": ["pki@acme.com", "operations@acme.com"]}},
                {"channelType": "webhook", "config": {"url": "https://hooks.example.com/a/long/path/to/the/receiver"}},
                {"channelType": "slack", "config": {"webhookUrl": "https://hooks.slack.com/services/T/B/x"}},
            ],
        },
        token=token,
    )
    portal.call("POST", f"/api/v1/cert-manager/alerts/{alert['alert']['id']}/test", token=token)
    portal.manage("quickstart", "--project", "payments-and-settlement")
    policies = "/api/v1/approval-policies/cert-request"
    policy = portal.call(
        "POST",
        policies,
        {
            "projectId": made["projectId"],
            "name": "Two people for clients",
            "conditions": [{"profileNames": ["tls-client"]}],
            "maxRequestTtl": "7d",
            "steps": [{"name": "Security", "approvers": [{"type": "role", "id": "admin"}]}],
        },
        token=token,
    )["policy"]
    waiting = issue(client, attributes={"commonName": "build agent 8", "ttl": "3d"})["certificateRequestId"]
    portal.call(
        "PATCH",
        f"/api/v1/cert-manager/certificate-profiles/{client}",
        {"description": "For programs", "defaults": {"ttl": "2d"}},
        token=token,
    )
    affected = [each["certificate"]["certificateId"] for each in others]
    incident = portal.call(
        "POST",
        f"/api/v1/projects/{made['projectId']}/incidents",
        {"reason": "The signing host was broken into", "certificateIds": affected, "replaceWithin": "1m"},
        token=token,
    )
    project = f"/projects/{made['projectSlug']}"
    approvals = {
        "request-waiting": f"{project}/requests/{waiting}/",
        "edit-approval-policy": f"{project}/approvals/policies/{policy['id']}/edit/",
    }
    unclaimed = {"certificate-unclaimed": f"/projects/{made['projectSlug']}/certificates/{renewed['certificateId']}/"}
    return (
        unclaimed
        | approvals
        | project_pages(
            slug=made["projectSlug"],
            certificate=shown["certificate"]["certificateId"],
            request=shown["certificateRequestId"],
            profile=server,
            template=made["templateIds"]["tls-server"],
            authority=made["caIds"]["ec"],
            alert=alert["alert"]["id"],
            incident=incident["incident"]["id"],
        )
    )


def _csr(name: str) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = x509.SubjectAlternativeName([x509.DNSName(name)])
    built = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(names, critical=False)
    return built.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/screenshots"))
