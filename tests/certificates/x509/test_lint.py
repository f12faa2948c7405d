import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from hypothesis import HealthCheck, Phase, assume, event, given, settings
from hypothesis import strategies as st

from certificates.x509.issuer import DistributionUrls, Issuer
from certificates.x509.keys import generate
from certificates.x509.lint import (
    UNREADABLE,
    Finding,
    Severity,
    _CleanShapes,
    blocking,
    forget_shapes,
    is_absolute_uri,
    lint,
    lint_shape,
    marked,
    shape_of,
    waivable_codes,
)
from certificates.x509.tbs import build
from profiles.policy.decide import decide
from profiles.policy.plan import IssuancePlan
from profiles.policy.request import AttributeValue, BasicConstraints, GeneralName, IssuanceRequest
from profiles.policy.rules import ProfileDefaults
from profiles.policy.vocabulary import (
    ExtendedKeyUsage,
    KeyAlgorithm,
    KeyFamily,
    KeyUsage,
    NameType,
    SubjectAttribute,
)
from profiles.policy.waivers import LintWaiver
from tests.certificates.x509.material import (
    NOW,
    RULES,
    URLS,
    der,
    dns,
    end_entity,
    facts,
    issuance_plan,
    key,
    root,
    subject,
)

P256 = KeyAlgorithm.EC_PRIME256V1
# Of the property that is worth its time where nobody waits for it.
EXAMPLES = 2000 if os.environ.get("CI") else 150
LOCAL = DistributionUrls(crl=("http://localhost:8000/crl/1/der",), ca_issuers=("http://localhost:8000/ca/1/der",))


@pytest.fixture(autouse=True)
def _no_memory() -> Iterator[None]:
    forget_shapes()
    yield
    forget_shapes()


def findings_for(*names: GeneralName, urls: DistributionUrls = URLS) -> tuple[Finding, ...]:
    plan = issuance_plan(subject_alternative_names=names)
    tbs = build(plan=plan, issuer=Issuer(root(P256)), serial_number=5, public_key=key(P256).public_key(), urls=urls)
    return lint(der(tbs.draft))


def test_a_good_certificate_has_no_finding() -> None:
    assert lint(der(end_entity(issuance_plan(), root(P256), P256))) == ()


def test_what_cannot_be_read_blocks() -> None:
    for broken in (b"", b"hello", b"\x30\x03\x02\x01\x01"):
        findings = lint(broken)
        assert [finding.severity for finding in findings] == [Severity.FATAL]
        assert blocking(findings) == findings


def test_a_broken_must_blocks() -> None:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    private = generate(P256)
    usage = x509.KeyUsage(False, False, False, False, False, True, False, False, False)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(usage, critical=True)
        .sign(private, hashes.SHA256())
    )
    codes = {finding.code for finding in blocking(lint(der(certificate)))}
    assert "pkix.authority_key_identifier_extension_absent" in codes
    assert "pkix.ee_certificate_keycertsign_keyusage_set" in codes


@pytest.mark.parametrize(
    "name",
    [
        GeneralName(NameType.DNS_NAME, "*.example.com"),
        GeneralName(NameType.DNS_NAME, "mailhost"),
        GeneralName(NameType.URI, "spiffe://example.com/web"),
        GeneralName(NameType.URI, "urn:uuid:0c3aaf50-52e5-4b28-a3b1-5f2e7d0a1b11"),
        GeneralName(NameType.DNS_NAME, "db.zone1"),
    ],
)
def test_names_that_the_template_allowed_are_found_and_waived(name: GeneralName) -> None:
    findings = findings_for(name)
    assert [finding.value for finding in findings] == [name.value]
    assert findings[0].severity is Severity.ERROR
    assert blocking(marked(findings)) == ()
    assert marked(findings)[0].waived


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("pkix.invalid_domain_name_syntax", "_x.example.com"),
        ("pkix.invalid_domain_name_syntax", "a..example.com"),
        ("pkix.invalid_domain_name_syntax", "*"),
        ("pkix.invalid_domain_name_syntax", "*." + "a." * 126 + "com"),
        ("pkix.invalid_email_address_syntax", "mailhost"),
        ("pkix.invalid_email_address_syntax", "alice smith@mailhost"),
        ("pkix.invalid_uri_syntax", "/relative"),
        ("pkix.some_other", "mailhost"),
        ("pkix.name_domain_components_invalid_domain_name", "mailhost"),
    ],
)
def test_no_other_finding_is_waived(code: str, value: str) -> None:
    finding = Finding(Severity.ERROR, code, "", "certificate.x.subjectAltName.0.dNSName", value)
    assert blocking(marked([finding])) == (finding,)


def test_a_mailbox_on_a_host_of_one_label_is_waived() -> None:
    node = "certificate.tbsCertificate.extensions.7.extnValue.subjectAltName.0.rfc822Name"
    finding = Finding(Severity.ERROR, "pkix.invalid_email_address_syntax", "", node, "alice.smith@mailhost")
    assert blocking(marked([finding])) == ()


def test_waivers_hold_for_alternative_names_only() -> None:
    for code, value in (("pkix.invalid_domain_name_syntax", "mailhost"), ("pkix.invalid_uri_syntax", "urn:a:b")):
        finding = Finding(Severity.ERROR, code, "", "certificate.elsewhere", value)
        assert blocking(marked([finding])) == (finding,)


def test_a_warning_does_not_block() -> None:
    assert blocking([Finding(Severity.WARNING, "pkix.any", "", "certificate")]) == ()


def test_addresses_of_this_installation_on_localhost_are_waived_and_others_are_not() -> None:
    findings = findings_for(*dns("service.acme.com"), urls=LOCAL)
    assert {finding.value for finding in findings} == set(LOCAL.all)
    assert blocking(marked(findings, own_urls=LOCAL.all)) == ()
    assert len(blocking(marked(findings, own_urls=LOCAL.crl))) == 1
    assert len(blocking(marked(findings))) == 2


@pytest.mark.parametrize(
    ("text", "is_uri"),
    [
        ("https://example.com/x?y#z", True),
        ("urn:a:b", True),
        ("spiffe://cluster.local/ns", True),
        ("https://[::1]/x", True),
        ("https://[::1/x", False),
        ("https:///x", False),
        ("relative/x", False),
        ("https://exa mple.com", False),
        ("https://example.com/%zz", False),
        ("mailto:", False),
    ],
)
def test_what_an_absolute_uri_is(text: str, is_uri: bool) -> None:
    assert is_absolute_uri(text) is is_uri


def test_a_shape_without_findings_is_linted_once() -> None:
    made: list[bytes] = []

    def make() -> bytes:
        made.append(der(end_entity(issuance_plan(), root(P256), P256)))
        return made[-1]

    assert lint_shape("shape", make) == lint_shape("shape", make) == ()
    assert len(made) == 1
    lint_shape("another shape", make)
    assert len(made) == 2


def test_a_shape_with_findings_is_linted_each_time_for_they_tell_of_values() -> None:
    made: list[str] = []

    def make(name: str) -> bytes:
        made.append(name)
        return der(end_entity(issuance_plan(subject_alternative_names=dns(name)), root(P256), P256))

    for name in ("*.example.com", "*.example.net"):
        findings = lint_shape("shape", lambda name=name: make(name))  # type: ignore[misc]
        assert [finding.value for finding in findings] == [name]
    assert made == ["*.example.com", "*.example.net"]


def test_findings_on_own_addresses_do_not_keep_a_shape_from_being_remembered() -> None:
    calls: list[int] = []
    tbs = build(
        plan=issuance_plan(),
        issuer=Issuer(root(P256)),
        serial_number=5,
        public_key=key(P256).public_key(),
        urls=LOCAL,
    )

    def make() -> bytes:
        calls.append(1)
        return der(tbs.draft)

    for _ in range(2):
        assert lint_shape("local", make, own_urls=LOCAL.all) == ()
    assert len(calls) == 1


def test_the_memory_of_shapes_is_bounded() -> None:
    shapes = _CleanShapes(2)
    for shape in "abc":
        shapes.add(shape)
    assert ["a" in shapes, "b" in shapes, "c" in shapes] == [False, True, True]


def test_the_shape_tells_apart_what_the_linter_may() -> None:
    issuer = root(P256)
    plans = [
        issuance_plan(),
        issuance_plan(subject=()),
        issuance_plan(subject_alternative_names=dns("*.acme.com")),
        issuance_plan(subject_alternative_names=dns("acme")),
        issuance_plan(subject_alternative_names=(GeneralName(NameType.IP_ADDRESS, "10.0.0.1"),)),
        issuance_plan(subject_alternative_names=(GeneralName(NameType.IP_ADDRESS, "::1"),)),
        issuance_plan(subject_alternative_names=(GeneralName(NameType.EMAIL, "a@acme.com"),)),
        issuance_plan(subject_alternative_names=(GeneralName(NameType.URI, "urn:a:b"),)),
        issuance_plan(subject_alternative_names=(GeneralName(NameType.URI, "https://acme.com/"),)),
        issuance_plan(key_usages=()),
        issuance_plan(key_algorithm=KeyAlgorithm.ED25519),
    ]
    shapes = [shape_of(plan, issuer=issuer, urls=URLS.all) for plan in plans]
    # A wildcard and a name of one label both stand for "the linter will say something": one shape, never remembered.
    assert len(set(shapes)) == len(shapes) - 1
    assert shape_of(plans[0], issuer=issuer, urls=LOCAL.all) != shapes[0]
    assert shape_of(plans[0], issuer=root(KeyAlgorithm.EC_SECP384R1), urls=URLS.all) != shapes[0]
    assert shape_of(issuance_plan(signed_by=None), issuer=None, urls=()) != shapes[0]


def test_two_certificates_that_differ_in_values_only_have_one_shape() -> None:
    one = issuance_plan(subject=subject(common_name="a.acme.com"), subject_alternative_names=dns("a.acme.com"))
    two = issuance_plan(
        subject=subject(common_name="b.acme.com"), subject_alternative_names=dns("b.acme.com", "c.acme.com")
    )
    assert shape_of(one, issuer=root(P256), urls=URLS.all) == shape_of(two, issuer=root(P256), urls=URLS.all)


wild_text = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=40)
plain_text = st.text(st.characters(categories=["L", "N", "P"], codec="utf-8"), min_size=1, max_size=20)
wild_hosts = st.from_regex(r"(\*\.)?[a-z0-9_üß-]{1,12}(\.[a-z0-9-]{1,12}){0,3}", fullmatch=True)
labels = st.from_regex(r"[a-z0-9]([a-z0-9-]?[a-z0-9]){0,6}", fullmatch=True) | st.sampled_from(["bücher", "x" * 63])
hosts = (
    st.lists(labels, min_size=1, max_size=4).map(".".join) | st.builds("*.{}.{}".format, labels, labels) | wild_hosts
)
paths = st.from_regex(r"[a-z0-9/._~%-]{0,12}", fullmatch=True) | wild_text
any_names = st.one_of(
    st.builds(GeneralName, st.just(NameType.DNS_NAME), hosts | wild_text),
    st.builds(GeneralName, st.just(NameType.EMAIL), st.builds("{}@{}".format, labels | wild_text, hosts)),
    st.builds(
        GeneralName,
        st.just(NameType.URI),
        st.builds("{}://{}/{}".format, st.sampled_from(["https", "spiffe"]), hosts, paths),
    ),
    st.builds(GeneralName, st.just(NameType.URI), st.builds("urn:{}".format, labels | wild_text)),
    st.builds(GeneralName, st.just(NameType.UPN), st.builds("{}@{}".format, wild_text, hosts)),
    st.builds(GeneralName, st.just(NameType.IP_ADDRESS), st.ip_addresses().map(str)),
)
LATE = datetime(2150, 1, 1, tzinfo=UTC)
EC_AND_OTHERS = [algorithm for algorithm in KeyAlgorithm if algorithm.family is not KeyFamily.RSA]


def some(members: Any, most: int) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(st.sampled_from(list(members)), max_size=most, unique=True).map(tuple)


def attribute(kind: SubjectAttribute) -> st.SearchStrategy[str]:
    match kind:
        case SubjectAttribute.COUNTRY:
            return st.sampled_from(["US", "de"])
        case SubjectAttribute.EMAIL:
            return st.sampled_from(["ops@example.com", "root@mailhost"]) | wild_text
        case SubjectAttribute.DOMAIN_COMPONENT:
            return labels
        case SubjectAttribute.SERIAL_NUMBER:
            return st.from_regex("[A-Z0-9-]{1,12}", fullmatch=True) | wild_text
    return plain_text | hosts | wild_text


subjects = st.one_of(
    st.just(()),
    some(SubjectAttribute, 3).flatmap(
        lambda kinds: st.tuples(*(st.builds(AttributeValue, st.just(kind), attribute(kind)) for kind in kinds))
    ),
)
requests = st.builds(
    IssuanceRequest,
    subject=subjects,
    subject_alternative_names=st.lists(any_names, max_size=2).map(tuple),
    key_usages=st.none() | some(KeyUsage, 5),
    extended_key_usages=st.none() | some(ExtendedKeyUsage, 3),
    key_algorithm=st.sampled_from([*EC_AND_OTHERS, KeyAlgorithm.RSA_2048]),
    ttl=st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=40_000)),
    basic_constraints=st.none() | st.builds(BasicConstraints, st.booleans(), st.none()),
)


def granted(request: IssuanceRequest, *, is_self_signed: bool) -> IssuancePlan | None:
    """What the policy makes of it, or of what is left of it without the usages, or the constraints too."""
    for asked in (
        request,
        replace(request, key_usages=None),
        replace(request, key_usages=None, basic_constraints=None),
    ):
        issuer = None if is_self_signed else facts(P256, not_after=LATE)
        plan = decide(rules=RULES, defaults=ProfileDefaults(), request=asked, issuer=issuer, now=NOW).plan
        if plan is not None:
            return plan
    return None


def traits(plan: IssuancePlan) -> set[str]:
    """What a property about all plans must have seen."""
    return {
        "self-signed" if plan.is_self_signed else "signed by a CA",
        "past 2050" if plan.not_after.year >= 2050 else "before 2050",
        "CA" if plan.basic_constraints.is_ca else "end entity",
        "subject" if plan.subject else "no subject",
        "names" if plan.subject_alternative_names else "no names",
        *(str(name.type) for name in plan.subject_alternative_names),
        *(str(attribute.type) for attribute in plan.subject),
        *(str(usage) for usage in (*plan.key_usages, *plan.extended_key_usages)),
        str(plan.key_algorithm),
    }


@pytest.mark.no_cover
@pytest.mark.timeout(900)  # 2,000 where CI is thorough, each signed and linted
@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
@given(requests, st.booleans())
def test_whatever_the_policy_grants_has_no_blocking_finding(request: IssuanceRequest, is_self_signed: bool) -> None:
    """decisions.md, 20: that many accepted plans, of random shapes and values; what is refused does not count."""
    plan = granted(request, is_self_signed=is_self_signed)
    assume(plan is not None)
    assert plan is not None
    for trait in traits(plan):
        event(trait)
    tbs = build(
        plan=plan,
        issuer=None if is_self_signed else Issuer(root(P256)),
        serial_number=5,
        public_key=key(plan.key_algorithm).public_key(),
        urls=DistributionUrls() if is_self_signed else URLS,
    )
    assert blocking(marked(lint(der(tbs.draft)))) == ()


def test_the_property_reaches_every_shape() -> None:
    """A property whose examples are all of one kind proves little."""
    seen: Counter[str] = Counter()

    @settings(max_examples=800, deadline=None, database=None, derandomize=True, phases=[Phase.generate])
    @given(requests, st.booleans())
    def count(request: IssuanceRequest, is_self_signed: bool) -> None:
        plan = granted(request, is_self_signed=is_self_signed)
        seen.update(traits(plan) if plan is not None else {"refused"})

    count()

    wanted = {"self-signed", "signed by a CA", "past 2050", "before 2050", "CA", "end entity"}
    wanted |= {"subject", "no subject", "names", "no names"}
    wanted |= {*map(str, NameType), *map(str, SubjectAttribute), *map(str, ExtendedKeyUsage)}
    assert wanted <= seen.keys(), wanted - seen.keys()
    assert seen["refused"] < 600, seen


# --- Waivers of a profile ---------------------------------------------------------------------------------------------


def test_a_profiles_waiver_marks_its_finding_and_no_other() -> None:
    waived, other = (
        Finding(Severity.ERROR, code, "", "certificate") for code in ("pkix.name_empty", "pkix.no_ku_bits_set")
    )

    found = marked([waived, other], waivers=[LintWaiver("pkix.name_empty", "nobody reads the name")])

    assert [finding.waived for finding in found] == ["nobody reads the name", ""]
    assert blocking(found) == (other,)


def test_the_built_in_reason_stands_before_a_profiles() -> None:
    findings = findings_for(*dns("mailhost"))

    (found,) = marked(findings, waivers=[LintWaiver(findings[0].code, "a reason of our own")])

    assert "private host name" in found.waived


def test_what_the_linter_can_find_can_be_waived_and_nothing_else() -> None:
    codes = waivable_codes()

    assert {
        "pkix.invalid_domain_name_syntax",
        "pkix.key_usage_extension_not_critical",
        "itu.invalid_asn1_syntax",
    } <= codes
    assert UNREADABLE not in codes
    # NOTICE and INFO block nothing.
    assert not {"pkix.ldap_uri_not_validated", "pkix.subject_key_identifier_method_1_identified"} & codes
    assert Finding(Severity.ERROR, "pkix.name_empty", "", "").is_waivable
    assert not Finding(Severity.FATAL, UNREADABLE, "", "").is_waivable
