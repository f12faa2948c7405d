"""The API does what its description says, whatever a fuzzer that has read the description sends."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.portal import ROOT, Portal
from tests.wire import make_csr

USERS = [f"user-{number}" for number in range(300)]
MAKE_USERS = f"from pki_portal.access.models import User; [User.objects.create_user(n) for n in {USERS}]"
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")


@pytest.mark.postgresql  # it refuses more than SQLite does
@pytest.mark.timeout(900)
def test_no_fault_no_undocumented_status_no_schema_violation(portal: Portal, tmp_path: Path) -> None:
    feed, answers = tmp_path / "feed.json", tmp_path / "answers"
    token = portal.token()
    feed.write_text(json.dumps(make_feed(portal, token)))
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CONFIGURATION), "run"]
    command += [f"{portal.base_url}/api/schema/?format=json", "--header", f"Authorization: Bearer {token}"]
    run = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ
        | {
            "SCHEMATHESIS_HOOKS": "tests.interop.fuzzing",
            "PYTHONPATH": str(ROOT),
            "FUZZ_FEED": str(feed),
            "FUZZ_ANSWERS": str(answers),
        },
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )

    assert run.returncode == 0, run.stdout[-20000:] + run.stderr[-2000:]
    assert_thick(answers.read_text())


def make_feed(portal: Portal, token: str) -> dict[str, Any]:
    """Ids of everything that a path can name, in the caller's project and in one that it has no role in."""
    assert portal.manage("shell", "-c", MAKE_USERS).returncode == 0
    made = portal.manage("quickstart", "--json", "--project", "other")
    assert made.returncode == 0, made.stderr
    others = json.loads(made.stdout)
    login = {"clientId": others["clientId"], "clientSecret": others["clientSecret"]}
    others_token = portal.call("POST", "/api/v1/auth/universal-auth/login", login)["accessToken"]
    return {
        "baseUrl": portal.base_url,
        "token": token,
        "identityId": identity_of(portal, portal.made, token),
        "users": USERS[1:],
        "csr": make_csr(),
        "own": make_things(portal, portal.made, token),
        "other": make_things(portal, others, others_token),
    }


def make_things(portal: Portal, made: dict[str, Any], token: str) -> dict[str, str]:
    """One of everything, beside what quickstart made."""

    def call(method: str, path: str, body: object = None) -> Any:
        return portal.call(method, f"/api/v1/{path}", body, token=token)

    project, authority, profile = made["projectId"], made["caIds"]["ec"], made["profileIds"]["tls-server"]
    keeping = call(
        "POST",
        "cert-manager/certificate-profiles",
        {
            "projectId": project,
            "caId": authority,
            "certificateTemplateId": made["templateIds"]["tls-server"],
            "slug": "keeping",
            "enrollmentType": "api",
            "apiConfig": {},
            "keyRetention": "escrow",
        },
    )["certificateProfile"]["id"]
    issued = call("POST", "cert-manager/certificates", {"profileId": keeping, "attributes": {"commonName": "a.b.com"}})
    identity = call("POST", "identities", {"name": "other robot"})["identity"]["id"]
    call("POST", f"projects/{project}/identity-memberships/{identity}", {"role": "viewer"})
    call("POST", f"auth/universal-auth/identities/{identity}", {})
    secret = call("POST", f"auth/universal-auth/identities/{identity}/client-secrets", {})
    member = call("POST", f"projects/{project}/memberships", {"username": USERS[0], "role": "viewer"})
    alert = call(
        "POST",
        "cert-manager/alerts",
        {
            "projectId": project,
            "name": "expiring",
            "type": "certificate-expiry",
            "alertBefore": "30d",
            "channels": [{"channelType": "email", "config": {"recipients": ["pki@example.com"]}}],
        },
    )
    waiting = call(
        "POST",
        "cert-manager/certificate-profiles",
        {
            "projectId": project,
            "caId": authority,
            "certificateTemplateId": made["templateIds"]["tls-server"],
            "slug": "waiting",
            "enrollmentType": "api",
            "apiConfig": {},
            "requiresApproval": True,
        },
    )["certificateProfile"]["id"]
    asked = call("POST", "cert-manager/certificates", {"profileId": waiting, "attributes": {"commonName": "w.b.com"}})
    waits = call("GET", f"cert-manager/certificates/certificate-requests/{asked['certificateRequestId']}")
    policy = call(
        "POST",
        "approval-policies/cert-request",
        {
            "projectId": project,
            "name": "for the fuzzer to read",
            "conditions": [{"profileNames": ["waiting"]}],
            "steps": [{"approvers": [{"type": "role", "id": "viewer"}]}],
        },
    )
    ca = call("GET", f"cert-manager/ca/internal/{authority}")
    return {
        "project_id": project,
        "project_slug": made["projectSlug"],
        "profile_slug": "tls-server",
        "root_id": made["rootCaId"],
        "ca_id": authority,
        "certificate_id": ca["configuration"]["activeCaCertId"],
        "crl_id": call("GET", f"cert-manager/ca/internal/{authority}/crls")[0]["id"],
        "template_id": made["templateIds"]["tls-server"],
        "profile_id": profile,
        "keeping_profile_id": keeping,
        "number": "1",
        "reference": issued["certificate"]["certificateId"],
        "request_id": issued["certificateRequestId"],
        "identity_id": identity,
        "client_secret_id": secret["clientSecretData"]["id"],
        "membership_id": member["membership"]["id"],
        "alert_id": alert["alert"]["id"],
        "waiting_profile_id": waiting,
        "approval_id": waits["approvalRequestId"],
        "policy_id": policy["policy"]["id"],
    }


def identity_of(portal: Portal, made: dict[str, Any], token: str) -> str:
    """The caller itself."""
    path = f"/api/v1/projects/{made['projectId']}/identity-memberships"
    found: str = portal.call("GET", path, token=token)["identityMemberships"][0]["identity"]["id"]
    return found


# Only people approve, and the fuzzer is none.
FOR_PEOPLE = {"approveApprovalRequest", "rejectApprovalRequest"}


def assert_thick(answers: str) -> None:
    """Every operation was done, and what another project owns was found by none."""
    met = Counter((operation, int(status)) for operation, status in map(str.split, answers.splitlines()))
    done = {operation for operation, status in met if status < 300}
    not_found = {operation for operation, status in met if status == 404}
    operations = {
        told["operationId"]: ("{" in path and "security" in told)
        for path, methods in json.loads((ROOT / "docs" / "openapi.json").read_text())["paths"].items()
        for method, told in methods.items()
        if method in {"get", "post", "patch", "put", "delete"}
    }
    assert set(operations) - done == FOR_PEOPLE
    assert {operation for operation, is_owned in operations.items() if is_owned} - not_found == set()
