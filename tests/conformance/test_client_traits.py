"""What real programs send to these endpoints and need of the answers, byte for byte (wire-api, section 9).

Each trait of that section has its test here, in its order, save what belongs to later releases: enrollment by other
methods.
"""

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from certificates.keystore.database import forget_keys
from certificates.keystore.sealing import forget_keyring
from certificates.models import Certificate
from tests.assertions import assert_error
from tests.factories import make_identity, make_project
from tests.wire import CERTIFICATES, PROFILES, REQUESTS, Pki, load_pem, make_client, make_csr, make_pki, make_profile_of

pytestmark = pytest.mark.django_db

AUTHORITIES = "/api/v1/cert-manager/ca/internal"
TEMPLATES = "/api/v1/cert-manager/certificate-templates"
POLICIES = "/api/v1/cert-manager/certificate-policies"
LOGIN = "/api/v1/auth/universal-auth/login"
NOBODY = "00000000-0000-4000-8000-000000000000"
DATE_TIME = re.compile(r'"(\d{4}-\d\d-\d\dT[^"]*)"')
FRACTION = re.compile(r"[0-9]\.[0-9]+[,}\]]")
WIRE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
# Compact JSON, as an agent written in Go sends it.
AGENT_BODY = (
    '{"profileId":"%s","attributes":{"commonName":"service.acme.com","keyAlgorithm":"EC_prime256v1",'
    '"signatureAlgorithm":"ECDSA-SHA256","keyUsages":["digital_signature"],"extendedKeyUsages":["server_auth"],'
    '"altNames":[{"type":"dns_name","value":"service.acme.com"}],"ttl":"%s"},"removeRootsFromChain":false}'
)


ROOT_BODY = (
    '{"projectId":"%s","name":"agent-root","status":"active","configuration":{"type":"root","friendlyName":"",'
    '"commonName":"Agent CA","organization":"Acme","ou":"","country":"","province":"","locality":"",'
    '"notAfter":"2035-11-07","maxPathLength":-1,"keyAlgorithm":"RSA_2048"}}'
)
TEMPLATE_BODY = (
    '{"projectId":"%s","name":"agent-template","subject":[{"type":"common_name","allowed":["*"]}],'
    '"sans":[{"type":"dns_name","allowed":["*"]}],"keyUsages":{"required":["digital_signature"]},'
    '"algorithms":{"signature":["SHA256-RSA"],"keyAlgorithm":["RSA-2048","ECDSA-P256"]},"validity":{"max":"90d"}}'
)


@dataclass(frozen=True)
class Machine:
    """What a program has to log in with."""

    client_id: str
    client_secret: str


@pytest.fixture
def machine() -> Machine:
    _, client_id, client_secret = make_identity(make_project())
    return Machine(client_id, client_secret)


@pytest.fixture
def other_master_key(pki: Pki, settings: Settings) -> Iterator[None]:
    """The key that sealed the CA's is gone, another stands in its place."""
    settings.PKI_PORTAL_MASTER_KEYS = f"other:{base64.b64encode(bytes(32)).decode()}"
    forget_keyring()
    forget_keys()
    yield
    forget_keyring()
    forget_keys()


@pytest.fixture
def pki() -> Pki:
    return make_pki()


@pytest.fixture
def robot(pki: Pki) -> Client:
    return make_client(pki.project)


def post(client: Client, path: str, body: str, *, method: str = "POST", content_type: str = "application/json") -> Any:
    """Send these bytes as programs do: gzip accepted, no cookies, no CSRF token, Content-Length."""
    assert not client.cookies
    return client.generic(
        method, path, body.encode(), content_type, headers={"Accept-Encoding": "gzip", "User-Agent": "agent/1.0"}
    )


def accepted(client: Client, path: str, body: str, *, method: str = "POST") -> tuple[Any, str]:
    """The answer, 200 without redirect or cookie, and its raw text: every date-time ends with Z, no integer has a
    fraction.
    """
    return read(post(client, path, body, method=method))


def fetched(client: Client, path: str) -> tuple[Any, str]:
    """As :func:`accepted`, for GET."""
    return read(client.get(path, headers={"Accept-Encoding": "gzip", "User-Agent": "agent/1.0"}))


def read(response: Any) -> tuple[Any, str]:
    text = response.content.decode()
    assert response.status_code == 200, text
    assert response.headers["Content-Type"].startswith("application/json")
    assert not response.cookies
    assert not FRACTION.search(text), text
    for moment in DATE_TIME.findall(text):
        assert WIRE_TIME.fullmatch(moment), moment
    return response.json(), text


def send(client: Client, body: str) -> Any:
    """POST these bytes to the issue endpoint."""
    return post(client, CERTIFICATES, body)


def issue(client: Client, body: str) -> dict[str, Any]:
    answer: dict[str, Any] = accepted(client, CERTIFICATES, body)[0]
    return answer


# --- They send --------------------------------------------------------------------------------------------------------


def test_compact_json_with_bearer_token_and_gzip_and_nothing_else(pki: Pki, robot: Client) -> None:
    response = send(robot, AGENT_BODY % (pki.profile.pk, "24h"))

    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("application/json")
    assert not robot.cookies


def test_no_path_redirects(pki: Pki, robot: Client) -> None:
    answer = issue(robot, AGENT_BODY % (pki.profile.pk, "24h"))
    certificate = f"{CERTIFICATES}/{answer['certificate']['certificateId']}"

    for path in (
        certificate,
        f"{certificate}/certificate",
        f"{certificate}/bundle",
        f"{REQUESTS}/{answer['certificateRequestId']}",
        f"{REQUESTS}?projectSlug={pki.project.slug}",
        f"{PROFILES}/{pki.profile.pk}/certificates",
        f"{PROFILES}/{pki.profile.pk}/certificates/latest-active-bundle",
        f"/api/v1/projects/{pki.project.pk}/certificates",
    ):
        assert robot.get(path).status_code == 200, path


def test_login_as_json(machine: Machine) -> None:
    body = f'{{"clientId":"{machine.client_id}","clientSecret":"{machine.client_secret}"}}'

    answer, text = accepted(Client(), LOGIN, body)

    assert set(answer) == {"accessToken", "expiresIn", "accessTokenMaxTTL", "tokenType"}
    assert answer["tokenType"] == "Bearer"
    assert re.search(r'"expiresIn":[0-9]+[,}]', text)
    assert answer["expiresIn"] > 30
    assert accepts(answer["accessToken"])


def test_login_as_a_form(machine: Machine) -> None:
    body = f"clientId={machine.client_id}&clientSecret={machine.client_secret}"

    response = post(Client(), LOGIN, body, content_type="application/x-www-form-urlencoded")

    assert accepts(read(response)[0]["accessToken"])


def test_login_with_an_organization(machine: Machine) -> None:
    body = (
        f'{{"clientId":"{machine.client_id}","clientSecret":"{machine.client_secret}",'
        '"organizationSlug":"acme","subOrganizationName":"ops"}'
    )

    assert accepts(accepted(Client(), LOGIN, body)[0]["accessToken"])


def test_a_wrong_secret_is_tried_again_and_again_and_the_right_one_works_within_a_minute(machine: Machine) -> None:
    wrong = f'{{"clientId":"{machine.client_id}","clientSecret":"{"w" * 64}"}}'
    right = f'{{"clientId":"{machine.client_id}","clientSecret":"{machine.client_secret}"}}'
    with time_machine.travel(datetime(2026, 6, 1, tzinfo=UTC), tick=False) as clock:
        for _ in range(5):  # four tries in four seconds, and again every half minute
            for _ in range(4):
                refused = post(Client(), LOGIN, wrong)
                assert refused.status_code in {401, 429}
                clock.shift(1)
            clock.shift(30)
        clock.shift(30)

        answer = post(Client(), LOGIN, right)

    assert answer.status_code == 200, answer.json()


def test_too_many_wrong_secrets_are_told_when_to_come_back(machine: Machine) -> None:
    wrong = f'{{"clientId":"{machine.client_id}","clientSecret":"{"w" * 64}"}}'

    with time_machine.travel(datetime(2026, 6, 1, tzinfo=UTC), tick=False):
        answers = [post(Client(), LOGIN, wrong) for _ in range(30)]

    limited = answers[-1]
    assert_error(limited, status=429, error="RateLimitExceeded")
    assert 1 <= int(limited.headers["Retry-After"]) <= 60
    assert_error(answers[0], status=401, error="UnauthorizedError")


def test_a_token_is_renewed_and_revoked(machine: Machine) -> None:
    login = f'{{"clientId":"{machine.client_id}","clientSecret":"{machine.client_secret}"}}'
    token = accepted(Client(), LOGIN, login)[0]["accessToken"]

    renewed, text = accepted(Client(), "/api/v1/auth/token/renew", f'{{"accessToken":"{token}"}}')
    assert set(renewed) == {"accessToken", "expiresIn", "accessTokenMaxTTL", "tokenType"}
    assert re.search(r'"accessTokenMaxTTL":[0-9]+[,}]', text)
    assert accepts(renewed["accessToken"])
    revoked, _ = accepted(Client(), "/api/v1/auth/token/revoke", f'{{"accessToken":"{token}"}}')

    assert revoked["message"]
    assert not accepts(token)


def test_an_empty_id_inside_api_config_and_the_config_back_on_request(pki: Pki, robot: Client) -> None:
    body = (
        f'{{"projectId":"{pki.project.pk}","caId":"{pki.issuing.pk}","certificateTemplateId":'
        f'"{pki.profile.template_id}","slug":"agents","description":"","enrollmentType":"api","issuerType":"ca",'
        '"apiConfig":{"id":"","autoRenew":true,"renewBeforeDays":7}}'
    )

    made, _ = accepted(robot, PROFILES, body)
    found, text = fetched(robot, f"{PROFILES}/{made['certificateProfile']['id']}?includeConfigs=true")

    assert made["certificateProfile"]["enrollmentType"] == "api"
    config = found["certificateProfile"]["apiConfig"]
    assert config["id"] == made["certificateProfile"]["apiConfigId"]
    assert (config["autoRenew"], config["renewBeforeDays"]) == (True, 7)
    assert re.search(r'"renewBeforeDays":7[,}]', text)
    changed, _ = accepted(
        robot,
        f"{PROFILES}/{made['certificateProfile']['id']}",
        '{"slug":"agents","apiConfig":{"id":"","autoRenew":false,"renewBeforeDays":7}}',
        method="PATCH",
    )
    assert changed["certificateProfile"]["apiConfigId"] == config["id"]


def test_a_profile_by_its_slug(pki: Pki, robot: Client) -> None:
    found, _ = fetched(robot, f"{PROFILES}/slug/server?projectId={pki.project.pk}")

    assert found["certificateProfile"]["id"] == str(pki.profile.pk)
    assert found["certificateProfile"]["enrollmentType"] == "api"


@pytest.mark.parametrize("path", ["/api/v1/projects/slug/%s", "/api/v2/workspace/%s"])
def test_a_project_by_its_slug_is_not_wrapped(pki: Pki, robot: Client, path: str) -> None:
    found, text = fetched(robot, path % pki.project.slug)

    assert {"id", "name", "slug", "type", "orgId", "version", "environments", "createdAt", "updatedAt"} <= set(found)
    assert (found["id"], found["slug"], found["type"]) == (str(pki.project.pk), pki.project.slug, "cert-manager")
    assert found["environments"] == []
    assert re.search(r'"version":[0-9]+[,}]', text)
    assert WIRE_TIME.fullmatch(found["createdAt"])


def test_the_status_is_told_to_anybody() -> None:
    assert fetched(Client(), "/api/status")[0]


def test_a_ca_asked_for_as_active_is_active(pki: Pki, robot: Client) -> None:
    made, text = accepted(robot, AUTHORITIES, ROOT_BODY % pki.project.pk)

    assert made["status"] == "active"
    assert made["type"] == "internal"
    assert made["configuration"]["keyAlgorithm"] == "RSA_2048"
    assert made["configuration"]["notAfter"] == "2035-11-07T00:00:00.000Z"
    assert [made["configuration"][name] for name in ("ou", "country", "province", "locality")] == [""] * 4
    assert '"maxPathLength":-1,' in text
    assert fetched(robot, f"{AUTHORITIES}/{made['id']}")[0] == made


def test_a_ca_certificate_is_made_and_read(pki: Pki, robot: Client) -> None:
    pending = (ROOT_BODY % pki.project.pk).replace('"root"', '"intermediate"').replace("agent-root", "agent-issuing")
    ca_id = accepted(robot, AUTHORITIES, pending)[0]["id"]
    body = f'{{"notBefore":"","notAfter":"2030-06-12T00:00:00Z","maxPathLength":0,"parentCaId":"{pki.root.pk}"}}'

    made, _ = accepted(robot, f"{AUTHORITIES}/{ca_id}/certificate", body)

    assert set(made) == {"certId", "certificate", "certificateChain", "serialNumber"}
    load_pem(made["certificate"]).verify_directly_issued_by(load_pem(made["certificateChain"]))
    assert fetched(robot, f"{AUTHORITIES}/{ca_id}/certificate/{made['certId']}")[0] == made
    assert fetched(robot, f"{AUTHORITIES}/{ca_id}")[0]["status"] == "active"


def test_the_certificate_of_a_root_is_made_anew_without_limit(pki: Pki, robot: Client) -> None:
    root = accepted(robot, AUTHORITIES, ROOT_BODY % pki.project.pk)[0]

    made, _ = accepted(robot, f"{AUTHORITIES}/{root['id']}/certificate", '{"notAfter":"2040-01-01","maxPathLength":-1}')

    limits = load_pem(made["certificate"]).extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (limits.ca, limits.path_length) == (True, None)


def test_templates_in_their_own_vocabulary_are_answered_as_asked(pki: Pki, robot: Client) -> None:
    body = TEMPLATE_BODY % pki.project.pk

    made, _ = accepted(robot, TEMPLATES, body)

    template = made["certificateTemplate"]
    assert template["algorithms"] == {"signature": ["SHA256-RSA"], "keyAlgorithm": ["RSA-2048", "ECDSA-P256"]}
    assert template["sans"] == [{"type": "dns_name", "allowed": ["*"]}]
    assert template["keyUsages"] == {"required": ["digital_signature"]}
    assert fetched(robot, f"{TEMPLATES}/{template['id']}")[0]["certificateTemplate"] == template
    assert fetched(robot, f"{POLICIES}/{template['id']}")[0]["certificatePolicy"] == template


def test_profile_policy_and_ca_are_deleted(pki: Pki, robot: Client) -> None:
    template = accepted(robot, POLICIES, TEMPLATE_BODY % pki.project.pk)[0]["certificatePolicy"]["id"]
    authority = accepted(robot, AUTHORITIES, ROOT_BODY % pki.project.pk)[0]["id"]
    profile = accepted(
        robot,
        PROFILES,
        f'{{"projectId":"{pki.project.pk}","caId":"{authority}","certificatePolicyId":"{template}",'
        '"slug":"gone","enrollmentType":"api","apiConfig":{"autoRenew":false}}',
    )[0]["certificateProfile"]["id"]

    for path in (f"{PROFILES}/{profile}", f"{POLICIES}/{template}", f"{AUTHORITIES}/{authority}"):
        assert read(robot.delete(path, headers={"Accept-Encoding": "gzip"}))[0]
        assert_error(robot.get(path), status=404, error="NotFound")


def test_a_trailing_slash_is_told_and_not_redirected(pki: Pki, robot: Client) -> None:
    response = robot.post(f"{CERTIFICATES}/", AGENT_BODY % (pki.profile.pk, "24h"), content_type="application/json")

    assert response.status_code == 404


@pytest.mark.parametrize(
    "ending",
    [
        '"attributes":{"commonName":"a.acme.com","ttl":"1d","removeRootsFromChain":true}}',
        '"attributes":{"commonName":"a.acme.com","ttl":"1d"},"removeRootsFromChain":true}',
        '"attributes":{"commonName":"a.acme.com","ttl":"1d"},"removeRootsFromChain":"true"}',
    ],
)
def test_remove_roots_from_chain_at_the_top_or_inside_attributes(pki: Pki, robot: Client, ending: str) -> None:
    told = issue(robot, f'{{"profileId":"{pki.profile.pk}",{ending}')["certificate"]

    assert told["certificateChain"].count("BEGIN CERTIFICATE") == 1


@pytest.mark.parametrize("ending", ["\n", "", "\r\n", "\n\n  "])
def test_a_csr_with_and_without_a_final_newline(pki: Pki, robot: Client, ending: str) -> None:
    csr = json.dumps(make_csr().strip() + ending)

    told = issue(robot, f'{{"profileId":"{pki.profile.pk}","csr":{csr},"attributes":{{"ttl":"90d"}}}}')["certificate"]

    assert "privateKey" not in told


def test_a_csr_without_attributes_takes_the_longest_life_the_template_allows(pki: Pki, robot: Client) -> None:
    csr = json.dumps(make_csr())

    told = issue(robot, f'{{"profileId":"{pki.profile.pk}","csr":{csr}}}')["certificate"]

    certificate = load_pem(told["certificate"])
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == timedelta(days=398)


def test_a_csr_without_attributes_takes_the_profiles_default_life(pki: Pki, robot: Client) -> None:
    profile = make_profile_of(pki.issuing, slug="defaults")
    profile.defaults = {"ttl_days": 30}
    profile.save(update_fields=["defaults"])
    csr = json.dumps(make_csr())

    told = issue(robot, f'{{"profileId":"{profile.pk}","csr":{csr}}}')["certificate"]

    certificate = load_pem(told["certificate"])
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == timedelta(days=30)


def test_a_csr_without_any_life_is_refused_at_ttl(pki: Pki, robot: Client) -> None:
    profile = make_profile_of(pki.issuing, slug="endless", validity=None)

    response = send(robot, f'{{"profileId":"{profile.pk}","csr":{json.dumps(make_csr())}}}')

    assert_error(response, status=422, error="ValidationFailure", field="/attributes/ttl")


@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [("25s", 25), ("2m", 120), ("24h", 86_400), ("90d", 7_776_000), ("1y", 31_536_000), ("7776000s", 7_776_000)],
)
def test_ttl_as_clients_write_it(pki: Pki, robot: Client, ttl: str, seconds: int) -> None:
    certificate = load_pem(issue(robot, AGENT_BODY % (pki.profile.pk, ttl))["certificate"]["certificate"])

    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == timedelta(seconds=seconds)


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%Y-%m-%dT00:00:00Z", "%Y-%m-%dT00:00:00.000Z"])
def test_not_after_as_a_bare_date_or_rfc_3339(pki: Pki, robot: Client, form: str) -> None:
    end = timezone.now() + timedelta(days=90)
    body = f'{{"profileId":"{pki.profile.pk}","attributes":{{"commonName":"a.acme.com","notAfter":"{end:{form}}"}}}}'

    certificate = load_pem(issue(robot, body)["certificate"]["certificate"])

    assert certificate.not_valid_after_utc == datetime(end.year, end.month, end.day, tzinfo=UTC)


def test_empty_strings_for_unused_subject_fields(pki: Pki, robot: Client) -> None:
    body = (
        f'{{"profileId":"{pki.profile.pk}","attributes":{{"commonName":"a.acme.com","organization":"",'
        '"organizationalUnit":"","country":"","state":"","locality":"","ttl":"1d"}}'
    )

    certificate = load_pem(issue(robot, body)["certificate"]["certificate"])

    assert certificate.subject.rfc4514_string() == "CN=a.acme.com"


@pytest.mark.parametrize(
    "pair",
    [
        ("RSA-SHA256", "RSA_2048", 400),
        ("ECDSA-SHA256", "EC_prime256v1", 200),
        ("SHA256-ECDSA", "ECDSA-P256", 200),
        ("ECDSA-SHA256", "RSA-2048", 200),
    ],
    ids=str,
)
def test_both_vocabularies_of_algorithms_are_read(pki: Pki, robot: Client, pair: tuple[str, str, int]) -> None:
    signature, key, status = pair
    body = (AGENT_BODY % (pki.profile.pk, "1d")).replace("ECDSA-SHA256", signature).replace("EC_prime256v1", key)

    assert send(robot, body).status_code == status  # an EC CA cannot make RSA signatures


# --- They need --------------------------------------------------------------------------------------------------------


def test_algorithms_names_and_order_come_back_as_asked(pki: Pki, robot: Client) -> None:
    body = (AGENT_BODY % (pki.profile.pk, "1d")).replace(
        '[{"type":"dns_name","value":"service.acme.com"}]',
        '[{"type":"dns_name","value":"z.acme.com"},{"type":"ip_address","value":"192.0.2.7"},'
        '{"type":"dns_name","value":"a.acme.com"}]',
    )
    told = issue(robot, body)["certificate"]

    found = robot.get(f"{CERTIFICATES}/{told['certificateId']}").json()["certificate"]

    assert (found["keyAlgorithm"], found["signatureAlgorithm"]) == ("EC_prime256v1", "ECDSA-SHA256")
    # The common name stands after what was asked: TLS clients read no other names.
    assert found["altNames"] == "z.acme.com,192.0.2.7,a.acme.com,service.acme.com"


def test_certificates_are_read_by_id_and_by_serial_number(pki: Pki, robot: Client) -> None:
    told = issue(robot, AGENT_BODY % (pki.profile.pk, "1d"))["certificate"]

    for tail in ("", "/certificate", "/bundle"):
        by_id, by_serial = (
            fetched(robot, f"{CERTIFICATES}/{told[name]}{tail}")[0] for name in ("certificateId", "serialNumber")
        )
        assert by_id == by_serial
    bundle = fetched(robot, f"{CERTIFICATES}/{told['serialNumber']}/bundle")[0]
    assert set(bundle) == {"certificate", "certificateChain", "privateKey", "serialNumber"}
    assert [bundle[name] for name in ("certificate", "certificateChain", "serialNumber")] == [
        told[name] for name in ("certificate", "certificateChain", "serialNumber")
    ]


def test_integers_are_integers_and_times_have_their_offset(pki: Pki, robot: Client) -> None:
    told = issue(robot, AGENT_BODY % (pki.profile.pk, "90d"))["certificate"]

    text = robot.get(f"{CERTIFICATES}/{told['certificateId']}").content.decode()

    assert '"renewBeforeDays":7,' in text
    assert not FRACTION.search(text)
    times = re.findall(r'"(?:createdAt|updatedAt|notBefore|notAfter|renewAt)":"([^"]*)"', text)
    assert len(times) == 5
    assert all(WIRE_TIME.fullmatch(moment) for moment in times)


def test_certificate_is_always_in_the_issue_answer(pki: Pki, robot: Client) -> None:
    answer = issue(robot, AGENT_BODY % (pki.profile.pk, "1d"))

    assert isinstance(answer["certificate"], dict)
    assert answer["status"] == "issued"


def test_the_poll_of_an_issued_request_has_all_that_clients_wait_for(pki: Pki, robot: Client) -> None:
    answer = issue(robot, AGENT_BODY % (pki.profile.pk, "1d"))

    found = robot.get(f"{REQUESTS}/{answer['certificateRequestId']}").json()

    assert found["status"] == "issued"
    assert all(found[name] for name in ("certificate", "serialNumber", "certificateId"))


def test_an_agent_renews_with_an_empty_body_and_takes_certificate_and_key_from_the_poll(
    pki: Pki, robot: Client
) -> None:
    answer = issue(robot, AGENT_BODY % (pki.profile.pk, "24h"))
    told = answer["certificate"]
    polled = fetched(robot, f"{REQUESTS}/{answer['certificateRequestId']}")[0]
    assert (polled["status"], polled["certificateId"]) == ("issued", told["certificateId"])
    assert load_pem(polled["certificate"]).public_key() == key_in(told["privateKey"])
    seen = [polled["serialNumber"]]
    for _ in range(3):
        # RFC 9110, 8.3: no content, so no Content-Type; httpx and Go's client send a Content-Length of 0.
        renewed = read(robot.generic("POST", f"{CERTIFICATES}/{polled['certificateId']}/renew", b"", content_type=""))[
            0
        ]
        assert "privateKey" not in renewed

        before, polled = polled, fetched(robot, f"{REQUESTS}/{renewed['certificateRequestId']}")[0]

        assert polled["status"] == "issued"
        assert load_pem(polled["certificate"]).public_key() == key_in(polled["privateKey"])
        assert load_pem(polled["certificate"]).public_key() != load_pem(before["certificate"]).public_key()
        assert polled["serialNumber"] not in seen
        seen.append(polled["serialNumber"])
        # The key was in that answer, once; the certificate and its state are there as often as somebody asks.
        again = fetched(robot, f"{REQUESTS}/{renewed['certificateRequestId']}")[0]
        assert again == polled | {"privateKey": None}


def key_in(pem: str) -> object:
    """The public key that belongs to a private one in PEM."""
    return load_pem_private_key(pem.encode(), None).public_key()


def test_the_chain_ends_with_the_root_and_has_one_newline_between(pki: Pki, robot: Client) -> None:
    chain = issue(robot, AGENT_BODY % (pki.profile.pk, "1d"))["certificate"]["certificateChain"]

    assert "\n\n" not in chain
    assert not chain.endswith("\n\n")
    assert chain.count("-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----") == 1
    root = load_pem("-----BEGIN" + chain.rsplit("-----BEGIN", 1)[1])
    assert root.issuer == root.subject


def test_a_key_of_our_own_is_left_alone_by_the_csr_path(pki: Pki, robot: Client) -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    body = {"profileId": str(pki.profile.pk), "csr": make_csr(key), "attributes": {"ttl": "1h"}}

    told = issue(robot, json.dumps(body, separators=(",", ":")))["certificate"]

    assert load_pem(told["certificate"]).public_key() == key.public_key()


def test_errors_are_json_with_a_message(pki: Pki, robot: Client) -> None:
    for response in (
        send(robot, "{"),
        send(robot, AGENT_BODY % (pki.profile.pk, "999y")),
        robot.get(f"{CERTIFICATES}/00000000-0000-4000-8000-000000000000"),
        send(Client(), AGENT_BODY % (pki.profile.pk, "1d")),
    ):
        assert response.headers["Content-Type"] == "application/json"
        assert response.json()["message"]


@pytest.mark.parametrize(
    "path",
    [
        f"{CERTIFICATES}/%s", f"{CERTIFICATES}/%s/certificate", f"{CERTIFICATES}/%s/bundle", f"{REQUESTS}/%s",
        f"{PROFILES}/%s", f"{TEMPLATES}/%s", f"{POLICIES}/%s", f"{AUTHORITIES}/%s", f"{AUTHORITIES}/%s/certificate",
        "/api/v1/projects/%s",
    ],
)  # fmt: skip
def test_what_does_not_exist_is_404_never_422(robot: Client, path: str) -> None:
    assert_error(robot.get(path % NOBODY), status=404, error="NotFound")


@pytest.mark.parametrize("path", ["/api/v1/projects/slug/nothing-here", "/api/v2/workspace/nothing-here"])
def test_an_unknown_slug_is_404(robot: Client, path: str) -> None:
    assert_error(robot.get(path), status=404, error="NotFound")


def test_a_portal_that_cannot_sign_says_when_to_come_back(pki: Pki, robot: Client, other_master_key: None) -> None:
    response = send(robot, AGENT_BODY % (pki.profile.pk, "1d"))

    assert_error(response, status=503, error="ServiceUnavailable")
    assert int(response.headers["Retry-After"]) >= 1
    assert Certificate.objects.count() == 0


def accepts(token: str) -> bool:
    """Whether the portal takes this bearer token."""
    return Client(headers={"Authorization": f"Bearer {token}"}).get("/api/v1/projects").status_code == 200
