"""Policies, people who approve, and requests that wait."""

from typing import Any

from certificates.models import ApprovalPolicy, ApprovalRequest
from certificates.services.approvals.asking import StoredRequest, request_certificate
from certificates.services.approvals.policies import PolicyDocument, create_policy
from certificates.services.approvals.steps import Approver, ApproverKind, Step
from pki_portal.access.models import Project, Role, User
from pki_portal.access.requester import Requester
from profiles.models import CertificateProfile
from profiles.policy.request import AttributeValue, GeneralName, IssuanceRequest
from profiles.policy.vocabulary import NameType, SubjectAttribute
from profiles.services import find_profile
from tests.factories import SYSTEM, make_user, requester_for

ADMINS = Approver(ApproverKind.ROLE, Role.ADMIN.value)
OPERATORS = Approver(ApproverKind.ROLE, Role.OPERATOR.value)


def person(name: str, project: Project, role: str = Role.OPERATOR) -> Requester:
    return requester_for(make_user(name, project=project, role=role))


def by(*users: User | Requester) -> tuple[Approver, ...]:
    """These people as approvers."""
    ids = (user.id if isinstance(user, Requester) else str(user.pk) for user in users)
    return tuple(Approver(ApproverKind.USER, each) for each in ids)


def make_policy(project: Project, *steps: Step, name: str = "two eyes", **changes: Any) -> ApprovalPolicy:
    document = PolicyDocument(name=name, steps=steps or (Step((OPERATORS,)),), **changes)
    return create_policy(requester=SYSTEM, project=project, document=document)


def asked_for(name: str = "service.acme.com", **changes: Any) -> IssuanceRequest:
    return IssuanceRequest(
        subject=(AttributeValue(SubjectAttribute.COMMON_NAME, name),),
        subject_alternative_names=(GeneralName(NameType.DNS_NAME, name),),
        **changes,
    )


def ask(profile: CertificateProfile, requester: Requester, **changes: Any) -> ApprovalRequest:
    """A request of ``requester`` that waits."""
    values: dict[str, Any] = {"request": asked_for(), "requester": requester} | changes
    stored = request_certificate(profile=find_profile(requester=SYSTEM, profile_id=profile.pk), **values)
    assert isinstance(stored, StoredRequest), stored
    return ApprovalRequest.objects.select_related("request").get(request=stored.request)
