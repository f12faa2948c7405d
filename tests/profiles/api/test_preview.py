"""`?preview=true`: what a change would do is told, and nothing is saved."""

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from pki_portal.access.models import Role
from pki_portal.audit.models import AuditEvent
from profiles.models import CertificateProfile, CertificateTemplate
from tests.assertions import assert_error
from tests.factories import make_project
from tests.pages import make_issued
from tests.scenery import make_issuing_profile
from tests.wire import make_client

pytestmark = pytest.mark.django_db

BASE = "/api/v1/cert-manager"
ONLY_ACME: dict[str, Any] = {
    "subject": [{"type": "common_name", "allowed": ["*.acme.com"]}],
    "sans": [{"type": "dns_name", "allowed": ["*.acme.com"]}],
}


@pytest.fixture
def profile() -> CertificateProfile:
    return make_issuing_profile(make_project())


@pytest.fixture
def robot(profile: CertificateProfile) -> Client:
    return make_client(profile.project)


def patch(client: Client, path: str, body: Any) -> Any:
    return client.patch(f"{BASE}/{path}", body, content_type="application/json")


@pytest.mark.parametrize("collection", ["certificate-templates", "certificate-policies"])
def test_a_template_is_previewed_under_both_names(robot: Client, profile: CertificateProfile, collection: str) -> None:
    make_issued(profile, "www.acme.com")
    other = make_issued(profile, "www.other.com")

    response = patch(robot, f"{collection}/{profile.template_id}?preview=true", ONLY_ACME | {"unknown": 1})

    assert response.status_code == 200
    answer = response.json()
    assert answer.keys() == {"preview", "impact", "warnings"}
    assert answer["preview"] is True
    assert answer["impact"]["days"] == 90
    counts = {
        "total": 2,
        "lookedAt": 2,
        "isSample": False,
        "passing": 1,
        "newlyPassing": 0,
        "newlyRefused": 1,
        "refusedAnyway": 0,
    }
    assert (answer["impact"]["requests"], answer["impact"]["renewals"]) == (counts, counts)
    (request,) = answer["impact"]["refusedRequests"]
    (renewal,) = answer["impact"]["refusedRenewals"]
    assert request["certificateRequestId"] == renewal["certificateRequestId"] == str(other.request_id)
    assert (request["certificateId"], renewal["certificateId"]) == (None, str(other.pk))
    assert (request["name"], request["profile"]) == ("www.other.com", "server")
    assert [detail["pointer"] for detail in request["details"]] == ["/attributes/commonName", "/attributes/altNames/0"]
    assert request["details"][0].keys() == {"pointer", "code", "rule", "asked", "allowed", "fix"}
    due = f"{other.renew_at:%Y-%m-%d}"
    assert renewal["at"].startswith(due)
    assert answer["warnings"] == [
        "/unknown is not known here and was ignored.",
        f"1 renewal that passed before this change will be refused, the first on {due}.",
    ]
    assert CertificateTemplate.objects.get().version == 1


def test_a_save_asks_nothing_and_names_the_renewals_that_it_takes(robot: Client, profile: CertificateProfile) -> None:
    make_issued(profile, "www.other.com")
    path = f"certificate-templates/{profile.template_id}"

    (risk,) = patch(robot, path, {"description": "no rule changes"}).json()["warnings"]
    assert risk.startswith("any_wildcard: A certificate for *.example.com")
    (warning,) = patch(robot, path, ONLY_ACME).json()["warnings"]

    assert warning.startswith("1 renewal that passed before this change will be refused")
    assert CertificateTemplate.objects.get().sans == ONLY_ACME["sans"]


def test_a_move_of_a_profile_is_previewed_and_then_warned_of(robot: Client, profile: CertificateProfile) -> None:
    make_issued(profile, "www.other.com")
    narrow = make_issuing_profile(profile.project, slug="narrow", **ONLY_ACME)
    path, body = f"certificate-profiles/{profile.pk}", {"moveTo": {"certificateTemplateId": str(narrow.template_id)}}

    answer = patch(robot, f"{path}?preview=true", body).json()

    assert answer["impact"]["renewals"]["newlyRefused"] == 1
    profile.refresh_from_db()
    assert (profile.version, profile.template.name) == (1, "server")
    assert "1 renewal that passed before this change" in " ".join(patch(robot, path, body).json()["warnings"])


def test_defaults_of_a_profile_are_previewed(robot: Client, profile: CertificateProfile) -> None:
    answer = patch(robot, f"certificate-profiles/{profile.pk}?preview=true", {"defaults": {"ttlDays": 10}}).json()

    assert answer["impact"]["requests"]["total"] == 0
    assert CertificateProfile.objects.get().defaults == {}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("certificate-templates/{template}", {"validity": {"max": "soon"}}, "/validity/max"),
        ("certificate-profiles/{profile}", {"defaults": {"ttl": "soon"}}, "/defaults/ttl"),
        ("certificate-profiles/{profile}", {"moveTo": {}}, "/moveTo"),
    ],
)
def test_what_no_save_takes_no_preview_takes(
    robot: Client, profile: CertificateProfile, path: str, body: dict[str, Any], field: str
) -> None:
    path = path.format(template=profile.template_id, profile=profile.pk)
    saved, previewed = patch(robot, path, body), patch(robot, f"{path}?preview=true", body)

    assert saved.status_code == previewed.status_code == 422
    assert [detail["pointer"] for detail in previewed.json()["details"]] == [field]
    assert saved.json()["details"] == previewed.json()["details"]


def test_a_refused_save_is_on_record_though_it_was_looked_at_before(robot: Client, profile: CertificateProfile) -> None:
    before = AuditEvent.objects.count()
    patch(robot, f"certificate-templates/{profile.template_id}", {"validity": {"max": "soon"}})
    assert AuditEvent.objects.count() == before + 1


@pytest.mark.parametrize("kind", ["certificate-templates", "certificate-profiles"])
def test_who_may_not_change_it_gets_no_preview(profile: CertificateProfile, kind: str) -> None:
    known = profile.template_id if kind == "certificate-templates" else profile.pk
    path = f"{kind}/{known}?preview=true"

    assert_error(patch(make_client(profile.project, role=Role.VIEWER), path, {}), status=403, error="PermissionDenied")
    assert_error(patch(make_client(make_project()), path, {}), status=404, error="NotFound")
    assert patch(Client(), path, {}).status_code == 401
    robot = make_client(profile.project)
    assert_error(patch(robot, f"{kind}/{uuid4()}?preview=true", {}), status=404, error="NotFound")
    assert patch(robot, f"{kind}/no-id?preview=true", {}).status_code == 422
    assert patch(robot, f"{kind}/{known}?preview=perhaps", {}).status_code == 422
