"""Versions of templates and profiles: listed, read, compared; under all three names of the wire."""

from uuid import uuid4

import pytest
from django.test import Client

from pki_portal.access.models import Role
from profiles.models import CertificateProfile
from profiles.services import delete_profile, delete_template, update_profile, update_template
from tests.assertions import assert_error
from tests.factories import SYSTEM, make_project, make_user, requester_for
from tests.scenery import make_issuing_profile
from tests.wire import make_client

pytestmark = pytest.mark.django_db

BASE = "/api/v1/cert-manager"
TEMPLATES, POLICIES, PROFILES = (f"{BASE}/certificate-{name}" for name in ("templates", "policies", "profiles"))


@pytest.fixture
def profile() -> CertificateProfile:
    """Of two versions, with a template of three, the last by alice."""
    profile = make_issuing_profile(make_project())
    alice = requester_for(make_user("alice", project=profile.project))
    for changes in (
        {"validity": {"max": "90d"}},
        {
            "subject": [{"type": "common_name", "allowed": ["*.acme.com"]}],
            "basic_constraints": {"is_ca": "denied"},
            "key_usages": {"required": ["digital_signature"]},
        },
    ):
        update_template(requester=alice, template=profile.template, changes=changes)
    return update_profile(
        requester=alice, profile=profile, changes={"api": {"renew_before_days": 9}, "defaults": {"ttl": "30d"}}
    )


@pytest.fixture
def robot(profile: CertificateProfile) -> Client:
    return make_client(profile.project)


def paths_of(profile: CertificateProfile) -> list[str]:
    template = profile.template_id
    return [f"{TEMPLATES}/{template}", f"{POLICIES}/{template}", f"{PROFILES}/{profile.pk}"]


def test_the_list_is_newest_first_with_author_and_time_and_without_documents(
    profile: CertificateProfile, robot: Client
) -> None:
    for base, newest in zip(paths_of(profile), (3, 3, 2), strict=True):
        answer = robot.get(f"{base}/versions").json()

        assert answer["totalCount"] == newest
        assert [each["version"] for each in answer["versions"]] == list(range(newest, 0, -1))
        first, last = answer["versions"][-1], answer["versions"][0]
        assert set(first) == {"version", "name", "author", "createdAt"}
        assert first["author"] == {"kind": "system", "id": "", "name": "tests"} | {"id": first["author"]["id"]}
        assert (last["author"]["kind"], last["author"]["name"]) == ("user", "alice")
        assert first["createdAt"] < last["createdAt"]


def test_the_list_is_paged(profile: CertificateProfile, robot: Client) -> None:
    answer = robot.get(f"{TEMPLATES}/{profile.template_id}/versions?offset=1&limit=1").json()
    assert ([each["version"] for each in answer["versions"]], answer["totalCount"]) == ([2], 3)


def test_a_version_of_a_template_says_all_in_the_wires_keys(profile: CertificateProfile, robot: Client) -> None:
    version = robot.get(f"{TEMPLATES}/{profile.template_id}/versions/3").json()["version"]

    assert version["version"] == 3
    assert version["document"].keys() == {
        *("name", "description", "subject", "sans", "keyUsages", "extendedKeyUsages"),
        *("algorithms", "validity", "basicConstraints"),
    }
    assert version["document"]["subject"] == [{"type": "common_name", "allowed": ["*.acme.com"]}]
    assert version["document"]["basicConstraints"] == {"isCA": "denied"}
    assert robot.get(f"{POLICIES}/{profile.template_id}/versions/3").json() == {"version": version}


def test_a_version_of_a_profile_says_all_in_the_wires_keys(profile: CertificateProfile, robot: Client) -> None:
    document = robot.get(f"{PROFILES}/{profile.pk}/versions/2").json()["version"]["document"]

    assert document == {
        "slug": "server",
        "description": "",
        "issuerType": "ca",
        "enrollmentType": "api",
        "keyRetention": "once",
        "lintWaivers": [],
        "requiresApproval": False,
        "defaults": {"ttl": "30d"},
        "certificateAuthority": {"id": str(profile.certificate_authority_id), "name": "server-root"},
        "certificateTemplate": {"id": str(profile.template_id), "name": "server"},
        "configs": {"apiConfig": {"autoRenew": True, "renewBeforeDays": 9}},
    }


def test_two_versions_are_compared_by_what_an_entry_is_about(profile: CertificateProfile, robot: Client) -> None:
    base = f"{TEMPLATES}/{profile.template_id}/versions"
    answer = robot.get(f"{base}/3/diff").json()

    assert (answer["from"], answer["to"]) == (2, 3)
    assert answer["differences"] == [
        {"path": "subject[common_name]/allowed", "before": ["*"], "after": ["*.acme.com"]},
        {"path": "subject[organization]/allowed", "before": ["*"], "after": None},
        {"path": "keyUsages/allowed", "before": ["key_encipherment"], "after": None},
        {"path": "basicConstraints/isCA", "before": None, "after": "denied"},
    ]
    both = robot.get(f"{base}/3/diff?from=1").json()
    assert both["from"] == 1
    assert {"path": "validity/max", "before": "398d", "after": "90d"} in both["differences"]
    back = robot.get(f"{base}/1/diff?from=3").json()
    assert {"path": "validity/max", "before": "90d", "after": "398d"} in back["differences"]
    assert robot.get(f"{base}/2/diff?from=2").json()["differences"] == []


def test_a_profiles_versions_are_compared_too(profile: CertificateProfile, robot: Client) -> None:
    assert robot.get(f"{PROFILES}/{profile.pk}/versions/2/diff").json()["differences"] == [
        {"path": "defaults/ttl", "before": None, "after": "30d"},
        {"path": "configs/apiConfig/renewBeforeDays", "before": 7, "after": 9},
    ]


def test_the_first_version_is_compared_with_nothing(profile: CertificateProfile, robot: Client) -> None:
    answer = robot.get(f"{TEMPLATES}/{profile.template_id}/versions/1/diff").json()

    assert (answer["from"], answer["to"]) == (None, 1)
    assert {"path": "name", "before": None, "after": "server"} in answer["differences"]
    assert all(each["before"] is None for each in answer["differences"])


def test_what_is_deleted_keeps_its_versions(profile: CertificateProfile, robot: Client) -> None:
    delete_profile(requester=SYSTEM, profile=profile)
    delete_template(requester=SYSTEM, template=profile.template)

    for base in paths_of(profile):
        assert robot.get(f"{base}/versions/1").status_code == 200
        assert robot.get(f"{base}/versions/2/diff").status_code == 200


def test_who_may_not_read_the_thing_may_not_read_its_versions(profile: CertificateProfile) -> None:
    outsider = make_client(make_project("Other"), name="outsider")
    without = make_client(profile.project, role=Role.NO_ACCESS, name="without")
    viewer = make_client(profile.project, role=Role.VIEWER, name="viewer")
    for base in paths_of(profile):
        for path in (f"{base}/versions", f"{base}/versions/1", f"{base}/versions/2/diff"):
            assert_error(Client().get(path), status=401, error="UnauthorizedError")
            assert_error(outsider.get(path), status=404, error="NotFound")
            assert_error(without.get(path), status=403, error="PermissionDenied")
            assert viewer.get(path).status_code == 200


@pytest.mark.parametrize(
    ("rest", "status", "error", "field"),
    [
        ("versions/9", 404, "NotFound", None),
        ("versions/9/diff", 404, "NotFound", None),
        ("versions/2/diff?from=9", 404, "NotFound", None),
        ("versions/0", 422, "ValidationFailure", "/version"),
        ("versions/-1", 422, "ValidationFailure", "/version"),
        ("versions/two", 422, "ValidationFailure", "/version"),
        ("versions/2147483648", 422, "ValidationFailure", "/version"),
        (f"versions/{'9' * 400}", 422, "ValidationFailure", "/version"),
        ("versions/%C2%B2", 422, "ValidationFailure", "/version"),
        ("versions/2/diff?from=0", 422, "ValidationFailure", "/from"),
        ("versions/2/diff?from=x", 422, "ValidationFailure", "/from"),
        ("versions?limit=101", 422, "ValidationFailure", "/limit"),
    ],
)
def test_what_is_not_there_or_no_number_is_said(
    profile: CertificateProfile, robot: Client, rest: str, status: int, error: str, field: str | None
) -> None:
    for base in paths_of(profile):
        assert_error(robot.get(f"{base}/{rest}"), status=status, error=error, field=field)


@pytest.mark.parametrize("base", [TEMPLATES, POLICIES, PROFILES])
def test_an_id_that_is_none_or_nobodys_is_said(robot: Client, base: str) -> None:
    assert_error(robot.get(f"{base}/{uuid4()}/versions"), status=404, error="NotFound")
    assert_error(robot.get(f"{base}/no-id/versions"), status=422, error="ValidationFailure", field="/id")
