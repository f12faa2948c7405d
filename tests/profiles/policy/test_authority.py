"""The verdict on a CA's certificate."""

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from profiles.policy.authority import decide_authority
from profiles.policy.errors import PolicyViolation
from profiles.policy.judges.lifetime import Validity
from profiles.policy.plan import AuthorityPlan
from profiles.policy.request import AttributeValue
from profiles.policy.vocabulary import KeyAlgorithm, SignatureAlgorithm, SubjectAttribute

NOW = datetime(2026, 11, 23, tzinfo=UTC)
LIFE = Validity(NOW, NOW + timedelta(days=3650))
SUBJECT = (AttributeValue(SubjectAttribute.COMMON_NAME, "Root"),)


def test_root_signs_with_a_hash_as_strong_as_its_key() -> None:
    plan = decide_authority(
        subject=SUBJECT, validity=LIFE, path_length=1, issuer=None, key_name=KeyAlgorithm.EC_SECP384R1, now=NOW
    )
    assert plan.signature_algorithm is SignatureAlgorithm.ECDSA_SHA384


def test_every_violation_is_told() -> None:
    with pytest.raises(PolicyViolation) as refusal:
        decide_authority(
            subject=(),
            validity=Validity(NOW, NOW),
            path_length=256,
            issuer=None,
            key_name=KeyAlgorithm.EC_SECP384R1,
            now=NOW,
        )
    assert [violation.code for violation in refusal.value.violations] == [
        "subject_empty",
        "path_length_out_of_range",
        "validity_backward",
    ]


def test_nobody_but_decide_authority_makes_a_plan() -> None:
    plan = decide_authority(
        subject=SUBJECT, validity=LIFE, path_length=1, issuer=None, key_name=KeyAlgorithm.ED25519, now=NOW
    )
    values = {field.name: getattr(plan, field.name) for field in dataclasses.fields(plan)}
    with pytest.raises(TypeError, match="made by"):
        AuthorityPlan(**{**values, "judged": object()})
