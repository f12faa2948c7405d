"""Every body that a client can send to any route that takes one: a 4xx in the one error form, quickly, and no trace.

The routes and their fields are read from the committed description, which is held equal to the code
(test_description.py): a new route is tested from its first day, or fails here for want of an id to fill in.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.test import Client

from certificates.models import CertificateRequest
from certificates.services.approvals.steps import Step
from certificates.services.incidents import Criteria, declare_incident
from pki_portal.access import universal_auth
from pki_portal.access.models import LoginFailure, Membership, Role
from pki_portal.audit.models import AuditEvent
from tests.certificates.alerts.scenery import make_rule
from tests.certificates.services.approvals.scenery import ask, by, make_policy
from tests.factories import SYSTEM, make_authority, make_identity, make_token, make_user, requester_for
from tests.pages import make_issued
from tests.wire import Pki, make_pki

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]  # it refuses more than SQLite does

DESCRIPTION: dict[str, Any] = json.loads((Path(__file__).resolve().parents[2] / "docs" / "openapi.json").read_text())
JSON = "application/json"
NOBODY = "00000000-0000-4000-8000-000000000000"
# Of processor time, so that a busy machine does not count.
# CPU, with room for coverage and busy machines: it tells work that explodes from work that does not.
SECONDS = 5.0
DEEP = 100_000
MANY = 10_000
TEN_MEGABYTES = 10 * 1024 * 1024


@dataclass(frozen=True)
class Operation:
    """One route that takes a body."""

    method: str
    path: str
    body: dict[str, Any]
    takes_forms: bool
    is_open: bool

    @property
    def group(self) -> str:
        """The part of the API that it belongs to."""
        return self.path.removeprefix("/api/v1/").removeprefix("cert-manager/").partition("/")[0]

    def __str__(self) -> str:
        return f"{self.method} {self.path.removeprefix('/api/v1/')}"


def operations() -> list[Operation]:
    """All POST, PATCH and PUT operations of the description."""
    found = []
    for path, methods in DESCRIPTION["paths"].items():
        for method, told in methods.items():
            if method in {"post", "patch", "put"}:
                content = told.get("requestBody", {}).get("content", {})
                body = resolve(content[JSON]["schema"]) if JSON in content else {}
                found.append(Operation(method.upper(), path, body, len(content) > 1, "security" not in told))
    return found


def resolve(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema behind references and wrappings; what may be null says so by ``type``."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return resolve(DESCRIPTION["components"]["schemas"][name])
    if "allOf" in schema:
        return resolve(schema["allOf"][0])
    if "oneOf" in schema:
        members = [resolve(member) for member in schema["oneOf"]]
        first = next(member for member in members if member.get("type") != "null")
        nullable = any("null" in types_of(member) for member in members)
        return first | {"type": [*types_of(first), *(["null"] if nullable else [])]}
    return schema


def types_of(schema: dict[str, Any]) -> list[str]:
    """The JSON types that a resolved schema takes."""
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else list(types)


def sample(schema: dict[str, Any]) -> Any:
    """A value of the right types with every member that the schema knows."""
    schema = resolve(schema)
    types = types_of(schema)
    if "enum" in schema:
        return schema["enum"][0]
    if "examples" in schema:
        return schema["examples"][0]
    if "object" in types:
        return {name: sample(member) for name, member in schema.get("properties", {}).items()}
    if "array" in types:
        return [sample(schema["items"])]
    if "string" in types:
        return NOBODY if schema.get("format") == "uuid" else "x"
    return False if "boolean" in types else schema.get("minimum", 1)


def places(schema: dict[str, Any], at: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], list[str]]]:
    """Every place in a body, with the types that belong there."""
    schema = resolve(schema)
    yield at, types_of(schema)
    for name, member in schema.get("properties", {}).items():
        yield from places(member, (*at, name))
    if "array" in types_of(schema):
        yield from places(schema["items"], (*at, 0))


def replaced(body: Any, at: tuple[str | int, ...], value: Any) -> Any:
    """A copy of ``body`` with ``value`` at that place."""
    if not at:
        return value
    copy: Any = list(body) if isinstance(body, list) else dict(body)
    copy[at[0]] = replaced(copy[at[0]], at[1:], value)
    return copy


WRONG_OF_TYPE: dict[str, Any] = {
    "null": None,
    "boolean": True,
    "number": -(10**30),
    "string": "\U0001f511" * 500,
    "array": ["x"] * MANY,
    "object": {"x": {"x": []}},
}


def wrong_values(types: list[str], *, sampled: Any) -> Iterator[Any]:
    """Values of every other type; of the right type those that are too many, too large or too long."""
    number = "number" if {"integer", "number"} & set(types) else ""
    for name, value in WRONG_OF_TYPE.items():
        if name not in types and name != number:
            yield value
    if number:
        yield from (7.5, 10**30, -(10**30), 10**400)
    if "array" in types:
        yield sampled * MANY
    if "string" in types:
        yield "x" * 300_000


UNREADABLE = [
    b" {",
    b"}",
    b"null",
    b"true",
    b"7",
    b'"x"',
    b"[]",
    b"[{}]",
    b"[" + b"{}," * MANY + b"{}]",
    b'{"x":',
    b"{'x': 'x'}",
    b'{"x": NaN}',
    b'{"x": -Infinity}',
    b'{"x": 1e999}',
    b'{"x": ' + b"9" * 5000 + b"}",
    b"\xff\xfe{}",
    b"\x00",
    b'{"x": "\x00"}',
    b'{"x": "\\u0000"}',
    b'{"\\u0000": "x"}',
    b'{"x": "\\ud800"}',
    b'{"\\udfff\\ud800": 1}',
    b'{"x": "\xed\xa0\x80"}',
    b"{}{}",
    b"[" * DEEP,
    b"[" * DEEP + b"]" * DEEP,
    b'{"x":' * DEEP + b"1" + b"}" * DEEP,
    b"x" * TEN_MEGABYTES,
    b'{"x":"' + b"A" * TEN_MEGABYTES + b'"}',
    b" " * TEN_MEGABYTES,
    b"<xml/>",
    b"a=b&c=d",
]
CONTENT_TYPES = [
    "text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
    "application/octet-stream", "x", "application/json-patch+json", "\x00",
]  # fmt: skip
OPERATIONS = operations()
WITH_BODY = [operation for operation in OPERATIONS if operation.body]
# The answer comes before any value of the body could reach the database; wrong values do reach it, on both.
REFUSED_UNREAD = pytest.mark.any_database


@dataclass(frozen=True)
class Scene:
    """A client that may do everything, and the ids that paths ask for."""

    robot: Client
    ids: dict[str, str]


@pytest.fixture
def scene() -> Scene:
    pki: Pki = make_pki()
    identity, _, _ = make_identity(pki.project, can_create_projects=True)
    other, _, _ = make_identity(pki.project, role=Role.MEMBER, name="other")
    secret = universal_auth.create_client_secret(requester=SYSTEM, identity_id=other.pk)
    bob = make_user("bob", project=pki.project, role=Role.MEMBER)
    issued, authority = make_issued(pki.profile), make_authority(pki.project)
    incident = declare_incident(
        requester=SYSTEM,
        project=pki.project,
        reason="The signing host was broken into.",
        criteria=Criteria(profile_id=pki.profile.pk),
        over=timedelta(hours=1),
    )
    policy = make_policy(pki.project, Step(by(bob)), bypass_for_machine_identities=True)
    ids = {
        "project_id": str(pki.project.pk),
        "reference": str(issued.pk),
        "certificate_id": str(issued.pk),
        "incident_id": str(incident.pk),
        "policy_id": str(policy.pk),
        "approval_id": str(ask(pki.profile, requester_for(bob)).pk),
        "ca_id": str(authority.pk),
        "ca_certificate_id": str(authority.active_certificate_id),
        "template_id": str(pki.profile.template_id),
        "profile_id": str(pki.profile.pk),
        "identity_id": str(other.pk),
        "client_secret_id": str(secret.row.pk),
        "alert_id": str(make_rule(pki.project).rule.pk),
        "membership_id": str(Membership.objects.get(user=bob).pk),
    }
    return Scene(Client(headers={"Authorization": f"Bearer {make_token(identity)}"}), ids)


def send(scene: Scene, operation: Operation, raw: bytes, content_type: str = JSON) -> Any:
    """The answer, which came within a second of processor time and is no fault of ours."""
    ids = scene.ids
    if "{ca_id}" in operation.path:
        ids = ids | {"certificate_id": ids["ca_certificate_id"]}
    path = operation.path.format_map(ids)
    begin = time.process_time()
    response = scene.robot.generic(operation.method, path, raw, content_type)
    took = time.process_time() - begin
    said = (str(operation), raw[:100], content_type, response.status_code, response.content[:500])
    assert response.status_code < 500, said
    assert took < SECONDS, said
    assert len(response.content) < 500_000, said
    return response


def refuse(scene: Scene, operation: Operation, raw: bytes, content_type: str = JSON) -> dict[str, Any]:
    """The body of the refusal that this request must get."""
    response = send(scene, operation, raw, content_type)
    said = (str(operation), raw[:100], content_type, response.status_code, response.content[:500])
    assert response.headers["Content-Type"] == JSON, said
    told: dict[str, Any] = response.json()
    status = response.status_code
    if status == 200 and operation.path.endswith("/certificates/batch"):
        # A batch is read item by item: the one that is wrong is refused in its place.
        (told,) = [item["refused"] for item in told["items"] if item["refused"] is not None]
        status = told["statusCode"]
    assert 400 <= status < 500, said
    assert set(told) == {"reqId", "statusCode", "message", "error", "details"}, said
    assert told["statusCode"] == status, said
    assert told["message"], said
    assert told["error"], said
    return told


def everything_stored() -> dict[str, list[str]]:
    """Every row of every table but the records of refusals; of those only what is no record of a refusal."""
    rows = {}
    for model in apps.get_models():
        query = model._default_manager.order_by("pk")
        if model is LoginFailure:
            continue  # the counts that slow down whoever is refused too often
        if model is AuditEvent:
            query = query.exclude(outcome="refused")
        elif model is CertificateRequest:
            query = query.exclude(status="failed")
        rows[model._meta.label] = [repr(row) for row in query.values()]
    return rows


@REFUSED_UNREAD
def test_unreadable_bodies_are_refused_everywhere(scene: Scene) -> None:
    before = everything_stored()

    for operation in WITH_BODY:
        for raw in UNREADABLE:
            refuse(scene, operation, raw)

    assert everything_stored() == before


@REFUSED_UNREAD
def test_other_content_types_are_refused_everywhere(scene: Scene) -> None:
    before = everything_stored()

    for operation in WITH_BODY:
        for content_type in CONTENT_TYPES:
            for raw in (json.dumps(sample(operation.body)).encode(), b"--x\r\n\r\n", b"a=%00&%ff=b&a=c"):
                told = refuse(scene, operation, raw, content_type)
                if not (operation.takes_forms and "form" in content_type):
                    assert (told["statusCode"], told["error"]) == (415, "UnsupportedMediaType"), content_type

    assert everything_stored() == before


@pytest.mark.parametrize("group", sorted({operation.group for operation in WITH_BODY}))
def test_wrong_types_and_sizes_are_refused_at_every_place(scene: Scene, group: str) -> None:
    before = everything_stored()

    for operation in WITH_BODY:
        if operation.group == group:
            body = sample(operation.body)
            for at, types in places(operation.body):
                for wrong in wrong_values(types, sampled=sampled_at(body, at)):
                    told = refuse(scene, operation, json.dumps(replaced(body, at, wrong)).encode())
                    # Any text is a text to the form, and a list of ids may be one text with commas.
                    if told["statusCode"] == 422 and not isinstance(wrong, str):
                        assert_names(told, at)

    assert everything_stored() == before


def assert_names(told: dict[str, Any], at: tuple[str | int, ...]) -> None:
    """One of the issues is about this place or about something in it."""
    paths = [tuple(str(step) for step in issue["path"]) for issue in told["message"]]
    wanted = tuple(str(step) for step in at)
    assert wanted in [path[: len(wanted)] for path in paths], (at, told["message"])


def test_an_empty_body_is_refused_where_anything_is_required(scene: Scene) -> None:
    before = everything_stored()

    for operation in WITH_BODY:
        if operation.body.get("required"):
            for raw in (b"", b" ", b"{}"):
                assert refuse(scene, operation, raw)["statusCode"] == 422, operation

    assert everything_stored() == before


def test_an_empty_body_where_nothing_is_required_is_no_fault_of_ours(scene: Scene) -> None:
    for operation in OPERATIONS:
        if not operation.body.get("required"):
            for raw in (b"", b" ", b"{}"):
                send(scene, operation, raw)


@REFUSED_UNREAD
def test_nobody_without_a_token_learns_what_is_wrong_with_a_body(scene: Scene) -> None:
    stranger = Scene(Client(), scene.ids)
    before = everything_stored()

    for operation in WITH_BODY:
        if not operation.is_open:
            for raw in (b"{", b"[" * DEEP, b"x" * TEN_MEGABYTES):
                told = refuse(stranger, operation, raw)
                assert (told["statusCode"], told["error"]) == (401, "UnauthorizedError"), operation

    assert everything_stored() == before


def sampled_at(body: Any, at: tuple[str | int, ...]) -> Any:
    """The value at a place."""
    for step in at:
        body = body[step]
    return body
