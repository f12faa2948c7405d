"""Plans that would make a bad certificate, each refused by name or put right, through the API.

The template allows whatever can be allowed: what stands in the way are the rules that no template lifts.
"""

from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID
from django.test import Client

from certificates.models import Certificate
from certificates.x509.lint import blocking, lint, marked
from profiles.services import update_template
from tests.assertions import assert_error
from tests.certificates.x509.material import VECTORS
from tests.factories import SYSTEM
from tests.wire import CERTIFICATES, Pki, issue_body, load_pem, make_client, make_csr, make_pki, post_json

pytestmark = pytest.mark.django_db

DNS = "dns_name"
OPEN: dict[str, Any] = {
    "key_usages": {
        "allowed": ["digital_signature", "key_encipherment", "key_agreement", "key_cert_sign", "encipher_only"]
    },
    "extended_key_usages": {"allowed": ["server_auth", "time_stamping"]},
}


@pytest.fixture
def pki() -> Pki:
    return make_pki(**OPEN)


@pytest.fixture
def robot(pki: Pki) -> Client:
    return make_client(pki.project)


def names(*values: str) -> list[dict[str, str]]:
    return [{"type": DNS, "value": value} for value in values]


def csr_of(vector: str) -> Callable[[], dict[str, Any]]:
    return lambda: {"csr": (VECTORS / f"{vector}.csr.pem").read_text(), "attributes": {"ttl": "90d"}}


def asking(**attributes: Any) -> Callable[[], dict[str, Any]]:
    return lambda: {"attributes": attributes}


REFUSED = {
    "underscore in a host": (asking(altNames=names("a_b.acme.com")), 400, "invalid_value", "/attributes/altNames/0"),
    "label of 64 octets": (asking(altNames=names("x" * 64 + ".com")), 400, "invalid_value", "/attributes/altNames/0"),
    "label of 64 octets as an A-label": (
        asking(altNames=names("ü" * 60 + ".com")),
        400,
        "invalid_value",
        "/attributes/altNames/0",
    ),
    "host of more than 253 octets": (
        asking(altNames=names(".".join(["x" * 60] * 5))),
        400,
        "invalid_value",
        "/attributes/altNames/0",
    ),
    "RSA key of 1024 bits": (csr_of("rsa-1024"), 400, "weak_key", "/csr"),
    "validity backwards": (
        asking(ttl=None, notBefore="2030-01-02T00:00:00Z", notAfter="2030-01-01T00:00:00Z"),
        422,
        "custom",
        "/attributes/notAfter",
    ),
    "end in the past": (
        asking(ttl=None, notAfter="2020-01-01T00:00:00Z"),
        400,
        "ends_before_start",
        "/attributes/notAfter",
    ),
    "end after the CA's": (
        asking(ttl=None, notAfter="2199-01-01T00:00:00Z"),
        400,
        "ends_after_issuer",
        "/attributes/notAfter",
    ),
    "CA:true where the template denies it": (
        asking(basicConstraints={"isCA": True}),
        400,
        "ca_denied",
        "/attributes/basicConstraints",
    ),
    "CA:true in a CSR": (
        lambda: {"csr": make_csr(extensions=(x509.BasicConstraints(ca=True, path_length=None),))},
        400,
        "ca_denied",
        "/attributes/basicConstraints",
    ),
    "keyCertSign without CA": (asking(keyUsages=["key_cert_sign"]), 400, "usage_for_ca_only", "/attributes/keyUsages"),
    "encipherOnly without keyAgreement": (
        asking(keyUsages=["encipher_only"]),
        400,
        "usage_needs_key_agreement",
        "/attributes/keyUsages",
    ),
    "no name at all": (asking(commonName=None, altNames=[]), 400, "name_missing", "/attributes/commonName"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_plan_is_refused_by_name(pki: Pki, robot: Client, case: str) -> None:
    asked, status, code, pointer = REFUSED[case]
    body = asked()
    if "csr" not in body:
        attributes = issue_body(pki.profile)["attributes"] | body["attributes"]
        body = {"attributes": {name: value for name, value in attributes.items() if value is not None}}

    response = post_json(robot, CERTIFICATES, {"profileId": str(pki.profile.pk), **body})

    told = assert_error(
        response, status=status, error="BadRequest" if status == 400 else "ValidationFailure", field=pointer
    )
    assert code in [detail["code"] for detail in told["details"]]
    assert all(detail["fix"] for detail in told["details"])
    assert not Certificate.objects.exists()


def test_ca_true_where_the_template_allows_it_is_refused_by_the_path_length_of_the_ca(pki: Pki, robot: Client) -> None:
    update_template(
        requester=SYSTEM,
        template=pki.profile.template,
        changes={
            "basic_constraints": {"is_ca": "allowed"},
            "key_usages": {"allowed": ["key_cert_sign"]},
            "extended_key_usages": None,
        },
    )
    body = issue_body(pki.profile, basicConstraints={"isCA": True, "pathLength": 0}, keyUsages=["key_cert_sign"])

    response = post_json(robot, CERTIFICATES, body)

    told = assert_error(response, status=400, error="BadRequest")
    assert "issuer_allows_no_ca" in [detail["code"] for detail in told["details"]]
    assert not Certificate.objects.exists()


def extension(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> x509.Extension[x509.ExtensionType]:
    return certificate.extensions.get_extension_for_oid(oid)


def made(pki: Pki, robot: Client, **attributes: Any) -> x509.Certificate:
    """What was issued; the linter has nothing against it."""
    response = post_json(robot, CERTIFICATES, issue_body(pki.profile, **attributes))
    assert response.status_code == 200, response.json()
    certificate = load_pem(response.json()["certificate"]["certificate"])
    assert blocking(marked(lint(bytes(Certificate.objects.get().der)))) == ()
    return certificate


def test_without_common_name_the_alternative_names_are_critical(pki: Pki, robot: Client) -> None:
    certificate = made(pki, robot, commonName=None)

    assert list(certificate.subject) == []
    assert extension(certificate, ExtensionOID.SUBJECT_ALTERNATIVE_NAME).critical
    assert Certificate.objects.get().lint_findings == []


def test_with_common_name_they_are_not(pki: Pki, robot: Client) -> None:
    assert not extension(made(pki, robot), ExtensionOID.SUBJECT_ALTERNATIVE_NAME).critical


def test_time_stamping_is_a_critical_usage_and_others_are_not(pki: Pki, robot: Client) -> None:
    certificate = made(pki, robot, extendedKeyUsages=["time_stamping"], keyUsages=["digital_signature"])

    # RFC 3161, 2.3
    assert extension(certificate, ExtensionOID.EXTENDED_KEY_USAGE).critical
    Certificate.objects.all().delete()
    certificate = made(pki, robot, extendedKeyUsages=["server_auth"])
    assert not extension(certificate, ExtensionOID.EXTENDED_KEY_USAGE).critical


def test_a_host_is_written_in_its_normal_form(pki: Pki, robot: Client) -> None:
    certificate = made(pki, robot, altNames=names("Bücher.ACME.com"))

    value = extension(certificate, ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    assert isinstance(value, x509.SubjectAlternativeName)
    assert "xn--bcher-kva.acme.com" in value.get_values_for_type(x509.DNSName)
