"""The versions of templates and profiles on pages: the table, two compared, one as a whole."""

import re
from uuid import uuid4

import pytest
from django.test import Client

from pki_portal.access.models import Project, Role
from profiles.models import CertificateProfile
from profiles.policy.difference import differences
from profiles.services import delete_profile, delete_template, update_profile, update_template
from profiles.web.history import label_of, told
from tests.factories import SYSTEM, make_project, make_user, requester_for
from tests.scenery import make_issuing_profile

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def profile(project: Project) -> CertificateProfile:
    """Of two versions, with a template of three, all but the first by alice."""
    profile = make_issuing_profile(project)
    alice = requester_for(make_user("alice", project=project))
    for changes in (
        {"validity": {"max": "90d"}},
        {
            "subject": [
                {"type": "common_name", "allowed": ["*.acme.com"]},
                {"type": "locality", "allowed": ["<b>"]},
            ],
            "basic_constraints": {"is_ca": "denied"},
            "sans": [{"type": "dns_name", "allowed": ["*.acme.com"]}],
        },
    ):
        update_template(requester=alice, template=profile.template, changes=changes)
    return update_profile(requester=alice, profile=profile, changes={"api": {"auto_renew": False}})


@pytest.fixture
def viewer(client: Client, project: Project) -> Client:
    client.force_login(make_user("bob", project=project, role=Role.VIEWER))
    return client


def text_of(client: Client, path: str) -> str:
    """The page without markup, with single spaces."""
    response = client.get(path)
    assert response.status_code == 200, path
    assert "no-store" in response.headers["Cache-Control"]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def history(project: Project, profile: CertificateProfile, kind: str = "template") -> str:
    owner = profile.template_id if kind == "template" else profile.pk
    return f"/projects/{project.slug}/{kind}s/{owner}/history/"


def test_the_table_tells_number_change_author_and_time(
    viewer: Client, project: Project, profile: CertificateProfile
) -> None:
    text = text_of(viewer, history(project, profile))

    assert re.search(r"Version 3 Subject, common name: allowed; .*; and \d more alice \(user\)", text)
    assert "Version 2 Longest validity alice (user)" in text
    assert "Version 1 First version tests (system)" in text


def test_the_newest_is_compared_with_the_one_before_unless_two_are_chosen(
    viewer: Client, project: Project, profile: CertificateProfile
) -> None:
    path = history(project, profile)
    for query in ("", "?from=x&to=9", "?from=0&to=", "?from=2&to=3"):
        compared = text_of(viewer, path + query).split("Compare two versions")[1]
        assert "Subject, common name: allowed * *.acme.com" in compared
        assert "Subject, organization: allowed * nothing" in compared
        assert "Certificates for CAs nothing denied" in compared
        assert "&lt;b&gt;" in compared
        assert "398d" not in compared
    assert "Longest validity 398d 90d" in text_of(viewer, f"{path}?from=1&to=2")
    assert "Longest validity 90d 398d" in text_of(viewer, f"{path}?from=2&to=1")
    assert "These say the same." in text_of(viewer, f"{path}?from=2&to=2")


def test_a_version_says_all_and_what_changed_since_the_one_before(
    viewer: Client, project: Project, profile: CertificateProfile
) -> None:
    text = text_of(viewer, f"{history(project, profile)}2/")
    assert "The template is at version 3 now." in text
    assert "Changed since version 1" in text
    assert "Longest validity 398d 90d" in text
    assert "Key usages: required Digital signature" in text

    assert "This is how the template stands now." in text_of(viewer, f"{history(project, profile)}3/")
    assert "Changed since" not in text_of(viewer, f"{history(project, profile)}1/")


def test_a_profile_has_the_same_pages(viewer: Client, project: Project, profile: CertificateProfile) -> None:
    path = history(project, profile, "profile")
    assert "Version 2 Auto-renewal alice (user)" in text_of(viewer, path)
    assert "Auto-renewal yes no" in text_of(viewer, path)
    text = text_of(viewer, f"{path}2/")
    assert "Issuing CA server-root" in text
    assert "Template server" in text
    assert "Auto-renewal no" in text


def test_template_and_profile_lead_to_their_versions(
    viewer: Client, project: Project, profile: CertificateProfile
) -> None:
    for kind in ("template", "profile"):
        path = history(project, profile, kind)
        page = viewer.get(path.removesuffix("history/")).content.decode()
        assert f'href="{path}"' in page


def test_a_long_history_is_paged_and_every_line_has_its_change(viewer: Client, project: Project) -> None:
    profile = make_issuing_profile(project, slug="busy")
    for number in range(21):
        update_template(requester=SYSTEM, template=profile.template, changes={"description": f"d{number}"})
    first = text_of(viewer, history(project, profile))
    assert "Version 3 Description" in first
    assert "Version 2 Description" not in first.split("Compare")[0]
    second = text_of(viewer, f"{history(project, profile)}?page=2").split("Compare")[0]
    assert "Version 2 Description" in second
    assert "Version 1 First version" in second


def test_what_was_deleted_keeps_its_pages(viewer: Client, project: Project, profile: CertificateProfile) -> None:
    delete_profile(requester=SYSTEM, profile=profile)
    delete_template(requester=SYSTEM, template=profile.template)
    for kind in ("template", "profile"):
        path = history(project, profile, kind)
        assert f"This {kind} was deleted" in text_of(viewer, path)
        assert f"The {kind} was deleted; this is how it stood." in text_of(viewer, f"{path}2/")


def test_other_projects_versions_and_missing_ones_are_not_there(
    client: Client, project: Project, profile: CertificateProfile
) -> None:
    other = make_project("Other")
    charlie = make_user("charlie", project=other)
    path, elsewhere = history(project, profile), history(other, profile)
    assert client.get(path).status_code == 302
    client.force_login(charlie)
    assert [client.get(each).status_code for each in (path, f"{path}1/", elsewhere, f"{elsewhere}1/")] == [404] * 4
    # Of both projects: the thing is still in one of them only.
    client.force_login(make_user("dora", is_superuser=True))
    assert [client.get(each).status_code for each in (elsewhere, f"{elsewhere}1/", f"{path}9/", f"{path}0/")] == [
        404
    ] * 4
    assert client.get(f"/projects/{project.slug}/templates/{uuid4()}/history/").status_code == 404
    assert client.get(f"{path}{'9' * 30}/").status_code == 404


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("name", "Name"),
        ("validity/max", "Longest validity"),
        ("subject[common_name]/allowed", "Subject, common name: allowed"),
        ("sans[dns_name]/required", "Alternative names, DNS name: required"),
        ("key_usages/denied", "Key usages: denied"),
        ("settings/est/ca_chain", "Enrollment, EST: ca chain"),
        ("something_new/inside", "Something new: inside"),
    ],
)
def test_paths_are_told_in_words(path: str, label: str) -> None:
    assert label_of(path) == label


def test_algorithms_are_told_as_everywhere_else() -> None:
    for document in (
        {"algorithms": {"key_algorithm": ["EC_prime256v1"]}},
        {"defaults": {"key_algorithm": "EC_prime256v1"}},
    ):
        (difference,) = differences({}, document)
        assert told(difference).after == ["ECDSA P-256"]
