"""What the fuzzer is fed, as hooks that it loads: ids that exist, and bodies that could pass but for one value.

Out of its own head it would meet hardly anything but 404 and 422. Most calls get ids of the caller's project, some get
ids of another project, some stay as they were thought up. What a call changes or deletes is made for that call, and the
caller's own identity is kept out of it. The first call of an operation could pass as it is, and the second is the same
with the ids of another project. Each answer is a line in a file, for the test to count.
"""

import json
import os
import random
import zlib
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode

import schemathesis
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.portal import Portal

FEED = json.loads(Path(os.environ["FUZZ_FEED"]).read_text())
ANSWERS = Path(os.environ["FUZZ_ANSWERS"])
OWN: dict[str, str] = FEED["own"]
OTHER: dict[str, str] = FEED["other"]
PORTAL = Portal(state=Path(), environment={}, base_url=FEED["baseUrl"], made={})
CA = "/api/v1/cert-manager/ca/internal"
ALERTS = "/api/v1/cert-manager/alerts"
APPROVALS = "/api/v1/approval-policies/cert-request"
TEMPLATES = "/api/v1/cert-manager/certificate-templates"
PROFILES = "/api/v1/cert-manager/certificate-profiles"
UNIVERSAL_AUTH = "/api/v1/auth/universal-auth"
FAR = "2035-01-01"
# Where an id stands in a body or a query, and which it is.
PLACES = {
    "projectId": "project_id",
    "projectSlug": "project_slug",
    "caId": "ca_id",
    "parentCaId": "root_id",
    "certificateTemplateId": "template_id",
    "certificatePolicyId": "template_id",
    "profileId": "profile_id",
    "profileIds": "profile_id",
}

Ids = dict[str, str]
_numbers = count(1)
_fed: Counter[str] = Counter()
_lock = Lock()  # the fuzzer's workers are threads

# gunicorn refuses longer request lines by itself, with 414.
LONGEST_QUERY = 6000


def call(method: str, path: str, body: object = None) -> Any:
    """Send a request of our own, which must succeed."""
    return PORTAL.call(method, path, body, token=FEED["token"])


def new_name() -> str:
    """A name that nothing has yet, in any process."""
    return f"x{os.getpid()}-{next(_numbers)}"


# --- Things to change and to delete -----------------------------------------------------------------------------------


def new_authority(kind: str = "root") -> Ids:
    """A CA; an intermediate waits for its certificate."""
    return {"ca_id": call("POST", CA, new_authority_body(kind))["id"]}


def new_authority_body(kind: str = "root") -> dict[str, Any]:
    """What makes one."""
    name = new_name()
    # No two CAs of a project have one subject.
    configuration = {"type": kind, "commonName": f"Fuzz {name}", "keyAlgorithm": "EC_prime256v1"}
    return {"projectId": OWN["project_id"], "name": name, "status": "active", "configuration": configuration}


def new_template() -> Ids:
    """A template without a profile."""
    return {"template_id": call("POST", TEMPLATES, new_template_body())["certificateTemplate"]["id"]}


def new_template_body() -> dict[str, Any]:
    """What makes one."""
    return {
        "projectId": OWN["project_id"],
        "name": new_name(),
        "subject": [{"type": "common_name", "allowed": ["*"]}],
        "sans": [{"type": "dns_name", "allowed": ["*.example.com"]}],
        "keyUsages": {"required": ["digital_signature"], "allowed": ["key_encipherment"]},
        "extendedKeyUsages": {"required": ["server_auth"]},
        "algorithms": {"keyAlgorithm": ["EC-P256"], "signature": ["SHA256-ECDSA"]},
        "validity": {"max": "90d"},
    }


def new_profile() -> Ids:
    """A profile of the CA and template that stay."""
    return {"profile_id": call("POST", PROFILES, new_profile_body())["certificateProfile"]["id"]}


def new_profile_body() -> dict[str, Any]:
    """What makes one."""
    return {
        "projectId": OWN["project_id"],
        "caId": OWN["ca_id"],
        "certificateTemplateId": OWN["template_id"],
        "slug": new_name(),
        "enrollmentType": "api",
        "apiConfig": {"autoRenew": True, "renewBeforeDays": 7},
    }


def new_stranger() -> Ids:
    """A machine identity with nothing."""
    return {"identity_id": call("POST", "/api/v1/identities", {"name": new_name()})["identity"]["id"]}


def new_member() -> Ids:
    """A machine identity with a role."""
    made = new_stranger()
    call(
        "POST",
        f"/api/v1/projects/{OWN['project_id']}/identity-memberships/{made['identity_id']}",
        {"role": "viewer"},
    )
    return made


def new_client() -> Ids:
    """A machine identity with a role, universal auth and a secret."""
    made = new_member()
    path = f"{UNIVERSAL_AUTH}/identities/{made['identity_id']}"
    client_id = call("POST", path, {})["identityUniversalAuth"]["clientId"]
    secret = call("POST", f"{path}/client-secrets", {})
    return made | {
        "client_id": client_id,
        "client_secret": secret["clientSecret"],
        "client_secret_id": secret["clientSecretData"]["id"],
    }


def new_token() -> Ids:
    """An access token of a new identity."""
    made = new_client()
    body = {"clientId": made["client_id"], "clientSecret": made["client_secret"]}
    return made | {"token": call("POST", f"{UNIVERSAL_AUTH}/login", body)["accessToken"]}


def new_user_membership() -> Ids:
    """A person's role; people are made by the test, and those that have a role already get another chance."""
    path = f"/api/v1/projects/{OWN['project_id']}/memberships"
    user = FEED["users"][next(_numbers) % len(FEED["users"])]
    try:
        return {"membership_id": call("POST", path, {"username": user, "role": "viewer"})["membership"]["id"]}
    except HTTPError as refusal:
        refusal.close()
        return {}


def new_project() -> Ids:
    """A project with nothing in it."""
    return {
        "project_id": call("POST", "/api/v1/projects", {"projectName": "Fuzz", "slug": new_name()})["project"]["id"]
    }


def new_kept_key() -> Ids:
    """A certificate whose key is kept."""
    asked = {"profileId": OWN["keeping_profile_id"], "attributes": {"commonName": "kept.example.com"}}
    return {"reference": call("POST", "/api/v1/cert-manager/certificates", asked)["certificate"]["certificateId"]}


def new_certificate() -> Ids:
    """A certificate that a CA can revoke."""
    asked = {"profileId": OWN["profile_id"], "attributes": {"commonName": "a.example.com"}}
    certificate = call("POST", "/api/v1/cert-manager/certificates", asked)["certificate"]
    if certificate is None:  # held back by a policy that was made here
        for policy in call("GET", f"{APPROVALS}?projectId={OWN['project_id']}")["policies"]:
            call("DELETE", f"{APPROVALS}/{policy['id']}")
        certificate = call("POST", "/api/v1/cert-manager/certificates", asked)["certificate"]
    return {"reference": certificate["certificateId"]}


def new_renewable() -> Ids:
    """A certificate that renews."""
    return {"certificate_id": new_certificate()["reference"]}


def new_successor() -> Ids:
    """A certificate that took another one's place."""
    path = f"/api/v1/cert-manager/certificates/{new_certificate()['reference']}/renew"
    return {"certificate_id": call("POST", path)["certificateId"]}


def new_revoked_certificate() -> Ids:
    """A certificate that may be deleted."""
    made = new_certificate()
    call("POST", f"/api/v1/cert-manager/certificates/{made['reference']}/revoke", {"revocationReason": "SUPERSEDED"})
    return made


def new_certified_authority() -> Ids:
    """An intermediate with a certificate of the root's, whose revocation stops nothing else here."""
    made = new_authority("intermediate")
    body = {"notAfter": "2030-01-01", "maxPathLength": 0, "parentCaId": OWN["root_id"]}
    return made | {"certificate_id": call("POST", f"{CA}/{made['ca_id']}/certificate", body)["certId"]}


def new_incident() -> Ids:
    """An incident about one certificate."""
    made = new_certificate()["reference"]
    path = f"/api/v1/projects/{OWN['project_id']}/incidents"
    return {"incident_id": call("POST", path, {"reason": "Lost laptop", "certificateIds": [made]})["incident"]["id"]}


def new_held_certificate() -> Ids:
    """A certificate on hold."""
    made = new_certificate()
    path = f"/api/v1/cert-manager/certificates/{made['reference']}/revoke"
    call("POST", path, {"revocationReason": "CERTIFICATE_HOLD"})
    return made


def new_alert() -> Ids:
    """An alert that reaches nobody in the world."""
    return {"alert_id": call("POST", ALERTS, new_alert_body())["alert"]["id"]}


def new_alert_body() -> dict[str, Any]:
    """What makes one."""
    return {
        "projectId": OWN["project_id"],
        "name": new_name(),
        "type": "certificate-expiry",
        "alertBefore": "30d",
        "filters": [{"field": "san", "operator": "matches", "value": "*.example.com"}],
        "channels": [{"channelType": "email", "config": {"recipients": ["pki@example.com"]}}],
    }


def new_policy() -> Ids:
    """An approval policy that binds none of the requests made here."""
    return {"policy_id": call("POST", APPROVALS, new_policy_body())["policy"]["id"]}


def new_policy_body() -> dict[str, Any]:
    """What makes one. Programs pass it, and it is for one profile: whichever of the two the fuzzer changes."""
    return {
        "projectId": OWN["project_id"],
        "name": new_name(),
        "conditions": [{"profileNames": ["waiting"]}],
        "steps": [{"name": "one", "approvers": [{"type": "role", "id": "viewer"}], "requiredApprovals": 1}],
        "bypassForMachineIdentities": True,
    }


def new_approval() -> Ids:
    """A request that waits."""
    asked = {"profileId": OWN["waiting_profile_id"], "attributes": {"commonName": "waits.example.com"}}
    request_id = call("POST", "/api/v1/cert-manager/certificates", asked)["certificateRequestId"]
    path = f"/api/v1/cert-manager/certificates/certificate-requests/{request_id}"
    return {"approval_id": call("GET", path)["approvalRequestId"]}


NEW: dict[str, Callable[[], Ids]] = {
    "updateApprovalPolicy": new_policy,
    "deleteApprovalPolicy": new_policy,
    "approveApprovalRequest": new_approval,
    "rejectApprovalRequest": new_approval,
    "cancelApprovalRequest": new_approval,
    "projects_update": new_project,
    "destroyCertificatePrivateKey": new_kept_key,
    "revokeCertificate": new_certificate,
    "renewCertificate": new_renewable,
    "updateCertificateRenewalConfig": new_renewable,
    "getRenewalInformation": new_renewable,
    "getRenewalDifference": new_successor,
    "deleteCertificate": new_revoked_certificate,
    "revokeInternalCaCertificate": new_certified_authority,
    "getIncident": new_incident,
    "listIncidentCertificates": new_incident,
    "closeIncident": new_incident,
    "releaseCertificateHold": new_held_certificate,
    "updateAlert": new_alert,
    "deleteAlert": new_alert,
    "testAlert": new_alert,
    "deleteInternalCa": new_authority,
    "updateInternalCa": new_authority,
    "renewInternalCa": new_authority,
    "issueInternalCaCertificate": new_authority,
    "signIntermediate": new_authority,
    "importInternalCaCertificate": lambda: new_authority("intermediate"),
    "getInternalCaCsr": lambda: new_authority("intermediate"),
    "updateCertificateTemplate": new_template,
    "updateCertificatePolicy": new_template,
    "deleteCertificateTemplate": new_template,
    "deleteCertificatePolicy": new_template,
    "updateCertificateProfile": new_profile,
    "deleteCertificateProfile": new_profile,
    "identities_update": new_stranger,
    "identity_memberships_create": new_stranger,
    "identity_memberships_update": new_member,
    "identity_memberships_delete": new_member,
    "memberships_update": new_user_membership,
    "memberships_delete": new_user_membership,
    "universal_auth_attach": new_stranger,
    "universal_auth_update": new_client,
    "universal_auth_detach": new_client,
    "client_secrets_create": new_client,
    "client_secrets_revoke": new_client,
    "universal_auth_login": new_client,
    "token_renew": new_token,
    "token_revoke": new_token,
}


# --- Bodies that pass -------------------------------------------------------------------------------------------------


def signed_by_root(ids: Ids) -> dict[str, Any]:
    """The certificate that a waiting CA imports, and its chain."""
    csr = call("GET", f"{CA}/{ids['ca_id']}/csr")["csr"]
    body = {"csr": csr, "notAfter": "2030-01-01", "maxPathLength": 0}
    signed = call("POST", f"{CA}/{ids['root_id']}/sign-intermediate", body)
    return {"certificate": signed["certificate"], "certificateChain": signed["certificateChain"]}


def issue_body(ids: Ids) -> dict[str, Any]:
    """By fields."""
    attributes = {"commonName": "a.example.com", "altNames": [{"type": "DNS", "value": "a.example.com"}], "ttl": "30d"}
    return {"profileId": ids["profile_id"], "attributes": attributes}


def authority_from_elsewhere(ids: Ids) -> dict[str, Any]:
    """A root that another tool made, with its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, new_name())])
    root = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number() >> 1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=900))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(True, False, False, False, False, True, True, False, False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    return {
        "projectId": ids["project_id"],
        "name": new_name(),
        "privateKey": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        "certificate": root.public_bytes(Encoding.PEM).decode(),
    }


SOUND: dict[str, Callable[[Ids], dict[str, Any]]] = {
    "createApprovalPolicy": lambda _: new_policy_body(),
    "updateApprovalPolicy": lambda _: {"name": new_name(), "maxRequestTtl": "7d"},
    "approveApprovalRequest": lambda _: {"comment": "fine"},
    "rejectApprovalRequest": lambda _: {"comment": "not this one"},
    "cancelApprovalRequest": lambda _: {},
    "token_renew": lambda ids: {"accessToken": ids["token"]},
    "token_revoke": lambda ids: {"accessToken": ids["token"]},
    "universal_auth_login": lambda ids: {"clientId": ids["client_id"], "clientSecret": ids["client_secret"]},
    "universal_auth_attach": lambda _: {"accessTokenTTL": 600, "accessTokenMaxTTL": 600},
    "universal_auth_update": lambda _: {"accessTokenTTL": 600, "accessTokenMaxTTL": 600},
    "client_secrets_create": lambda _: {"description": "one more", "ttl": 600, "numUsesLimit": 5},
    "createAlert": lambda _: new_alert_body(),
    "updateAlert": lambda _: {"name": new_name(), "enabled": False},
    "createInternalCa": lambda _: new_authority_body(),
    "updateInternalCa": lambda _: {"name": new_name()},
    "issueInternalCaCertificate": lambda _: {"notAfter": FAR},
    "renewInternalCa": lambda _: {"type": "existing", "notAfter": "2050-01-01"},
    "importInternalCaCertificate": signed_by_root,
    "importInternalCa": authority_from_elsewhere,
    "importCertificate": lambda ids: {
        "projectSlug": ids["project_slug"],
        "certificatePem": authority_from_elsewhere(ids)["certificate"],
    },
    "revokeCertificate": lambda _: {"revocationReason": "SUPERSEDED"},
    "revokeInternalCaCertificate": lambda _: {"revocationReason": "CESSATION_OF_OPERATION"},
    "renewCertificate": lambda _: {},
    "updateCertificateRenewalConfig": lambda _: {"renewBeforeDays": 5},
    "declareIncident": lambda _: {"reason": "Lost laptop", "certificateIds": [new_certificate()["reference"]]},
    "revokeCertificates": lambda _: {"filter": {"search": "example"}, "revocationReason": "SUPERSEDED", "dryRun": True},
    "signIntermediate": lambda _: {"csr": FEED["csr"], "notAfter": "2030-01-01", "maxPathLength": 0},
    "createCertificateTemplate": lambda _: new_template_body(),
    "createCertificatePolicy": lambda _: new_template_body(),
    "updateCertificateTemplate": lambda _: {"description": "changed", "validity": {"max": "30d"}},
    "updateCertificatePolicy": lambda _: {"description": "changed", "validity": {"max": "30d"}},
    "createCertificateProfile": lambda _: new_profile_body(),
    "updateCertificateProfile": lambda _: {"description": "changed", "apiConfig": {"autoRenew": False}},
    "issueCertificate": issue_body,
    "issueCertificates": lambda ids: {"items": [issue_body(ids), {}]},
    "identities_create": lambda _: {"name": new_name()},
    "identities_update": lambda _: {"name": new_name()},
    "projects_create": lambda _: {"projectName": "Fuzz", "slug": new_name()},
    "projects_update": lambda _: {"description": "changed"},
    "searchCertificates": lambda ids: {"search": "example", "limit": 5, "profileIds": [ids["profile_id"]]},
    "identity_memberships_create": lambda _: {"role": "viewer"},
    "identity_memberships_update": lambda _: {"role": "member"},
    "memberships_create": lambda _: {"username": random.choice(FEED["users"]), "role": "viewer"},  # noqa: S311
    "memberships_update": lambda _: {"role": "member"},
}


# --- Hooks ------------------------------------------------------------------------------------------------------------


@schemathesis.serializer("application/ocsp-request")
def ocsp_request(ctx: Any, value: Any) -> bytes:
    """The octets as they are."""
    return value if isinstance(value, bytes) else json.dumps(value, default=repr).encode()


@schemathesis.hook
def before_call(ctx: Any, case: Any, kwargs: Any) -> None:
    """Feed a call whose method the description knows."""
    operation: str = case.operation.definition.raw["operationId"]
    # One and the same call is fed in one and the same way, so that a failure can be shrunk.
    thought_up = repr((operation, case.path_parameters, case.query, case.body))
    dice = random.Random(zlib.crc32(thought_up.encode("utf-8", "backslashreplace")))  # noqa: S311
    if case.method.upper() != case.operation.method.upper():
        return
    if (case.path_parameters or {}).get("identity_id") == FEED["identityId"]:
        case.path_parameters["identity_id"] = OTHER["identity_id"]
    turn = turn_of(operation, case)
    whose = (0.0, 0.8)[turn] if turn < 2 else dice.random()
    if whose < 0.75:
        ids = OWN | (NEW[operation]() if operation in NEW else {})
    elif whose < 0.9:
        ids = OTHER
    else:
        return
    put_ids_into_path(case.path_parameters or {}, operation, ids)
    if "Idempotency-Key" in (case.headers or {}) and dice.random() < 0.8:
        case.headers["Idempotency-Key"] = new_name()  # or most calls would be conflicts with the first
    if isinstance(case.query, dict):
        put_ids(case.query, ids)
        if len(urlencode(case.query, doseq=True, errors="replace")) > LONGEST_QUERY:
            case.query = {}
    if isinstance(case.body, dict):
        if operation in SOUND and turn == 0:
            case.body = SOUND[operation](ids)
        elif operation in SOUND and ids is not OTHER and dice.random() < 0.6:
            case.body = with_one_of(SOUND[operation](ids), case.body, dice)
        else:
            put_ids(case.body, ids)
        if operation in {"createApprovalPolicy", "updateApprovalPolicy"}:
            # One for every profile would have all that is fed after it wait.
            case.body["conditions"] = new_policy_body()["conditions"]


def turn_of(operation: str, case: Any) -> int:
    """How many calls of this operation were fed before; those that take no fields are not counted."""
    if operation in SOUND and not isinstance(case.body, dict):
        return 2
    with _lock:
        _fed[operation] += 1
        return _fed[operation] - 1


def put_ids_into_path(parameters: dict[str, Any], operation: str, ids: Ids) -> None:
    """Put ids that exist into the path."""
    for name in parameters:
        if name in ids:
            parameters[name] = ids[name]
    if "owner_id" in parameters:  # of a version
        parameters["owner_id"] = ids["profile_id" if "ProfileVersion" in operation else "template_id"]
    if "slug" in parameters:
        parameters["slug"] = ids["profile_slug" if operation.endswith("ProfileBySlug") else "project_slug"]


def put_ids(values: dict[str, Any], ids: Ids) -> None:
    """Put ids that exist where ids are asked for."""
    for name in values:
        if name in PLACES:
            values[name] = [ids[PLACES[name]]] if name == "profileIds" else ids[PLACES[name]]
        elif isinstance(values[name], dict):
            put_ids(values[name], ids)


def with_one_of(sound: dict[str, Any], thought_up: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    """The sound body as it is, or with one value of the fuzzer's in it, on top or one level down."""
    inner = [name for name in sound if isinstance(sound[name], dict) and isinstance(thought_up.get(name), dict)]
    if inner and dice.random() < 0.6:
        name = dice.choice(inner)
        return sound | {name: with_one_of(sound[name], thought_up[name], dice)}
    if not thought_up or dice.random() < 0.3:
        return sound
    name = dice.choice(sorted(thought_up))
    return sound | {name: thought_up[name]}


@schemathesis.hook
def after_call(ctx: Any, case: Any, response: Any) -> None:
    """Note the answer to a call whose method the description knows."""
    if case.method.upper() == case.operation.method.upper():
        with ANSWERS.open("a") as file:
            file.write(f"{case.operation.definition.raw['operationId']} {response.status_code}\n")
