import dataclasses

import pytest

from profiles.policy.errors import sentence
from profiles.policy.request import IssuerFacts
from profiles.policy.rules import ProfileDefaults, TemplateRules
from profiles.policy.vocabulary import KeyAlgorithm, KeyFamily, KeyUsage, SignatureAlgorithm
from tests.profiles.policy.samples import (
    EC_CA,
    ED25519_CA,
    RSA_CA,
    found,
    granted,
    judge,
    make_key,
    make_request,
    only,
    refused,
    rules_of,
)

WITHOUT_LISTS = rules_of(algorithms=None)


def ec_ca(key_algorithm: str) -> IssuerFacts:
    return dataclasses.replace(EC_CA, key_algorithm=key_algorithm)


def ml_dsa_ca(family: KeyFamily) -> IssuerFacts:
    return dataclasses.replace(RSA_CA, name="Acme PQ CA", key_family=family, key_algorithm=family.value)


@pytest.mark.parametrize(
    ("issuer", "signature"),
    [
        (RSA_CA, SignatureAlgorithm.RSA_SHA256),
        (dataclasses.replace(RSA_CA, key_algorithm="RSA_8192"), SignatureAlgorithm.RSA_SHA256),
        (ec_ca("EC_prime256v1"), SignatureAlgorithm.ECDSA_SHA256),
        (ec_ca("EC_secp384r1"), SignatureAlgorithm.ECDSA_SHA384),
        (ec_ca("EC_secp521r1"), SignatureAlgorithm.ECDSA_SHA512),
        (ec_ca("EC_secp256k1"), SignatureAlgorithm.ECDSA_SHA256),
        (ED25519_CA, SignatureAlgorithm.ED25519),
        (ml_dsa_ca(KeyFamily.ML_DSA_44), SignatureAlgorithm.ML_DSA_44),
        (ml_dsa_ca(KeyFamily.ML_DSA_87), SignatureAlgorithm.ML_DSA_87),
    ],
)
def test_signature_without_a_list_goes_by_the_key_of_the_ca(issuer: IssuerFacts, signature: SignatureAlgorithm) -> None:
    assert granted(WITHOUT_LISTS, make_request(), issuer=issuer).signature_algorithm is signature


def test_a_key_of_one_parameter_set_makes_no_signature_of_another() -> None:
    request = make_request(signature_algorithm=SignatureAlgorithm.ML_DSA_87)
    rules = rules_of(algorithms={"signature": ["ML-DSA-44", "ML-DSA-87"]})
    violation = only(refused(rules, request, issuer=ml_dsa_ca(KeyFamily.ML_DSA_44)))
    assert violation.code == "signature_does_not_fit_signer"
    assert violation.allowed == "ML-DSA-44"


def test_signature_with_a_list_is_the_first_that_fits_the_ca() -> None:
    rules = rules_of(algorithms={"signature": ["SHA512-RSA", "SHA512-ECDSA", "SHA256-RSA"]})
    assert granted(rules, make_request()).signature_algorithm is SignatureAlgorithm.RSA_SHA512
    decision = judge(rules, make_request(), issuer=EC_CA)
    assert decision.granted().signature_algorithm is SignatureAlgorithm.ECDSA_SHA512
    assert "no signature algorithm was asked for: ECDSA-SHA512 fits CA Acme EC CA (EC_prime256v1)" in decision.warnings


@pytest.mark.parametrize(
    ("issuer", "asked"),
    [
        (RSA_CA, SignatureAlgorithm.RSA_SHA256),
        (EC_CA, SignatureAlgorithm.ECDSA_SHA384),
        (ED25519_CA, SignatureAlgorithm.ED25519),
    ],
)
def test_lines_10_and_11_signature_that_the_ca_can_make_is_granted(
    issuer: IssuerFacts, asked: SignatureAlgorithm
) -> None:
    plan = granted(rules_of(), make_request(signature_algorithm=asked), issuer=issuer)
    assert plan.signature_algorithm is asked


def test_signature_that_the_ca_cannot_make_is_refused_and_the_fix_names_what_it_can() -> None:
    violation = only(refused(rules_of(), make_request(signature_algorithm=SignatureAlgorithm.RSA_SHA256), issuer=EC_CA))
    assert found([violation]) == [("signature_algorithm", "signature_does_not_fit_signer")]
    assert sentence(violation) == (
        "signature algorithm RSA-SHA256 cannot be made by the signing key: ECDSA-SHA256, ECDSA-SHA384"
    )
    assert violation.fix == "ask for ECDSA-SHA256, ECDSA-SHA384, or for none"


@pytest.mark.parametrize("asked", [None, SignatureAlgorithm.RSA_SHA256])
def test_template_with_no_signature_that_fits_the_ca_is_refused(asked: SignatureAlgorithm | None) -> None:
    rules = rules_of(algorithms={"signature": ["SHA256-RSA"]})
    violation = only(refused(rules, make_request(signature_algorithm=asked), issuer=EC_CA))
    assert found([violation]) == [("signature_algorithm", "no_signature_fits_signer")]
    assert "ECDSA-SHA256, ECDSA-SHA384, ECDSA-SHA512 by CA Acme EC CA (EC_prime256v1)" in violation.allowed
    assert "another CA" in violation.fix


def test_defaults_of_the_profile_come_before_the_template_s_first() -> None:
    defaults = ProfileDefaults(key_algorithm=KeyAlgorithm.RSA_3072, signature_algorithm=SignatureAlgorithm.ECDSA_SHA384)
    decision = judge(rules_of(), make_request(), issuer=EC_CA, defaults=defaults)
    plan = decision.granted()
    assert (plan.key_algorithm, plan.signature_algorithm) == (KeyAlgorithm.RSA_3072, SignatureAlgorithm.ECDSA_SHA384)
    assert "no key algorithm was asked for: RSA_3072 is filled in from the profile" in decision.warnings
    assert "no signature algorithm was asked for: ECDSA-SHA384 is filled in from the profile" in decision.warnings


def test_defaults_of_the_profile_stand_where_the_template_lists_none() -> None:
    defaults = ProfileDefaults(key_algorithm=KeyAlgorithm.RSA_4096, signature_algorithm=SignatureAlgorithm.RSA_SHA512)
    plan = granted(WITHOUT_LISTS, make_request(), defaults=defaults)
    assert (plan.key_algorithm, plan.signature_algorithm) == (KeyAlgorithm.RSA_4096, SignatureAlgorithm.RSA_SHA512)


def test_defaults_of_the_profile_are_judged_like_what_is_asked() -> None:
    defaults = ProfileDefaults(key_algorithm=KeyAlgorithm.RSA_4096, signature_algorithm=SignatureAlgorithm.RSA_SHA512)
    violations = refused(rules_of(), make_request(), defaults=defaults)
    assert found(violations) == [
        ("key_algorithm", "value_not_in_list"),
        ("signature_algorithm", "value_not_in_list"),
    ]
    assert all("(the profile's default)" in violation.asked for violation in violations)


def test_key_filled_in_is_the_first_listed() -> None:
    assert granted(rules_of(), make_request()).key_algorithm is KeyAlgorithm.EC_PRIME256V1


@pytest.mark.parametrize(
    ("usages", "algorithm"),
    [
        ({"required": ["key_encipherment"]}, KeyAlgorithm.RSA_2048),
        ({"required": ["key_agreement"]}, KeyAlgorithm.EC_PRIME256V1),
        ({"required": ["digital_signature"]}, KeyAlgorithm.EC_PRIME256V1),
    ],
)
@pytest.mark.parametrize("rules", [rules_of(), WITHOUT_LISTS])
def test_key_filled_in_fits_the_usages_that_the_template_requires(
    rules: TemplateRules, usages: dict[str, object], algorithm: KeyAlgorithm
) -> None:
    rules = dataclasses.replace(rules, key_usages=rules_of(key_usages=usages).key_usages)
    assert granted(rules, make_request()).key_algorithm is algorithm


def test_key_filled_in_fits_the_usages_asked_for() -> None:
    request = make_request(key_usages=(KeyUsage.DIGITAL_SIGNATURE, KeyUsage.KEY_ENCIPHERMENT))
    assert granted(rules_of(), request).key_algorithm is KeyAlgorithm.RSA_2048


def test_usages_asked_for_that_no_key_serves_leave_the_key_to_the_template() -> None:
    rules = rules_of(key_usages={"required": ["key_encipherment"], "allowed": ["key_agreement"]})
    request = make_request(key_usages=(KeyUsage.KEY_ENCIPHERMENT, KeyUsage.KEY_AGREEMENT))
    violation = only(refused(rules, request))
    assert violation.asked == "key usage key_agreement with key algorithm RSA_2048"


def test_template_with_an_empty_list_of_keys_offers_none() -> None:
    rules = dataclasses.replace(rules_of(), key_algorithms=(), signature_algorithms=())
    assert found(refused(rules, make_request())) == [
        ("key_algorithm", "value_not_in_list"),
        ("signature_algorithm", "no_signature_fits_signer"),
    ]
    assert found(refused(rules, make_request(), issuer=None)) == [("key_algorithm", "value_not_in_list")]


# --- Self-signed ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "signature"),
    [
        (KeyAlgorithm.RSA_2048, SignatureAlgorithm.RSA_SHA256),
        (KeyAlgorithm.EC_PRIME256V1, SignatureAlgorithm.ECDSA_SHA256),
        (KeyAlgorithm.ED25519, SignatureAlgorithm.ED25519),
    ],
)
def test_self_signature_fits_the_certificate_s_own_key(key: KeyAlgorithm, signature: SignatureAlgorithm) -> None:
    plan = granted(rules_of(), make_request(key_algorithm=key), issuer=None)
    assert plan.signature_algorithm is signature
    assert plan.is_self_signed


def test_self_signature_of_another_family_is_refused() -> None:
    request = make_request(key_algorithm=KeyAlgorithm.RSA_2048, signature_algorithm=SignatureAlgorithm.ECDSA_SHA256)
    violation = only(refused(rules_of(), request, issuer=None))
    assert found([violation]) == [("signature_algorithm", "signature_does_not_fit_signer")]
    assert violation.rule == "key of its own key (RSA_2048)"


@pytest.mark.parametrize("rules", [rules_of(), WITHOUT_LISTS])
def test_key_filled_in_can_make_the_self_signature_asked_for(rules: TemplateRules) -> None:
    rules = dataclasses.replace(rules, signature_algorithms=rules_of().signature_algorithms)
    plan = granted(rules, make_request(signature_algorithm=SignatureAlgorithm.RSA_SHA256), issuer=None)
    assert plan.key_algorithm is KeyAlgorithm.RSA_2048


def test_key_filled_in_can_make_a_listed_self_signature() -> None:
    rules = rules_of(algorithms={"signature": ["SHA256-RSA"], "key_algorithm": ["P-256", "RSA-3072"]})
    assert granted(rules, make_request(), issuer=None).key_algorithm is KeyAlgorithm.RSA_3072
    rules = rules_of(algorithms={"key_algorithm": ["P-256", "RSA-3072"]})
    assert granted(rules, make_request(), issuer=None).signature_algorithm is SignatureAlgorithm.ECDSA_SHA256


def test_key_that_can_make_no_listed_self_signature_names_the_keys_that_can() -> None:
    rules = rules_of(algorithms={"signature": ["SHA256-RSA"], "key_algorithm": ["P-256", "RSA-3072"]})
    violation = only(refused(rules, make_request(key_algorithm=KeyAlgorithm.EC_PRIME256V1), issuer=None))
    assert found([violation]) == [("signature_algorithm", "no_signature_fits_signer")]
    assert violation.fix == "ask for a key of RSA_3072"


def test_csr_cannot_be_self_signed() -> None:
    violation = only(refused(rules_of(), make_request(applicant_key=make_key()), issuer=None))
    assert found([violation]) == [("csr", "csr_not_self_signable")]


# --- The applicant's key --------------------------------------------------------------------------------------------


def test_key_of_a_csr_is_certified_whatever_family_the_ca_is_of() -> None:
    plan = granted(rules_of(), make_request(applicant_key=make_key(KeyAlgorithm.EC_PRIME256V1)), issuer=RSA_CA)
    assert (plan.key_algorithm, plan.signature_algorithm) == (
        KeyAlgorithm.EC_PRIME256V1,
        SignatureAlgorithm.RSA_SHA256,
    )


def test_key_of_a_csr_outside_the_list_is_refused() -> None:
    violation = only(refused(rules_of(), make_request(applicant_key=make_key(KeyAlgorithm.EC_SECP521R1))))
    assert found([violation]) == [("csr", "value_not_in_list")]
    assert violation.allowed == "EC_prime256v1, RSA_2048, RSA_3072, ED25519"


@pytest.mark.parametrize("rules", [rules_of(), WITHOUT_LISTS])
def test_key_of_a_kind_that_is_not_certified_is_refused(rules: TemplateRules) -> None:
    key = make_key(None, description="DSA 2048")
    violation = only(refused(rules, make_request(applicant_key=key)))
    assert found([violation]) == [("csr", "unsupported_key")]
    assert sentence(violation).startswith("the key of the CSR (DSA 2048) is of a kind that is not certified: ")


def test_each_weakness_of_the_key_is_refused() -> None:
    key = make_key(None, description="RSA 1024", weaknesses=("1024 bits are too few", "its exponent is 2"))
    violations = refused(rules_of(), make_request(applicant_key=key))
    assert found(violations) == [("csr", "weak_key"), ("csr", "weak_key")]
    assert [violation.allowed for violation in violations] == ["1024 bits are too few", "its exponent is 2"]


def test_weakness_is_refused_in_a_supported_key_too() -> None:
    key = make_key(KeyAlgorithm.RSA_2048, weaknesses=("made by a broken generator",))
    assert found(refused(rules_of(), make_request(applicant_key=key))) == [("csr", "weak_key")]


def test_key_algorithm_beside_a_csr_must_be_that_of_its_key() -> None:
    key = make_key(KeyAlgorithm.EC_PRIME256V1)
    same = make_request(applicant_key=key, key_algorithm=KeyAlgorithm.EC_PRIME256V1)
    assert granted(WITHOUT_LISTS, same).key_algorithm is KeyAlgorithm.EC_PRIME256V1
    other = make_request(applicant_key=key, key_algorithm=KeyAlgorithm.RSA_2048)
    assert found(refused(rules_of(), other)) == [("key_algorithm", "key_algorithm_differs")]


def test_family_of_the_ca_counts_not_the_name_of_its_key() -> None:
    hsm = dataclasses.replace(RSA_CA, key_family=KeyFamily.EC, key_algorithm="HSM key 7")
    assert granted(rules_of(), make_request(), issuer=hsm).signature_algorithm is SignatureAlgorithm.ECDSA_SHA256
