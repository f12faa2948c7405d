"""Templates and profiles in Django admin: the same services, their refusals in the form."""

from typing import Any

import pytest
from django.contrib.auth.hashers import check_password
from django.contrib.messages import get_messages
from django.test import Client

from certificates.models import CertificateAuthority
from pki_portal.access.models import Project
from pki_portal.audit.models import AuditEvent
from profiles.models import (
    CertificateProfile,
    CertificateTemplate,
    EstEnrollment,
    ProfileVersion,
    TemplateVersion,
)
from profiles.services import ApiSettings, EstSettings, TemplateDocument, create_profile, create_template
from tests.factories import SYSTEM, make_authority, make_project, make_user

pytestmark = pytest.mark.django_db

TEMPLATES = "/admin/profiles/certificatetemplate/"
PROFILES = "/admin/profiles/certificateprofile/"
PASSPHRASE = "open sesame"


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(make_user("alice", is_superuser=True))
    return client


@pytest.fixture
def template(project: Project) -> CertificateTemplate:
    return create_template(
        requester=SYSTEM,
        project=project,
        document=TemplateDocument(name="server", subject=[{"type": "common_name", "allowed": ["*"]}]),
    )


@pytest.fixture
def authority(project: Project) -> CertificateAuthority:
    return make_authority(project)


@pytest.fixture
def profile(project: Project, template: CertificateTemplate, authority: CertificateAuthority) -> CertificateProfile:
    return create_profile(
        requester=SYSTEM,
        project=project,
        slug="web",
        template_id=template.pk,
        certificate_authority_id=authority.pk,
        enrollment_method="api",
        api=ApiSettings(auto_renew=True, renew_before_days=7),
    )


def template_form(project: Project | None = None, **changes: Any) -> dict[str, Any]:
    rules = {
        "subject": '[{"type": "common_name", "allowed": ["*"]}]',
        "sans": "[]",
        "key_usages": "null",
        "extended_key_usages": "null",
        "algorithms": "null",
        "validity": '{"max": "90d"}',
        "basic_constraints": "null",
    }
    return {"name": "server", "description": ""} | rules | ({"project": project.pk} if project else {}) | changes


def profile_form(**changes: Any) -> dict[str, Any]:
    """What the form of an existing profile sends."""
    form = {"slug": "web", "description": "", "enrollment_method": "api", "defaults": "{}"}
    form |= {"key_retention": "once", "lint_waivers": "[]"}
    return form | {"renew_before_days": ""} | changes


def new_profile_form(
    project: Project, template: CertificateTemplate, authority: CertificateAuthority | None, **changes: Any
) -> dict[str, Any]:
    chosen = {"project": project.pk, "template": template.pk, "issuer_type": "ca"}
    return profile_form() | chosen | {"certificate_authority": authority.pk if authority else ""} | changes


def errors_of(response: Any) -> dict[str, list[str]]:
    """The errors by field; the form was shown again, nothing claims success."""
    assert response.status_code == 200
    assert "success" not in [message.level_tag for message in get_messages(response.wsgi_request)]
    errors: dict[str, list[str]] = response.context["adminform"].form.errors
    assert errors
    return errors


def test_a_template_is_made_by_the_service(operator: Client, project: Project) -> None:
    response = operator.post(f"{TEMPLATES}add/", template_form(project, name="TLS Server"))

    assert response.status_code == 302
    made = CertificateTemplate.objects.get()
    assert made.name == "tls-server"
    assert (made.sans, made.key_usages, made.validity) == ([], None, {"max": "90d"})
    event = AuditEvent.objects.get(event="create-certificate-template")
    assert (event.actor_name, event.subject_id) == ("alice", str(made.pk))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"validity": '{"max": "soon"}'}, "validity"),
        ({"subject": '[{"type": "common_name"}]'}, "subject"),
        ({"subject": '[{"type": "common_name", "allowed": ["a", "a"]}]'}, "subject"),
        ({"sans": '{"type": "dns_name"}'}, "sans"),
        ({"key_usages": '{"allowed": ["fly"]}'}, "key_usages"),
        ({"key_usages": "no JSON"}, "key_usages"),
        ({"name": "!!!"}, "name"),
    ],
)
def test_a_refused_template_stands_in_the_form(
    operator: Client, project: Project, changes: dict[str, str], field: str
) -> None:
    response = operator.post(f"{TEMPLATES}add/", template_form(project, **changes))

    assert field in errors_of(response)
    assert not CertificateTemplate.objects.exists()


def test_a_refusal_in_the_admin_is_recorded(operator: Client, project: Project) -> None:
    operator.post(f"{TEMPLATES}add/", template_form(project, validity='{"max": "soon"}'))

    assert AuditEvent.objects.get(event="create-certificate-template").outcome == "refused"


def test_a_template_is_shown_and_changed(operator: Client, template: CertificateTemplate) -> None:
    page = f"{TEMPLATES}{template.pk}/change/"
    assert "common_name" in operator.get(page).content.decode()

    response = operator.post(page, template_form(name="new", sans='[{"type": "DNS", "allowed": ["*"]}]'))

    assert response.status_code == 302
    template.refresh_from_db()
    assert (template.name, template.sans) == ("new", [{"type": "dns_name", "allowed": ["*"]}])
    assert AuditEvent.objects.filter(event="update-certificate-template", outcome="done").exists()


def test_a_template_stays_in_its_project(operator: Client, template: CertificateTemplate) -> None:
    other = make_project("Other")

    operator.post(f"{TEMPLATES}{template.pk}/change/", template_form(other))

    template.refresh_from_db()
    assert template.project != other


def test_a_template_in_use_is_not_deleted_and_the_page_says_why(operator: Client, profile: CertificateProfile) -> None:
    chosen = {"action": "remove", "_selected_action": [str(profile.template_id)]}

    response = operator.post(TEMPLATES, chosen, follow=True)

    assert "web" in response.content.decode()
    assert [message.level_tag for message in response.context["messages"]] == ["error"]
    assert CertificateTemplate.objects.exists()


def test_an_unused_template_is_deleted(operator: Client, template: CertificateTemplate) -> None:
    operator.post(TEMPLATES, {"action": "remove", "_selected_action": [str(template.pk)]})

    assert not CertificateTemplate.objects.exists()
    assert AuditEvent.objects.filter(event="delete-certificate-template", outcome="done").exists()


def test_the_admins_own_deletion_is_closed(operator: Client, template: CertificateTemplate) -> None:
    assert operator.post(f"{TEMPLATES}{template.pk}/delete/", {"post": "yes"}).status_code == 403
    operator.post(TEMPLATES, {"action": "delete_selected", "_selected_action": [str(template.pk)], "post": "yes"})
    assert CertificateTemplate.objects.exists()


def test_a_profile_is_made_by_the_service(
    operator: Client, project: Project, template: CertificateTemplate, authority: CertificateAuthority
) -> None:
    form = new_profile_form(project, template, authority, auto_renew="on", renew_before_days="7")

    response = operator.post(f"{PROFILES}add/", form)

    assert response.status_code == 302
    made = CertificateProfile.objects.get()
    assert (made.slug, made.certificate_authority, made.template) == ("web", authority, template)
    assert (made.api_enrollment.auto_renew, made.api_enrollment.renew_before_days) == (True, 7)
    assert AuditEvent.objects.get(event="create-certificate-profile").actor_name == "alice"


def test_an_est_profile_keeps_its_pass_phrase_as_a_hash(
    operator: Client, project: Project, template: CertificateTemplate, authority: CertificateAuthority
) -> None:
    form = new_profile_form(project, template, authority, enrollment_method="est", est_passphrase=PASSPHRASE)

    assert operator.post(f"{PROFILES}add/", form).status_code == 302

    row = EstEnrollment.objects.get()
    assert check_password(PASSPHRASE, row.passphrase_hash)
    page = operator.get(f"{PROFILES}{row.profile_id}/change/").content.decode()
    assert PASSPHRASE not in page
    assert row.passphrase_hash not in page


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"slug": "No Slug"}, "slug"),
        ({"certificate_authority": ""}, "certificate_authority"),
        ({"issuer_type": "self-signed"}, "certificate_authority"),
        ({"renew_before_days": "31"}, "renew_before_days"),
        ({"enrollment_method": "est"}, "est_passphrase"),
        ({"enrollment_method": "est", "est_passphrase": "x", "est_ca_chain": "no PEM"}, "est_ca_chain"),
        ({"defaults": '{"ttl": "soon"}'}, "defaults"),
    ],
)
def test_a_refused_profile_stands_in_the_form(
    operator: Client,
    project: Project,
    template: CertificateTemplate,
    authority: CertificateAuthority,
    changes: dict[str, str],
    field: str,
) -> None:
    response = operator.post(f"{PROFILES}add/", new_profile_form(project, template, authority, **changes))

    assert field in errors_of(response)
    assert PASSPHRASE not in response.content.decode()
    assert not CertificateProfile.objects.exists()


def test_a_template_of_another_project_is_refused_in_the_form(
    operator: Client, project: Project, authority: CertificateAuthority
) -> None:
    foreign = create_template(
        requester=SYSTEM, project=make_project("Other"), document=TemplateDocument(name="foreign")
    )

    response = operator.post(f"{PROFILES}add/", new_profile_form(project, foreign, authority))

    assert "another project" in str(errors_of(response)["__all__"])


def test_a_taken_slug_is_refused_in_the_form(
    operator: Client, profile: CertificateProfile, project: Project, authority: CertificateAuthority
) -> None:
    response = operator.post(f"{PROFILES}add/", new_profile_form(project, profile.template, authority))

    assert "slug" in errors_of(response)
    assert CertificateProfile.objects.count() == 1


def test_a_profile_is_shown_and_changed(operator: Client, profile: CertificateProfile) -> None:
    page = f"{PROFILES}{profile.pk}/change/"
    form = operator.get(page).context["adminform"].form
    assert (form.initial["auto_renew"], form.initial["renew_before_days"]) == (True, 7)
    assert not {"project", "template", "certificate_authority", "issuer_type"} & set(form.fields)

    response = operator.post(page, profile_form(slug="new", renew_before_days="14", auto_renew="on"))

    assert response.status_code == 302
    changed = CertificateProfile.objects.get()
    assert (changed.slug, changed.api_enrollment.renew_before_days) == ("new", 14)
    assert changed.certificate_authority_id == profile.certificate_authority_id


def test_key_retention_and_waivers_are_changed_and_refused_in_the_form(
    operator: Client, profile: CertificateProfile
) -> None:
    page = f"{PROFILES}{profile.pk}/change/"
    waiver = '[{"code": "pkix.name_empty", "reason": "Devices have no name yet."}]'

    for field, value in (("lint_waivers", '[{"code": "x"}]'), ("lint_waivers", "7"), ("key_retention", "for ever")):
        assert field in errors_of(operator.post(page, profile_form(**{field: value})))

    assert operator.post(page, profile_form(key_retention="escrow", lint_waivers=waiver)).status_code == 302

    changed = CertificateProfile.objects.get()
    assert (changed.key_retention, changed.waivers()[0].code) == ("escrow", "pkix.name_empty")


def test_an_empty_pass_phrase_keeps_the_present_one(
    operator: Client, project: Project, template: CertificateTemplate, authority: CertificateAuthority
) -> None:
    profile = create_profile(
        requester=SYSTEM,
        project=project,
        slug="web",
        template_id=template.pk,
        certificate_authority_id=authority.pk,
        enrollment_method="est",
        est=EstSettings(passphrase=PASSPHRASE),
    )
    form = profile_form(enrollment_method="est", est_passphrase="", est_disable_bootstrap_ca_validation="on")

    assert operator.post(f"{PROFILES}{profile.pk}/change/", form).status_code == 302

    row = EstEnrollment.objects.get()
    assert check_password(PASSPHRASE, row.passphrase_hash)
    assert row.disable_bootstrap_ca_validation is True


def test_a_profile_is_deleted_by_the_service(operator: Client, profile: CertificateProfile) -> None:
    operator.post(PROFILES, {"action": "remove", "_selected_action": [str(profile.pk)]})

    assert not CertificateProfile.objects.exists()
    assert AuditEvent.objects.filter(event="delete-certificate-profile", outcome="done").exists()


def test_the_lists_show_what_there_is(operator: Client, profile: CertificateProfile) -> None:
    assert "server" in operator.get(TEMPLATES, {"q": "serv"}).content.decode()
    assert "web" in operator.get(PROFILES, {"q": "we"}).content.decode()


def test_who_is_no_staff_is_sent_to_the_login(client: Client, profile: CertificateProfile) -> None:
    client.force_login(make_user("bob", project=profile.project))

    for page in (TEMPLATES, PROFILES, f"{PROFILES}{profile.pk}/change/"):
        assert client.get(page).status_code in {302, 403}


# --- Versions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["templateversion", "profileversion"])
def test_versions_are_read_and_neither_added_nor_changed_nor_deleted(
    client: Client, project: Project, template: CertificateTemplate, kind: str
) -> None:
    create_profile(
        requester=SYSTEM,
        project=project,
        slug="server",
        template_id=template.pk,
        enrollment_method="api",
        issuer_type="self-signed",
        api=ApiSettings(),
    )
    model = {"templateversion": TemplateVersion, "profileversion": ProfileVersion}[kind]
    version: Any = model.objects.get()
    base = f"/admin/profiles/{kind}/"
    client.force_login(make_user("alice", is_superuser=True))

    assert "server" in client.get(base).content.decode()
    page = client.get(f"{base}{version.pk}/change/")
    assert page.status_code == 200
    assert 'name="_save"' not in page.content.decode()
    assert client.post(f"{base}{version.pk}/change/", {"name": "changed"}).status_code == 403
    assert client.get(f"{base}add/").status_code == 403
    assert client.post(f"{base}{version.pk}/delete/", {"post": "yes"}).status_code == 403
    assert model.objects.get().name == "server"
