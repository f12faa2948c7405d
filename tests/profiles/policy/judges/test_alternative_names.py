from dataclasses import replace

import idna
import pytest

from profiles.policy.amend import amended
from profiles.policy.judges.alternative_names import MOST_NAMES
from profiles.policy.judges.findings import MOST_TOLD
from profiles.policy.request import ApplicantKey
from profiles.policy.vocabulary import ExtendedKeyUsage, NameType
from tests.profiles.policy.samples import (
    dns,
    found,
    granted,
    judge,
    make_key,
    make_request,
    names,
    only,
    refused,
    rules_of,
    subject,
)


def test_names_keep_their_order_and_take_their_normal_form() -> None:
    asked = (
        dns("B.test.", "bücher.test")
        + names(NameType.IP_ADDRESS, "2001:DB8:0::1")
        + names(NameType.EMAIL, "J@Example.COM")
        + names(NameType.URI, "HTTPS://Example.com/A")
    )
    plan = granted(rules_of(), make_request(subject_alternative_names=asked))
    assert [name.value for name in plan.subject_alternative_names] == [
        "b.test",
        "xn--bcher-kva.test",
        "2001:db8::1",
        "J@example.com",
        "https://example.com/A",
    ]


def test_one_name_in_two_spellings_is_merged_with_a_warning() -> None:
    decision = judge(rules_of(), make_request(subject_alternative_names=dns("a.test", "A.TEST.")))
    assert decision.granted().subject_alternative_names == dns("a.test")
    assert 'dns_name SAN "A.TEST." was asked for twice and is written once' in decision.warnings


def test_each_bad_name_is_refused_at_its_index() -> None:
    asked = dns("good.test", "a_b.test", "10.0.0.1") + names(NameType.IP_ADDRESS, "10.0.0.0/8")
    violations = refused(rules_of(), make_request(subject_alternative_names=asked))
    assert found(violations) == [
        ("subject_alternative_names/1", "invalid_value"),
        ("subject_alternative_names/2", "invalid_value"),
        ("subject_alternative_names/3", "invalid_value"),
    ]
    assert violations[1].fix == 'ask for it as ip_address: "10.0.0.1"'


def test_kind_that_no_template_speaks_of_is_refused() -> None:
    violation = only(refused(rules_of(), make_request(subject_alternative_names=names("otherName", "x"))))
    assert found([violation]) == [("subject_alternative_names/0", "type_not_supported")]
    assert violation.allowed == "email, dns_name, uri, ip_address, upn"


def test_more_than_a_thousand_names_are_one_violation() -> None:
    many = dns(*(f"h{number}.test" for number in range(MOST_NAMES + 1)))
    violation = only(refused(rules_of(), make_request(subject_alternative_names=many)))
    assert found([violation]) == [("subject_alternative_names", "too_many_names")]
    assert violation.asked.startswith("1001 ")
    assert len(granted(rules_of(), make_request(subject_alternative_names=many[1:])).subject_alternative_names) == 1000


def test_of_a_thousand_refusals_under_250_patterns_the_first_are_told() -> None:
    patterns = [f"*.domain{number}.example.com" for number in range(250)]
    rules = rules_of(sans=[{"type": "dns_name", "allowed": patterns, "denied": ["*.evil.test"]}])
    many = dns(*(f"host{number}.bücher.evil.org" for number in range(1_000)))
    violations = refused(rules, make_request(subject_alternative_names=many))
    assert len(violations) == MOST_TOLD + 1
    assert violations[-1].code == "too_many_violations"
    assert violations[-1].asked == "a request with 800 violations more"
    assert sum(len(str(violation)) for violation in violations) < 200_000


def _ideographs(start: int, number: int) -> str:
    return "".join(chr(0x4E00 + (start * 131 + step * 77) % 20_000) for step in range(number))


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (NameType.DNS_NAME, [_ideographs(number, 250) for number in range(1_000)]),
        (NameType.EMAIL, ["a@" + _ideographs(number, 250) for number in range(1_000)]),
        (NameType.URI, ["https://a.test/" + "a\u0316\u0301" * 2_040] * 120),
    ],
)
def test_names_of_much_text_are_one_violation(kind: NameType, values: list[str]) -> None:
    violation = only(refused(rules_of(), make_request(subject_alternative_names=names(kind, *values))))
    assert found([violation]) == [("subject_alternative_names", "too_much_text")]


@pytest.mark.parametrize("length", [15, 30, 59, 250])
def test_only_labels_that_can_fit_are_encoded(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []
    encode = idna.alabel

    def counted(label: str) -> bytes:
        encoded.append(label)
        return encode(label)

    # The encoding takes the square of a label's length, so its length and their sum bound the work of a request.
    monkeypatch.setattr(idna, "alabel", counted)
    values = [_ideographs(number, length) for number in range(min(1_000, 64 * 1024 // (3 * length)))]
    judge(rules_of(), make_request(subject_alternative_names=dns(*values)))
    assert bool(encoded) is (length < 60)
    assert all(len(label) < 60 for label in encoded)
    assert sum(len(label) for label in encoded) <= 64 * 1024


def test_networks_allow_and_deny_addresses() -> None:
    rules = rules_of(
        sans=[{"type": "ip_address", "allowed": ["10.0.0.0/8", "2001:db8::/32"], "denied": ["10.9.0.0/16"]}]
    )
    fine = names(NameType.IP_ADDRESS, "10.1.2.3", "2001:db8:5::1")
    assert granted(rules, make_request(subject_alternative_names=fine)).subject_alternative_names == fine
    asked = names(NameType.IP_ADDRESS, "10.9.0.1", "192.168.0.1")
    violations = refused(rules, make_request(subject_alternative_names=asked))
    assert found(violations) == [
        ("subject_alternative_names/0", "value_denied"),
        ("subject_alternative_names/1", "value_does_not_match"),
    ]
    assert 'for example "10.0.0.1"' in violations[1].fix


def test_wildcard_name_that_covers_a_denied_one_is_refused() -> None:
    rules = rules_of(sans=[{"type": "dns_name", "allowed": ["*.acme.com"], "denied": ["admin.acme.com"]}])
    violation = only(refused(rules, make_request(subject_alternative_names=dns("*.acme.com"))))
    assert found([violation]) == [("subject_alternative_names/0", "value_denied")]
    assert violation.fix.endswith('for example "www.acme.com"')


def test_suggestions_for_every_kind_pass() -> None:
    rules = rules_of(
        sans=[
            {"type": "ip_address", "allowed": ["192.168.1.*", "10.7.7.7/32"]},
            {"type": "email", "allowed": ["*@example.com"]},
            {"type": "uri", "allowed": ["https://*.example.com/*"]},
        ]
    )
    asked = (
        names(NameType.IP_ADDRESS, "172.16.0.1")
        + names(NameType.EMAIL, "jane@evil.test")
        + names(NameType.URI, "https://evil.test/x.example.com/")
    )
    violations = refused(rules, make_request(subject_alternative_names=asked))
    examples = [violation.fix.rpartition('for example "')[2].rstrip('"') for violation in violations]
    assert examples == ["192.168.1.1", "jane@example.com", "https://www.example.com/www"]


def test_required_pattern_unmet_by_the_names_of_its_kind_is_told_with_them() -> None:
    rules = rules_of(sans=[{"type": "dns_name", "allowed": ["*.test"], "required": ["a.test", "b.test"]}])
    violation = only(refused(rules, make_request(subject_alternative_names=dns("a.test", "c.test"))))
    assert found([violation]) == [("subject_alternative_names", "required_not_met")]
    assert (violation.asked, violation.allowed) == ("dns_name SAN a.test, c.test", "b.test")


def test_denied_only_and_required_only_rules_let_other_names_through() -> None:
    denied = rules_of(sans=[{"type": "dns_name", "denied": ["*.evil.test"]}])
    assert granted(denied, make_request(subject_alternative_names=dns("good.test")))
    required = rules_of(sans=[{"type": "dns_name", "required": ["a.test"]}])
    assert granted(required, make_request(subject_alternative_names=dns("a.test", "other.test")))


SERVER = (ExtendedKeyUsage.SERVER_AUTH,)


@pytest.mark.parametrize("key", [None, make_key()])
def test_the_common_name_of_a_tls_server_is_added_as_dns_name(key: ApplicantKey | None) -> None:
    asked = make_request(extended_key_usages=SERVER, subject_alternative_names=dns("a.acme.com"), applicant_key=key)
    decision = judge(rules_of(), asked)
    assert decision.granted().subject_alternative_names == dns("a.acme.com", "service.acme.com")
    told = 'common_name "service.acme.com" is added as dns_name SAN: TLS clients read no other names'
    assert told in decision.warnings
    assert any(check.verdict == "filled" and "of the subject" in check.asked for check in decision.checks)


@pytest.mark.parametrize(
    ("common_name", "added"),
    [
        ("Service.ACME.com", "service.acme.com"),
        ("*.acme.com", "*.acme.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("host", None),
        ("Jane Doe", None),
        ("10.0.0.1", None),
        ("jane@acme.com", None),
        ("a_b.acme.com", None),
    ],
)
def test_only_host_names_with_a_dot_are_added(common_name: str, added: str | None) -> None:
    plan = granted(rules_of(), make_request(subject=subject(common_name=common_name), extended_key_usages=SERVER))
    assert plan.subject_alternative_names == (dns(added) if added else ())
    assert plan.subject == subject(common_name=common_name)


def test_a_common_name_that_stands_there_already_is_not_added_twice() -> None:
    asked = make_request(extended_key_usages=SERVER, subject_alternative_names=dns("SERVICE.acme.com."))
    assert granted(rules_of(), asked).subject_alternative_names == dns("service.acme.com")


@pytest.mark.parametrize(
    "sans",
    [
        [],
        [{"type": "dns_name", "allowed": ["*.other.com"]}],
        [{"type": "dns_name", "denied": ["service.acme.com"]}],
        [{"type": "ip_address", "allowed": ["*"]}],
    ],
)
def test_a_common_name_that_no_rule_lets_be_a_dns_name_stays_as_asked(sans: list[dict[str, object]]) -> None:
    decision = judge(rules_of(sans=sans), make_request(extended_key_usages=SERVER))
    assert decision.granted().subject_alternative_names == ()
    assert any("is no dns_name SAN, and may not be one here" in warning for warning in decision.warnings)


def test_a_common_name_is_not_added_where_no_tls_server_is_meant() -> None:
    for usages in (None, (), (ExtendedKeyUsage.CLIENT_AUTH,)):
        decision = judge(rules_of(), make_request(extended_key_usages=usages))
        assert decision.granted().subject_alternative_names == ()
        assert not any("TLS clients" in warning for warning in decision.warnings)


@pytest.mark.parametrize("common_name", ["host", "Jane Doe", "10.0.0.1"])
def test_a_tls_server_that_no_name_names_is_pointed_out(common_name: str) -> None:
    told = "it names no server, for it has no dns_name SAN and no ip_address SAN: TLS clients will refuse it"
    asked = make_request(subject=subject(common_name=common_name), extended_key_usages=SERVER)
    assert told in judge(rules_of(), asked).warnings
    for sans in (dns("host"), names(NameType.IP_ADDRESS, "10.0.0.1")):
        named = replace(asked, subject_alternative_names=sans)
        assert told not in judge(rules_of(), named).warnings
    mailed = replace(asked, subject_alternative_names=names(NameType.EMAIL, "a@acme.com"))
    assert told in judge(rules_of(), mailed).warnings
    assert told not in judge(rules_of(), replace(asked, extended_key_usages=None)).warnings


def test_no_more_names_of_a_kind_than_its_rule_lets_there_be() -> None:
    rules = rules_of(sans=[{"type": "dns_name", "allowed": ["*"], "max_count": 2}, {"type": "email", "allowed": ["*"]}])
    asked = dns("a.test", "b.test", "A.test", "c.test", "d.test", "C.test") + names(NameType.EMAIL, "x@a.test")
    request = make_request(subject_alternative_names=asked)
    violation = only(refused(rules, request))
    assert found([violation]) == [("subject_alternative_names", "too_many_values")]
    assert (violation.rule, violation.allowed) == ("template sans/dns_name max_count", "at most 2")
    assert granted(rules, amended(request, violation.changes)).subject_alternative_names == (
        *dns("a.test", "b.test"),
        *names(NameType.EMAIL, "x@a.test"),
    )


def test_a_name_in_two_spellings_is_refused_once_and_mended_in_both_places() -> None:
    rules = rules_of(sans=[{"type": "dns_name", "allowed": ["*.acme.com"]}])
    request = make_request(subject_alternative_names=dns("www.other.com", "api.acme.com", "WWW.other.com."))
    violation = only(refused(rules, request))
    mended = granted(rules, amended(request, violation.changes))
    assert mended.subject_alternative_names == dns("www.acme.com", "api.acme.com")


def test_a_common_name_is_not_added_beyond_what_the_rule_lets_there_be() -> None:
    rules = rules_of(sans=[{"type": "dns_name", "allowed": ["*"], "max_count": 1}])
    asked = make_request(extended_key_usages=SERVER, subject_alternative_names=dns("a.acme.com"))
    assert granted(rules, asked).subject_alternative_names == dns("a.acme.com")
