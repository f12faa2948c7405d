"""Universal auth over the API: logins, tokens, and the secrets of machine identities."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from pki_portal.access import universal_auth
from pki_portal.access.api.serializers import (
    AccessTokenSerializer,
    ClientSecretAnswer,
    ClientSecretDataSerializer,
    ClientSecretsAnswer,
    CreateClientSecretSerializer,
    LoginAnswer,
    LoginSerializer,
    MessageAnswer,
    NewClientSecretAnswer,
    UniversalAuthAnswer,
    UniversalAuthSerializer,
    UniversalAuthSettingsSerializer,
)
from pki_portal.access.models import UniversalAuth
from pki_portal.access.requester import anonymous_actor, requester_of
from pki_portal.access.universal_auth import IssuedToken
from pki_portal.rest import StrictFormParser, StrictJSONParser, parse_uuid, read, warned
from pki_portal.rest.schema import answers, uuid_parameters

_NEVER_KEPT = {"Cache-Control": "no-store"}


def _token_answer(issued: IssuedToken) -> Response:
    return Response(
        {
            "accessToken": issued.access_token,
            "expiresIn": issued.expires_in,
            "accessTokenMaxTTL": issued.max_ttl,
            "tokenType": "Bearer",
        },
        headers=_NEVER_KEPT,
    )


class AnonymousView(APIView):
    """Nobody needs to be known here: the body is the credential. Forms are read besides JSON."""

    authentication_classes = ()
    permission_classes = ()
    parser_classes = (StrictJSONParser, StrictFormParser)


class LoginView(AnonymousView):
    """``/api/v1/auth/universal-auth/login``."""

    @extend_schema(
        operation_id="universal_auth_login",
        request=LoginSerializer,
        responses=answers(LoginAnswer, with_body=True),
        auth=[],
        tags=["Login"],
    )
    def post(self, request: Request) -> Response:
        """Get a bearer token for a client id and its secret."""
        given = read(LoginSerializer(data=request.data))
        return _token_answer(
            universal_auth.log_in(
                client_id=given["clientId"], client_secret=given["clientSecret"], actor=anonymous_actor(request)
            )
        )


class RenewTokenView(AnonymousView):
    """``/api/v1/auth/token/renew``."""

    @extend_schema(
        operation_id="token_renew",
        request=AccessTokenSerializer,
        responses=answers(LoginAnswer, with_body=True),
        auth=[],
        tags=["Login"],
    )
    def post(self, request: Request) -> Response:
        """Start the life of a token anew."""
        given = read(AccessTokenSerializer(data=request.data))
        return _token_answer(universal_auth.renew(access_token=given["accessToken"], actor=anonymous_actor(request)))


class RevokeTokenView(AnonymousView):
    """``/api/v1/auth/token/revoke``."""

    @extend_schema(
        operation_id="token_revoke",
        request=AccessTokenSerializer,
        responses=answers(MessageAnswer, with_body=True),
        auth=[],
        tags=["Login"],
    )
    def post(self, request: Request) -> Response:
        """End a token at once."""
        given = read(AccessTokenSerializer(data=request.data))
        universal_auth.revoke(access_token=given["accessToken"], actor=anonymous_actor(request))
        return Response({"message": "The access token is revoked."})


@extend_schema(parameters=uuid_parameters("identity_id"))
class UniversalAuthView(APIView):
    """``/api/v1/auth/universal-auth/identities/{identityId}``."""

    @extend_schema(operation_id="universal_auth_get", responses=answers(UniversalAuthAnswer), tags=["Identities"])
    def get(self, request: Request, identity_id: str) -> Response:
        """Read how an identity logs in."""
        found = universal_auth.get(
            requester=requester_of(request), identity_id=parse_uuid(identity_id, field="identity_id")
        )
        return _configuration_answer(found)

    @extend_schema(
        operation_id="universal_auth_attach",
        request=UniversalAuthSettingsSerializer,
        responses=answers(UniversalAuthAnswer, with_body=True),
        tags=["Identities"],
    )
    def post(self, request: Request, identity_id: str) -> Response:
        """Let an identity log in with client secrets."""
        found = parse_uuid(identity_id, field="identity_id")
        body = UniversalAuthSettingsSerializer(data=request.data)
        read(body)
        attached = universal_auth.attach(requester=requester_of(request), identity_id=found, settings=body.settings())
        return _configuration_answer(attached, body)

    @extend_schema(
        operation_id="universal_auth_update",
        request=UniversalAuthSettingsSerializer,
        responses=answers(UniversalAuthAnswer, with_body=True),
        tags=["Identities"],
    )
    def patch(self, request: Request, identity_id: str) -> Response:
        """Change lives, limits and trusted networks."""
        found = parse_uuid(identity_id, field="identity_id")
        body = UniversalAuthSettingsSerializer(data=request.data)
        read(body)
        updated = universal_auth.update(requester=requester_of(request), identity_id=found, settings=body.settings())
        return _configuration_answer(updated, body)

    @extend_schema(operation_id="universal_auth_detach", responses=answers(UniversalAuthAnswer), tags=["Identities"])
    def delete(self, request: Request, identity_id: str) -> Response:
        """Take it away, with every secret and token."""
        detached = universal_auth.detach(
            requester=requester_of(request), identity_id=parse_uuid(identity_id, field="identity_id")
        )
        return _configuration_answer(detached)


def _configuration_answer(row: UniversalAuth, body: UniversalAuthSettingsSerializer | None = None) -> Response:
    answer = {"identityUniversalAuth": UniversalAuthSerializer(row).data}
    return Response(answer if body is None else warned(answer, body))


@extend_schema(parameters=uuid_parameters("identity_id"))
class ClientSecretsView(APIView):
    """``.../identities/{identityId}/client-secrets``."""

    @extend_schema(operation_id="client_secrets_list", responses=answers(ClientSecretsAnswer), tags=["Identities"])
    def get(self, request: Request, identity_id: str) -> Response:
        """List the records of an identity's secrets, newest first."""
        found = universal_auth.get(
            requester=requester_of(request), identity_id=parse_uuid(identity_id, field="identity_id")
        )
        return Response({"clientSecretData": ClientSecretDataSerializer(found.client_secrets.all(), many=True).data})

    @extend_schema(
        operation_id="client_secrets_create",
        request=CreateClientSecretSerializer,
        responses=answers(NewClientSecretAnswer, with_body=True),
        tags=["Identities"],
    )
    def post(self, request: Request, identity_id: str) -> Response:
        """Make a client secret; only this answer holds its text."""
        found = parse_uuid(identity_id, field="identity_id")
        body = CreateClientSecretSerializer(data=request.data)
        given = read(body)
        issued = universal_auth.create_client_secret(
            requester=requester_of(request),
            identity_id=found,
            description=given.get("description", ""),
            num_uses_limit=given.get("numUsesLimit", 0),
            ttl=given.get("ttl", 0),
        )
        answer = {
            "clientSecret": issued.client_secret,
            "clientSecretData": ClientSecretDataSerializer(issued.row).data,
        }
        return Response(warned(answer, body), headers=_NEVER_KEPT)


@extend_schema(parameters=uuid_parameters("identity_id", "client_secret_id"))
class ClientSecretView(APIView):
    """``.../client-secrets/{clientSecretId}``."""

    @extend_schema(operation_id="client_secrets_get", responses=answers(ClientSecretAnswer), tags=["Identities"])
    def get(self, request: Request, identity_id: str, client_secret_id: str) -> Response:
        """Read the record of one secret."""
        row = universal_auth.get_client_secret(
            requester=requester_of(request),
            identity_id=parse_uuid(identity_id, field="identity_id"),
            client_secret_id=parse_uuid(client_secret_id, field="client_secret_id"),
        )
        return Response({"clientSecretData": ClientSecretDataSerializer(row).data})


@extend_schema(parameters=uuid_parameters("identity_id", "client_secret_id"))
class RevokeClientSecretView(APIView):
    """``.../client-secrets/{clientSecretId}/revoke``."""

    @extend_schema(
        operation_id="client_secrets_revoke", request=None, responses=answers(ClientSecretAnswer), tags=["Identities"]
    )
    def post(self, request: Request, identity_id: str, client_secret_id: str) -> Response:
        """End a secret and the tokens that it gave."""
        row = universal_auth.revoke_client_secret(
            requester=requester_of(request),
            identity_id=parse_uuid(identity_id, field="identity_id"),
            client_secret_id=parse_uuid(client_secret_id, field="client_secret_id"),
        )
        return Response({"clientSecretData": ClientSecretDataSerializer(row).data})
