"""What real programs send to these endpoints and need of the answers, byte for byte (wire-api, section 9)."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.test import Client
from django.utils import timezone

from tests.assertions import assert_error
from tests.wire import CERTIFICATES, PROFILES, REQUESTS, Pki, load_pem, make_client, make_csr, make_pki, make_profile_of

pytestmark = pytest.mark.django_db

WIRE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
# Compact JSON, as an agent written in Go sends it.
AGENT_BODY = (
    '{"profileId":"%s","attributes":{"commonName":"service.acme.com","keyAlgorithm":"EC_prime256v1",'
    '"signatureAlgorithm":"ECDSA-SHA256","keyUsages":["digital_signature"],"extendedKeyUsages":["server_auth"],'
    '"altNames":[{"type":"dns_name","value":"service.acme.com"}],"ttl":"%s"},"removeRootsFromChain":false}'
)


@pytest.fixture
def pki() -> Pki:
    return make_pki()


@pytest.fixture
def robot(pki: Pki) -> Client:
    return make_client(pki.project)


def send(client: Client, body: str, **headers: str) -> Any:
    """POST these bytes to the issue endpoint, as programs do."""
    return client.post(
        CERTIFICATES,
        body.encode(),
        content_type="application/json",
        headers={"Accept-Encoding": "gzip", "User-Agent": "agent/1.0", **headers},
    )


def issue(client: Client, body: str) -> dict[str, Any]:
    response = send(client, body)
    assert response.status_code == 200, response.json()
    answer: dict[str, Any] = response.json()
    return answer


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


def test_algorithms_names_and_order_come_back_as_asked(pki: Pki, robot: Client) -> None:
    body = (AGENT_BODY % (pki.profile.pk, "1d")).replace(
        '[{"type":"dns_name","value":"service.acme.com"}]',
        '[{"type":"dns_name","value":"z.acme.com"},{"type":"ip_address","value":"192.0.2.7"},'
        '{"type":"dns_name","value":"a.acme.com"}]',
    )
    told = issue(robot, body)["certificate"]

    found = robot.get(f"{CERTIFICATES}/{told['certificateId']}").json()["certificate"]

    assert (found["keyAlgorithm"], found["signatureAlgorithm"]) == ("EC_prime256v1", "ECDSA-SHA256")
    assert found["altNames"] == "z.acme.com,192.0.2.7,a.acme.com"


def test_certificates_are_read_by_id_and_by_serial_number(pki: Pki, robot: Client) -> None:
    told = issue(robot, AGENT_BODY % (pki.profile.pk, "1d"))["certificate"]

    for reference in (told["certificateId"], told["serialNumber"]):
        for tail in ("", "/certificate", "/bundle"):
            assert robot.get(f"{CERTIFICATES}/{reference}{tail}").status_code == 200


def test_integers_are_integers_and_times_have_their_offset(pki: Pki, robot: Client) -> None:
    told = issue(robot, AGENT_BODY % (pki.profile.pk, "90d"))["certificate"]

    text = robot.get(f"{CERTIFICATES}/{told['certificateId']}").content.decode()

    assert '"renewBeforeDays":7,' in text
    assert not re.search(r"[0-9]\.0[,}\]]", text)
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
