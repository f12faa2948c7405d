"""Risks that depend on other rows."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from certificates.services.approvals.policies import update_policy
from pki_portal.access.models import Role
from profiles.policy.risks import RiskCode
from profiles.services import ApiSettings, profile_risks, template_risks
from profiles.services.profiles import create_profile, update_profile
from profiles.services.templates import create_template
from tests.certificates.services.approvals.scenery import make_policy
from tests.factories import SYSTEM, make_project, make_user
from tests.scenery import make_issuing_profile, server_template

pytestmark = pytest.mark.django_db
NARROW: dict[str, Any] = {
    "subject": [{"type": "common_name", "allowed": ["*.acme.com"]}],
    "sans": [{"type": "dns_name", "allowed": ["*.acme.com"]}],
}


def test_a_template_is_judged_with_its_profiles_and_their_first_ca_to_end() -> None:
    project = make_project()
    unused = create_template(requester=SYSTEM, project=project, document=server_template(**NARROW))
    sound = make_issuing_profile(project, slug="sound", **NARROW)
    brief = make_issuing_profile(project, slug="brief", authority_life=timedelta(days=100), **NARROW)
    alone = make_issuing_profile(project, slug="alone", is_self_signed=True, **NARROW)
    now = timezone.now()

    for template, found in (
        (unused, [RiskCode.UNUSED]),
        (sound.template, []),
        (brief.template, [RiskCode.CA_ENDS_BEFORE_LONGEST]),
        (alone.template, []),
    ):
        assert [risk.code for risk in template_risks(template, now=now)] == found


def test_a_profile_adds_what_comes_of_its_ca_and_its_defaults() -> None:
    profile = make_issuing_profile(make_project(), authority_life=timedelta(days=100))
    now = timezone.now()

    assert [risk.code for risk in profile_risks(profile, now=now)] == [RiskCode.CA_ENDS_BEFORE_LONGEST]
    for ttl, found in (("120d", [RiskCode.CA_ENDS_BEFORE_DEFAULT]), ("90d", [])):
        profile = update_profile(requester=SYSTEM, profile=profile, changes={"defaults": {"ttl": ttl}})
        assert [risk.code for risk in profile_risks(profile, now=now)] == found


def test_any_name_is_no_risk_where_every_profile_has_requests_wait_for_approval() -> None:
    project = make_project()
    make_user("olga", project=project, role=Role.OPERATOR)
    anything: dict[str, Any] = {
        "subject": [{"type": "common_name", "allowed": ["*"]}],
        "extended_key_usages": {"allowed": ["client_auth"]},
    }
    first = make_issuing_profile(project, **anything)
    template, now = first.template, timezone.now()

    def is_risky() -> bool:
        return RiskCode.ANY_NAME_FOR_CLIENTS in [risk.code for risk in template_risks(template, now=now)]

    assert is_risky()
    update_profile(requester=SYSTEM, profile=first, changes={"requires_approval": True})
    assert not is_risky()
    # A policy that machine identities pass leaves somebody who needs no approval.
    policy = make_policy(project, bypass_for_machine_identities=True)
    assert is_risky()
    update_policy(requester=SYSTEM, policy=policy, changes={"bypass_for_machine_identities": False})
    assert not is_risky()
    update_policy(requester=SYSTEM, policy=policy, changes={"profile_ids": (first.pk,)})
    second = create_profile(
        requester=SYSTEM,
        project=project,
        slug="second",
        certificate_authority_id=first.certificate_authority_id,
        template_id=template.pk,
        enrollment_method="api",
        api=ApiSettings(),
    )
    assert is_risky()
    update_policy(requester=SYSTEM, policy=policy, changes={"profile_ids": (first.pk, second.pk)})
    assert not is_risky()
