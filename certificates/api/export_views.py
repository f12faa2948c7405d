"""Certificates as files over HTTP."""

from collections.abc import Iterable
from typing import Any

from django.core.validators import RegexValidator
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from certificates.api.schema import REFERENCE
from certificates.api.views import CertificateView
from certificates.services.deployment import Group, deploy_kit
from certificates.services.export import (
    KEY_MEDIA_TYPES,
    LONGEST_ALIAS,
    LONGEST_PASSWORD,
    PASSWORD_FORM,
    PASSWORD_HINT,
    PUBLIC_MEDIA_TYPES,
    SHORTEST_PASSWORD,
    TRUSTSTORE_PASSWORD,
    KeyFormat,
    Packing,
    PublicFormat,
    key_file,
    public_file,
)
from certificates.services.retrieval import find_certificate
from pki_portal.access.requester import requester_of
from pki_portal.attachments import attachment
from pki_portal.rest import EnumField, StrictCharField, WireSerializer, read
from pki_portal.rest.body import WireNegotiation
from pki_portal.rest.schema import answers

TAG = "Certificates"
_ENUM = [each.value for each in PublicFormat]


def _files(media_types: Iterable[str]) -> dict[Any, Any]:
    """The response of an operation that answers a file of one of these types."""
    return {(200, media_type): OpenApiTypes.BINARY for media_type in sorted(set(media_types))}


class FileNegotiation(WireNegotiation):
    """A file has the form that was asked for by name, whatever the client says it accepts; refusals are JSON."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """The first."""
        first = next(iter(renderers))
        return first, first.media_type or ""


class DownloadQuery(WireSerializer):
    """Query of a download."""

    format = EnumField(PublicFormat, required=False, default=PublicFormat.PEM)


class PackKeySerializer(WireSerializer):
    """Body of POST /certificates/{id}/pkcs12."""

    password = StrictCharField(
        min_length=SHORTEST_PASSWORD,
        max_length=LONGEST_PASSWORD,
        trim_whitespace=False,
        validators=[RegexValidator(PASSWORD_FORM, PASSWORD_HINT, code="invalid_password")],
        help_text=f"What opens the file; the portal keeps it nowhere. {PASSWORD_HINT}",
    )
    alias = StrictCharField(max_length=LONGEST_ALIAS, help_text="What the key is called in the file.")
    format = EnumField(
        KeyFormat,
        required=False,
        default=KeyFormat.PKCS12,
        help_text="pkcs12: AES-256 and SHA-256. pkcs12-legacy: 3DES and SHA-1, for old programs. jks: Java's old "
        "keystore. pem: the key in encrypted PKCS#8 with certificate and chain, also for ML-DSA keys.",
    )


class FileView(CertificateView):
    """Base of what answers a file."""

    content_negotiation_class = FileNegotiation


class DownloadView(FileView):
    """``/certificates/{id}/download``."""

    @extend_schema(
        operation_id="downloadCertificate",
        summary="Download a certificate as a file",
        tags=[TAG],
        parameters=[
            REFERENCE,
            OpenApiParameter(
                "format",
                {"type": "string", "enum": _ENUM, "default": "pem"},
                description="pem and der: the certificate. fullchain: it and its intermediates, as servers send them. "
                "chain: all above it. root. p7b: the whole path in PKCS#7. truststore: the root for Java, in PKCS#12 "
                f"with the password {TRUSTSTORE_PASSWORD}.",
            ),
        ],
        responses=_files(PUBLIC_MEDIA_TYPES) | answers(None),
    )
    def get(self, request: Request, reference: str) -> HttpResponse:
        """Never a key."""
        certificate = find_certificate(requester=requester_of(request), reference=reference)
        file = public_file(certificate, read(DownloadQuery(data=request.query_params))["format"])
        return attachment(file.content, name=file.name, media_type=file.media_type)


class KitFileSerializer(serializers.Serializer[Any]):
    """A file that the texts speak of."""

    name = serializers.CharField()
    format = serializers.ChoiceField(
        choices=_ENUM, allow_null=True, help_text="What to download it as; null for the private key."
    )
    holds = serializers.CharField()


class KitBlockSerializer(serializers.Serializer[Any]):
    """Something to paste."""

    title = serializers.CharField()
    language = serializers.CharField(help_text="shell, powershell, or that of a configuration.")
    path = serializers.CharField(allow_blank=True, help_text="The file it goes into; empty for a command.")
    text = serializers.CharField()


class KitRecipeSerializer(serializers.Serializer[Any]):
    """All that one program or system needs, in order."""

    id = serializers.CharField()
    group = serializers.ChoiceField(choices=[each.value for each in Group])
    title = serializers.CharField()
    notes = serializers.ListField(child=serializers.CharField())
    blocks = KitBlockSerializer(many=True)


class DeployKitSerializer(serializers.Serializer[Any]):
    """How to put a certificate to use."""

    certificateId = serializers.UUIDField()  # noqa: N815
    files = KitFileSerializer(many=True)
    recipes = KitRecipeSerializer(many=True)
    warnings = serializers.ListField(child=serializers.CharField())


class DeployKitView(CertificateView):
    """``/certificates/{id}/deploy-kit``."""

    @extend_schema(
        operation_id="getCertificateDeployKit",
        summary="Read how to put a certificate to use",
        tags=[TAG],
        parameters=[REFERENCE],
        responses=answers(DeployKitSerializer),
    )
    def get(self, request: Request, reference: str) -> Response:
        """Configurations and commands with its own names in, for servers and trust stores; no key."""
        certificate = find_certificate(requester=requester_of(request), reference=reference)
        kit = deploy_kit(certificate)
        told = {
            "certificateId": certificate.pk,
            "files": kit.files,
            "recipes": kit.recipes,
            "warnings": kit.warnings,
        }
        return Response(DeployKitSerializer(told).data)


class PackKeyView(FileView):
    """``/certificates/{id}/pkcs12``."""

    @extend_schema(
        operation_id="exportCertificatePkcs12",
        summary="Download a certificate with its kept private key",
        tags=[TAG],
        parameters=[REFERENCE],
        request=PackKeySerializer,
        responses=_files(KEY_MEDIA_TYPES) | answers(None, 410, with_body=True),
    )
    def post(self, request: Request, reference: str) -> HttpResponse:
        """Of a key that waits for its one claim this is the claim. 404 and 410 as for `private-key`."""
        requester = requester_of(request)
        certificate = find_certificate(requester=requester, reference=reference)
        asked: dict[str, Any] = read(PackKeySerializer(data=request.data))
        packing = Packing(format=asked["format"], alias=asked["alias"], password=asked["password"])
        file = key_file(requester=requester, certificate=certificate, packing=packing)
        return attachment(file.content, name=file.name, media_type=file.media_type)
