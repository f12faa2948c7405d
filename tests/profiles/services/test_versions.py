"""Every change of a template or a profile is kept as a version of its own."""

from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.db import connection

from certificates.models import CertificateAuthority
from pki_portal.access.models import Project
from pki_portal.access.requester import Requester
from pki_portal.audit.models import AuditEvent
from pki_portal.errors import PortalError
from profiles.models import CertificateProfile, CertificateTemplate, ProfileVersion, TemplateVersion
from profiles.models.profile import DOCUMENTED, DOCUMENTED_SETTINGS
from profiles.models.template import DOCUMENTED as TEMPLATE_DOCUMENTED
from profiles.services import (
    ApiSettings,
    EstSettings,
    TemplateDocument,
    create_profile,
    create_template,
    delete_profile,
    delete_template,
    update_profile,
    update_template,
)
from tests.factories import SYSTEM, make_authority, make_project, make_user, requester_for

pytestmark = pytest.mark.django_db

PASSPHRASE = "open sesame"


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def alice(project: Project) -> Requester:
    return requester_for(make_user("alice", project=project))


@pytest.fixture
def template(project: Project) -> CertificateTemplate:
    document = TemplateDocument(
        name="server",
        subject=[{"type": "common_name", "allowed": ["*"]}],
        key_usages={"required": ["digital_signature"]},
        validity={"max": "90d"},
    )
    return create_template(requester=SYSTEM, project=project, document=document)


@pytest.fixture
def authority(project: Project) -> CertificateAuthority:
    return make_authority(project, name="issuing")


@pytest.fixture
def profile(project: Project, template: CertificateTemplate, authority: CertificateAuthority) -> CertificateProfile:
    return create_profile(
        requester=SYSTEM,
        project=project,
        slug="web",
        template_id=template.pk,
        certificate_authority_id=authority.pk,
        enrollment_method="est",
        est=EstSettings(passphrase=PASSPHRASE),
        defaults={"ttl": "30d"},
    )


def versions_of(row: CertificateTemplate | CertificateProfile) -> list[Any]:
    if isinstance(row, CertificateTemplate):
        return list(TemplateVersion.objects.filter(template_id=row.pk).order_by("number"))
    return list(ProfileVersion.objects.filter(profile_id=row.pk).order_by("number"))


# --- Templates --------------------------------------------------------------------------------------------------------


def test_a_new_template_is_version_1_with_all_that_it_says(template: CertificateTemplate, project: Project) -> None:
    (first,) = versions_of(template)

    assert (first.number, template.version) == (1, 1)
    assert (first.name, first.project_id) == ("server", project.pk)
    assert (first.author_kind, first.author_name) == ("system", SYSTEM.name)
    assert first.document == {
        "name": "server",
        "description": "",
        "subject": [{"type": "common_name", "allowed": ["*"]}],
        "sans": [],
        "key_usages": {"required": ["digital_signature"]},
        "extended_key_usages": None,
        "algorithms": None,
        "validity": {"max": "90d"},
        "basic_constraints": None,
    }


def test_every_column_that_a_template_may_change_is_in_its_versions() -> None:
    mechanical = {"id", "project", "version", "created_at", "updated_at"}
    columns = {field.name for field in CertificateTemplate._meta.concrete_fields}
    assert columns - mechanical == set(TEMPLATE_DOCUMENTED)


def test_a_changed_template_gets_the_next_version_and_the_old_one_stays(
    template: CertificateTemplate, alice: Requester
) -> None:
    changed = update_template(requester=alice, template=template, changes={"validity": {"max": "30d"}})
    renamed = update_template(requester=alice, template=template, changes={"name": "Web Server"})

    first, second, third = versions_of(template)
    assert (changed.version, renamed.version) == (2, 3)
    assert [each.number for each in (first, second, third)] == [1, 2, 3]
    assert first.document["validity"] == {"max": "90d"}
    assert second.document == first.document | {"validity": {"max": "30d"}}
    assert third.document == second.document | {"name": "web-server"}
    assert (third.name, third.author_kind, third.author_id, third.author_name) == (
        "web-server",
        "user",
        alice.id,
        "alice",
    )
    assert first.created_at < second.created_at < third.created_at
    assert AuditEvent.objects.filter(event="update-certificate-template").latest("id").data["version"] == 3


def test_an_update_that_changes_nothing_makes_no_version(template: CertificateTemplate) -> None:
    update_template(requester=SYSTEM, template=template, changes={"validity": {"max": "90d"}, "name": "server"})

    assert len(versions_of(template)) == 1
    template.refresh_from_db()
    assert template.version == 1


def test_a_refused_update_makes_no_version(template: CertificateTemplate) -> None:
    with pytest.raises(PortalError):
        update_template(requester=SYSTEM, template=template, changes={"validity": {"max": "soon"}})

    assert len(versions_of(template)) == 1


def test_versions_outlive_their_template(template: CertificateTemplate) -> None:
    delete_template(requester=SYSTEM, template=template)

    (first,) = versions_of(template)
    assert first.document["name"] == "server"


# --- Profiles ---------------------------------------------------------------------------------------------------------


def test_a_new_profile_is_version_1_with_all_that_it_says_but_secrets(
    profile: CertificateProfile, template: CertificateTemplate, authority: CertificateAuthority
) -> None:
    (first,) = versions_of(profile)

    assert (first.number, profile.version, first.name) == (1, 1, "web")
    assert first.document == {
        "slug": "web",
        "description": "",
        "issuer_type": "ca",
        "enrollment_method": "est",
        "defaults": {"ttl": "30d"},
        "certificate_authority": {"id": str(authority.pk), "name": "issuing"},
        "template": {"id": str(template.pk), "name": "server"},
        "settings": {"est": {"disable_bootstrap_ca_validation": False, "ca_chain": ""}},
        "key_retention": "once",
        "lint_waivers": [],
        "requires_approval": False,
    }


def test_every_column_of_a_profile_and_its_settings_is_in_its_versions_but_secrets() -> None:
    mechanical = {"id", "project", "version", "created_at", "updated_at"}
    columns = {field.name for field in CertificateProfile._meta.concrete_fields}
    assert columns - mechanical == {*DOCUMENTED, "certificate_authority", "template"}
    for method, documented in DOCUMENTED_SETTINGS.items():
        row: Any = CertificateProfile._meta.get_field(f"{method}_enrollment").related_model
        columns = {field.name for field in row._meta.concrete_fields}
        assert columns - {"id", "profile", "passphrase_hash"} == set(documented)


def test_a_self_signed_profile_has_no_ca_in_its_version(project: Project, template: CertificateTemplate) -> None:
    made = create_profile(
        requester=SYSTEM,
        project=project,
        slug="own",
        template_id=template.pk,
        issuer_type="self-signed",
        enrollment_method="api",
        api=ApiSettings(auto_renew=True, renew_before_days=7),
    )

    (first,) = versions_of(made)
    assert first.document["certificate_authority"] is None
    assert first.document["settings"] == {"api": {"auto_renew": True, "renew_before_days": 7}}


def test_a_changed_profile_gets_the_next_version_for_columns_and_for_settings(
    profile: CertificateProfile, alice: Requester
) -> None:
    update_profile(requester=alice, profile=profile, changes={"description": "for the web"})
    changed = update_profile(
        requester=alice, profile=profile, changes={"est": {"disable_bootstrap_ca_validation": True}}
    )

    first, second, third = versions_of(profile)
    assert changed.version == third.number == 3
    assert second.document == first.document | {"description": "for the web"}
    assert third.document["settings"]["est"]["disable_bootstrap_ca_validation"] is True
    assert third.author_name == "alice"


def test_an_update_of_a_profile_that_changes_nothing_makes_no_version_even_if_its_template_was_renamed(
    profile: CertificateProfile, template: CertificateTemplate
) -> None:
    update_template(requester=SYSTEM, template=template, changes={"name": "renamed"})
    update_profile(requester=SYSTEM, profile=profile, changes={"slug": "web", "est": {"ca_chain": ""}})

    assert len(versions_of(profile)) == 1


def test_a_new_pass_phrase_alone_makes_no_version_and_stands_in_none(profile: CertificateProfile) -> None:
    update_profile(requester=SYSTEM, profile=profile, changes={"est": {"passphrase": "another one"}})
    assert len(versions_of(profile)) == 1

    update_profile(
        requester=SYSTEM, profile=profile, changes={"description": "d", "est": {"passphrase": "yet another one"}}
    )
    assert len(versions_of(profile)) == 2
    for version in versions_of(profile):
        assert "pass" not in str(version.document)


def test_versions_outlive_their_profile(profile: CertificateProfile) -> None:
    delete_profile(requester=SYSTEM, profile=profile)

    (first,) = versions_of(profile)
    assert first.document["slug"] == "web"


# --- At the same moment, and before there were versions ---------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_updates_at_the_same_moment_get_consecutive_numbers_and_lose_nothing(
    template: CertificateTemplate, profile: CertificateProfile
) -> None:
    def change(number: int) -> tuple[int, int]:
        try:
            return (
                update_template(requester=SYSTEM, template=template, changes={"description": f"d{number}"}).version,
                update_profile(requester=SYSTEM, profile=profile, changes={"description": f"d{number}"}).version,
            )
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(change, range(4)))

    assert sorted(template for template, _ in numbers) == [2, 3, 4, 5]
    assert sorted(profile for _, profile in numbers) == [2, 3, 4, 5]
    for row in (template, profile):
        row.refresh_from_db()
        kept = versions_of(row)
        assert [version.number for version in kept] == [1, 2, 3, 4, 5]
        assert {version.document["description"] for version in kept[1:]} == {"d0", "d1", "d2", "d3"}
        assert kept[-1].document == row.document()


def test_what_there_was_before_versions_gets_its_version_1(
    project: Project, template: CertificateTemplate, profile: CertificateProfile
) -> None:
    written = {version.name: version.document for row in (template, profile) for version in versions_of(row)}
    for model in (TemplateVersion, ProfileVersion):
        model._base_manager.all().delete()

    import_module("profiles.migrations.0003_first_versions").keep_first_versions(apps, None)

    for row in (template, profile):
        (first,) = versions_of(row)
        assert (first.number, first.project_id) == (1, project.pk)
        assert (first.author_kind, first.author_name) == ("system", "upgrade")
        assert first.created_at == row.updated_at
        # What came after versions is in none of the first ones.
        later = {"key_retention", "lint_waivers", "requires_approval"}
        assert first.document == {key: value for key, value in written[first.name].items() if key not in later}
