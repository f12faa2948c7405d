"""Profiles: made, changed, removed; `line` numbers are those of the conformance check-list."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.contrib.auth.hashers import check_password
from django.db import connection

from certificates.models import AuthorityCertificate, CertificateAuthority
from pki_portal.access.models import Membership, Project, Role, User
from pki_portal.access.requester import Requester
from pki_portal.audit.models import AuditEvent
from pki_portal.errors import Forbidden, Malformed, NotFound, PermissionDenied, PortalError
from profiles.models import (
    AcmeEnrollment,
    ApiEnrollment,
    CertificateProfile,
    CertificateTemplate,
    EstEnrollment,
    ProfileVersion,
)
from profiles.querysets import profiles_matching, profiles_visible_to
from profiles.services import (
    AcmeSettings,
    ApiSettings,
    EstSettings,
    MoveTo,
    TemplateDocument,
    create_profile,
    create_template,
    delete_profile,
    find_est_enrollment,
    find_profile,
    find_profile_by_slug,
    update_profile,
)
from tests.factories import SYSTEM, make_authority, make_project, make_user, requester_for

pytestmark = pytest.mark.django_db

PASSPHRASE = "open sesame"


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def alice_herself(project: Project) -> User:
    return make_user("alice", project=project)


@pytest.fixture
def alice(alice_herself: User) -> Requester:
    return requester_for(alice_herself)


@pytest.fixture
def authority(project: Project) -> CertificateAuthority:
    return make_authority(project)


@pytest.fixture
def template(project: Project) -> CertificateTemplate:
    return make_template(project)


def make_template(project: Project) -> CertificateTemplate:
    return create_template(requester=SYSTEM, project=project, document=TemplateDocument(name="server"))


@pytest.fixture
def asked(project: Project, authority: CertificateAuthority, template: CertificateTemplate) -> dict[str, Any]:
    """What a plain API profile is made of."""
    return {
        "project": project,
        "slug": "web",
        "certificate_authority_id": authority.pk,
        "template_id": template.pk,
        "enrollment_method": "api",
        "api": ApiSettings(),
    }


def est_of(asked: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return asked | {"enrollment_method": "est", "api": None, "est": EstSettings(passphrase=PASSPHRASE)} | changes


def fields_of(refusal: PortalError) -> list[str]:
    return [violation.field for violation in refusal.violations]


def root_pem(authority: CertificateAuthority) -> str:
    der = bytes(AuthorityCertificate.objects.get(authority=authority).der)
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM).decode()


# --- Create -----------------------------------------------------------------------------------------------------------


def test_line_73_create_returns_the_profile_with_its_settings(
    alice: Requester, asked: dict[str, Any], authority: CertificateAuthority, template: CertificateTemplate
) -> None:
    profile = create_profile(requester=alice, **asked)

    stored = CertificateProfile.objects.get(pk=profile.pk)
    assert (stored.slug, stored.enrollment_method, stored.issuer_type) == ("web", "api", "ca")
    assert (stored.certificate_authority, stored.template) == (authority, template)
    assert profile.api_enrollment == ApiEnrollment.objects.get(profile=stored)
    assert not EstEnrollment.objects.exists()
    assert not AcmeEnrollment.objects.exists()


def test_line_74_an_unknown_template_is_not_found(alice: Requester, asked: dict[str, Any]) -> None:
    with pytest.raises(NotFound, match="template"):
        create_profile(requester=alice, **asked | {"template_id": uuid4()})


def test_line_75_a_template_of_another_project_is_forbidden(
    alice: Requester, alice_herself: User, asked: dict[str, Any]
) -> None:
    other = make_project("Other")
    Membership.objects.create(project=other, user=alice_herself, role=Role.VIEWER)

    with pytest.raises(Forbidden, match="another project"):
        create_profile(requester=alice, **asked | {"template_id": make_template(other).pk})


def test_a_template_of_a_project_that_the_requester_does_not_know_is_not_found(
    alice: Requester, asked: dict[str, Any]
) -> None:
    foreign = make_template(make_project("Other"))

    with pytest.raises(NotFound, match=str(foreign.pk)):
        create_profile(requester=alice, **asked | {"template_id": foreign.pk})


def test_line_76_a_taken_slug_is_forbidden(alice: Requester, asked: dict[str, Any]) -> None:
    create_profile(requester=alice, **asked)

    with pytest.raises(Forbidden, match="web") as refusal:
        create_profile(requester=alice, **asked)

    assert fields_of(refusal.value) == ["slug"]
    assert CertificateProfile.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_profiles_of_one_slug_made_at_once_one_is_made() -> None:
    project = make_project()
    template = make_template(project)

    def make(_number: int) -> str:
        try:
            create_profile(
                requester=SYSTEM,
                project=project,
                slug="web",
                template_id=template.pk,
                enrollment_method="api",
                issuer_type="self-signed",
                api=ApiSettings(),
            )
        except Forbidden:
            return "taken"
        finally:
            connection.close()
        return "made"

    with ThreadPoolExecutor(4) as pool:
        outcomes = sorted(pool.map(make, range(4)))

    assert outcomes == ["made", "taken", "taken", "taken"]


def test_line_77_est_without_its_settings_is_malformed(alice: Requester, asked: dict[str, Any]) -> None:
    with pytest.raises(Malformed) as refusal:
        create_profile(requester=alice, **asked | {"enrollment_method": "est", "api": None})

    assert fields_of(refusal.value) == ["est"]


def test_line_78_api_without_its_settings_is_malformed(alice: Requester, asked: dict[str, Any]) -> None:
    with pytest.raises(Malformed) as refusal:
        create_profile(requester=alice, **asked | {"api": None})

    assert fields_of(refusal.value) == ["api"]


def test_settings_of_another_method_are_malformed(alice: Requester, asked: dict[str, Any]) -> None:
    with pytest.raises(Malformed) as refusal:
        create_profile(requester=alice, **asked | {"acme": AcmeSettings(), "est": EstSettings(passphrase=PASSPHRASE)})

    assert sorted(fields_of(refusal.value)) == ["acme", "est"]
    assert PASSPHRASE not in str(refusal.value)


def test_line_79_auto_renewal_is_stored(alice: Requester, asked: dict[str, Any]) -> None:
    settings = ApiSettings(auto_renew=True, renew_before_days=7)

    profile = create_profile(requester=alice, **asked | {"api": settings})

    assert (profile.api_enrollment.auto_renew, profile.api_enrollment.renew_before_days) == (True, 7)


def test_an_acme_profile_keeps_its_settings(alice: Requester, asked: dict[str, Any]) -> None:
    acme = AcmeSettings(skip_dns_ownership_verification=True)

    profile = create_profile(requester=alice, **asked | {"enrollment_method": "acme", "api": None, "acme": acme})

    assert profile.acme_enrollment.skip_dns_ownership_verification is True
    assert profile.acme_enrollment.skip_eab_binding is False


def test_a_self_signed_profile_has_no_ca(alice: Requester, asked: dict[str, Any]) -> None:
    changes = {"issuer_type": "self-signed", "certificate_authority_id": None}

    profile = create_profile(requester=alice, **asked | changes)

    assert profile.certificate_authority is None


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"certificate_authority_id": None}, ["certificate_authority_id"]),
        ({"issuer_type": "self-signed"}, ["certificate_authority_id"]),
        (
            {
                "issuer_type": "self-signed",
                "certificate_authority_id": None,
                "enrollment_method": "acme",
                "api": None,
                "acme": AcmeSettings(),
            },
            ["enrollment_method"],
        ),
        ({"slug": ""}, ["slug"]),
        ({"slug": "Web"}, ["slug"]),
        ({"slug": "w_b"}, ["slug"]),
        ({"slug": "web\n"}, ["slug"]),
        ({"slug": "a" * 256}, ["slug"]),
        ({"description": "a" * 1001}, ["description"]),
        ({"description": "nul\x00"}, ["description"]),
        ({"enrollment_method": "carrier-pigeon"}, ["enrollment_method"]),
        ({"issuer_type": "nobody"}, ["issuer_type"]),
        ({"api": ApiSettings(renew_before_days=0)}, ["api/renew_before_days"]),
        ({"api": ApiSettings(renew_before_days=31)}, ["api/renew_before_days"]),
        ({"api": ApiSettings(auto_renew="yes")}, ["api/auto_renew"]),  # type: ignore[arg-type]
        ({"defaults": {"ttl": "soon"}}, ["defaults/ttl"]),
        ({"defaults": {"ttl": "1d", "ttl_days": 1}}, ["defaults/ttl"]),
        ({"defaults": {"country": "Elbonia"}}, ["defaults/country"]),
        ({"defaults": {"key_usages": ["fly"]}}, ["defaults/key_usages/0"]),
        ({"defaults": {"key_usages": ["crl_sign", "crl_sign"]}}, ["defaults/key_usages/1"]),
        ({"defaults": []}, ["defaults"]),
    ],
)
def test_what_no_profile_can_be_is_malformed(
    alice: Requester, asked: dict[str, Any], changes: dict[str, Any], fields: list[str]
) -> None:
    with pytest.raises(Malformed) as refusal:
        create_profile(requester=alice, **asked | changes)

    assert fields_of(refusal.value) == fields
    assert not CertificateProfile.objects.exists()


def test_every_defect_is_told_at_once(alice: Requester, asked: dict[str, Any]) -> None:
    with pytest.raises(Malformed) as refusal:
        create_profile(requester=alice, **asked | {"slug": "No", "certificate_authority_id": None, "api": None})

    assert fields_of(refusal.value) == ["slug", "certificate_authority_id", "api"]


def test_an_unknown_ca_is_not_found(alice: Requester, asked: dict[str, Any]) -> None:
    with pytest.raises(NotFound, match="authority"):
        create_profile(requester=alice, **asked | {"certificate_authority_id": uuid4()})


def test_a_ca_of_another_project_is_not_found(alice: Requester, asked: dict[str, Any]) -> None:
    foreign = make_authority(make_project("Other"))

    with pytest.raises(NotFound, match="authority"):
        create_profile(requester=alice, **asked | {"certificate_authority_id": foreign.pk})


def test_external_settings_are_forbidden(alice: Requester, asked: dict[str, Any]) -> None:
    with pytest.raises(Forbidden, match="external"):
        create_profile(requester=alice, **asked, external_settings={"template": "User"})


def test_defaults_are_stored_without_what_fills_nothing_in(alice: Requester, asked: dict[str, Any]) -> None:
    defaults = {"ttl_days": 30, "organization": "Acme", "country": "", "ttl": None, "unread": 1, "key_usages": []}

    profile = create_profile(requester=alice, **asked | {"defaults": defaults})

    assert profile.defaults == {"organization": "Acme", "ttl_days": 30, "key_usages": []}
    assert profile.profile_defaults().ttl is not None


# --- EST --------------------------------------------------------------------------------------------------------------


def test_line_86_an_est_profile_keeps_its_settings(
    alice: Requester, asked: dict[str, Any], authority: CertificateAuthority
) -> None:
    pem = root_pem(authority)
    est = EstSettings(passphrase=PASSPHRASE, ca_chain=pem, disable_bootstrap_ca_validation=True)

    profile = create_profile(requester=alice, **est_of(asked, est=est))

    found = find_est_enrollment(requester=alice, profile_id=profile.pk)
    assert found == profile.est_enrollment
    assert found.ca_chain == pem
    assert found.disable_bootstrap_ca_validation is True
    assert check_password(PASSPHRASE, found.passphrase_hash)


def test_line_86_est_settings_of_another_profile_are_refused(alice: Requester, asked: dict[str, Any]) -> None:
    api = create_profile(requester=alice, **asked)

    with pytest.raises(Forbidden, match="est"):
        find_est_enrollment(requester=alice, profile_id=api.pk)
    with pytest.raises(NotFound):
        find_est_enrollment(requester=alice, profile_id=uuid4())
    update_profile(requester=alice, profile=api, changes={"enrollment_method": "est"})
    with pytest.raises(NotFound, match="EST settings"):
        find_est_enrollment(requester=alice, profile_id=api.pk)


def test_the_pass_phrase_is_told_to_nobody(alice: Requester, asked: dict[str, Any]) -> None:
    settings = EstSettings(passphrase=PASSPHRASE)
    profile = create_profile(requester=alice, **est_of(asked, est=settings))
    update_profile(requester=alice, profile=profile, changes={"est": {"passphrase": "another secret"}})

    assert PASSPHRASE not in repr(settings)
    events = AuditEvent.objects.filter(subject_type="certificate-profile")
    assert events.count() == 2
    for event in events:
        assert PASSPHRASE not in str(event.data)
        assert "another secret" not in str(event.data)
        assert "argon2" not in str(event.data)
        assert profile.est_enrollment.passphrase_hash not in str(event.data)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (EstSettings(passphrase=""), "est/passphrase"),
        (EstSettings(passphrase="x" * 1025), "est/passphrase"),
        (EstSettings(passphrase="x", ca_chain="no PEM"), "est/ca_chain"),
        (
            EstSettings(passphrase="x", ca_chain="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"),
            "est/ca_chain",
        ),
        (EstSettings(passphrase="x", ca_chain="x" * 65537), "est/ca_chain"),
    ],
)
def test_broken_est_settings_are_malformed(
    alice: Requester, asked: dict[str, Any], settings: EstSettings, field: str
) -> None:
    with pytest.raises(Malformed) as refusal:
        create_profile(requester=alice, **est_of(asked, est=settings))

    assert fields_of(refusal.value) == [field]


def test_an_est_passphrase_can_be_replaced(alice: Requester, asked: dict[str, Any]) -> None:
    profile = create_profile(requester=alice, **est_of(asked))

    changed = update_profile(requester=alice, profile=profile, changes={"est": {"passphrase": "new"}})

    assert check_password("new", changed.est_enrollment.passphrase_hash)
    assert changed.est_enrollment.pk == profile.est_enrollment.pk


# --- Update -----------------------------------------------------------------------------------------------------------


def test_line_81_update_changes_fields(alice: Requester, asked: dict[str, Any]) -> None:
    profile = create_profile(requester=alice, **asked)

    changed = update_profile(
        requester=alice,
        profile=profile,
        changes={
            "slug": "new",
            "description": "New",
            "defaults": {"ttl": "30d"},
            "api": {"auto_renew": True, "renew_before_days": 7},
        },
    )

    stored = CertificateProfile.objects.get(pk=profile.pk)
    assert (stored.slug, stored.description) == ("new", "New")
    assert stored.defaults == {"ttl": "30d"}
    assert (stored.api_enrollment.auto_renew, stored.api_enrollment.renew_before_days) == (True, 7)
    assert changed.slug == "new"
    assert stored.updated_at > profile.updated_at


def test_line_81_update_of_unknown_is_not_found(alice: Requester, asked: dict[str, Any]) -> None:
    profile = create_profile(requester=alice, **asked)
    delete_profile(requester=alice, profile=profile)

    with pytest.raises(NotFound):
        update_profile(requester=alice, profile=profile, changes={"description": ""})


def test_line_81_the_template_of_an_update_cannot_be_named(
    alice: Requester, asked: dict[str, Any], template: CertificateTemplate
) -> None:
    profile = create_profile(requester=alice, **asked)

    with pytest.raises(TypeError, match="template_id"):
        update_profile(requester=alice, profile=profile, changes={"template_id": template.pk})


def test_single_settings_change_and_the_rest_stays(alice: Requester, asked: dict[str, Any]) -> None:
    settings = ApiSettings(auto_renew=True, renew_before_days=7)
    profile = create_profile(requester=alice, **asked | {"api": settings})

    off = update_profile(requester=alice, profile=profile, changes={"api": {"auto_renew": False}})
    assert (off.api_enrollment.auto_renew, off.api_enrollment.renew_before_days) == (False, 7)

    cleared = update_profile(requester=alice, profile=profile, changes={"api": {"renew_before_days": None}})
    assert cleared.api_enrollment.renew_before_days is None


def test_an_update_to_a_taken_slug_is_forbidden(alice: Requester, asked: dict[str, Any]) -> None:
    create_profile(requester=alice, **asked)
    other = create_profile(requester=alice, **asked | {"slug": "other"})

    with pytest.raises(Forbidden):
        update_profile(requester=alice, profile=other, changes={"slug": "web"})
    assert update_profile(requester=alice, profile=other, changes={"slug": "other"}).slug == "other"


def test_the_issuer_type_does_not_change(alice: Requester, asked: dict[str, Any]) -> None:
    profile = create_profile(requester=alice, **asked)

    with pytest.raises(Forbidden, match="issuer type"):
        update_profile(requester=alice, profile=profile, changes={"issuer_type": "self-signed"})
    assert update_profile(requester=alice, profile=profile, changes={"issuer_type": "ca"}).issuer_type == "ca"


def test_a_self_signed_profile_stays_with_the_api(alice: Requester, asked: dict[str, Any]) -> None:
    changes = {"issuer_type": "self-signed", "certificate_authority_id": None}
    profile = create_profile(requester=alice, **asked | changes)

    with pytest.raises(Malformed) as refusal:
        update_profile(requester=alice, profile=profile, changes={"enrollment_method": "est"})

    assert fields_of(refusal.value) == ["enrollment_method"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"est": {"passphrase": "x"}}, "est"),
        ({"enrollment_method": "est", "api": {"auto_renew": True}}, "api"),
        ({"api": {"renew_before_days": 31}}, "api/renew_before_days"),
        ({"api": 7}, "api"),
        ({"defaults": 7}, "defaults"),
        ({"slug": None}, "slug"),
    ],
)
def test_a_malformed_update_changes_nothing(
    alice: Requester, asked: dict[str, Any], changes: dict[str, Any], field: str
) -> None:
    profile = create_profile(requester=alice, **asked)

    with pytest.raises(Malformed) as refusal:
        update_profile(requester=alice, profile=profile, changes={"description": "changed"} | changes)

    assert fields_of(refusal.value) == [field]
    assert CertificateProfile.objects.get(pk=profile.pk).description == ""


def test_line_87_changing_the_enrollment_method_makes_no_settings(alice: Requester, asked: dict[str, Any]) -> None:
    profile = create_profile(requester=alice, **asked)

    changed = update_profile(
        requester=alice, profile=profile, changes={"enrollment_method": "est", "est": {"passphrase": PASSPHRASE}}
    )

    assert changed.enrollment_method == "est"
    assert not EstEnrollment.objects.exists()
    assert ApiEnrollment.objects.filter(profile=profile).exists()


def test_external_settings_are_forbidden_in_an_update(alice: Requester, asked: dict[str, Any]) -> None:
    profile = create_profile(requester=alice, **asked)

    with pytest.raises(Forbidden, match="external"):
        update_profile(requester=alice, profile=profile, changes={"external_settings": {}})
    assert update_profile(requester=alice, profile=profile, changes={"external_settings": None}) == profile


# --- Find, list, delete -----------------------------------------------------------------------------------------------


def test_line_82_get_by_id_with_settings_and_by_slug(alice: Requester, asked: dict[str, Any], project: Project) -> None:
    profile = create_profile(requester=alice, **asked)

    assert find_profile(requester=alice, profile_id=profile.pk).api_enrollment == profile.api_enrollment
    assert find_profile_by_slug(requester=alice, project=project, slug="web") == profile
    with pytest.raises(NotFound):
        find_profile(requester=alice, profile_id=uuid4())
    with pytest.raises(NotFound):
        find_profile_by_slug(requester=alice, project=project, slug="none")


def test_search_finds_parts_of_slug_and_description_in_any_case(
    alice: Requester, asked: dict[str, Any], project: Project
) -> None:
    create_profile(requester=alice, **asked)
    create_profile(requester=alice, **asked | {"slug": "mail", "description": "The WEBmail"})
    create_profile(requester=alice, **asked | {"slug": "vpn"})

    found = profiles_matching(profiles_visible_to(alice, project), "wEb")

    assert sorted(profile.slug for profile in found) == ["mail", "web"]


def test_line_84_delete_works_and_unknown_is_not_found(alice: Requester, asked: dict[str, Any]) -> None:
    profile = create_profile(requester=alice, **asked)

    delete_profile(requester=alice, profile=profile)

    assert not CertificateProfile.objects.exists()
    assert not ApiEnrollment.objects.exists()
    with pytest.raises(NotFound):
        delete_profile(requester=alice, profile=profile)


@pytest.mark.parametrize("role", [Role.MEMBER, Role.VIEWER])
def test_reading_roles_read_and_change_nothing(
    alice: Requester, asked: dict[str, Any], project: Project, role: Role
) -> None:
    profile = create_profile(requester=alice, **asked)
    bob = requester_for(make_user("bob", project=project, role=role))

    assert find_profile(requester=bob, profile_id=profile.pk) == profile
    assert list(profiles_visible_to(bob, project)) == [profile]
    with pytest.raises(PermissionDenied):
        create_profile(requester=bob, **asked | {"slug": "bobs"})
    with pytest.raises(PermissionDenied):
        update_profile(requester=bob, profile=profile, changes={"description": "bob was here"})
    with pytest.raises(PermissionDenied):
        delete_profile(requester=bob, profile=profile)
    assert CertificateProfile.objects.get().description == ""


def test_for_an_outsider_nothing_exists(alice: Requester, asked: dict[str, Any], project: Project) -> None:
    profile = create_profile(requester=alice, **asked)
    charlie = requester_for(make_user("charlie"))

    with pytest.raises(NotFound, match=str(profile.pk)):
        find_profile(requester=charlie, profile_id=profile.pk)
    with pytest.raises(NotFound):
        find_profile_by_slug(requester=charlie, project=project, slug="web")
    with pytest.raises(NotFound):
        profiles_visible_to(charlie, project)
    with pytest.raises(NotFound):
        create_profile(requester=charlie, **asked | {"slug": "charlies"})
    with pytest.raises(NotFound):
        update_profile(requester=charlie, profile=profile, changes={})
    with pytest.raises(NotFound):
        delete_profile(requester=charlie, profile=profile)


def test_each_act_leaves_its_event(alice: Requester, asked: dict[str, Any]) -> None:
    profile = create_profile(requester=alice, **asked)
    update_profile(requester=alice, profile=profile, changes={"slug": "new", "api": {"auto_renew": True}})
    delete_profile(requester=alice, profile=profile)

    events = AuditEvent.objects.filter(subject_type="certificate-profile", subject_id=str(profile.pk)).order_by("id")
    assert [(event.event, event.outcome) for event in events] == [
        ("create-certificate-profile", "done"),
        ("update-certificate-profile", "done"),
        ("delete-certificate-profile", "done"),
    ]
    assert events[1].data["changed"] == {
        "slug": {"before": "web", "after": "new"},
        "api.auto_renew": {"before": False, "after": True},
    }
    assert events[2].data == {"slug": "new", "liveCertificates": 0}


def test_a_refusal_leaves_its_event(alice: Requester, asked: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        create_profile(requester=alice, **asked | {"slug": "No"})

    event = AuditEvent.objects.get(subject_type="certificate-profile")
    assert (event.event, event.outcome, event.data["slug"]) == ("create-certificate-profile", "refused", "No")


# --- Keys and waivers -------------------------------------------------------------------------------------------------


def test_keys_are_given_once_unless_told_otherwise(alice: Requester, asked: dict[str, Any]) -> None:
    assert create_profile(requester=alice, **asked).key_retention == "once"
    kept = create_profile(requester=alice, **(asked | {"slug": "kept", "key_retention": "escrow"}))

    assert kept.key_retention == "escrow"
    assert update_profile(requester=alice, profile=kept, changes={"key_retention": "once"}).key_retention == "once"


def test_no_other_retention_is_known(alice: Requester, asked: dict[str, Any]) -> None:
    with pytest.raises(Malformed) as refusal:
        create_profile(requester=alice, **asked, key_retention="forever")

    assert fields_of(refusal.value) == ["key_retention"]


WAIVER = {"code": "pkix.name_empty", "reason": "The devices have no name until they are installed."}


def test_waivers_are_kept_in_one_form(alice: Requester, asked: dict[str, Any]) -> None:
    profile = create_profile(
        requester=alice,
        **asked,
        lint_waivers=[{**WAIVER, "expires_at": "2027-06-30"}, {**WAIVER, "code": "pkix.no_ku_bits_set"}],
    )

    assert profile.lint_waivers == [
        {**WAIVER, "expires_at": "2027-06-30T00:00:00+00:00"},
        {**WAIVER, "code": "pkix.no_ku_bits_set", "expires_at": None},
    ]
    assert [waiver.code for waiver in profile.waivers()] == ["pkix.name_empty", "pkix.no_ku_bits_set"]
    assert update_profile(requester=alice, profile=profile, changes={"lint_waivers": []}).waivers() == ()


@pytest.mark.parametrize(
    ("waiver", "field", "told"),
    [
        ({**WAIVER, "code": "pkix.name_emty"}, "lint_waivers/0/code", "pkix.name_empty"),
        ({**WAIVER, "code": "base.unreadable"}, "lint_waivers/0/code", "finding"),
        ({**WAIVER, "code": "pkix.ldap_uri_not_validated"}, "lint_waivers/0/code", "finding"),
        ({**WAIVER, "reason": "because"}, "lint_waivers/0/reason", "10 to 500"),
        ({"reason": WAIVER["reason"]}, "lint_waivers/0/code", "text"),
    ],
)
def test_a_waiver_names_a_finding_and_a_reason(
    alice: Requester, asked: dict[str, Any], waiver: dict[str, Any], field: str, told: str
) -> None:
    with pytest.raises(Malformed) as refusal:
        create_profile(requester=alice, **asked, lint_waivers=[waiver])

    (violation,) = refusal.value.violations
    assert violation.field == field
    assert told in violation.fix


def test_a_change_of_waivers_is_audited_and_makes_a_version(alice: Requester, asked: dict[str, Any]) -> None:
    profile = create_profile(requester=alice, **asked)

    changed = update_profile(
        requester=alice, profile=profile, changes={"lint_waivers": [WAIVER], "key_retention": "escrow"}
    )

    assert changed.version == 2
    assert changed.document()["lint_waivers"][0]["reason"] == WAIVER["reason"]
    assert changed.document()["key_retention"] == "escrow"
    event = AuditEvent.objects.get(event="update-certificate-profile")
    assert event.data["changed"]["lint_waivers"]["after"][0]["code"] == "pkix.name_empty"
    assert event.data["changed"]["key_retention"] == {"before": "once", "after": "escrow"}


# --- Moving -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def made(alice: Requester, asked: dict[str, Any]) -> CertificateProfile:
    return create_profile(requester=alice, **asked)


def move(requester: Requester, profile: CertificateProfile, **to: Any) -> CertificateProfile:
    return update_profile(requester=requester, profile=profile, changes={}, move_to=MoveTo(**to))


def other_template(project: Project) -> CertificateTemplate:
    return create_template(requester=SYSTEM, project=project, document=TemplateDocument(name="other"))


def test_a_profile_moves_to_another_ca_and_template(
    alice: Requester, made: CertificateProfile, project: Project
) -> None:
    authority, template = make_authority(project), other_template(project)

    moved = move(alice, made, certificate_authority_id=authority.pk)
    assert (moved.certificate_authority_id, moved.template_id) == (authority.pk, made.template_id)
    moved = move(alice, moved, template_id=template.pk)

    assert (moved.certificate_authority_id, moved.template_id) == (authority.pk, template.pk)
    assert moved.version == 3
    kept = ProfileVersion.objects.get(profile_id=moved.pk, number=3).document
    assert kept["certificate_authority"] == {"id": str(authority.pk), "name": authority.name}
    assert kept["template"] == {"id": str(template.pk), "name": "other"}
    first, second = AuditEvent.objects.filter(event="update-certificate-profile").order_by("pk")
    assert first.data["changed"]["certificate_authority_id"]["after"] == str(authority.pk)
    assert second.data["changed"]["template_id"] == {"before": str(made.template_id), "after": str(template.pk)}


def test_a_move_to_where_it_stands_changes_nothing(alice: Requester, made: CertificateProfile) -> None:
    moved = move(alice, made, template_id=made.template_id)

    assert (moved.template_id, moved.version) == (made.template_id, 1)


def test_a_move_and_other_changes_are_one_version(alice: Requester, made: CertificateProfile, project: Project) -> None:
    authority = make_authority(project)

    moved = update_profile(
        requester=alice,
        profile=made,
        changes={"description": "moved"},
        move_to=MoveTo(certificate_authority_id=authority.pk),
    )

    assert (moved.description, moved.certificate_authority_id, moved.version) == ("moved", authority.pk, 2)


def test_a_move_nowhere_is_malformed(alice: Requester, made: CertificateProfile) -> None:
    with pytest.raises(Malformed):
        move(alice, made)


def test_a_profile_stays_in_its_project(alice: Requester, made: CertificateProfile) -> None:
    elsewhere = make_project("Other")
    authority, template = make_authority(elsewhere), other_template(elsewhere)

    for to in ({"certificate_authority_id": authority.pk}, {"template_id": template.pk}, {"template_id": uuid4()}):
        with pytest.raises(NotFound):
            move(alice, made, **to)
    with pytest.raises(Forbidden, match="another project"):
        move(SYSTEM, made, template_id=template.pk)

    made.refresh_from_db()
    assert made.version == 1
    assert AuditEvent.objects.filter(event="update-certificate-profile", outcome="refused").count() == 4


def test_a_self_signed_profile_moves_to_another_template_only(
    alice: Requester, asked: dict[str, Any], project: Project
) -> None:
    alone = create_profile(
        requester=alice, **(asked | {"issuer_type": "self-signed", "certificate_authority_id": None})
    )
    template = other_template(project)

    with pytest.raises(Malformed) as refusal:
        move(alice, alone, certificate_authority_id=make_authority(project).pk)

    assert fields_of(refusal.value) == ["move_to/certificate_authority_id"]
    assert move(alice, alone, template_id=template.pk).template_id == template.pk


def test_a_member_moves_nothing(made: CertificateProfile, project: Project) -> None:
    bob = requester_for(make_user("bob", project=project, role=Role.MEMBER))

    with pytest.raises(PermissionDenied):
        move(bob, made, template_id=made.template_id)
