"""Parameters and paging in the API description, beside the serializers."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

from pki_portal.rest.paging import CURSOR_HELP

REFERENCE = OpenApiParameter(
    "reference",
    OpenApiTypes.STR,
    OpenApiParameter.PATH,
    description="Id, serial number or SHA-256 fingerprint of the certificate.",
)
CERTIFICATE_ID = OpenApiParameter(
    "certificate_id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="Id of the certificate."
)
PROJECT_ID = OpenApiParameter("project_id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="Id of the project.")
PROFILE_ID = OpenApiParameter("profile_id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="Id of the profile.")
REQUEST_ID = OpenApiParameter(
    "request_id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="Id of the certificate request."
)
CA_ID = OpenApiParameter("ca_id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="Id of the CA.")
CA_CERT_ID = OpenApiParameter(
    "certificate_id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="Id of one version of its certificate."
)
OCSP_REQUEST = OpenApiParameter(
    "encoded", OpenApiTypes.STR, OpenApiParameter.PATH, description="The OCSP request in base64 (RFC 6960, A.1)."
)
CRL_ID = OpenApiParameter("crl_id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="Id of the CRL.")
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    OpenApiParameter.HEADER,
    description="One key, one certificate: the same key and body again answer the same certificate, without its key.",
)
DRY_RUN = OpenApiParameter(
    "dryRun",
    OpenApiTypes.BOOL,
    description="true: judge and explain, sign and store nothing. The answer is then an Explanation.",
)


def paging(default_limit: int) -> list[OpenApiParameter]:
    """``offset`` and ``limit`` as the paginator reads them."""
    return [
        OpenApiParameter("offset", {"type": "integer", "minimum": 0, "default": 0}),
        OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": 100, "default": default_limit}),
    ]


def cursor_paging(default_limit: int) -> list[OpenApiParameter]:
    """The same and ``cursor``."""
    cursor = OpenApiParameter("cursor", {"type": "string", "maxLength": 1000}, description=CURSOR_HELP)
    return [*paging(default_limit), cursor]
