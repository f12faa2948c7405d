from dataclasses import replace
from datetime import timedelta

import pytest

from profiles.policy.errors import PolicyViolation
from profiles.policy.responder import RESPONDER_LIFE, decide_responder
from profiles.policy.vocabulary import ExtendedKeyUsage, KeyAlgorithm, KeyFamily, KeyUsage
from tests.profiles.policy.samples import EC_CA, NOW, SECOND, granted, make_request, rules_of


def test_a_responder_signs_ocsp_and_nothing_else_for_two_weeks() -> None:
    plan = decide_responder(name="OCSP responder", issuer=EC_CA, now=NOW)
    assert plan.is_ocsp_responder
    assert plan.extended_key_usages == (ExtendedKeyUsage.OCSP_SIGNING,)
    assert plan.key_usages == (KeyUsage.DIGITAL_SIGNATURE,)
    assert not plan.basic_constraints.is_ca
    assert plan.not_after - plan.not_before == RESPONDER_LIFE


def test_it_ends_with_its_ca() -> None:
    end = SECOND + timedelta(days=3)
    plan = decide_responder(name="OCSP responder", issuer=replace(EC_CA, not_after=end), now=NOW)
    assert plan.not_after == end


@pytest.mark.parametrize(
    ("family", "name", "wanted"),
    [
        (KeyFamily.RSA, "RSA_4096", KeyAlgorithm.RSA_2048),
        (KeyFamily.EC, "EC_secp384r1", KeyAlgorithm.EC_SECP384R1),
        (KeyFamily.EC, "EC_brainpoolP256r1", KeyAlgorithm.EC_PRIME256V1),
        (KeyFamily.ED25519, "ED25519", KeyAlgorithm.ED25519),
    ],
)
def test_its_key_is_of_the_kind_of_its_ca(family: KeyFamily, name: str, wanted: KeyAlgorithm) -> None:
    issuer = replace(EC_CA, key_family=family, key_algorithm=name)
    assert decide_responder(name="OCSP responder", issuer=issuer, now=NOW).key_algorithm is wanted


def test_a_ca_that_has_ended_gets_none() -> None:
    issuer = replace(EC_CA, not_before=NOW - timedelta(days=9), not_after=NOW - timedelta(days=1))
    with pytest.raises(PolicyViolation):
        decide_responder(name="OCSP responder", issuer=issuer, now=NOW)


@pytest.mark.parametrize(
    ("purposes", "ttl", "is_unchecked"),
    [
        (("ocsp_signing",), timedelta(days=30), True),
        # RFC 6960, 4.2.2.2.1: nobody could ask about it, so it is to be short-lived.
        (("ocsp_signing",), timedelta(days=31), False),
        (("ocsp_signing", "client_auth"), timedelta(days=1), False),
        (("client_auth",), timedelta(days=1), False),
    ],
)
def test_a_short_lived_certificate_for_ocsp_alone_is_a_responders(
    purposes: tuple[str, ...], ttl: timedelta, is_unchecked: bool
) -> None:
    rules = rules_of(extended_key_usages={"allowed": ["ocsp_signing", "client_auth"]})
    plan = granted(rules, make_request(extended_key_usages=purposes, ttl=ttl))
    assert plan.is_ocsp_responder is is_unchecked
