from collections.abc import Iterator
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from hypothesis import given, settings
from hypothesis import strategies as st

from certificates.x509.issuer import DistributionUrls, Issuer
from certificates.x509.keys import generate
from certificates.x509.lint import (
    Finding,
    Severity,
    _CleanShapes,
    blocking,
    forget_shapes,
    is_absolute_uri,
    lint,
    lint_shape,
    shape_of,
)
from certificates.x509.tbs import build, draft
from profiles.policy.errors import PolicyViolation
from profiles.policy.request import AttributeValue, GeneralName
from profiles.policy.vocabulary import KeyAlgorithm, NameType, SubjectAttribute
from tests.certificates.x509.material import (
    NOW,
    URLS,
    der,
    dns,
    end_entity,
    issuance_plan,
    key,
    root,
    subject,
)

P256 = KeyAlgorithm.EC_PRIME256V1
LOCAL = DistributionUrls(crl=("http://localhost:8000/crl/1/der",), ca_issuers=("http://localhost:8000/ca/1/der",))


@pytest.fixture(autouse=True)
def _no_memory() -> Iterator[None]:
    forget_shapes()
    yield
    forget_shapes()


def findings_for(*names: GeneralName, urls: DistributionUrls = URLS) -> tuple[Finding, ...]:
    plan = issuance_plan(subject_alternative_names=names)
    tbs = build(plan=plan, issuer=Issuer(root(P256)), serial_number=5, public_key=key(P256).public_key(), urls=urls)
    return lint(der(draft(tbs)))


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
    assert blocking(findings) == ()


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
    assert blocking([finding]) == (finding,)


def test_a_mailbox_on_a_host_of_one_label_is_waived() -> None:
    node = "certificate.tbsCertificate.extensions.7.extnValue.subjectAltName.0.rfc822Name"
    finding = Finding(Severity.ERROR, "pkix.invalid_email_address_syntax", "", node, "alice.smith@mailhost")
    assert blocking([finding]) == ()


def test_waivers_hold_for_alternative_names_only() -> None:
    for code, value in (("pkix.invalid_domain_name_syntax", "mailhost"), ("pkix.invalid_uri_syntax", "urn:a:b")):
        finding = Finding(Severity.ERROR, code, "", "certificate.elsewhere", value)
        assert blocking([finding]) == (finding,)


def test_a_warning_does_not_block() -> None:
    assert blocking([Finding(Severity.WARNING, "pkix.any", "", "certificate")]) == ()


def test_addresses_of_this_installation_on_localhost_are_waived_and_others_are_not() -> None:
    findings = findings_for(*dns("service.acme.com"), urls=LOCAL)
    assert {finding.value for finding in findings} == set(LOCAL.all)
    assert blocking(findings, own_urls=LOCAL.all) == ()
    assert len(blocking(findings, own_urls=LOCAL.crl)) == 1
    assert len(blocking(findings)) == 2


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
        return der(draft(tbs))

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
hosts = st.from_regex(r"(\*\.)?[a-z0-9_üß-]{1,12}(\.[a-z0-9-]{1,12}){0,3}", fullmatch=True)
any_names = st.one_of(
    st.builds(GeneralName, st.just(NameType.DNS_NAME), hosts | wild_text),
    st.builds(GeneralName, st.just(NameType.EMAIL), st.builds("{}@{}".format, wild_text, hosts)),
    st.builds(
        GeneralName,
        st.just(NameType.URI),
        st.builds("{}://{}/{}".format, st.sampled_from(["https", "spiffe"]), hosts, wild_text),
    ),
    st.builds(GeneralName, st.just(NameType.URI), st.builds("urn:{}".format, wild_text)),
    st.builds(GeneralName, st.just(NameType.UPN), st.builds("{}@{}".format, wild_text, hosts)),
    st.builds(GeneralName, st.just(NameType.IP_ADDRESS), st.ip_addresses().map(str)),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.builds(AttributeValue, st.sampled_from(SubjectAttribute), wild_text | hosts), min_size=1, max_size=3),
    st.lists(any_names, max_size=2),
)
def test_whatever_the_policy_grants_has_no_blocking_finding(
    attributes: list[AttributeValue], names: list[GeneralName]
) -> None:
    try:
        plan = issuance_plan(subject=tuple(attributes), subject_alternative_names=tuple(names))
    except PolicyViolation:
        return
    tbs = build(plan=plan, issuer=Issuer(root(P256)), serial_number=5, public_key=key(P256).public_key(), urls=URLS)
    assert blocking(lint(der(draft(tbs)))) == ()
