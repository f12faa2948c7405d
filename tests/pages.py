"""What tests of the pages share: a project to look at, a watched browser page, a sign-in, an issued certificate."""

from dataclasses import dataclass, field
from datetime import timedelta

from playwright.sync_api import ConsoleMessage, Page, Request, Response

from certificates.models import Certificate
from certificates.services.issuance import issue_certificate
from pki_portal.access.models import Project, User
from profiles.models import CertificateProfile
from profiles.policy.request import AttributeValue, GeneralName, IssuanceRequest
from profiles.policy.vocabulary import NameType, SubjectAttribute
from profiles.services import find_profile
from tests.factories import PASSWORD, SYSTEM

DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}


@dataclass
class Watch:
    """What went wrong in any page: policy violations, requests that left the portal, broken scripts, faults."""

    origin: str
    troubles: list[str] = field(default_factory=list)

    def over(self, page: Page) -> Page:
        """Watch a page from now on."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.troubles.append(f"script error: {error}"))
        page.on("request", self._request)
        page.on("response", self._response)
        return page

    def _console(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            self.troubles.append(message.text)

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.origin, "data:", "blob:")):
            self.troubles.append(f"request to {request.url}")

    def _response(self, response: Response) -> None:
        if response.status >= 500:
            self.troubles.append(f"{response.status} at {response.url}")


@dataclass(frozen=True)
class Scene:
    """Project Acme with profile ``server``; alice is its admin."""

    origin: str
    project: Project
    profile: CertificateProfile
    alice: User

    def address(self, path: str = "") -> str:
        """The address of a page of the project."""
        return f"{self.origin}/projects/{self.project.slug}/{path}"


def sign_in(page: Page, scene: Scene) -> None:
    """Sign alice in by her password."""
    page.goto(f"{scene.origin}/accounts/login/")
    page.locator("[name=login]").fill("alice")
    page.locator("[name=password]").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(scene.address())


def make_issued(
    profile: CertificateProfile, name: str = "service.acme.com", *, life: timedelta = timedelta(days=90)
) -> Certificate:
    """A certificate with that common name and DNS name."""
    return issue_certificate(
        profile=find_profile(requester=SYSTEM, profile_id=profile.pk),
        requester=SYSTEM,
        request=IssuanceRequest(
            subject=(AttributeValue(SubjectAttribute.COMMON_NAME, name),),
            subject_alternative_names=(GeneralName(NameType.DNS_NAME, name),),
            ttl=life,
        ),
    ).certificate
