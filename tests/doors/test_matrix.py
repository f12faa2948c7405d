"""One request, one verdict: by API with a key of ours, by CSR, by page, as a dry run and as a renewal."""

import re
from dataclasses import dataclass, field
from html import unescape
from ipaddress import ip_address
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from django.test import Client
from django.utils import timezone

from certificates.models import Certificate, CertificateRequest
from pki_portal.access.models import Role
from profiles.policy.words import in_plain_words
from profiles.services.templates import preview_template, update_template
from tests.factories import SYSTEM, make_user
from tests.wire import CERTIFICATES, Pki, make_client, make_pki, make_profile_of, post_json

pytestmark = pytest.mark.django_db

ALGORITHMS = {"key_algorithm": ["ECDSA-P256", "ECDSA-P384"], "signature": ["SHA256-ECDSA", "SHA384-ECDSA"]}
USAGES = ["digital_signature", "non_repudiation", "key_agreement"]
PURPOSES = ["server_auth", "client_auth", "email_protection", "code_signing"]
STRICT: dict[str, Any] = {
    "subject": [
        {"type": "common_name", "allowed": ["*.acme.com", "Service *"], "denied": ["secret.*"]},
        {"type": "organization", "allowed": ["Acme", "Acme *"], "denied": ["Acme Evil"]},
        {"type": "country", "allowed": ["US", "DE"]},
        {"type": "locality", "denied": ["Nowhere"]},
    ],
    "sans": [
        {"type": "dns_name", "allowed": ["*.acme.com"], "denied": ["secret.acme.com"]},
        {"type": "ip_address", "allowed": ["10.0.0.0/8", "2001:db8::/32"]},
        {"type": "email", "allowed": ["*@acme.com"]},
        {"type": "uri", "denied": ["*"]},
    ],
    "key_usages": {"allowed": ["digital_signature", "key_agreement"]},
    "extended_key_usages": {"allowed": ["server_auth", "client_auth"], "denied": ["code_signing"]},
    "algorithms": ALGORITHMS,
    "validity": {"max": "90d"},
}
OPEN: dict[str, Any] = {
    "subject": [{"type": entry["type"], "allowed": ["*"]} for entry in STRICT["subject"]],
    "sans": [{"type": entry["type"], "allowed": ["*"]} for entry in STRICT["sans"]],
    "key_usages": {"allowed": USAGES},
    "extended_key_usages": {"allowed": PURPOSES},
    "algorithms": ALGORITHMS,
    "validity": {"max": "900d"},
}


@dataclass(frozen=True)
class Asked:
    """What is asked, in the words of the rules; ``names`` are pairs of kind and value."""

    subject: dict[str, str] = field(default_factory=dict)
    names: tuple[tuple[str, str], ...] = ()
    key_usages: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()
    ttl: str = "30d"


def dns(*values: str) -> tuple[tuple[str, str], ...]:
    return tuple(("dns_name", value) for value in values)


WWW = {"common_name": "www.acme.com"}
REQUESTS = [
    # what passes
    Asked(WWW, dns("www.acme.com")),
    Asked(WWW, dns("www.acme.com", "api.acme.com"), ("digital_signature",), ("server_auth",)),
    Asked({"common_name": "Service 7", "organization": "Acme"}, dns("seven.acme.com")),
    Asked(WWW | {"organization": "Acme North", "country": "DE"}, dns("www.acme.com"), ttl="90d"),
    Asked({}, dns("only.acme.com")),
    Asked(WWW, (*dns("www.acme.com"), ("ip_address", "10.1.2.3"), ("email", "ops@acme.com"))),
    Asked(WWW, (*dns("www.acme.com"), ("ip_address", "2001:DB8::7"))),
    Asked(WWW, dns("*.acme.com", "www.acme.com")),
    Asked(WWW, dns("WWW.ACME.COM.")),
    Asked(WWW | {"locality": "Berlin"}, dns("www.acme.com"), ("digital_signature", "key_agreement")),
    # one thing amiss
    Asked({"common_name": "www.other.com"}, dns("www.acme.com")),
    Asked({"common_name": "secret.acme.com"}, dns("www.acme.com")),
    Asked({"common_name": "acme.com"}, dns("www.acme.com")),
    Asked({"common_name": "www.acme.com.evil.com"}, dns("www.acme.com")),
    Asked(WWW | {"organization": "Other"}, dns("www.acme.com")),
    Asked(WWW | {"organization": "Acme Evil"}, dns("www.acme.com")),
    Asked(WWW | {"country": "FR"}, dns("www.acme.com")),
    Asked(WWW | {"locality": "Nowhere"}, dns("www.acme.com")),
    Asked(WWW, dns("www.other.com")),
    Asked(WWW, dns("secret.acme.com")),
    Asked(WWW, dns("acme.com")),
    Asked(WWW, dns("www.acme.com", "www.notacme.com")),
    Asked(WWW, dns("xn--80ak6aa92e.com")),
    Asked(WWW, (*dns("www.acme.com"), ("ip_address", "192.0.2.1"))),
    Asked(WWW, (*dns("www.acme.com"), ("ip_address", "2001:db9::1"))),
    Asked(WWW, (*dns("www.acme.com"), ("email", "ops@other.com"))),
    Asked(WWW, (*dns("www.acme.com"), ("uri", "https://www.acme.com/"))),
    Asked(WWW, dns("www.acme.com"), ("non_repudiation",)),
    Asked(WWW, dns("www.acme.com"), ("digital_signature", "non_repudiation")),
    Asked(WWW, dns("www.acme.com"), (), ("code_signing",)),
    Asked(WWW, dns("www.acme.com"), (), ("server_auth", "email_protection")),
    Asked(WWW, dns("www.acme.com"), ttl="91d"),
    Asked(WWW, dns("www.acme.com"), ttl="800d"),
    # several at once
    Asked({"common_name": "www.other.com"}, dns("www.other.com"), ttl="400d"),
    Asked({"common_name": "secret.acme.com", "organization": "Other", "country": "FR"}, dns("secret.acme.com")),
    Asked(WWW, (*dns("a.other.com", "b.other.com"), ("ip_address", "172.16.0.1"), ("uri", "urn:x:1"))),
    Asked(WWW | {"locality": "Nowhere"}, dns("acme.com"), ("non_repudiation",), ("code_signing",), "91d"),
    # what no template can let pass
    Asked(WWW, (("ip_address", "fe80::1"), ("email", "root@mailhost"))),
    Asked({"common_name": "a b"}, dns("www.acme.com")),
    Asked({"common_name": "www.acme.com", "country": "DE"}, dns("localhost", "10.acme.com")),
]


@dataclass(frozen=True)
class Doors:
    pki: Pki
    robot: Client
    alice: Client


@pytest.fixture
def doors() -> Doors:
    pki = make_pki(**STRICT)
    alice = Client()
    alice.force_login(make_user("alice", project=pki.project, role=Role.ADMIN))
    return Doors(pki, make_client(pki.project), alice)


def test_there_are_forty_and_both_kinds() -> None:
    assert len(REQUESTS) == 40


def test_every_door_says_the_same(doors: Doors) -> None:
    verdicts = set()
    for asked in REQUESTS:
        told = {
            "api": by_api(doors, asked),
            "csr": by_csr(doors, asked),
            "page": by_page(doors, asked),
            "dry run": by_dry_run(doors, asked),
        }
        assert all(each == told["api"] for each in told.values()), (asked, told)
        verdicts.add(bool(told["api"]))
    assert verdicts == {True, False}


def test_a_renewal_is_judged_like_the_request_that_it_repeats(doors: Doors) -> None:
    """Issued while everything was open, then the template becomes strict: what that would do is what it does."""
    profile = make_profile_of(doors.pki.issuing, slug="open", **OPEN)
    issued: dict[str, Asked] = {}
    for asked in REQUESTS:
        answer = post_json(doors.robot, CERTIFICATES, {"profileId": str(profile.pk), "attributes": attributes(asked)})
        assert answer.status_code == 200, answer.json()
        issued[answer.json()["certificate"]["certificateId"]] = asked

    changes = {name: value for name, value in STRICT.items() if name != "algorithms"}
    impact = preview_template(requester=SYSTEM, template=profile.template, changes=changes, now=timezone.now())

    refused = {str(each.certificate_id): comparable(map(vars_of, each.violations)) for each in impact.refused_renewals}
    assert impact.renewals.passing + impact.renewals.newly_refused == len(REQUESTS)
    update_template(requester=SYSTEM, template=profile.template, changes=changes)
    for certificate_id, asked in issued.items():
        renewed = by_renewal(doors, certificate_id)
        assert renewed == refused.get(certificate_id, []) == by_api(doors, asked), asked


# --- the doors


def attributes(asked: Asked) -> dict[str, Any]:
    told: dict[str, Any] = {
        re.sub("_([a-z])", lambda found: found[1].upper(), kind): value for kind, value in asked.subject.items()
    }
    told |= {"altNames": [{"type": kind, "value": value} for kind, value in asked.names], "ttl": asked.ttl}
    if asked.key_usages:
        told["keyUsages"] = list(asked.key_usages)
    if asked.purposes:
        told["extendedKeyUsages"] = list(asked.purposes)
    return told


def by_api(doors: Doors, asked: Asked) -> list[list[str]]:
    body = {"profileId": str(doors.pki.profile.pk), "attributes": attributes(asked)}
    return outcome(post_json(doors.robot, CERTIFICATES, body).status_code, 400)


def by_csr(doors: Doors, asked: Asked) -> list[list[str]]:
    body = {"profileId": str(doors.pki.profile.pk), "csr": csr_of(asked), "attributes": {"ttl": asked.ttl}}
    return outcome(post_json(doors.robot, CERTIFICATES, body).status_code, 400)


def by_page(doors: Doors, asked: Asked) -> list[list[str]]:
    count = CertificateRequest.objects.count()
    form = {
        "profile": str(doors.pki.profile.pk),
        "token": f"form-{count}",
        "method": "fields",
        **asked.subject,
        "san_type": [kind for kind, _ in asked.names],
        "san_value": [value for _, value in asked.names],
        "key_usages": list(asked.key_usages),
        "extended_key_usages": list(asked.purposes),
        "ttl": asked.ttl,
    }
    page = doors.alice.post(f"/projects/{doors.pki.project.slug}/certificates/issue/", form)
    told = outcome(page.status_code, 422)
    if told:
        shown = unescape(page.content.decode())
        assert all(in_plain_words(allowed).split(", ")[0] in shown for *_, allowed in told), asked
    return told


def by_renewal(doors: Doors, certificate_id: str) -> list[list[str]]:
    answer = post_json(doors.robot, f"{CERTIFICATES}/{certificate_id}/renew", {})
    told = comparable(answer.json().get("details", []))
    assert answer.status_code == (400 if told else 200)
    return told


def by_dry_run(doors: Doors, asked: Asked) -> list[list[str]]:
    body = {"profileId": str(doors.pki.profile.pk), "attributes": attributes(asked)}
    rows = (Certificate.objects.count(), CertificateRequest.objects.count())
    answer = post_json(doors.robot, f"{CERTIFICATES}?dryRun=true", body).json()
    assert rows == (Certificate.objects.count(), CertificateRequest.objects.count())
    told = comparable(rule for rule in answer["rules"] if rule["verdict"] == "fail")
    assert (answer["decision"] == "would-refuse") == bool(told)
    return told


def outcome(status: int, refusal: int) -> list[list[str]]:
    """What the newest stored request was refused for; nothing where it was issued."""
    newest = CertificateRequest.objects.order_by("-created_at")[0]
    assert status == (refusal if newest.status == "failed" else 200)
    return comparable(newest.violations)


def comparable(violations: Any) -> list[list[str]]:
    """Code, rule, what was asked and what is allowed: where it stands in the request, each door says its own way."""
    return sorted([each["code"], each["rule"], each["asked"], each["allowed"]] for each in violations)


def vars_of(violation: Any) -> dict[str, str]:
    return {name: getattr(violation, name) for name in ("code", "rule", "asked", "allowed")}


OIDS = {
    "common_name": NameOID.COMMON_NAME,
    "organization": NameOID.ORGANIZATION_NAME,
    "country": NameOID.COUNTRY_NAME,
    "locality": NameOID.LOCALITY_NAME,
}
PURPOSE_OIDS = {
    "server_auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client_auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "email_protection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "code_signing": ExtendedKeyUsageOID.CODE_SIGNING,
}


def csr_of(asked: Asked) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(OIDS[kind], value) for kind, value in asked.subject.items()])
    )
    builder = builder.add_extension(x509.SubjectAlternativeName([general_name(*name) for name in asked.names]), False)
    if asked.key_usages:
        every = ("digital_signature", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign",
                 "crl_sign", "encipher_only", "decipher_only")  # fmt: skip
        ticked = {usage: usage in asked.key_usages for usage in every}
        commitment = "non_repudiation" in asked.key_usages
        builder = builder.add_extension(x509.KeyUsage(content_commitment=commitment, **ticked), True)
    if asked.purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage([PURPOSE_OIDS[each] for each in asked.purposes]), False)
    csr = builder.sign(ec.generate_private_key(ec.SECP256R1()), SHA256())
    return csr.public_bytes(Encoding.PEM).decode()


def general_name(kind: str, value: str) -> x509.GeneralName:
    match kind:
        case "ip_address":
            return x509.IPAddress(ip_address(value))
        case "email":
            return x509.RFC822Name(value)
        case "uri":
            return x509.UniformResourceIdentifier(value)
    return x509.DNSName(value)
