"""Every rule (absent, allowed, required, denied, both) under a value that matches, one that does not, and none."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from profiles.policy.request import AttributeValue, BasicConstraints, GeneralName, IssuanceRequest
from profiles.policy.vocabulary import (
    ExtendedKeyUsage,
    KeyAlgorithm,
    KeyUsage,
    NameType,
    SignatureAlgorithm,
    SubjectAttribute,
)
from tests.profiles.policy.samples import ANYTHING, ROOT_CA, judge, make_request, rules_of

# Of each kind of value: a pattern, a value that fits it, one that does not.
ATTRIBUTES: Mapping[SubjectAttribute, tuple[str, str, str]] = {
    SubjectAttribute.COMMON_NAME: ("*.acme.com", "www.acme.com", "www.other.com"),
    SubjectAttribute.ORGANIZATION: ("Acme*", "ACME AG", "Other AG"),
    SubjectAttribute.ORGANIZATIONAL_UNIT: ("Ops", "ops", "Sales"),
    SubjectAttribute.COUNTRY: ("CH", "ch", "US"),
    SubjectAttribute.STATE: ("B*", "Bern", "Vaud"),
    SubjectAttribute.LOCALITY: ("*bern", "Bern", "Biel"),
    SubjectAttribute.DOMAIN_COMPONENT: ("acme*", "ACME", "other"),
    SubjectAttribute.SERIAL_NUMBER: ("SN-*", "SN-17", "17-SN"),
    SubjectAttribute.EMAIL: ("*@acme.com", "jane@ACME.com", "jane@other.com"),
}
NAMES: Mapping[NameType, tuple[str, str, str]] = {
    NameType.DNS_NAME: ("*.acme.com", "WWW.acme.com", "www.other.com"),
    NameType.IP_ADDRESS: ("10.0.0.0/8", "10.1.2.3", "192.0.2.1"),
    NameType.EMAIL: ("*@acme.com", "jane@ACME.com", "jane@other.com"),
    NameType.URI: ("https://*.acme.com/*", "https://www.acme.com/x", "https://www.other.com/x"),
    NameType.UPN: ("*@acme.com", "jane@ACME.com", "jane@other.com"),
}
# By rule: the codes for a value that matches, one that does not, and none; "" is a pass.
SUBJECT_VERDICTS: Mapping[str, tuple[str, str, str]] = {
    "absent": ("type_not_allowed", "type_not_allowed", ""),
    "allowed": ("", "value", ""),
    "required": ("", "value", "required_missing"),
    "denied": ("value_denied", "", ""),
    "both": ("", "value_denied", "required_missing"),
}
# Of kinds of names, "required" alone refuses no others: it is what must be among them.
NAME_VERDICTS: Mapping[str, tuple[str, str, str]] = {
    **SUBJECT_VERDICTS,
    "required": ("", "required_not_met", "required_missing"),
    "both": ("", "value_denied+required_not_met", "required_missing"),
}
WORD_VERDICTS: Mapping[str, tuple[str, str, str]] = {
    "absent": ("type_not_allowed", "type_not_allowed", ""),
    "allowed": ("", "value_not_in_list", ""),
    "required": ("", "required_missing+value_not_in_list", "required_missing"),
    "denied": ("value_denied", "", ""),
    "both": ("", "required_missing+value_denied", "required_missing"),
}
ASKED = ("matching", "not matching", "missing")


@dataclass(frozen=True)
class Row:
    """One cell of the table: what the template says, what is asked, and the codes of the refusals."""

    label: str
    rules: Mapping[str, object]
    request: IssuanceRequest
    codes: frozenset[str]


def lists(rule: str, fits: str, other: str) -> dict[str, list[str]]:
    return {
        "allowed": {"allowed": [fits]},
        "required": {"required": [fits]},
        "denied": {"denied": [fits]},
        "both": {"required": [fits], "denied": [other]},
    }[rule]


def codes(told: str, pattern: str) -> frozenset[str]:
    """``value`` is one of two codes: a list of plain values is a list, a pattern is something to match."""
    value = "value_does_not_match" if "*" in pattern or "/" in pattern else "value_not_in_list"
    return frozenset((value if code == "value" else code) for code in told.split("+") if code)


def name_rows() -> list[Row]:
    rows = []
    kinds: list[tuple[SubjectAttribute | NameType, Any]] = [*ATTRIBUTES.items(), *NAMES.items()]
    for kind, (pattern, *values) in kinds:
        part, verdicts = (
            ("subject", SUBJECT_VERDICTS) if isinstance(kind, SubjectAttribute) else ("sans", NAME_VERDICTS)
        )
        for rule, told in verdicts.items():
            entries = [] if rule == "absent" else [{"type": kind.value, **lists(rule, pattern, values[1])}]
            for asked, value, code in zip(ASKED, (*values, None), told, strict=True):
                rows.append(Row(f"{kind} {rule} {asked}", {part: entries}, asking(kind, value), codes(code, pattern)))
    return rows


def asking(kind: SubjectAttribute | NameType, value: str | None) -> IssuanceRequest:
    """The value, beside one of the other part, so that there is a name in any case."""
    if isinstance(kind, SubjectAttribute):
        subject = () if value is None else (AttributeValue(kind, value),)
        return make_request(subject=subject, subject_alternative_names=(GeneralName(NameType.DNS_NAME, "a.test"),))
    return make_request(subject_alternative_names=() if value is None else (GeneralName(kind, value),))


def count_rows() -> list[Row]:
    """Matching are as many as may be, not matching is one more."""
    rows = []
    values = ("a.acme.com", "b.acme.com", "c.acme.com")
    for rule, told in (("absent", ("", "", "")), ("allowed", ("", "too_many_values", ""))):
        entry = {"type": "dns_name", "allowed": ["*"], **({} if rule == "absent" else {"max_count": 2})}
        for asked, number, code in zip(ASKED, (2, 3, 0), told, strict=True):
            names = tuple(GeneralName(NameType.DNS_NAME, value) for value in values[:number])
            request = make_request(subject_alternative_names=names)
            rows.append(Row(f"max_count {rule} {asked}", {"sans": [entry]}, request, codes(code, "")))
    return rows


def usage_rows(part: str, fits: str, other: str, of: Callable[[str], Any]) -> list[Row]:
    rows = []
    for rule, told in WORD_VERDICTS.items():
        rules = {part: None if rule == "absent" else lists(rule, fits, other)}
        # Nothing asked is filled with what is required, so that "missing" is asking for none.
        for asked, value, code in zip(ASKED, ((of(fits),), (of(other),), ()), told, strict=True):
            rows.append(Row(f"{part} {rule} {asked}", rules, make_request(**{part: value}), codes(code, "")))
    return rows


def algorithm_rows() -> list[Row]:
    none, listed = ("choice_not_offered", "choice_not_offered", ""), ("", "value_not_in_list", "")
    rows = []
    for part, key, values in (
        ("key_algorithm", "key_algorithm", (KeyAlgorithm.EC_PRIME256V1, KeyAlgorithm.RSA_2048, None)),
        ("signature_algorithm", "signature", (SignatureAlgorithm.RSA_SHA256, SignatureAlgorithm.RSA_SHA512, None)),
    ):
        for rule, told in (("absent", none), ("allowed", listed)):
            offered = {} if rule == "absent" else {key: [values[0].value]}
            for asked, value, code in zip(ASKED, values, told, strict=True):
                request = make_request(**{part: value})
                rows.append(Row(f"{part} {rule} {asked}", {"algorithms": offered}, request, codes(code, "")))
    return rows


def validity_rows() -> list[Row]:
    rows = []
    day, second = timedelta(days=90), timedelta(seconds=1)
    for end, lives, code in (
        ("max", (day, day + second, None), "ttl_too_long"),
        ("min", (day, day - second, None), "ttl_too_short"),
    ):
        # Only the longest life says how long one shall be that nobody asked for.
        nothing_asked = "" if end == "max" else "validity_missing"
        for rule, told in (("absent", ("", "", "validity_missing")), ("allowed", ("", code, nothing_asked))):
            document = {} if rule == "absent" else {end: "90d"}
            for asked, ttl, verdict in zip(ASKED, lives, told, strict=True):
                request = make_request(ttl=ttl)
                rows.append(Row(f"validity/{end} {rule} {asked}", {"validity": document}, request, codes(verdict, "")))
    return rows


def constraint_rows() -> list[Row]:
    """Matching is a CA with a path length of 1, not matching one with 2, where 1 is the limit."""
    asked_for = (BasicConstraints(True, 1), BasicConstraints(True, 2), None)
    rows = []
    for rule, told in {
        "absent": ("ca_denied", "ca_denied", ""),
        "allowed": ("", "path_length_too_long", ""),
        "required": ("", "path_length_too_long", "ca_required"),
        "denied": ("ca_denied", "ca_denied", ""),
    }.items():
        document = {} if rule == "absent" else {"basic_constraints": {"is_ca": rule, "max_path_length": 1}}
        rules = {"key_usages": {"allowed": ["key_cert_sign", "crl_sign"]}, **document}
        for asked, constraints, code in zip(ASKED, asked_for, told, strict=True):
            request = make_request(basic_constraints=constraints)
            rows.append(Row(f"basic_constraints {rule} {asked}", rules, request, codes(code, "")))
    return rows


ROWS = [
    *name_rows(),
    *count_rows(),
    *usage_rows("key_usages", "digital_signature", "key_agreement", KeyUsage),
    *usage_rows("extended_key_usages", "server_auth", "client_auth", ExtendedKeyUsage),
    *algorithm_rows(),
    *validity_rows(),
    *constraint_rows(),
]


@pytest.mark.parametrize("row", ROWS, ids=[row.label for row in ROWS])
def test_each_rule_gives_its_verdict(row: Row) -> None:
    decision = judge(rules_of(ANYTHING, **row.rules), row.request, issuer=ROOT_CA)
    assert {violation.code for violation in decision.violations} == row.codes
    assert (decision.plan is not None) == (not row.codes)
