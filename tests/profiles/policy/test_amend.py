from datetime import UTC, datetime, timedelta

import pytest

from pki_portal.errors import Change
from profiles.policy.amend import ImpossibleChange, amended
from profiles.policy.request import AttributeValue, BasicConstraints, GeneralName, IssuanceRequest
from profiles.policy.vocabulary import (
    ExtendedKeyUsage,
    KeyAlgorithm,
    KeyUsage,
    NameType,
    SignatureAlgorithm,
    SubjectAttribute,
)
from tests.profiles.policy.samples import dns, make_request, subject

UNITS = tuple(AttributeValue(SubjectAttribute.ORGANIZATIONAL_UNIT, each) for each in ("A", "B", "C"))
WHOLE = make_request(
    subject=(*UNITS, *subject(common_name="a.test")),
    subject_alternative_names=dns("a.test", "b.test"),
    key_usages=(KeyUsage.DIGITAL_SIGNATURE, KeyUsage.KEY_AGREEMENT),
    extended_key_usages=("1.2.3",),
    basic_constraints=BasicConstraints(is_ca=True, path_length=3),
)


@pytest.mark.parametrize(
    ("change", "part", "value"),
    [
        (Change("set", "subject/common_name", "b.test"), "subject", (*UNITS, *subject(common_name="b.test"))),
        (Change("set", "subject/country", "CH"), "subject", (*WHOLE.subject, *subject(country="CH"))),
        (Change("remove", "subject/common_name"), "subject", UNITS),
        (Change("remove", "subject/organizational_unit"), "subject", subject(common_name="a.test")),
        (Change("remove", "subject/organizational_unit/1"), "subject", (UNITS[0], UNITS[2], WHOLE.subject[3])),
        (
            Change("set", "subject/organizational_unit", "D"),
            "subject",
            subject(organizational_unit="D", common_name="a.test"),
        ),
        (
            Change("add", "subject_alternative_names", {"type": "ip_address", "value": "10.0.0.1"}),
            "subject_alternative_names",
            (*dns("a.test", "b.test"), GeneralName(NameType.IP_ADDRESS, "10.0.0.1")),
        ),
        (
            Change("set", "subject_alternative_names/0", {"type": "dns_name", "value": "c.test"}),
            "subject_alternative_names",
            dns("c.test", "b.test"),
        ),
        (Change("remove", "subject_alternative_names/1"), "subject_alternative_names", dns("a.test")),
        (Change("remove", "key_usages/0"), "key_usages", (KeyUsage.KEY_AGREEMENT,)),
        (Change("set", "key_usages", ["crl_sign"]), "key_usages", (KeyUsage.CRL_SIGN,)),
        (
            Change("add", "extended_key_usages", "server_auth"),
            "extended_key_usages",
            ("1.2.3", ExtendedKeyUsage.SERVER_AUTH),
        ),
        (Change("set", "key_algorithm", "RSA_2048"), "key_algorithm", KeyAlgorithm.RSA_2048),
        (Change("set", "signature_algorithm", "RSA-SHA256"), "signature_algorithm", SignatureAlgorithm.RSA_SHA256),
        (Change("set", "ttl", "90d"), "ttl", timedelta(days=90)),
        (Change("remove", "ttl"), "ttl", None),
        (Change("set", "not_after", "2027-01-01T00:00:00Z"), "not_after", datetime(2027, 1, 1, tzinfo=UTC)),
        (Change("remove", "basic_constraints"), "basic_constraints", None),
        (Change("set", "basic_constraints", {"is_ca": False}), "basic_constraints", BasicConstraints(is_ca=False)),
        (Change("set", "basic_constraints/path_length", 0), "basic_constraints", BasicConstraints(True, 0)),
        (Change("remove", "basic_constraints/path_length"), "basic_constraints", BasicConstraints(True)),
    ],
    ids=str,
)
def test_a_change_changes_its_part_alone(change: Change, part: str, value: object) -> None:
    after = amended(WHOLE, [change])
    assert getattr(after, part) == value
    others = set(IssuanceRequest.__dataclass_fields__) - {part}
    assert all(getattr(after, each) == getattr(WHOLE, each) for each in others)


def test_steps_are_taken_in_their_order() -> None:
    steps = [
        Change("remove", "subject_alternative_names/1"),
        Change("set", "subject_alternative_names/0", {"type": "email", "value": "jane@a.test"}),
    ]
    assert amended(WHOLE, steps).subject_alternative_names == (GeneralName(NameType.EMAIL, "jane@a.test"),)


@pytest.mark.parametrize(
    "change",
    [
        Change("set", "subject", "a.test"),
        Change("set", "subject/organizational_unit/3", "D"),
        Change("remove", "subject/country"),
        Change("remove", "subject_alternative_names/2"),
        Change("set", "subject_alternative_names/-1", {"type": "dns_name", "value": "c.test"}),
        Change("add", "subject_alternative_names", "c.test"),
        Change("add", "key_usages", "sign"),
        Change("set", "key_usages", "crl_sign"),
        Change("set", "ttl", "soon"),
        Change("add", "ttl", "1d"),
        Change("set", "not_after", "2027-01-01"),
        Change("set", "basic_constraints/path_length", True),
        Change("set", "basic_constraints/is_ca", True),
        Change("set", "csr", "x"),
        Change("remove", ""),
    ],
    ids=str,
)
def test_a_change_that_does_not_fit_is_refused(change: Change) -> None:
    with pytest.raises(ImpossibleChange):
        amended(WHOLE, [change])
