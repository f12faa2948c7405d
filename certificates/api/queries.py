"""What the lists of certificates and requests are asked."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from rest_framework import serializers

from certificates.api.fields import FlagField, IdListField, MomentField
from certificates.models.certificate import CertificateSource
from certificates.models.request import RequestStatus
from certificates.querysets import CertificateFilters, CertificateOrder, RequestFilters, RequestOrder, StatusFilter
from pki_portal.rest import EnumField, StrictBooleanField, StrictCharField, StrictIntegerField, WireSerializer
from pki_portal.rest.paging import CURSOR_HELP

_CERTIFICATE_ORDERS = {
    "createdAt": CertificateOrder.CREATED_AT,
    "notBefore": CertificateOrder.NOT_BEFORE,
    "notAfter": CertificateOrder.NOT_AFTER,
    "commonName": CertificateOrder.COMMON_NAME,
    "keyAlgorithm": CertificateOrder.KEY_ALGORITHM,
    "status": CertificateOrder.STATUS,
}
_REQUEST_ORDERS = {
    "createdAt": RequestOrder.CREATED_AT,
    "updatedAt": RequestOrder.UPDATED_AT,
    "commonName": RequestOrder.COMMON_NAME,
    "status": RequestOrder.STATUS,
}


class SortDirection(StrEnum):
    """Which end comes first."""

    ASCENDING = "asc"
    DESCENDING = "desc"


class RequestState(StrEnum):
    """What a certificate request can have come to, in full."""

    PENDING_APPROVAL = "pending_approval"
    PENDING = "pending"
    ISSUED = "issued"
    FAILED = "failed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


def _search_field(**kwargs: Any) -> StrictCharField:
    return StrictCharField(required=False, allow_blank=True, max_length=255, **kwargs)


class IssueQuery(WireSerializer):
    """Query of an issue request."""

    dryRun = StrictBooleanField(required=False)  # noqa: N815


class ProfileCertificatesQuery(WireSerializer):
    """Query of a profile's certificates; paging is read by the paginator."""

    status = EnumField(StatusFilter, required=False)
    search = _search_field(help_text="In names, the start of a serial number, or an id.")

    @property
    def filters(self) -> CertificateFilters:
        """As the query's value."""
        return CertificateFilters(
            search=self.validated_data.get("search", ""), status=self.validated_data.get("status")
        )


class CertificatesQuery(WireSerializer):
    """Query of a project's certificates; paging is read by the paginator."""

    search = _search_field(help_text="In names, the start of a serial number, or an id.")
    commonName = _search_field(help_text="In the common name.")  # noqa: N815
    friendlyName = _search_field(help_text="In the name given to an imported one.")  # noqa: N815
    status = EnumField(StatusFilter, required=False)
    source = EnumField(CertificateSource, required=False)  # type: ignore[assignment] # DRF takes the fields off the class
    profileIds = IdListField(required=False)  # noqa: N815
    fromDate = MomentField(required=False, max_length=100, help_text="Made at or after.")  # noqa: N815
    toDate = MomentField(required=False, max_length=100, help_text="Made at or before.")  # noqa: N815
    forPkiSync = FlagField(required=False, help_text="Only active ones that were not renewed.")  # noqa: N815
    failingRenewal = FlagField(  # noqa: N815
        required=False, help_text="Only active ones whose last renewal failed, or whose next one would."
    )

    @property
    def filters(self) -> CertificateFilters:
        """As the query's value."""
        return filters_in(self.validated_data)


def filters_in(asked: Mapping[str, Any]) -> CertificateFilters:
    """The filters in a checked ``CertificatesQuery``."""
    return CertificateFilters(
        search=asked.get("search", ""),
        common_name=asked.get("commonName", ""),
        friendly_name=asked.get("friendlyName", ""),
        status=asked.get("status"),
        source=asked.get("source"),
        profile_ids=tuple(asked.get("profileIds", ())),
        created_from=asked.get("fromDate"),
        created_to=asked.get("toDate"),
        deployable_only=asked.get("forPkiSync", False),
        failing_renewal_only=asked.get("failingRenewal", False),
    )


class SearchCertificatesSerializer(CertificatesQuery):
    """Body of a certificate search."""

    offset = StrictIntegerField(required=False, min_value=0, default=0)
    limit = StrictIntegerField(required=False, min_value=1, max_value=100, default=25)
    cursor = StrictCharField(
        required=False, allow_blank=True, default="", max_length=1000, help_text=f"{CURSOR_HELP} In the same order."
    )
    sortBy = serializers.ChoiceField(choices=list(_CERTIFICATE_ORDERS), required=False, default="createdAt")  # noqa: N815
    sortOrder = EnumField(SortDirection, required=False, default=SortDirection.DESCENDING)  # noqa: N815

    @property
    def order(self) -> CertificateOrder:
        """The column to sort by."""
        return _CERTIFICATE_ORDERS[self.validated_data["sortBy"]]

    @property
    def is_descending(self) -> bool:
        """Whether the last comes first."""
        return bool(self.validated_data["sortOrder"] is SortDirection.DESCENDING)


class RequestsQuery(WireSerializer):
    """Query of a project's certificate requests; paging is read by the paginator."""

    projectSlug = StrictCharField(max_length=255)  # noqa: N815
    search = _search_field(help_text="In the names, or an id.")
    status = EnumField(RequestState, required=False)
    profileIds = IdListField(required=False)  # noqa: N815
    fromDate = MomentField(required=False, max_length=100, help_text="Asked at or after.")  # noqa: N815
    toDate = MomentField(required=False, max_length=100, help_text="Asked at or before.")  # noqa: N815
    sortBy = serializers.ChoiceField(choices=list(_REQUEST_ORDERS), required=False, default="createdAt")  # noqa: N815
    sortOrder = EnumField(SortDirection, required=False, default=SortDirection.DESCENDING)  # noqa: N815

    @property
    def filters(self) -> RequestFilters:
        """As the query's value."""
        asked = self.validated_data
        status = asked.get("status")
        return RequestFilters(
            search=asked.get("search", ""),
            status=None if status is None else RequestStatus(status.value),
            profile_ids=tuple(asked.get("profileIds", ())),
            created_from=asked.get("fromDate"),
            created_to=asked.get("toDate"),
        )

    @property
    def order(self) -> RequestOrder:
        """The column to sort by."""
        return _REQUEST_ORDERS[self.validated_data["sortBy"]]

    @property
    def is_descending(self) -> bool:
        """Whether the last comes first."""
        return bool(self.validated_data["sortOrder"] is SortDirection.DESCENDING)
