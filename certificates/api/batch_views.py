"""Many certificates by one request."""

from collections.abc import Mapping, Sequence
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from certificates.api.issue_serializers import (
    IssueBody,
    IssueCertificateAnswerSerializer,
    IssueCertificateSerializer,
    read_issue_body,
)
from certificates.api.issue_views import idempotency_key_of, issue_answer
from certificates.api.schema import IDEMPOTENCY_KEY
from certificates.api.views import CertificateView
from certificates.services.idempotency import IdempotencyKey, digest_of_body
from certificates.services.issuance import BATCH_LIMIT, BatchItem, IssuedCertificate, issue_certificates
from certificates.services.requests import Asked, read_applicant_csr
from pki_portal.access.remembering import remembering
from pki_portal.access.requester import Requester, requester_of
from pki_portal.errors import Invalid, PortalError, Unavailable, Violation
from pki_portal.rest import BatchJSONParser, StrictListField, WireSerializer, read, warned
from pki_portal.rest.schema import ErrorSerializer, answers
from profiles.enrollment import EnrollmentMethod
from profiles.services import find_profile


class BatchSerializer(WireSerializer):
    """Up to 1,000 issue requests; each item is read by itself, so that a wrong one stands in no other's way."""

    items = StrictListField(child=serializers.JSONField(allow_null=True), min_length=1, max_length=BATCH_LIMIT)


class BatchRequestSerializer(serializers.Serializer[Any]):
    """The same for the description."""

    items = serializers.ListField(child=IssueCertificateSerializer(), min_length=1, max_length=BATCH_LIMIT)


class BatchItemAnswerSerializer(serializers.Serializer[Any]):
    """What came of one item: ``issued`` as the answer to an issue request is, or ``refused`` as an error is."""

    issued = IssueCertificateAnswerSerializer(allow_null=True)
    refused = ErrorSerializer(allow_null=True, help_text="Its pointers lead into the body of the whole batch.")


class BatchAnswerSerializer(serializers.Serializer[Any]):
    """What came of each item, in the order of the request."""

    items = BatchItemAnswerSerializer(many=True)
    issuedCount = serializers.IntegerField()  # noqa: N815
    refusedCount = serializers.IntegerField()  # noqa: N815
    warnings = serializers.ListField(
        child=serializers.CharField(), required=False, help_text="What of the body beside the items nothing read."
    )


class _Item:
    """One item in the place of the request: what is told of its refusal is about it, by whoever sent the batch."""

    def __init__(self, request: Request, data: object) -> None:
        self._request = request
        self.data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._request, name)


class BatchIssueView(CertificateView):
    """Issue many certificates."""

    parser_classes = (BatchJSONParser,)

    @extend_schema(
        operation_id="issueCertificates",
        summary="Issue up to 1,000 certificates, or sign as many CSRs",
        tags=["Certificates"],
        parameters=[IDEMPOTENCY_KEY],
        request=BatchRequestSerializer,
        responses=answers(BatchAnswerSerializer, 409, with_body=True),
    )
    def post(self, request: Request) -> Response:
        """Judge each item by itself, then sign and store all that pass in one transaction.

        The profiles are of one project. Items whose requests must wait for approval are refused: send those one by one.
        With an `Idempotency-Key` each item has a key of its own that is made of it and of its place: sent again, what
        was issued is told again, without private keys, and what was refused is judged again.
        """
        with remembering():
            requester = requester_of(request)
            key = idempotency_key_of(request)
            body = BatchSerializer(data=request.data)
            items = read(body)["items"]
            batch = _Batch(requester, key, items)
            if batch.asked:
                project_id = next(iter(batch.asked.values())).asked.project_id
                done = issue_certificates(project_id=project_id, requester=requester, items=list(batch.asked.values()))
                batch.outcomes |= zip(batch.asked, done, strict=True)
        with remembering():
            told = [self._told(request, batch, index) for index in range(len(items))]
        issued = sum(each["issued"] is not None for each in told)
        answer = {"items": told, "issuedCount": issued, "refusedCount": len(told) - issued}
        return Response(warned(answer, body))

    def _told(self, request: Request, batch: "_Batch", index: int) -> dict[str, Any]:
        outcome = batch.outcomes[index]
        if isinstance(outcome, IssuedCertificate):
            without_roots = batch.bodies[index].without_roots
            issued = issue_answer(outcome, requester=batch.requester, without_roots=without_roots)
            return {"issued": issued, "refused": None}
        handle = self.get_exception_handler()
        refusal = handle(outcome, {"request": _Item(request, batch.items[index]), "view": self})
        error: dict[str, Any] = refusal.data if refusal is not None else {}
        return {"issued": None, "refused": _within(error, index)}


class _Batch:
    """The items, those that could be read, and what came of each, by their places."""

    def __init__(self, requester: Requester, key: IdempotencyKey | None, items: Sequence[object]) -> None:
        self.requester = requester
        self.items = items
        self.bodies: dict[int, IssueBody] = {}
        self.asked: dict[int, BatchItem] = {}
        self.outcomes: dict[int, IssuedCertificate | Exception] = {}
        for index, item in enumerate(items):
            part = None if key is None else key.part(index, digest_of_body(item))
            try:
                self.bodies[index] = read_issue_body(item)
                self.asked[index] = BatchItem(self._asked(self.bodies[index]), part)
            except Unavailable:
                raise
            except (PortalError, ValidationError) as refusal:
                self.outcomes[index] = refusal

    def _asked(self, body: IssueBody) -> Asked:
        """Raises what finding its profile or reading its CSR raises."""
        profile = find_profile(requester=self.requester, profile_id=body.profile_id)
        csr = body.csr_pem
        said = None if csr is None else read_applicant_csr(profile=profile, requester=self.requester, csr=csr)
        asked = Asked(
            profile=profile,
            request=body.issuance_request(said),
            requester=self.requester,
            method=EnrollmentMethod.API,
            metadata=body.metadata_entries,
        )
        first = next(iter(self.asked.values()), None)
        if first is not None and first.asked.project_id != asked.project_id:
            raise _other_project(profile.slug)
        return asked


def _other_project(slug: str) -> Invalid:
    return Invalid(
        f"Profile {slug} is of another project than those of the items before it.",
        violations=[
            Violation(
                field="profile_id",
                code="other_project",
                rule="the profiles of a batch are of one project",
                asked=slug,
                allowed="profiles of the project of the first item",
                fix="Send this item in another batch.",
            )
        ],
    )


def _within(error: dict[str, Any], index: int) -> dict[str, Any]:
    """An error about one item as an error about the batch."""
    message = error["message"]
    if not isinstance(message, str):
        message = [issue | {"path": ["items", index, *issue["path"]]} for issue in message]
    return error | {"message": message, "details": [_at(index, each) for each in error["details"]]}


def _at(index: int, detail: Mapping[str, Any]) -> dict[str, Any]:
    """A detail whose pointers lead into the body of the batch."""
    place = f"/items/{index}"
    patch = detail["patch"]
    if patch is not None:
        patch = [step | {name: place + step[name] for name in ("path", "from") if name in step} for step in patch]
    return {**detail, "pointer": place + detail["pointer"], "patch": patch}
