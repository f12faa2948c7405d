"""Check and the fixes of the Issue form: what would come of it is told, what mends it is one click, nothing is made."""

import json
import re
from html import unescape
from http import HTTPStatus
from typing import Any

import pytest
from django.http import QueryDict
from django.test import Client
from django.test.client import encode_multipart

from certificates.models import Certificate, CertificateRequest
from certificates.models.authority import AuthorityStatus
from certificates.services.authorities import update_authority
from certificates.web.issue_form import IssueForm
from pki_portal.access.models import Role
from pki_portal.audit.models import AuditEvent
from pki_portal.errors import Change
from profiles.models import CertificateProfile
from profiles.services import find_profile
from tests.certificates.web.test_issue import ADDRESS, CSR, client_of, sent
from tests.certificates.x509.material import VECTORS
from tests.factories import PASSWORD, SYSTEM, make_project, make_user
from tests.scenery import make_issuing_profile
from tests.wire import make_csr

pytestmark = pytest.mark.django_db
NAMES: dict[str, Any] = {
    "subject": [{"type": "common_name", "allowed": ["*.acme.com"]}, {"type": "organization", "denied": ["Evil"]}],
    "sans": [{"type": "dns_name", "allowed": ["*.acme.com"]}, {"type": "ip_address", "allowed": ["10.0.0.0/8"]}],
}


@pytest.fixture
def profile() -> CertificateProfile:
    return make_issuing_profile(make_project(slug="acme"), **NAMES)


@pytest.fixture
def alice(profile: CertificateProfile) -> Client:
    return client_of(profile, "alice", Role.ADMIN)


def check(client: Client, of: CertificateProfile, status: int = HTTPStatus.OK, **changes: Any) -> str:
    response = client.post(ADDRESS, sent(of, check="1", **changes))
    assert response.status_code == status
    assert Certificate.objects.count() == CertificateRequest.objects.count() == 0
    return response.content.decode()


def fixes(page: str, within: str = "") -> dict[str, str]:
    """Label -> what its first button sends, of the buttons after the mark ``within``."""
    part = page[page.index(within) :] if within else page
    found = re.findall(r'name="apply" value="([^"]*)">([^<]*)</button>', part)
    return {unescape(label): unescape(value) for value, label in reversed(found)}


def form_of(page: str) -> dict[str, Any]:
    """What the form on a page would send: values of its text fields, hidden fields and ticks."""
    body = page[page.index('id="issue-form"') :]
    body = re.sub(r"<template>.*?</template>|<noscript>.*?</noscript>", "", body, flags=re.DOTALL)
    fields: dict[str, Any] = {"method": "fields", "san_type": [], "san_value": []}
    for tag in re.findall(r"<input[^>]*>", body):
        values = {name: unescape(value) for name, value in re.findall(r'([a-z-]+)="([^"]*)"', tag)}
        name = values.get("name", "")
        if values.get("type") in {"radio", "file"} or not name:
            continue
        if values.get("type") == "checkbox":
            if "checked" in tag and "disabled" not in tag:
                fields.setdefault(name, []).append(values.get("value", "on"))
        elif name == "san_value":
            fields["san_value"].append(values.get("value", ""))
        else:
            fields[name] = values.get("value", "")
    for select in re.findall(r"<select[^>]*>.*?</select>", body, flags=re.DOTALL):
        found = re.search(r'name="([^"]*)"', select)
        chosen = re.search(r'value="([^"]*)" selected', select) or re.search(r'value="([^"]*)"', select)
        if found and chosen and found[1] == "san_type":
            fields["san_type"].append(chosen[1])
        elif found and chosen:
            fields[found[1]] = chosen[1]
    return fields


def test_what_would_be_issued_is_told_and_nothing_is_made(alice: Client, profile: CertificateProfile) -> None:
    page = check(alice, profile)
    assert "Would be issued" in page
    for told in ("service.acme.com", "Digital signature", "Server auth", "ECDSA P-256", "made by the portal"):
        assert told in page, told
    assert "No key usages were asked for" in page
    assert "template subject/common name" in page
    assert not AuditEvent.objects.filter(event="issue-certificate-from-profile").exists()


def test_the_token_of_a_checked_form_still_issues(alice: Client, profile: CertificateProfile) -> None:
    page = check(alice, profile)
    assert 'name="token" value="a-token"' in page
    issued = alice.post(ADDRESS, sent(profile))
    assert b"BEGIN PRIVATE KEY" in issued.content
    assert Certificate.objects.count() == 1


def test_what_would_be_refused_is_told_with_the_failed_rules_first(alice: Client, profile: CertificateProfile) -> None:
    page = check(alice, profile, common_name="www.other.com", ttl="900d")
    assert "Would be refused" in page
    verdicts = re.findall(r"badge-status badge-(\w+)", page[page.index("<tbody>") :])
    assert verdicts.count("bad") == 3
    assert set(verdicts[:3]) == {"bad"}
    for owner in ("id_common_name-violations", "id_common_name_as_dns-violations", "id_ttl-violations"):
        assert f'id="{owner}"' in page, owner


def test_htmx_gets_the_form_alone(alice: Client, profile: CertificateProfile) -> None:
    headers = {"HX-Request": "true", "HX-Target": "issue-form"}
    response = alice.post(ADDRESS, sent(profile, check="1"), headers=headers)
    page = response.content.decode()
    assert page.startswith("<form")
    assert "HX-Push-Url" not in response
    assert "Would be issued" in page


def test_issue_is_the_first_button_of_the_form(alice: Client, profile: CertificateProfile) -> None:
    page = check(alice, profile, common_name="www.other.com")
    first = re.search(r"<button[^>]*type=\"submit\"[^>]*>([^<]*)<", page[page.index('id="issue-form"') :])
    assert first is not None
    assert first[1] == "Issue"
    assert "name=" not in first[0]


@pytest.mark.parametrize("by", ["check", "issue"])
def test_a_fix_mends_its_field_and_the_dns_name_that_repeats_it(
    alice: Client, profile: CertificateProfile, by: str
) -> None:
    asked = sent(profile, common_name="www.other.com", **({"check": "1"} if by == "check" else {}))
    page = alice.post(ADDRESS, asked).content.decode()
    offered = fixes(page, "id_common_name-violations")
    assert "Use www.acme.com" in offered

    page = alice.post(
        ADDRESS, sent(profile, common_name="www.other.com", apply=offered["Use www.acme.com"])
    ).content.decode()
    form = form_of(page)
    assert (form["common_name"], form["common_name_as_dns"]) == ("www.acme.com", ["on"])
    assert "Would be issued" in page
    assert Certificate.objects.count() == 0

    assert b"BEGIN PRIVATE KEY" in alice.post(ADDRESS, form).content
    assert Certificate.objects.get().subject_alternative_names == [{"type": "dns_name", "value": "www.acme.com"}]


def test_a_fix_of_the_dns_name_alone_leaves_the_common_name(alice: Client) -> None:
    profile = make_issuing_profile(
        CertificateProfile.objects.get().project,
        slug="apart",
        subject=[{"type": "common_name", "allowed": ["*"]}],
        sans=NAMES["sans"],
    )
    offered = fixes(check(alice, profile, common_name="www.other.com"), "id_common_name_as_dns-violations")
    page = alice.post(ADDRESS, sent(profile, common_name="www.other.com", apply=offered["Use www.acme.com"])).content
    form = form_of(page.decode())
    assert form["common_name"] == "www.other.com"
    assert "common_name_as_dns" not in form
    assert list(zip(form["san_type"], form["san_value"], strict=True)) == [("dns_name", "www.acme.com")]


@pytest.mark.parametrize(
    "changes",
    [
        {"common_name": ""},
        {"common_name": "www.other.com"},
        {"common_name": "www.other.com", "san_value": ["www.other.com"]},
        {"organization": "Evil"},
        {"san_type": ["dns_name"] * 3, "san_value": ["a.other.com", "b.acme.com", "a.other.com"]},
        {"san_type": ["dns_name", "ip_address"], "san_value": ["bad name", "192.168.0.1"]},
        {"ttl": "900d"},
        {"key_usages": ["key_encipherment"], "key_algorithm": "EC_prime256v1"},
    ],
    ids=lambda changes: "+".join(changes),
)
def test_every_button_makes_its_reason_go_away_and_all_of_them_end_in_a_certificate(
    alice: Client, changes: dict[str, Any]
) -> None:
    project = CertificateProfile.objects.get().project
    algorithms = {"key_algorithm": ["EC_prime256v1", "RSA_2048"]}
    profile = make_issuing_profile(project, slug="open", algorithms=algorithms, **NAMES)
    asked = sent(profile, **changes)
    for _ in range(10):
        page = alice.post(ADDRESS, asked | {"check": "1"}).content.decode()
        if "Would be issued" in page:
            break
        label, value = list(fixes(page).items())[-1]
        mended = alice.post(ADDRESS, asked | {"apply": value}).content.decode()
        assert value not in fixes(mended).values(), label
        asked = form_of(mended)
    assert b"BEGIN PRIVATE KEY" in alice.post(ADDRESS, asked).content


def test_a_csr_is_checked_and_its_length_of_life_mended(alice: Client, profile: CertificateProfile) -> None:
    csr = make_csr(common_name="www.acme.com", dns_names=("www.acme.com",))
    page = check(alice, profile, method="csr", csr=csr, ttl="900d")
    assert "Would be refused" in page
    value = fixes(page)["Use 398d"]
    page = alice.post(ADDRESS, sent(profile, method="csr", csr=csr, ttl="900d", apply=value)).content.decode()
    assert "Would be issued" in page
    assert "that of the CSR" in page
    assert 'value="398d"' in page


def test_of_a_csr_nothing_else_is_offered(alice: Client, profile: CertificateProfile) -> None:
    page = check(alice, profile, method="csr", csr=make_csr(common_name="www.other.com"))
    assert "in a new CSR" in page or "In a new CSR" in page
    assert fixes(page) == {}


def test_a_csr_that_proves_no_possession_would_be_refused(alice: Client, profile: CertificateProfile) -> None:
    page = check(alice, profile, method="csr", csr=(VECTORS / "bad-signature.csr.pem").read_text())
    assert "Would be refused" in page
    assert 'id="id_csr-violations"' in page
    assert not AuditEvent.objects.filter(outcome="refused").exists()


@pytest.mark.parametrize("csr", ["", "hello", CSR[:200], "A" * 100_000, CSR + CSR])
def test_what_is_no_csr_would_be_refused(alice: Client, profile: CertificateProfile, csr: str) -> None:
    page = check(alice, profile, method="csr", csr=csr)
    assert "Would be refused" in page
    assert 'id="id_csr-violations"' in page


@pytest.mark.parametrize("ttl", ["90d", "soon"])
@pytest.mark.parametrize("act", ["check", "issue"])
def test_a_private_key_pasted_by_mistake_is_not_sent_back(
    alice: Client, profile: CertificateProfile, act: str, ttl: str
) -> None:
    pasted = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----"
    response = alice.post(ADDRESS, sent(profile, method="csr", csr=pasted, ttl=ttl, **{act: "1"}))
    assert b"c2VjcmV0" not in response.content
    assert response.status_code in {HTTPStatus.OK, HTTPStatus.UNPROCESSABLE_ENTITY}


def test_a_disabled_ca_would_refuse(alice: Client, profile: CertificateProfile) -> None:
    assert profile.certificate_authority is not None
    update_authority(requester=SYSTEM, authority=profile.certificate_authority, status=AuthorityStatus.DISABLED)
    page = check(alice, profile)
    assert "Would be refused" in page
    assert fixes(page) == {}


def test_an_impossible_life_is_told_before_anything_is_judged(alice: Client, profile: CertificateProfile) -> None:
    page = check(alice, profile, status=HTTPStatus.UNPROCESSABLE_ENTITY, ttl="soon")
    assert 'id="id_ttl-violations"' in page
    assert "Would be" not in page


def test_who_may_not_issue_may_not_check(profile: CertificateProfile) -> None:
    value = json.dumps([{"op": "set", "field": "ttl", "value": "1d"}])
    for name, role, status in (
        ("bob", Role.VIEWER, HTTPStatus.FORBIDDEN),
        ("nora", Role.NO_ACCESS, HTTPStatus.NOT_FOUND),
    ):
        client = client_of(profile, name, role)
        for extra in ({"check": "1"}, {"apply": value}):
            assert client.post(ADDRESS, sent(profile, **extra)).status_code == status
    stranger = Client()
    assert stranger.post(ADDRESS, sent(profile, check="1")).status_code == HTTPStatus.FOUND


def test_a_check_needs_the_csrf_token(profile: CertificateProfile) -> None:
    client = Client(enforce_csrf_checks=True)
    make_user("alice", project=profile.project)
    client.login(username="alice", password=PASSWORD)
    assert client.post(ADDRESS, sent(profile, check="1")).status_code == HTTPStatus.FORBIDDEN


def step(op: Any, field: Any, value: Any = None) -> str:
    return json.dumps([{"op": op, "field": field, "value": value}])


@pytest.mark.parametrize(
    "value",
    [
        "",
        "nonsense",
        "[" * 50_000,
        "9" * 5_000,
        "NaN",
        "null",
        "{}",
        "[]",
        "[1]",
        '[{"op": "set"}]',
        '["set", "ttl", "1d"]',
        " " * 200_000 + step("set", "ttl", "1d"),
        step("test", "ttl", "1d"),
        step(["set"], "ttl", "1d"),
        step("set", "ttl", 5),
        step("set", "ttl", "soon"),
        step("add", "ttl", "1d"),
        step("set", "ttl/0", "1d"),
        step("set", "", "1d"),
        step("set", "not_after", "2030-01-01T00:00:00+00:00"),
        step("set", "applicant_key", "x"),
        step("set", "token", "x"),
        step("set", "subject", "x"),
        step("set", "subject/country", "DE"),
        step("set", "subject/common_name", None),
        step("set", "subject/common_name/7", "x"),
        step("add", "subject/common_name", "second.acme.com"),
        step("remove", "subject/organization"),
        step("remove", "subject_alternative_names/9"),
        step("remove", "subject_alternative_names/-1"),
        step("set", "subject_alternative_names/0", "x"),
        step("set", "subject_alternative_names/0", {"type": "email", "value": "a@acme.com"}),
        step("add", "subject_alternative_names", {"type": "nonsense", "value": "x"}),
        step("set", "key_usages", ["crl_sign"]),
        step("set", "key_usages", [["x"]]),
        step("set", "key_usages", "digital_signature"),
        step("set", "extended_key_usages", []),
        step("set", "key_algorithm", "RSA_2048"),
        step("set", "key_algorithm", "nonsense"),
        step("set", "basic_constraints", {"is_ca": True}),
        step("set", "basic_constraints", {}),
    ],
)
def test_what_is_no_fix_of_this_form_changes_nothing(alice: Client, profile: CertificateProfile, value: str) -> None:
    asked = sent(profile, apply=value)
    response = alice.post(ADDRESS, asked)
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    page = response.content.decode()
    assert "This fix does not fit what stands here now" in page
    form = form_of(page)
    assert (form["common_name"], form["ttl"], form["token"]) == ("service.acme.com", "90d", "a-token")
    assert Certificate.objects.count() == CertificateRequest.objects.count() == 0


def test_a_fix_of_one_field_works_while_another_cannot_be_read(alice: Client, profile: CertificateProfile) -> None:
    page = alice.post(ADDRESS, sent(profile, ttl="soon", apply=step("set", "ttl", "90d"))).content
    assert b"Would be issued" in page
    other = sent(profile, ttl="soon", apply=step("set", "subject/common_name", "b.acme.com"))
    form = form_of(alice.post(ADDRESS, other).content.decode())
    assert (form["common_name"], form["ttl"]) == ("b.acme.com", "soon")


def test_a_file_sent_as_a_fix_is_no_fault(alice: Client, profile: CertificateProfile) -> None:
    body = encode_multipart("x", sent(profile) | {"apply": ["a", "b"]})
    response = alice.post(ADDRESS, body, content_type="multipart/form-data; boundary=x")
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY


def test_constraints_and_path_length_are_written_into_the_form(profile: CertificateProfile) -> None:
    made = make_issuing_profile(
        profile.project,
        slug="ca",
        basic_constraints={"is_ca": "required", "max_path_length": 2},
        key_usages={"allowed": ["digital_signature", "key_cert_sign"]},
    )
    query = QueryDict(mutable=True)
    query.update({"token": "t", "common_name": "A CA", "ttl": "90d"})
    form = IssueForm(query, profile=find_profile(requester=SYSTEM, profile_id=made.pk), token="t")
    assert form.is_valid()
    after = form.after([Change("set", "basic_constraints", {"is_ca": True, "path_length": 2})])
    assert (after["for_ca"], after["path_length"]) == ("on", "2")
    undone = form.after([Change("set", "basic_constraints", {"is_ca": False})])
    assert not undone.getlist("for_ca")
