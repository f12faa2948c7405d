"""Certificates from elsewhere over HTTP."""
# ruff: noqa: N815 - the wire's spelling

import base64
import binascii
from contextlib import suppress
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from certificates.api.views import CertificateView
from certificates.services.importing import Imported, Upload, import_certificates
from certificates.services.retrieval import certificate_pem, chain_pem
from certificates.x509.bundles import MAX_BUNDLE_BYTES
from pki_portal.access.querysets import get_project_by_slug
from pki_portal.access.requester import requester_of
from pki_portal.rest import StrictBooleanField, StrictCharField, WireSerializer, read
from pki_portal.rest.schema import answers
from pki_portal.rest.views import WireView

TAG = "Certificates"
# MAX_BUNDLE_BYTES in base64, and MAX_KEY_BYTES.
BUNDLE_LIMIT = MAX_BUNDLE_BYTES * 4 // 3 + 1024
KEY_LIMIT = 360 * 1024
_ON_THE_WIRE = {
    "certificate": "certificatePem",
    "certificate_chain": "chainPem",
    "private_key": "privateKeyPem",
    "password": "password",
}


class ImportCertificatesSerializer(WireSerializer):
    """Body of POST /certificates/import-certificate."""

    projectSlug = StrictCharField(max_length=255)
    certificatePem = StrictCharField(
        max_length=BUNDLE_LIMIT,
        help_text="One certificate or many (at most 100), with their issuers or without: PEM; or DER, PKCS#7 or "
        "PKCS#12 in base64.",
    )
    chainPem = StrictCharField(
        required=False,
        allow_blank=True,
        allow_null=True,
        max_length=BUNDLE_LIMIT,
        help_text="More issuers, in any order: PEM, or DER or PKCS#7 in base64.",
    )
    privateKeyPem = StrictCharField(
        required=False,
        allow_blank=True,
        allow_null=True,
        max_length=KEY_LIMIT,
        help_text="PKCS#8 in PEM, encrypted or not, or its DER in base64: the key of one of the certificates.",
    )
    password = StrictCharField(
        required=False,
        allow_blank=True,
        allow_null=True,
        trim_whitespace=False,
        max_length=1024,
        help_text="Of a PKCS#12 file or an encrypted key.",
    )
    keepPrivateKey = StrictBooleanField(
        required=False, default=False, help_text="Keep the private key, encrypted. Without this it is forgotten."
    )
    friendlyName = StrictCharField(required=False, allow_blank=True, allow_null=True, max_length=255)


class ImportedCertificateAnswer(serializers.Serializer[Any]):
    """One certificate of an import."""

    certificateId = serializers.UUIDField()
    serialNumber = serializers.CharField()
    certificate = serializers.CharField(help_text="PEM.")
    certificateChain = serializers.CharField(
        allow_null=True, help_text="PEM, issuer first, as far as it is known; null where it is not."
    )
    isNew = serializers.BooleanField(help_text="false: the project had it already; this answers that one.")


class ImportAnswer(ImportedCertificateAnswer):
    """The first certificate of an import, and all of them."""

    privateKey = serializers.CharField(allow_null=True, help_text="Always null: it is sent back to nobody.")
    certificates = ImportedCertificateAnswer(many=True)
    warnings = serializers.ListField(child=serializers.CharField())


class ImportCertificateView(CertificateView, WireView):
    """``/certificates/import-certificate``."""

    @extend_schema(
        operation_id="importCertificate",
        summary="Import certificates that were issued elsewhere",
        tags=[TAG],
        request=ImportCertificatesSerializer,
        responses=answers(ImportAnswer, with_body=True),
    )
    def post(self, request: Request) -> Response:
        """They are listed and watched; their own CA revokes and renews them.

        Every certificate sent that is no other's issuer is imported; the issuers become its chain.
        """
        requester = requester_of(request)
        body = ImportCertificatesSerializer(data=request.data)
        asked = read(body)
        project = get_project_by_slug(requester=requester, slug=asked["projectSlug"])
        done = import_certificates(
            requester=requester,
            project=project,
            upload=Upload(
                content=_octets(asked["certificatePem"]),
                chain=_octets(asked.get("chainPem") or ""),
                private_key=_octets(asked.get("privateKeyPem") or ""),
                password=asked.get("password") or "",
            ),
            is_key_kept=asked["keepPrivateKey"],
            friendly_name=asked.get("friendlyName") or "",
        )
        told = [_told(each) for each in done.certificates]
        warnings = [*body.ignored_warnings, *done.notes]
        return Response({**told[0], "privateKey": None, "certificates": told, "warnings": warnings})

    def on_the_wire(self, field: str) -> str:
        """The body's name of what the service judged."""
        return _ON_THE_WIRE.get(field, field)


def _octets(text: str) -> bytes:
    """PEM as it is, anything else out of base64; what is no base64, as it is, for the service to refuse."""
    if "-----BEGIN" not in text:
        with suppress(binascii.Error, ValueError):
            return base64.b64decode("".join(text.split()), validate=True)
    return text.encode()


def _told(imported: Imported) -> dict[str, Any]:
    certificate = imported.certificate
    return {
        "certificateId": str(certificate.pk),
        "serialNumber": certificate.serial_number,
        "certificate": certificate_pem(certificate),
        "certificateChain": chain_pem(certificate) or None,
        "isNew": imported.is_new,
    }
