"""OCSP responders: their certificates, issued and renewed as they are needed."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from uuid import UUID, uuid4

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import transaction

from certificates.keystore.base import Signer
from certificates.keystore.database import load_signer, seal_private_key
from certificates.models import AuthorityCertificate, AuthorityKey, OcspResponder
from certificates.services.journal import certificates_stored, journaled
from certificates.services.signing import sign_and_verify, signer_of_key
from certificates.x509.inspect import facts_of
from certificates.x509.issuer import DistributionUrls, Issuer
from certificates.x509.keys import generate, public_key_info
from pki_portal.access.remembering import Scope, remembered
from pki_portal.access.requester import system_requester
from pki_portal.audit.services import record
from pki_portal.errors import PortalError, Unavailable
from profiles.policy.request import IssuerFacts
from profiles.policy.responder import decide_responder
from profiles.policy.vocabulary import key_family

# A responder is replaced after this part of its life: a CA key that cannot be used for a week stops no answer.
RENEWED_AFTER = 0.5
ISSUE_EVENT = "issue-ocsp-responder"


@dataclass(frozen=True, slots=True)
class Responder:
    """Who signs answers now."""

    certificate: x509.Certificate
    signer: Signer


def responder_for(issuer: AuthorityCertificate, *, now: datetime) -> Responder:
    """The responder of a CA key, issued anew first where there is none or half of its life is over.

    Args:
        issuer: the newest certificate of that key, with its CA and key.

    Raises:
        Unavailable: there is none that is valid, and none could be issued: the CA's key cannot be used, or its
            certificate has ended.
    """
    newest = _remembered(issuer.key_id)
    if newest is not None and _is_young(newest, now):
        return _loaded(newest)
    try:
        return _loaded(_issued(issuer, now=now))
    except PortalError as problem:
        if newest is not None and newest.not_before <= now < newest.not_after:
            return _loaded(newest)
        raise Unavailable(f"CA {issuer.authority.name} has no OCSP responder: {problem.message}") from problem


@remembered(Scope.RULES)
def _remembered(key_id: UUID) -> OcspResponder | None:
    return _newest(key_id)


def _is_young(responder: OcspResponder, now: datetime) -> bool:
    return now < responder.not_before + (responder.not_after - responder.not_before) * RENEWED_AFTER


def _newest(key_id: UUID) -> OcspResponder | None:
    """Of a CA's key."""
    usable = OcspResponder.objects.filter(key=key_id, sealed_private_key__isnull=False)
    return usable.order_by("-not_after").first()


def _loaded(row: OcspResponder) -> Responder:
    certificate = _certificate(row.pk, bytes(row.der))
    signer = load_signer(
        key_id=row.pk,
        sealed=bytes(row.sealed_private_key or b""),
        public_key_spki=public_key_info(certificate.public_key()),
    )
    return Responder(certificate=certificate, signer=signer)


@lru_cache(maxsize=256)
def _certificate(_: UUID, der: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(der)


def _issued(issuer: AuthorityCertificate, *, now: datetime) -> OcspResponder:
    """A new responder: decided, signed and verified like every certificate; stored with its event in one transaction.

    Of several processes that find it due, one issues it.
    """
    requester, project_id = system_requester("ocsp"), issuer.authority.project_id
    with journaled(requester=requester, project_id=project_id), transaction.atomic():
        key = AuthorityKey.objects.select_for_update(of=("self",), no_key=True).get(pk=issuer.key_id)
        newest = _newest(key.pk)
        if newest is not None and _is_young(newest, now):
            return newest
        certificate = x509.load_der_x509_certificate(bytes(issuer.der))
        plan = decide_responder(
            name=f"OCSP responder {str(key.pk)[:8]}", issuer=_issuer_facts(issuer, certificate), now=now
        )
        made = generate(plan.key_algorithm)
        signed = sign_and_verify(
            plan=plan,
            issuer=Issuer(certificate),
            issuer_row=issuer,
            signer=signer_of_key(key),
            public_key=made.public_key(),
            urls=DistributionUrls(),
            change="the CA",
        )
        responder_id = uuid4()
        row = OcspResponder.objects.create(
            id=responder_id,
            key=key,
            serial_number=signed.facts.serial_number,
            der=signed.certificate.public_bytes(Encoding.DER),
            sealed_private_key=seal_private_key(made, key_id=responder_id),
            not_before=signed.facts.not_before,
            not_after=signed.facts.not_after,
        )
        certificates_stored({signed.line: row})
        key.ocsp_responders.filter(not_after__lte=now).update(sealed_private_key=None)
        record(
            event=ISSUE_EVENT,
            actor=requester.actor,
            project_id=project_id,
            subject_type="certificate-authority",
            subject_id=str(issuer.authority_id),
            data={
                "name": issuer.authority.name,
                "serialNumber": row.serial_number,
                "notAfter": row.not_after.isoformat(),
            },
        )
    return row


def _issuer_facts(issuer: AuthorityCertificate, certificate: x509.Certificate) -> IssuerFacts:
    """What the certificate of this very key says: a CA that was re-keyed answers for its old key, too.

    A disabled CA issues nothing, but what it issued can still be asked for.
    """
    facts = facts_of(certificate)
    name = facts.key_algorithm or facts.key_description
    return IssuerFacts(
        name=issuer.authority.name,
        key_family=key_family(name),
        key_algorithm=name,
        not_before=issuer.not_before,
        not_after=issuer.not_after,
        path_length=issuer.path_length,
        is_active=True,
        subject=facts.subject,
    )
