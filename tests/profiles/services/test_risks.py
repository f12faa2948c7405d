"""Risks that depend on other rows."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from profiles.policy.risks import RiskCode
from profiles.services import profile_risks, template_risks
from profiles.services.profiles import update_profile
from profiles.services.templates import create_template
from tests.factories import SYSTEM, make_project
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
