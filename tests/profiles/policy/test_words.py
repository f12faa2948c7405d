"""Rules as people read them."""

from typing import Any

import pytest

from profiles.policy.rules import TemplateRules
from profiles.policy.vocabulary import ExtendedKeyUsage, KeyAlgorithm, KeyUsage, NameType, SubjectAttribute
from profiles.policy.words import in_plain_words, in_words


def said(**document: Any) -> tuple[str, ...]:
    return in_words(TemplateRules.from_json(document))


def test_a_template_that_says_nothing_is_told_to_refuse_all() -> None:
    assert said() == (
        "No subject attributes.",
        "No email addresses, DNS names, URIs, IP addresses or user principal names.",
        "No key usages.",
        "No extended key usages.",
        "The key algorithm is not for the applicant to choose.",
        "The signature algorithm is not for the applicant to choose.",
        "As long as the CA itself is valid.",
        "Never for a CA.",
    )


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ({"allowed": ["*"]}, "A common name may be anything."),
        ({"allowed": ["*.acme.com"]}, "A common name must match *.acme.com."),
        ({"allowed": ["a", "b", "c"]}, "A common name must match a, b or c."),
        ({"required": ["*.acme.com"]}, "A common name is required and must match *.acme.com."),
        ({"required": ["*"], "allowed": ["x"]}, "A common name is required and may be anything."),
        (
            {"required": ["a"], "allowed": ["b"]},
            "A common name that matches a is required; another one beside it must match b.",
        ),
        (
            {"required": ["a"], "allowed": ["*"]},
            "A common name that matches a is required; another one beside it may be anything.",
        ),
        ({"denied": ["x.*"]}, "A common name may be anything; never x.*."),
        ({"allowed": ["*.acme.com"], "denied": ["x", "y"]}, "A common name must match *.acme.com; never x or y."),
    ],
)
def test_subject_attributes(rule: dict[str, Any], sentence: str) -> None:
    assert said(subject=[{"type": "common_name", **rule}])[:2] == (sentence, "No other subject attributes.")


def test_the_article_fits_the_attribute() -> None:
    assert said(subject=[{"type": "organization", "required": ["Acme"]}])[0] == (
        "An organization is required and must match Acme."
    )


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ({"allowed": ["*"]}, "DNS names may be anything."),
        ({"allowed": ["*.acme.com"]}, "DNS names must match *.acme.com."),
        ({"required": ["*"]}, "DNS names may be anything; at least one is required."),
        ({"required": ["*.acme.com"]}, "DNS names may be anything; one that matches *.acme.com is required."),
        (
            {"allowed": ["a.b"], "required": ["c.d"]},
            "DNS names must match a.b or c.d; one that matches c.d is required.",
        ),
        ({"denied": ["*.x"]}, "DNS names may be anything; never *.x."),
        ({"allowed": ["*.acme.com"], "max_count": 20}, "DNS names must match *.acme.com; at most 20."),
    ],
)
def test_alternative_names(rule: dict[str, Any], sentence: str) -> None:
    assert said(sans=[{"type": "dns_name", **rule}])[1:3] == (
        sentence,
        "No email addresses, URIs, IP addresses or user principal names.",
    )


def test_usages_algorithms_and_life() -> None:
    assert said(
        key_usages={"required": ["digital_signature"], "allowed": ["key_encipherment"], "denied": ["crl_sign"]},
        extended_key_usages={"allowed": ["ocsp_signing", "server_auth"]},
        algorithms={"key_algorithm": ["RSA_2048", "EC_prime256v1"], "signature": ["ECDSA-SHA256"]},
        validity={"max": "36h"},
        basic_constraints={"is_ca": "allowed", "max_path_length": 1},
    )[2:] == (
        "Key usages: digital signature always; key encipherment if asked for; CRL sign never.",
        "Extended key usages: OCSP signing, server auth if asked for.",
        "Keys: RSA 2048 or ECDSA P-256.",
        "Signatures: ECDSA-SHA256.",
        "At most 36 hours.",
        "For a CA too, with a path length of at most 1.",
    )


@pytest.mark.parametrize(("life", "words"), [("90d", "90 days"), ("1d", "1 day"), ("25s", "25s"), ("24h", "1 day")])
def test_lengths_of_life_are_in_the_unit_that_fits(life: str, words: str) -> None:
    assert f"At most {words}." in said(validity={"max": life})


def test_the_shortest_life_is_told_before_the_longest() -> None:
    assert said(validity={"min": "1d", "max": "90d"})[-3:] == ("At least 1 day.", "At most 90 days.", "Never for a CA.")


def test_usages_by_object_identifier_are_told_as_they_are() -> None:
    assert "Extended key usages: 1.3.6.1.4.1.311.20.2.2 if asked for." in said(
        extended_key_usages={"allowed": ["1.3.6.1.4.1.311.20.2.2"]}
    )


@pytest.mark.parametrize("kind", [*SubjectAttribute])
def test_every_attribute_has_a_sentence(kind: str) -> None:
    noun = kind.replace("_", " ")
    assert said(subject=[{"type": kind, "allowed": ["*"]}])[0] in {
        f"A {noun} may be anything.",
        f"An {noun} may be anything.",
    }


def test_long_lists_are_cut_and_counted() -> None:
    patterns = [f"{number}.acme.com" for number in range(12)]
    assert "9.acme.com, and 2 more." in said(sans=[{"type": "dns_name", "allowed": patterns}])[1]


def test_for_cas_alone() -> None:
    assert said(basic_constraints={"is_ca": "required"})[-1] == "For CAs alone."


@pytest.mark.parametrize(
    ("told", "plain"),
    [
        ("use EC_prime256v1, RSA_2048 or ED25519", "use ECDSA P-256, RSA 2048 or Ed25519"),
        ("key usage crl_sign with key algorithm EC_secp384r1", "key usage CRL sign with key algorithm ECDSA P-384"),
        ('dns_name SAN "dns_name.acme.com"', 'DNS name SAN "dns_name.acme.com"'),
        ("uri SAN, upn SAN, email SAN, ip_address SAN", "URI SAN, UPN SAN, email SAN, IP address SAN"),
        ("template subject/common_name allowed", "template subject/common name allowed"),
        ("a notAfter of 2027-01-01T00:00:00Z or before", "a validity end of 2027-01-01T00:00:00Z or before"),
        ("my_common_name, *_state, EC_prime256v10", "my_common_name, *_state, EC_prime256v10"),
        ('"', '"'),
    ],
)
def test_what_is_told_to_programs_is_told_to_people_in_words(told: str, plain: str) -> None:
    assert in_plain_words(told) == plain


@pytest.mark.parametrize("word", [*SubjectAttribute, *NameType, *KeyUsage, *ExtendedKeyUsage, *KeyAlgorithm])
def test_no_word_of_the_vocabulary_is_told_to_people_as_it_is_written_for_programs(word: str) -> None:
    assert "_" not in in_plain_words(f"asked for {word}: nothing")
