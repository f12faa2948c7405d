import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.policy.names import InvalidName, denies, is_network, matches, normalise, normalise_attribute, same_subject
from profiles.policy.request import AttributeValue, GeneralName
from profiles.policy.vocabulary import NameType, SubjectAttribute

CN = SubjectAttribute.COMMON_NAME
DNS = NameType.DNS_NAME
EMAIL = NameType.EMAIL
IP = NameType.IP_ADDRESS
URI = NameType.URI
UPN = NameType.UPN


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("jane", "not a user principal name"),
        ("@corp.test", "not a user principal name"),
        ("jane@", "label is empty"),
        ("jane@a_b.test", "underscores"),
        ("jane doe@corp.test", "not a user name"),
        ("corp\\jane@corp.test", "not a user name"),
        ("a@b@corp.test", "not a user name"),
        ("j" * 65 + "@corp.test", "not a user name"),
        ("\uff4aane@corp.test", "stand for others"),
        ("ja\u3164ne@corp.test", "stand for others"),
        ("ja\u202ene@corp.test", "control"),
    ],
)
def test_user_principal_names_that_no_certificate_may_carry_are_refused(value: str, complaint: str) -> None:
    with pytest.raises(InvalidName, match=complaint):
        normalise(GeneralName(UPN, value))


@pytest.mark.parametrize(
    ("pattern", "value", "fits"),
    [
        ("*@corp.test", "Jane@corp.test", True),
        ("JANE@CORP.test", "jane@corp.test", True),
        ("*@bücher.example", "j@xn--bcher-kva.example", True),
        ("*@corp.test", "jane@evil.corp.test", False),
        ("jane@corp.test", "jane@other.test", False),
    ],
)
def test_patterns_of_user_principal_names(pattern: str, value: str, fits: bool) -> None:
    assert matches(pattern, value, UPN) is fits
    assert denies(pattern, value, UPN) is fits


@pytest.mark.parametrize(
    ("network", "value", "is_in"),
    [
        ("10.0.0.0/8", "10.255.0.1", True),
        ("10.1.2.3/8", "10.255.0.1", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("10.0.0.0/8", "::ffff:a00:1", False),
        ("10.0.0.0/8", "::a00:1", False),
        ("0.0.0.0/0", "::1", False),
        ("::/0", "10.0.0.1", False),
        ("2001:db8::/32", "2001:db8:ffff::1", True),
        ("2001:DB8:0::/48", "2001:db8:1::1", False),
        ("::ffff:0:0/96", "10.0.0.1", False),
        ("fe80::/10", "fe80::1", True),
        ("2001:db8::1/128", "2001:db8::1", True),
    ],
)
def test_networks_hold_addresses_of_their_own_family_alone(network: str, value: str, is_in: bool) -> None:
    assert is_network(network)
    assert matches(network, value, IP) is is_in


def test_a_denied_network_holds_the_addresses_inside_addresses_too() -> None:
    assert denies("10.0.0.0/8", "::ffff:a00:1", IP)
    assert denies("10.0.0.0/8", "2002:a00:1::1", IP)
    assert not denies("10.0.0.0/8", "2001:db8::a00:1", IP)
    assert not denies("::ffff:0:0/96", "10.0.0.1", IP)


@pytest.mark.parametrize("text", ["fe80::%eth0/64", "10.0.0.0/33", "10.0.0.0/x", "2001:db8::/129", "10.*/8", "/8"])
def test_what_is_no_network(text: str) -> None:
    assert not is_network(text)


@pytest.mark.parametrize(
    ("kind", "value", "normal"),
    [
        (DNS, "Service.ACME.com", "service.acme.com"),
        (DNS, "  service.acme.com. ", "service.acme.com"),
        (DNS, "*.acme.com", "*.acme.com"),
        (DNS, "localhost", "localhost"),
        (DNS, "123.example", "123.example"),
        (DNS, "a--b.example.com", "a--b.example.com"),
        (DNS, "bücher.example", "xn--bcher-kva.example"),
        (DNS, "BÜCHER.example", "xn--bcher-kva.example"),
        (DNS, "bu\u0308cher.example", "xn--bcher-kva.example"),
        (DNS, "xn--bcher-kva.example", "xn--bcher-kva.example"),
        (DNS, "*.bücher.example", "*.xn--bcher-kva.example"),
        (DNS, "straße.example", "xn--strae-oqa.example"),
        (DNS, "例え。テスト", "xn--r8jz45g.xn--zckzah"),
        (DNS, "\uff46\uff55ll.example", "full.example"),
        (DNS, "a" * 63 + ".example", "a" * 63 + ".example"),
        (IP, "10.0.0.1", "10.0.0.1"),
        (IP, "2001:0DB8:0:0::0001", "2001:db8::1"),
        (IP, "::", "::"),
        (EMAIL, "Jane.Doe+tag@Example.COM", "Jane.Doe+tag@example.com"),
        (EMAIL, "jane@bücher.example", "jane@xn--bcher-kva.example"),
        (URI, "HTTPS://Example.COM/Path?q=1#f", "https://example.com/Path?q=1#f"),
        (URI, "https://bücher.example/a%20b", "https://xn--bcher-kva.example/a%20b"),
        (URI, "https://[2001:DB8:0::1]:8443/", "https://[2001:db8::1]:8443/"),
        (URI, "https://10.0.0.1:443", "https://10.0.0.1/"),
        (URI, "https://a.example.com?x", "https://a.example.com/?x"),
        (URI, "wss://a.example.com:0443#x", "wss://a.example.com/#x"),
        (URI, "http://a.example.com:0443/", "http://a.example.com:443/"),
        (URI, "https://a.example.com/%7e%61/%c3%BC%2f", "https://a.example.com/~a/%C3%BC%2F"),
        (URI, "spiffe://a.example.com", "spiffe://a.example.com"),
        (URI, "https://a.example.com/a..b/.well-known/...?x=../", "https://a.example.com/a..b/.well-known/...?x=../"),
        (URI, "ssh://host.example.com/repo", "ssh://host.example.com/repo"),
        (URI, "spiffe://cluster.example.org/ns/x", "spiffe://cluster.example.org/ns/x"),
        (URI, "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66", "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66"),
        (URI, "mailto:jane@example.com", "mailto:jane@example.com"),
        (UPN, "Jane.Doe@CORP.Example.COM", "Jane.Doe@corp.example.com"),
        (UPN, "jürg@bücher.example", "jürg@xn--bcher-kva.example"),
        (UPN, "ju\u0308rg@corp", "jürg@corp"),
    ],
)
def test_normal_form(kind: NameType, value: str, normal: str) -> None:
    assert normalise(GeneralName(kind, value)) == GeneralName(kind, normal)


@pytest.mark.parametrize(
    ("kind", "value", "complaint"),
    [
        (DNS, "", "empty"),
        (DNS, " \t ", "empty"),
        (DNS, "a..b", "label is empty"),
        (DNS, ".example.com", "label is empty"),
        (DNS, "example.com..", "label is empty"),
        (DNS, ".", "label is empty"),
        (DNS, "*", "whole leftmost label"),
        (DNS, "*.", "label is empty"),
        (DNS, "*.*.example.com", "whole leftmost label"),
        (DNS, "a.*.example.com", "whole leftmost label"),
        (DNS, "w*.example.com", "whole leftmost label"),
        (DNS, "a_b.example.com", "underscores"),
        (DNS, "-a.example.com", "letters, digits"),
        (DNS, "a-.example.com", "letters, digits"),
        (DNS, "a b.example.com", "letters, digits"),
        (DNS, "a,b.example.com", "letters, digits"),
        (DNS, "https://example.com", "letters, digits"),
        (DNS, "host:443", "letters, digits"),
        (DNS, "a\x00b.example.com", "control characters"),
        (DNS, "a\u202eb.example.com", "control characters"),
        (DNS, "a" * 64 + ".example.com", "64 characters"),
        (DNS, ".".join(["a" * 60] * 5), "304 characters"),
        (DNS, "a" * 5_000, "5000 characters"),
        (DNS, "ü" * 300, "300 characters"),
        (DNS, "ü" * 60 + ".example", "label is too long"),
        (DNS, "xn--" + "a" * 60, "label is too long"),
        (DNS, "\ufdfa" * 200, "label is too long|letters, digits"),
        (DNS, "a" * 255, "255 characters"),
        (DNS, "ü" * 63, "internationalised|characters"),
        (DNS, "xn--\u00fc", "internationalised"),
        (DNS, "xn--zz--", "internationalised"),
        (DNS, "xn--a", "internationalised"),
        (DNS, "a\u2260b.example", "internationalised|no host name"),
        (DNS, "\ud800.example", "control characters"),
        (DNS, "\u0378.example", "internationalised|no host name"),
        (DNS, "10.0.0.1", "it is an IP address"),
        (DNS, "[::1]", "it is an IP address"),
        (DNS, "::1", "it is an IP address"),
        (DNS, "127.1", "looks like"),
        (DNS, "1.2.3.4.5", "looks like"),
        (DNS, "\uff11\uff10.0.0.1", "looks like"),
        (IP, "10.0.0.0/8", "not an IP address"),
        (IP, "10.0.0.256", "not an IP address"),
        (IP, "010.0.0.1", "not an IP address"),
        (IP, "fe80::1%eth0", "not an IP address"),
        (IP, "[::1]", "not an IP address"),
        (IP, "host.example.com", "not an IP address"),
        (EMAIL, "jane", "not an email address"),
        (EMAIL, "jane@", "label is empty"),
        (EMAIL, "@example.com", "plain mailbox"),
        (EMAIL, "jäne@example.com", "not ASCII"),
        (EMAIL, '"jane doe"@example.com', "plain mailbox"),
        (EMAIL, "jane@doe@example.com", "plain mailbox"),
        (EMAIL, "jane..doe@example.com", "plain mailbox"),
        (EMAIL, "j" * 65 + "@example.com", "plain mailbox"),
        (EMAIL, "jane@[10.0.0.1]", "letters, digits"),
        (EMAIL, "jane@10.0.0.1", "looks like"),
        (EMAIL, "jane@*.example.com", "whole leftmost label"),
        (EMAIL, "j" * 60 + "@" + ".".join(["a" * 49] * 4), "260 characters"),
        (URI, "/relative", "absolute"),
        (URI, "//host.example.com/", "absolute"),
        (URI, "example.com", "absolute"),
        (URI, "https:", "absolute"),
        (URI, "https://", "absolute"),
        (URI, "1http://example.com/", "absolute"),
        (URI, "file:///etc/passwd", "names no host"),
        (URI, "https://:443/", "names no host"),
        (URI, "https://localhost/", "no domain"),
        (URI, "https://example.com/a b", "percent-encode"),
        (URI, "https://example.com/ü", "percent-encode"),
        (URI, "https://example.com/%zz", "percent-encode"),
        (URI, "https://example.com/<x>", "percent-encode"),
        (URI, "https://user:secret@example.com/", "password"),
        (URI, "https://us er@example.com/", "user name"),
        (URI, "ssh://git@host.example.com/repo", "user name"),
        (URI, "https://@host.example.com/", "user name"),
        (URI, "https://example.com/../x", "dot segments"),
        (URI, "https://example.com/a/.", "dot segments"),
        (URI, "spiffe://example.org/ns/web/%2e%2E/db", "dot segments"),
        (URI, "spiffe://example.org/ns/web/.%2e%2fdb", "dot segments"),
        (URI, "spiffe://example.org/ns/web/..%5Cdb", "dot segments"),
        (URI, "urn:a/../b", "dot segments"),
        (EMAIL, "a" * 321, "321 characters"),
        (URI, "https://example.com:port/", "port"),
        (URI, "https://example.com:99999/", "port"),
        (URI, "https://example.com:/", "port"),
        (URI, "https://[10.0.0.1]/", "letters, digits"),
        (URI, "https://[::1/", "port|letters, digits"),
        (URI, "https://*.example.com/", "whole leftmost label"),
        (URI, "https://example.com/" + "a" * 2_048, "2068 characters"),
        ("directoryName", "CN=x", "no template"),
    ],
)
def test_what_no_certificate_may_carry_is_refused(kind: NameType | str, value: str, complaint: str) -> None:
    with pytest.raises(InvalidName, match=complaint) as refusal:
        normalise(GeneralName(kind, value))
    assert refusal.value.reason
    assert refusal.value.fix


def test_fix_for_an_address_names_the_right_type() -> None:
    with pytest.raises(InvalidName) as refusal:
        normalise(GeneralName(DNS, "10.0.0.1"))
    assert refusal.value.fix == 'ask for it as ip_address: "10.0.0.1"'


def test_fix_for_underscores_is_the_name_with_hyphens() -> None:
    with pytest.raises(InvalidName) as refusal:
        normalise(GeneralName(DNS, "my_app.test_net.example.com"))
    assert refusal.value.fix == 'use "my-app.test-net.example.com"'


@pytest.mark.parametrize(
    ("kind", "value", "normal"),
    [
        ("common_name", "  Jane Doe ", "Jane Doe"),
        ("common_name", "x" * 64, "x" * 64),
        ("organization", "日本" * 32, "日本" * 32),
        ("common_name", "日" * 21, "日" * 21),
        ("organization", "Cafe\u0301", "Caf\u00e9"),
        ("state", "x" * 128, "x" * 128),
        ("country", "us", "US"),
        ("domain_component", "Acme", "acme"),
        ("domain_component", "bücher", "xn--bcher-kva"),
        ("serial_number", " SN-17/b (2) ", "SN-17/b (2)"),
        ("email", "Jane@Acme.COM", "Jane@acme.com"),
    ],
)
def test_normal_form_of_attributes(kind: str, value: str, normal: str) -> None:
    attribute = normalise_attribute(AttributeValue(kind, value))
    assert attribute == AttributeValue(SubjectAttribute(kind), normal)
    assert isinstance(attribute.type, SubjectAttribute)


@pytest.mark.parametrize(
    ("kind", "value", "complaint"),
    [
        ("common_name", "", "empty"),
        ("common_name", "\u3000 ", "empty"),
        ("common_name", "x" * 65, "65 characters, RFC 5280 allows 64"),
        ("organization", "x" * 65, "allows 64"),
        ("organizational_unit", "x" * 65, "allows 64"),
        ("state", "x" * 129, "allows 128"),
        ("locality", "x" * 129, "allows 128"),
        ("common_name", "x" * 100_000, "100000 characters"),
        ("common_name", "a\x00b", "control"),
        ("common_name", "a\nb", "control"),
        ("common_name", "a\u2028b", "control"),
        ("common_name", "a\udc80b", "control"),
        ("country", "USA", "two letters"),
        ("country", "U1", "two letters"),
        ("country", "ÄÖ", "two letters"),
        ("country", "U", "two letters"),
        ("domain_component", "acme.com", "more than one label"),
        ("domain_component", "a_b", "underscores"),
        ("domain_component", "x" * 64, "64 characters"),
        ("serial_number", "SN_17", "cannot have"),
        ("serial_number", "ä", "cannot have"),
        ("serial_number", "1" * 65, "allows 64"),
        ("email", "jane", "not an email"),
        ("email", "jäne@acme.com", "not ASCII"),
        ("1.2.840.113549.1.9.1", "jane@example.com", "no template"),
    ],
)
def test_attributes_no_certificate_may_carry_are_refused(kind: str, value: str, complaint: str) -> None:
    with pytest.raises(InvalidName, match=complaint):
        normalise_attribute(AttributeValue(kind, value))


@pytest.mark.parametrize("kind", NameType)
@given(value=st.text(max_size=80) | st.from_regex(r"[a-z]{1,6}:(//)?[^\s]{0,30}", fullmatch=True))
def test_normal_forms_are_stable_and_every_other_text_is_an_invalid_name(kind: NameType, value: str) -> None:
    try:
        once = normalise(GeneralName(kind, value))
    except InvalidName:
        return
    assert normalise(once) == once
    assert once.value.isascii() or kind is NameType.UPN
    assert matches(once.value, once.value, kind)


@given(value=st.text(alphabet=st.characters(), max_size=200), kind=st.sampled_from(SubjectAttribute))
def test_attributes_are_encodable_or_invalid(value: str, kind: SubjectAttribute) -> None:
    try:
        once = normalise_attribute(AttributeValue(kind, value))
    except InvalidName:
        return
    assert once.value.encode()
    assert normalise_attribute(once) == once


@pytest.mark.parametrize(
    ("pattern", "value", "kind"),
    [
        ("*", "", CN),
        ("*", "anything at all", CN),
        ("*.example.com", "a.example.com", CN),
        ("*.example.com", "a.b.example.com", CN),
        ("Example*", "example corp", CN),
        ("Example  Corp", "EXAMPLE Corp", CN),
        ("Example Corp", "Example\u00a0\u00a0Corp", CN),
        ("Straße *", "STRASSE 1", CN),
        ("Evil Corp", "E\u200bvil Corp", CN),
        ("a.b+c(d)", "a.b+c(d)", CN),
        ("*.Example.COM.", "a.example.com", DNS),
        ("*.bücher.example", "a.xn--bcher-kva.example", DNS),
        ("*bücher*.example", "*bücher.example", DNS),
        ("*.example.com", "*.example.com", DNS),
        ("*", "*.example.com", DNS),
        ("*@Example.com", "Jane@example.com", EMAIL),
        ("JANE@example.com", "jane@example.com", EMAIL),
        ("*@bücher.example", "jane@xn--bcher-kva.example", EMAIL),
        ("10.0.0.0/8", "10.1.2.3", IP),
        ("10.9.9.9/8", "10.1.2.3", IP),
        ("2001:db8::/32", "2001:db8:1::1", IP),
        ("192.168.1.*", "192.168.1.5", IP),
        ("2001:DB8:*", "2001:db8::1", IP),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1", IP),
        ("*", "10.0.0.1", IP),
        ("https://*.example.com/*", "https://a.example.com/x/y", URI),
        ("HTTPS://*.Example.com/*", "https://a.example.com/", URI),
        ("https://*", "https://a.example.com/x?y#z", URI),
        ("*://a.example.com/", "https://a.example.com/", URI),
        ("urn:uuid:*", "urn:uuid:1", URI),
        ("*", "urn:uuid:1", URI),
        ("/a://*", "/a://b", URI),
    ],
)
def test_matching(pattern: str, value: str, kind: NameType | SubjectAttribute) -> None:
    assert matches(pattern, value, kind)
    assert denies(pattern, value, kind)


@pytest.mark.parametrize(
    ("pattern", "value", "kind"),
    [
        ("*.example.com", "example.com", CN),
        ("*.example.com", "a.example.com.evil.test", CN),
        ("example.com", "www.example.com", CN),
        ("a.c", "abc", CN),
        ("[ab]?", "a", CN),
        ("ab*ba", "aba", CN),
        ("*a*b*", "ba", CN),
        ("\uff0a", "anything", CN),
        ("*.acme.com", "api.notacme.com", DNS),
        ("*.api.acme.com", "api.acme.com", DNS),
        ("10.0.0.0/8", "11.0.0.1", IP),
        ("10.0.0.0/8", "2001:db8::1", IP),
        ("10.0.0.0/99", "10.0.0.1", IP),
        ("10.0.0.0/8", "no address", IP),
        ("192.168.1.*", "192.168.11.5", IP),
        ("https://a.example.com/Path", "https://a.example.com/path", URI),
        ("https://a.example.com/", "http://a.example.com/", URI),
    ],
)
def test_not_matching(pattern: str, value: str, kind: NameType | SubjectAttribute) -> None:
    assert not matches(pattern, value, kind)
    assert not denies(pattern, value, kind)


def test_wildcard_name_is_not_allowed_by_one_name_under_it() -> None:
    assert not matches("www.example.com", "*.example.com", DNS)


def test_wildcard_in_the_host_of_a_uri_pattern_stays_in_the_host() -> None:
    pattern, elsewhere = "https://*.example.com/*", "https://evil.test/x.example.com/"
    assert not matches(pattern, elsewhere, URI)
    assert denies(pattern, elsewhere, URI)


@pytest.mark.parametrize(
    ("pattern", "asked"),
    [
        ("https://admin.example.com/*", "https://admin.example.com"),
        ("https://admin.example.com/*", "https://admin.example.com?x"),
        ("https://admin.example.com/*", "https://admin.example.com#x"),
        ("https://admin.example.com/*", "https://ADMIN.example.com.:443/"),
        ("https://admin.example.com/*", "https://admin.example.com:8443/x"),
        ("https://admin.example.com:443/*", "https://admin.example.com/x"),
        ("https://admin.example.com:*/*", "https://admin.example.com:443/x"),
        ("https://admin.example.com", "https://admin.example.com/"),
        ("https://a.example.com/admin", "https://a.example.com/admin/"),
        ("https://a.example.com/admin/*", "https://a.example.com/%61dmin"),
        ("https://a.example.com/%61dmin", "https://a.example.com/admin"),
        ("spiffe://a.example.com/*", "spiffe://a.example.com"),
        ("spiffe://a.example.com/*", "spiffe://a.example.com?x"),
    ],
)
def test_denied_uri_has_no_way_around_by_spelling(pattern: str, asked: str) -> None:
    assert denies(pattern, normalise(GeneralName(URI, asked)).value, URI)


@pytest.mark.parametrize(
    ("pattern", "asked"),
    [
        ("https://a.example.com", "https://a.example.com/"),
        ("https://a.example.com:443/*", "https://a.example.com"),
        ("https://a.example.com/%7ejane/*", "https://a.example.com/~jane/x"),
    ],
)
def test_pattern_of_a_uri_has_the_normal_form_of_uris(pattern: str, asked: str) -> None:
    assert matches(pattern, normalise(GeneralName(URI, asked)).value, URI)


def test_other_ports_and_paths_are_not_allowed_by_near_spelling() -> None:
    assert not matches("https://a.example.com/*", "https://a.example.com:8443/x", URI)
    assert not matches("https://a.example.com/x", "https://a.example.com/x/", URI)
    assert not matches("spiffe://a.example.com/*", "spiffe://a.example.com", URI)


@pytest.mark.parametrize(
    "asked",
    [
        "::10.1.2.3",
        "::ffff:10.1.2.3",
        "64:ff9b::10.1.2.3",
        "64:ff9b:1::10.1.2.3",
        "2002:0a01:0203::1",
        "2001:0:0a01:0203::1",
    ],
)
def test_tunnelled_address_is_denied_like_the_address_in_it(asked: str) -> None:
    for pattern in ("10.0.0.0/8", "10.*", "10.1.2.3"):
        assert denies(pattern, normalise(GeneralName(IP, asked)).value, IP)
        assert not matches(pattern, normalise(GeneralName(IP, asked)).value, IP)
    assert not denies("11.0.0.0/8", normalise(GeneralName(IP, asked)).value, IP)


def test_subjects_are_one_name_whatever_case_order_and_spaces() -> None:
    some = (AttributeValue(CN, "Acme  Root"), AttributeValue(SubjectAttribute.COUNTRY, "CH"))
    assert same_subject(some, (AttributeValue("country", "ch"), AttributeValue("common_name", " ACME root")))
    assert not same_subject(some, some[:1])
    assert not same_subject(some, (*some, *some))


@pytest.mark.timeout(60)  # by backtracking it takes for ever
def test_many_wildcards_where_a_wildcard_name_is_asked() -> None:
    for number in range(1_000):
        assert not denies("a*" * 240 + "b", f"*.a{number}", DNS)


def test_mapped_address_is_denied_like_the_address_in_it_but_not_allowed_like_it() -> None:
    assert denies("10.0.0.0/8", "::ffff:a00:1", IP)
    assert not matches("10.0.0.0/8", "::ffff:a00:1", IP)


@pytest.mark.parametrize(
    ("pattern", "asked"),
    [
        ("admin.acme.com", "*.acme.com"),
        ("adm*.acme.com", "*.acme.com"),
        ("admin*", "*.acme.com"),
        ("*admin*", "*.acme.com"),
        ("a*.b.acme.com", "*.b.acme.com"),
        ("p*q.com", "*.fooq.com"),
        ("*min.acme.com", "*.acme.com"),
        ("*.acme.com", "*.acme.com"),
    ],
)
def test_wildcard_name_that_covers_a_denied_name_is_denied(pattern: str, asked: str) -> None:
    assert denies(pattern, asked, DNS)


@pytest.mark.parametrize(
    ("pattern", "asked"),
    [
        ("acme.com", "*.acme.com"),
        ("a.b.acme.com", "*.acme.com"),
        (".acme.com", "*.acme.com"),
        ("admin", "*.acme.com"),
        ("*.internal.acme.com", "*.acme.com"),
        ("admin.acme.org", "*.acme.com"),
        ("p*x.com", "*.fooq.com"),
    ],
)
def test_wildcard_name_beside_a_denied_name_is_not_denied(pattern: str, asked: str) -> None:
    assert not denies(pattern, asked, DNS)


@given(
    pattern=st.text("ab.*", max_size=5).filter(lambda text: not text.endswith(".")),
    suffix=st.sampled_from([".a", ".b", ".a.b", ".ab.a", ".b.b.a"]),
)
def test_covering_agrees_with_trying_every_label(pattern: str, suffix: str) -> None:
    labels = ["".join(letters) for size in range(1, 6) for letters in _words(size)]
    regex = re.compile(".*".join(re.escape(piece) for piece in pattern.split("*")))
    by_trying = any(regex.fullmatch(label + suffix) for label in labels) or regex.fullmatch("*" + suffix) is not None
    # The pattern is short enough that no longer label could match where none of these does.
    assert denies(pattern, "*" + suffix, DNS) == by_trying


def _words(size: int) -> list[str]:
    return ["".join("abz"[digit // 3**place % 3] for place in range(size)) for digit in range(3**size)]


@given(pattern=st.text("ab.*+(", max_size=12), value=st.text("ab.+(", max_size=12))
def test_matching_agrees_with_a_regular_expression(pattern: str, value: str) -> None:
    regex = ".*".join(re.escape(piece) for piece in pattern.split("*"))
    assert matches(pattern, value, CN) == (re.fullmatch(regex, value) is not None)


@pytest.mark.timeout(60)  # by backtracking it takes for ever
def test_many_wildcards_in_one_pattern() -> None:
    assert not matches("a*" * 240 + "b", "a" * 50_000, CN)
    assert not matches("*a" * 240 + "*b", "a" * 50_000, CN)


@given(pattern=st.text(max_size=40), value=st.text(max_size=40), kind=st.sampled_from([*NameType, *SubjectAttribute]))
def test_matching_never_raises_and_what_is_allowed_can_be_denied(pattern: str, value: str, kind: Any) -> None:
    assert not matches(pattern, value, kind) or denies(pattern, value, kind)


def test_networks_are_told_from_texts() -> None:
    assert is_network("10.0.0.0/8")
    assert not is_network("10.0.0.*")
    assert not is_network("10.0.0.0/33")


@pytest.mark.parametrize("value", ["a.0", "*.a.0", "host.example.1", "a.0."])
def test_host_that_ends_in_a_number_is_refused(value: str) -> None:
    with pytest.raises(InvalidName, match="last label is a number") as refusal:
        normalise(GeneralName(NameType.DNS_NAME, value))
    assert "ip_address" in refusal.value.fix


def test_common_name_of_more_octets_than_can_be_written_is_refused() -> None:
    with pytest.raises(InvalidName, match="66 octets"):
        normalise_attribute(AttributeValue(SubjectAttribute.COMMON_NAME, "日" * 22))


@pytest.mark.parametrize(
    ("asked", "instead"),
    [("A_b.Acme.com", "a-b.acme.com"), ("*._x_.acme.com", "*.x.acme.com"), ("a_b c.acme.com", ""), ("_.acme.com", "")],
)
def test_in_place_of_underscores_only_a_host_name_is_offered(asked: str, instead: str) -> None:
    with pytest.raises(InvalidName) as refusal:
        normalise(GeneralName(NameType.DNS_NAME, asked))
    assert refusal.value.instead == instead
