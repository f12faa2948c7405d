"""What a client sends fits its column or is refused: SQLite takes text of any length, PostgreSQL does not."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from pki_portal.access import universal_auth
from pki_portal.access.models import Role
from pki_portal.access.services import create_identity, create_project, update_identity, update_project
from pki_portal.errors import PortalError
from tests.factories import SYSTEM, make_identity, make_project, make_user
from tests.wire import CERTIFICATES, PROFILES, Pki, issue_body, make_client, make_pki

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]  # it refuses more than SQLite does

V1 = "/api/v1"
CAS = f"{V1}/cert-manager/ca/internal"
TEMPLATES = f"{V1}/cert-manager/certificate-templates"
TEXTS = ["x" * 256, "x" * 2000, "x" * 300_000, "ü" * 300_000]
NUMBERS = [2**31, 2**63 - 1, 2**63, 10**30, -(2**31) - 1, -(2**63) - 1, 2**31 - 1, 32768]
DATES = [
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "10000-01-01T00:00:00Z",
    "99999999999999999999",
    "-0001-01-01T00:00:00Z",
]
DATE_NAMES = {"notBefore", "notAfter", "startDate", "endDate", "fromDate", "toDate", "notAfterFrom", "notAfterTo"}


@pytest.fixture
def pki() -> Pki:
    return make_pki()


@pytest.fixture
def robot(pki: Pki) -> Client:
    return make_client(pki.project)


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if members is None:
        yield path, value
    else:
        for key, member in members:
            yield from leaves(member, (*path, key))


def changed(body: Any, path: tuple[str | int, ...], value: Any) -> Any:
    copy = json.loads(json.dumps(body))
    place = copy
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return copy


Route = Callable[[Pki], tuple[str, str, dict[str, Any]]]


def subject(**more: Any) -> dict[str, Any]:
    return {
        "commonName": "a.acme.com", "organization": "Acme", "ou": "IT", "country": "US", "province": "CA",
        "locality": "X",
    } | more  # fmt: skip


ROUTES: dict[str, Route] = {
    "project": lambda _: (
        "POST",
        f"{V1}/projects",
        {"projectName": "Acme", "slug": "acme-two", "projectDescription": "d"},
    ),
    "project change": lambda pki: (
        "PATCH",
        f"{V1}/projects/{pki.project.pk}",
        {"name": "A", "slug": "acme-new", "description": "d"},
    ),
    "member": lambda pki: (
        "POST",
        f"{V1}/projects/{pki.project.pk}/memberships",
        {"username": "nobody", "role": "member"},
    ),
    "identity": lambda _: ("POST", f"{V1}/identities", {"name": "robot two"}),
    "ca": lambda pki: (
        "POST",
        CAS,
        {
            "projectId": str(pki.project.pk),
            "name": "new-ca",
            "configuration": subject(
                type="root",
                friendlyName="f",
                notBefore="2026-01-01T00:00:00Z",
                notAfter="2036-01-01T00:00:00Z",
                maxPathLength=1,
                keyAlgorithm="EC_prime256v1",
            ),
        },
    ),
    "ca change": lambda pki: ("PATCH", f"{CAS}/{pki.issuing.pk}", {"name": "renamed"}),
    "ca renewal": lambda pki: (
        "POST",
        f"{CAS}/{pki.issuing.pk}/renew",
        {"type": "existing", "notAfter": "2027-01-01T00:00:00Z"},
    ),
    "template": lambda pki: (
        "POST",
        TEMPLATES,
        {
            "projectId": str(pki.project.pk),
            "name": "web",
            "description": "d",
            "subject": [{"type": "common_name", "allowed": ["*"]}],
            "sans": [{"type": "dns_name", "allowed": ["*.acme.com"]}],
            "validity": {"max": "90d"},
        },
    ),
    "profile": lambda pki: (
        "POST",
        PROFILES,
        {
            "projectId": str(pki.project.pk),
            "caId": str(pki.issuing.pk),
            "certificateTemplateId": str(pki.profile.template_id),
            "slug": "another",
            "description": "d",
            "enrollmentType": "api",
            "apiConfig": {"autoRenew": True, "renewBeforeDays": 7},
        },
    ),
    "certificate": lambda pki: (
        "POST",
        CERTIFICATES,
        issue_body(pki.profile)
        | {
            "attributes": {
                "commonName": "a.acme.com",
                "organization": "Acme",
                "ttl": "30d",
                "notBefore": "2026-11-23T00:00:00Z",
                "altNames": [{"type": "dns_name", "value": "a.acme.com"}],
            },
            "metadata": [{"key": "k", "value": "v"}],
        },
    ),
    "search": lambda pki: (
        "POST",
        f"{V1}/projects/{pki.project.pk}/certificates/search",
        {"search": "a", "offset": 0, "limit": 5},
    ),
}


@pytest.mark.parametrize("route", list(ROUTES))
def test_no_value_of_a_body_is_too_wide_for_the_database(robot: Client, pki: Pki, route: str) -> None:
    method, path, body = ROUTES[route](pki)
    for where, value in leaves(body):
        if isinstance(value, bool):
            continue
        wide: list[Any] = [*TEXTS, *(DATES if where[-1] in DATE_NAMES else NUMBERS)]
        for instead in wide:
            sent = json.dumps(changed(body, where, instead))
            response = robot.generic(method, path, sent, "application/json")
            assert response.status_code < 500, (where, str(instead)[:50], response.content[:300])
            if isinstance(instead, str) and len(instead) > 255_000:
                assert response.status_code >= 400, (where, response.content[:300])


QUERIES = {
    f"{V1}/projects": ("offset", "limit"),
    f"{V1}/identities": ("offset", "limit"),
    f"{V1}/projects/{{project}}/audit-logs": ("offset", "limit"),
    f"{V1}/projects/{{project}}/certificates": (
        "offset", "limit", "friendlyName", "commonName", "search", "status", "profileIds", "caId", "fromDate", "toDate",
    ),
    f"{V1}/projects/{{project}}/cas": ("offset", "limit", "friendlyName", "commonName", "status"),
    TEMPLATES + "?projectId={project}": ("offset", "limit", "search"),
    PROFILES + "?projectId={project}": ("offset", "limit", "search", "caId", "enrollmentType"),
}  # fmt: skip


@pytest.mark.parametrize("path", list(QUERIES))
def test_no_value_of_a_query_is_too_wide_for_the_database(robot: Client, pki: Pki, path: str) -> None:
    address, _, fixed = path.format(project=pki.project.pk).partition("?")
    given = dict(pair.split("=") for pair in fixed.split("&") if pair)
    for name in QUERIES[path]:
        for value in ["x" * 2000, *map(str, NUMBERS), *DATES]:
            response = robot.get(address, given | {name: value})
            assert response.status_code < 500, (name, value[:50], response.content[:300])
            if name in {"offset", "limit"} and abs(int(value) if value.lstrip("-").isdecimal() else 2**31) >= 2**31:
                assert response.status_code == 422, (name, value[:50])


@pytest.mark.parametrize("length", [256, 100_000])
def test_idempotency_key_is_bounded(robot: Client, pki: Pki, length: int) -> None:
    response = robot.post(
        CERTIFICATES, issue_body(pki.profile), "application/json", headers={"Idempotency-Key": "x" * length}
    )
    assert response.status_code == 422


NOBODY = UUID(int=0)
ACTS: dict[str, Callable[[str, UUID, UUID], object]] = {
    "project name": lambda text, _p, _i: create_project(requester=SYSTEM, name=text, slug="fresh-slug"),
    "project name alone": lambda text, _p, _i: create_project(requester=SYSTEM, name=text),
    "project slug": lambda text, _p, _i: create_project(requester=SYSTEM, name="n", slug=text),
    "project description": lambda text, _p, _i: create_project(requester=SYSTEM, name="n", description=text),
    "new project name": lambda text, project, _i: update_project(requester=SYSTEM, project_id=project, name=text),
    "new project description": lambda text, project, _i: update_project(
        requester=SYSTEM, project_id=project, description=text
    ),
    "identity name": lambda text, _p, _i: create_identity(requester=SYSTEM, name=text),
    "new identity name": lambda text, _p, identity: update_identity(requester=SYSTEM, identity_id=identity, name=text),
    "secret description": lambda text, _p, identity: universal_auth.create_client_secret(
        requester=SYSTEM, identity_id=identity, description=text
    ),
}


@pytest.mark.parametrize("text", ["x" * 1001, "x" * 100_000, "a\x00b"], ids=["1001", "100000", "NUL"])
@pytest.mark.parametrize("act", list(ACTS))
def test_services_refuse_what_does_not_fit(act: str, text: str) -> None:
    robot, _, _ = make_identity()
    with pytest.raises(PortalError):
        ACTS[act](text, make_project().pk, robot.pk)


@pytest.mark.parametrize("act", ["project name", "new project name", "identity name", "new identity name"])
def test_services_refuse_an_empty_name(act: str) -> None:
    robot, _, _ = make_identity()
    with pytest.raises(PortalError):
        ACTS[act]("", make_project().pk, robot.pk)


def test_the_longest_names_fit(robot: Client, pki: Pki) -> None:
    project = create_project(requester=SYSTEM, name="ü" * 255, description="ü" * 1000)
    create_identity(requester=SYSTEM, name="ü" * 255)
    make_user("u" * 150, project=project, role=Role.ADMIN)
    identity, _, _ = make_identity(project, name="r" * 255)
    client = make_client(pki.project)
    assert client.get(f"{V1}/projects/{pki.project.pk}").status_code == 200
    assert universal_auth.create_client_secret(requester=SYSTEM, identity_id=identity.pk, description="ü" * 255)
