import pytest

from profiles.policy.amend import amended
from profiles.policy.errors import sentence
from profiles.policy.judges.usages import fits
from profiles.policy.request import BasicConstraints
from profiles.policy.rules import ProfileDefaults, TemplateRules, UsageRule
from profiles.policy.vocabulary import ExtendedKeyUsage, KeyAlgorithm, KeyUsage
from tests.profiles.policy.samples import (
    EC_CA,
    ROOT_CA,
    found,
    granted,
    judge,
    make_key,
    make_request,
    only,
    refused,
    rules_of,
)

SIGNING = {KeyUsage.DIGITAL_SIGNATURE, KeyUsage.NON_REPUDIATION, KeyUsage.KEY_CERT_SIGN, KeyUsage.CRL_SIGN}
EVERY_USAGE = {"allowed": [usage.value for usage in KeyUsage]}


@pytest.mark.parametrize(
    ("algorithm", "more"),
    [
        (KeyAlgorithm.RSA_2048, {KeyUsage.KEY_ENCIPHERMENT, KeyUsage.DATA_ENCIPHERMENT}),
        (KeyAlgorithm.EC_SECP384R1, {KeyUsage.KEY_AGREEMENT, KeyUsage.ENCIPHER_ONLY, KeyUsage.DECIPHER_ONLY}),
        (KeyAlgorithm.ED25519, set()),
        (KeyAlgorithm.ML_DSA_65, set()),
    ],
)
def test_usages_of_each_family_are_those_of_its_rfc(algorithm: KeyAlgorithm, more: set[KeyUsage]) -> None:
    assert {usage for usage in KeyUsage if fits(usage, algorithm)} == SIGNING | more


@pytest.mark.parametrize(
    ("algorithm", "usage", "reference"),
    [
        (KeyAlgorithm.EC_PRIME256V1, KeyUsage.KEY_ENCIPHERMENT, "RFC 5480"),
        (KeyAlgorithm.EC_PRIME256V1, KeyUsage.DATA_ENCIPHERMENT, "RFC 5480"),
        (KeyAlgorithm.ED25519, KeyUsage.KEY_ENCIPHERMENT, "RFC 8410"),
        (KeyAlgorithm.ED25519, KeyUsage.KEY_AGREEMENT, "RFC 8410"),
        (KeyAlgorithm.RSA_2048, KeyUsage.KEY_AGREEMENT, "RFC 4055"),
    ],
)
def test_usage_asked_that_does_not_fit_the_key_is_refused_with_a_fix(
    algorithm: KeyAlgorithm, usage: KeyUsage, reference: str
) -> None:
    request = make_request(key_algorithm=algorithm, key_usages=(KeyUsage.DIGITAL_SIGNATURE, usage))
    violation = only(refused(rules_of(key_usages=EVERY_USAGE), request))
    assert found([violation]) == [("key_usages", "usage_does_not_fit_key")]
    assert violation.rule.startswith(reference)
    assert usage in violation.asked
    assert violation.fix.startswith(f"leave {usage} out, or use a key of ")


def test_an_ml_dsa_key_enciphers_nothing() -> None:
    rules = rules_of(key_usages=EVERY_USAGE, algorithms={"key_algorithm": ["ML-DSA-44"]})
    violation = only(refused(rules, make_request(key_usages=(KeyUsage.KEY_ENCIPHERMENT,))))
    assert violation.rule == "RFC 9881, 5"


def test_usage_that_fits_no_listed_key_is_to_be_left_out() -> None:
    rules = rules_of(key_usages=EVERY_USAGE, algorithms={"key_algorithm": ["P-256"]})
    violation = only(refused(rules, make_request(key_usages=(KeyUsage.KEY_ENCIPHERMENT,))))
    assert violation.fix == "leave key_encipherment out"


@pytest.mark.parametrize(
    ("algorithm", "usages"),
    [
        (KeyAlgorithm.RSA_2048, (KeyUsage.DIGITAL_SIGNATURE, KeyUsage.KEY_ENCIPHERMENT)),
        (KeyAlgorithm.EC_PRIME256V1, (KeyUsage.DIGITAL_SIGNATURE,)),
        (KeyAlgorithm.ED25519, (KeyUsage.DIGITAL_SIGNATURE,)),
    ],
)
def test_usages_filled_in_are_fitted_to_the_key_and_named(
    algorithm: KeyAlgorithm, usages: tuple[KeyUsage, ...]
) -> None:
    defaults = ProfileDefaults(
        key_usages=(
            KeyUsage.KEY_ENCIPHERMENT,
            KeyUsage.ENCIPHER_ONLY,
            KeyUsage.KEY_CERT_SIGN,
            KeyUsage.DIGITAL_SIGNATURE,
        )
    )
    rules = rules_of(key_usages=EVERY_USAGE)
    decision = judge(rules, make_request(key_algorithm=algorithm), defaults=defaults)
    assert decision.granted().key_usages == usages
    assert f"no key usages were asked for: {', '.join(usages)} as the profile fills in" in decision.warnings
    assert any("key_cert_sign" in warning and "left out" in warning for warning in decision.warnings)


def test_key_agreement_filled_in_keeps_its_companion() -> None:
    defaults = ProfileDefaults(key_usages=(KeyUsage.KEY_AGREEMENT, KeyUsage.DECIPHER_ONLY))
    request = make_request(key_algorithm=KeyAlgorithm.EC_PRIME256V1)
    plan = granted(rules_of(key_usages=EVERY_USAGE), request, defaults=defaults)
    assert plan.key_usages == (KeyUsage.KEY_AGREEMENT, KeyUsage.DECIPHER_ONLY)


def test_what_the_template_requires_is_filled_in_beside_the_profile_s() -> None:
    rules = rules_of(key_usages={"required": ["digital_signature"], "allowed": ["non_repudiation"]})
    defaults = ProfileDefaults(key_usages=(KeyUsage.NON_REPUDIATION,))
    plan = granted(rules, make_request(), defaults=defaults)
    assert plan.key_usages == (KeyUsage.DIGITAL_SIGNATURE, KeyUsage.NON_REPUDIATION)


def test_extended_usages_required_are_filled_in_and_named() -> None:
    rules = rules_of(extended_key_usages={"required": ["client_auth", "server_auth"]})
    decision = judge(rules, make_request())
    assert decision.granted().extended_key_usages == (ExtendedKeyUsage.SERVER_AUTH, ExtendedKeyUsage.CLIENT_AUTH)
    assert (
        "no extended key usages were asked for: server_auth, client_auth as the template requires" in decision.warnings
    )


def test_default_that_the_template_does_not_list_is_refused() -> None:
    defaults = ProfileDefaults(extended_key_usages=(ExtendedKeyUsage.CODE_SIGNING,))
    violation = only(refused(rules_of(), make_request(), defaults=defaults))
    assert found([violation]) == [("extended_key_usages", "value_not_in_list")]
    assert violation.asked == "extended key usage code_signing (the profile's default)"
    assert violation.fix.startswith("ask for extended key usages yourself, without code_signing")


def test_asking_for_no_usages_is_not_the_same_as_asking_for_nothing() -> None:
    rules = rules_of(key_usages={"required": ["digital_signature"]})
    assert found(refused(rules, make_request(key_usages=()))) == [("key_usages", "required_missing")]
    assert granted(rules_of(), make_request(key_usages=(), extended_key_usages=())).key_usages == ()


def test_required_usage_that_the_key_asked_for_does_not_fit_names_the_keys_that_do() -> None:
    rules = rules_of(key_usages={"required": ["key_encipherment"]})
    violation = only(refused(rules, make_request(key_algorithm=KeyAlgorithm.EC_PRIME256V1)))
    assert found([violation]) == [("key_algorithm", "key_does_not_fit_usage")]
    assert violation.fix == "use a key of RSA_2048, RSA_3072"
    violation = only(refused(rules, make_request(applicant_key=make_key())))
    assert violation.field == "csr"


def test_required_usage_that_no_listed_key_fits_is_the_template_s_fault() -> None:
    rules = rules_of(key_usages={"required": ["key_encipherment"]}, algorithms={"key_algorithm": ["P-256"]})
    violation = only(refused(rules, make_request()))
    assert violation.fix.startswith("have the template changed")


@pytest.mark.parametrize("usage", [KeyUsage.DIGITAL_SIGNATURE, KeyUsage.NON_REPUDIATION])
def test_denied_only_rule_lets_the_rest_through(usage: KeyUsage) -> None:
    rules = rules_of(key_usages={"denied": ["crl_sign"]}, extended_key_usages={"denied": ["code_signing"]})
    request = make_request(key_usages=(usage,), extended_key_usages=(ExtendedKeyUsage.TIME_STAMPING,))
    plan = granted(rules, request)
    assert plan.key_usages == (usage,)
    assert plan.extended_key_usages == (ExtendedKeyUsage.TIME_STAMPING,)


def test_denied_usages_are_refused_and_the_verdict_says_what_may_be() -> None:
    rules = rules_of(extended_key_usages={"denied": ["code_signing"]})
    violation = only(refused(rules, make_request(extended_key_usages=(ExtendedKeyUsage.CODE_SIGNING,))))
    assert sentence(violation) == "extended key usage code_signing is denied: any but code_signing"


def test_rule_without_any_list_refuses_all() -> None:
    rules = TemplateRules(subject=rules_of().subject, key_usages=UsageRule())
    assert found(refused(rules, make_request(key_usages=(KeyUsage.DIGITAL_SIGNATURE,)))) == [
        ("key_usages", "value_not_in_list")
    ]


def test_usage_asked_twice_is_written_once() -> None:
    request = make_request(key_usages=(KeyUsage.DIGITAL_SIGNATURE, KeyUsage.DIGITAL_SIGNATURE))
    assert granted(rules_of(), request).key_usages == (KeyUsage.DIGITAL_SIGNATURE,)


def test_unknown_extended_usages_are_refused_once_each() -> None:
    request = make_request(extended_key_usages=("1.3", "server_auth", "2.5.29.37.0", "1.3"))
    violations = refused(rules_of(extended_key_usages={"denied": ["code_signing"]}), request)
    assert found(violations) == [("extended_key_usages", "type_not_supported")] * 2
    assert violations[1].fix == 'leave "2.5.29.37.0" out'


LOGON = "1.3.6.1.4.1.311.20.2.2"


def test_extended_usages_by_oid_are_judged_like_those_with_a_name() -> None:
    rules = rules_of(
        extended_key_usages={"allowed": [LOGON, "1.3.6.1.5.5.7.3.1"], "required": ["clientAuth"], "denied": ["1.2.3.4"]}
    )
    asked = (LOGON, "1.3.6.1.5.5.7.3.2", ExtendedKeyUsage.SERVER_AUTH, LOGON)
    assert granted(rules, make_request(extended_key_usages=asked)).extended_key_usages == (
        ExtendedKeyUsage.SERVER_AUTH,
        ExtendedKeyUsage.CLIENT_AUTH,
        LOGON,
    )
    for oid, code in (("1.2.3.4", "value_denied"), ("1.2.3.5", "value_not_in_list")):
        request = make_request(extended_key_usages=(oid, ExtendedKeyUsage.CLIENT_AUTH))
        violation = only(refused(rules, request))
        assert found([violation]) == [("extended_key_usages", code)]
        assert granted(rules, amended(request, violation.changes)).extended_key_usages == (
            ExtendedKeyUsage.CLIENT_AUTH,
        )


def test_extended_usages_by_oid_are_filled_in_by_profile_and_template() -> None:
    rules = rules_of(extended_key_usages={"allowed": [LOGON], "required": ["1.2.3.4"]})
    assert granted(rules, make_request()).extended_key_usages == ("1.2.3.4",)
    defaults = ProfileDefaults.from_json({"extended_key_usages": [LOGON, "1.2.3.4"]})
    assert granted(rules, make_request(), defaults=defaults).extended_key_usages == (LOGON, "1.2.3.4")


@pytest.mark.parametrize("usage", [KeyUsage.KEY_CERT_SIGN, KeyUsage.CRL_SIGN])
def test_signing_certificates_and_crls_is_for_cas(usage: KeyUsage) -> None:
    violation = only(refused(rules_of(key_usages=EVERY_USAGE), make_request(key_usages=(usage,))))
    assert found([violation]) == [("key_usages", "usage_for_ca_only")]


CA_RULES = rules_of(basic_constraints={"is_ca": "allowed"}, key_usages=EVERY_USAGE)


def test_usages_of_a_ca_are_filled_in() -> None:
    request = make_request(basic_constraints=BasicConstraints(is_ca=True))
    assert granted(CA_RULES, request, issuer=ROOT_CA).key_usages == (KeyUsage.KEY_CERT_SIGN, KeyUsage.CRL_SIGN)


def test_usages_of_a_ca_are_implied_where_the_template_has_no_usages() -> None:
    rules = rules_of(basic_constraints={"is_ca": "allowed"}, key_usages=None)
    request = make_request(basic_constraints=BasicConstraints(is_ca=True))
    assert granted(rules, request, issuer=ROOT_CA).key_usages == (KeyUsage.KEY_CERT_SIGN, KeyUsage.CRL_SIGN)
    defaults = ProfileDefaults(key_usages=(KeyUsage.DIGITAL_SIGNATURE,))
    assert found(refused(rules, request, issuer=ROOT_CA, defaults=defaults)) == [("key_usages", "type_not_allowed")]


def test_usages_of_a_ca_obey_the_template() -> None:
    request = make_request(basic_constraints=BasicConstraints(is_ca=True))
    allowed = rules_of(basic_constraints={"is_ca": "allowed"}, key_usages={"allowed": ["key_cert_sign"]})
    assert granted(allowed, request, issuer=ROOT_CA).key_usages == (KeyUsage.KEY_CERT_SIGN,)
    denied = rules_of(basic_constraints={"is_ca": "allowed"}, key_usages={"denied": ["key_cert_sign", "crl_sign"]})
    violation = only(refused(denied, request, issuer=ROOT_CA))
    assert found([violation]) == [("key_usages", "value_denied")]
    assert violation.fix == "have the template allow key_cert_sign, or leave isCA out"


def test_usages_filled_in_for_a_ca_are_named_with_their_sources() -> None:
    request = make_request(basic_constraints=BasicConstraints(is_ca=True))
    warnings = judge(CA_RULES, request, issuer=ROOT_CA).warnings
    assert "no key usages were asked for: key_cert_sign, crl_sign as a CA needs" in warnings
    defaults = ProfileDefaults(key_usages=(KeyUsage.DIGITAL_SIGNATURE,))
    warnings = judge(CA_RULES, request, issuer=ROOT_CA, defaults=defaults).warnings
    usages = "digital_signature, key_cert_sign, crl_sign"
    assert f"no key usages were asked for: {usages} as the profile fills in and a CA needs" in warnings


def test_ca_that_may_not_sign_certificates_is_refused() -> None:
    request = make_request(basic_constraints=BasicConstraints(is_ca=True), key_usages=(KeyUsage.CRL_SIGN,))
    violation = only(refused(CA_RULES, request, issuer=ROOT_CA))
    assert found([violation]) == [("key_usages", "ca_without_key_cert_sign")]


def test_encipher_only_needs_key_agreement_and_bears_no_decipher_only() -> None:
    rules = rules_of(key_usages=EVERY_USAGE)
    ec = KeyAlgorithm.EC_PRIME256V1
    lone = make_request(key_algorithm=ec, key_usages=(KeyUsage.ENCIPHER_ONLY,))
    assert found(refused(rules, lone, issuer=EC_CA)) == [("key_usages", "usage_needs_key_agreement")]
    both = (KeyUsage.KEY_AGREEMENT, KeyUsage.ENCIPHER_ONLY, KeyUsage.DECIPHER_ONLY)
    assert found(refused(rules, make_request(key_algorithm=ec, key_usages=both))) == [
        ("key_usages", "usages_exclude_each_other")
    ]
    assert granted(rules, make_request(key_algorithm=ec, key_usages=both[:2])).key_usages == both[:2]


@pytest.mark.parametrize(
    ("asked", "passing"),
    [
        ((KeyUsage.KEY_CERT_SIGN,), [KeyUsage.DIGITAL_SIGNATURE]),
        ((KeyUsage.DIGITAL_SIGNATURE, KeyUsage.KEY_CERT_SIGN, KeyUsage.CRL_SIGN), [KeyUsage.DIGITAL_SIGNATURE]),
        ((KeyUsage.KEY_ENCIPHERMENT, KeyUsage.NON_REPUDIATION), [KeyUsage.DIGITAL_SIGNATURE]),
        ((KeyUsage.ENCIPHER_ONLY,), [KeyUsage.DIGITAL_SIGNATURE]),
        (
            (KeyUsage.KEY_AGREEMENT, KeyUsage.ENCIPHER_ONLY, KeyUsage.DECIPHER_ONLY),
            [KeyUsage.DIGITAL_SIGNATURE, KeyUsage.KEY_AGREEMENT, KeyUsage.ENCIPHER_ONLY],
        ),
    ],
)
def test_each_of_several_reasons_offers_the_usages_that_pass(
    asked: tuple[KeyUsage, ...], passing: list[KeyUsage]
) -> None:
    allowed = ["key_encipherment", "key_agreement", "encipher_only", "decipher_only"]
    rules = rules_of(key_usages={"required": ["digital_signature"], "allowed": allowed})
    request = make_request(key_algorithm=KeyAlgorithm.EC_PRIME256V1, key_usages=asked)
    violations = refused(rules, request)
    assert violations
    for violation in violations:
        assert granted(rules, amended(request, violation.changes)).key_usages == tuple(passing), violation


def test_each_of_several_reasons_offers_the_extended_usages_that_pass() -> None:
    rules = rules_of(extended_key_usages={"required": ["server_auth"], "allowed": ["client_auth"]})
    request = make_request(
        extended_key_usages=(ExtendedKeyUsage.CODE_SIGNING, ExtendedKeyUsage.CLIENT_AUTH, "nonsense")
    )
    violations = refused(rules, request)
    assert len(violations) == 3
    for violation in violations:
        assert granted(rules, amended(request, violation.changes)).extended_key_usages == (
            ExtendedKeyUsage.SERVER_AUTH,
            ExtendedKeyUsage.CLIENT_AUTH,
        )
