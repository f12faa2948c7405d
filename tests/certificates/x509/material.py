"""Keys, plans and a small PKI for the tests of the pure X.509 part."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from certificates.keystore.base import MemorySigner
from certificates.x509.issuer import DistributionUrls, Issuer
from certificates.x509.keys import PrivateKey, generate
from certificates.x509.tbs import build, build_authority, new_serial_number, sign
from profiles.policy.authority import decide_authority
from profiles.policy.decide import decide
from profiles.policy.judges.lifetime import Validity
from profiles.policy.plan import AuthorityPlan, IssuancePlan
from profiles.policy.request import AttributeValue, GeneralName, IssuanceRequest, IssuerFacts
from profiles.policy.responder import decide_responder
from profiles.policy.rules import BasicConstraintsRule, ProfileDefaults, TemplateRules, UsageRule, ValueRule
from profiles.policy.vocabulary import (
    BasicConstraintsState,
    ExtendedKeyUsage,
    KeyAlgorithm,
    KeyFamily,
    KeyUsage,
    NameType,
    SignatureAlgorithm,
    SubjectAttribute,
)

VECTORS = Path(__file__).parents[2] / "vectors"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
URLS = DistributionUrls(
    crl=("http://pki.example.com/crl/1/der", "http://mirror.example.com/crl/1"),
    ca_issuers=("http://pki.example.com/ca/1/der",),
    ocsp=("http://pki.example.com/ocsp/1",),
)
AUTHORITY_ALGORITHMS = tuple(KeyAlgorithm)


@cache
def key(algorithm: KeyAlgorithm) -> PrivateKey:
    """A key of that algorithm; RSA ones come from files, for making them is slow."""
    if algorithm.family is not KeyFamily.RSA:
        return generate(algorithm)
    pem = (VECTORS / f"rsa-{algorithm.value[4:]}.key.pem").read_bytes()
    loaded = load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(loaded, rsa.RSAPrivateKey)
    return loaded


def signer(algorithm: KeyAlgorithm) -> MemorySigner:
    """A signer with that key."""
    return MemorySigner(key(algorithm))


def subject(**values: str) -> tuple[AttributeValue, ...]:
    """Attributes in the order given: ``subject(country="US", common_name="Root")``."""
    return tuple(AttributeValue(SubjectAttribute(name), value) for name, value in values.items())


def dns(*names: str) -> tuple[GeneralName, ...]:
    """dNSNames."""
    return tuple(GeneralName(NameType.DNS_NAME, name) for name in names)


def authority_plan(name: str, signed_by: KeyAlgorithm, **changes: Any) -> AuthorityPlan:
    """A CA for ten years."""
    plan = decide_authority(
        subject=subject(country="US", organization="Acmé", common_name=name),
        validity=Validity(NOW - timedelta(days=1), NOW + timedelta(days=3650)),
        path_length=None,
        issuer=None,
        key_name=signed_by,
        now=NOW,
    )
    return replace(plan, **changes)


_ANY = ValueRule(allowed=("*",))
RULES = TemplateRules(
    subject=dict.fromkeys(SubjectAttribute, _ANY),
    subject_alternative_names=dict.fromkeys(NameType, _ANY),
    key_usages=UsageRule(allowed=tuple(KeyUsage)),
    extended_key_usages=UsageRule(allowed=(*ExtendedKeyUsage, "1.3.6.1.4.1.311.20.2.2", "2.25.1.268435455")),
    key_algorithms=tuple(KeyAlgorithm),
    signature_algorithms=tuple(SignatureAlgorithm),
    basic_constraints=BasicConstraintsRule(state=BasicConstraintsState.ALLOWED),
)
_REQUEST = IssuanceRequest(
    subject=subject(country="US", organization="Acme", common_name="service.acme.com"),
    subject_alternative_names=dns("service.acme.com"),
    key_usages=(KeyUsage.DIGITAL_SIGNATURE,),
    extended_key_usages=(ExtendedKeyUsage.SERVER_AUTH,),
    key_algorithm=KeyAlgorithm.EC_PRIME256V1,
    ttl=timedelta(days=90),
)


def issuance_plan(signed_by: KeyAlgorithm | None = KeyAlgorithm.EC_PRIME256V1, **changes: Any) -> IssuancePlan:
    """A server's certificate for 90 days, as ``decide`` grants it to such a request; signed by None: self-signed."""
    request = replace(_REQUEST, **changes)
    issuer = None if signed_by is None else facts(signed_by)
    return decide(rules=RULES, defaults=ProfileDefaults(), request=request, issuer=issuer, now=NOW).granted()


def facts(signed_by: KeyAlgorithm, *, not_after: datetime = NOW + timedelta(days=3650)) -> IssuerFacts:
    """An issuing CA with such a key, as the rules see it."""
    return IssuerFacts(
        name="Issuing",
        key_family=signed_by.family,
        key_algorithm=signed_by.value,
        not_before=NOW - timedelta(days=1),
        not_after=not_after,
        path_length=None,
    )


@cache
def root(algorithm: KeyAlgorithm, path_length: int | None = None) -> x509.Certificate:
    """A root with that key."""
    plan = authority_plan("Root", algorithm, path_length=path_length)
    tbs = build_authority(
        plan=plan,
        issuer=None,
        serial_number=new_serial_number(),
        public_key=key(algorithm).public_key(),
        urls=DistributionUrls(),
    )
    return sign(tbs, signer(algorithm))


@cache
def intermediate(
    algorithm: KeyAlgorithm, root_algorithm: KeyAlgorithm, path_length: int | None = 0
) -> x509.Certificate:
    """An issuing CA with that key under the root with the other."""
    tbs = build_authority(
        plan=authority_plan("Issuing", root_algorithm, path_length=path_length),
        issuer=Issuer(root(root_algorithm)),
        serial_number=new_serial_number(),
        public_key=key(algorithm).public_key(),
        urls=URLS,
    )
    return sign(tbs, signer(root_algorithm))


def end_entity(
    plan: IssuancePlan,
    issuer: x509.Certificate,
    issuer_algorithm: KeyAlgorithm,
    *,
    serial_number: int | None = None,
) -> x509.Certificate:
    """A certificate of the plan under that issuer."""
    tbs = build(
        plan=plan,
        issuer=Issuer(issuer),
        serial_number=serial_number or new_serial_number(),
        public_key=key(plan.key_algorithm).public_key(),
        urls=URLS,
    )
    return sign(tbs, signer(issuer_algorithm))


@cache
def responder(issuer_algorithm: KeyAlgorithm) -> x509.Certificate:
    """An OCSP responder of the root with that key; its own key is ``key(responder_algorithm)``."""
    facts = IssuerFacts(
        name="Root",
        key_family=issuer_algorithm.family,
        key_algorithm=issuer_algorithm.value,
        not_before=NOW - timedelta(days=1),
        not_after=NOW + timedelta(days=3650),
        path_length=None,
    )
    plan = decide_responder(name="OCSP responder", issuer=facts, now=NOW)
    tbs = build(
        plan=plan,
        issuer=Issuer(root(issuer_algorithm)),
        serial_number=new_serial_number(),
        public_key=key(plan.key_algorithm).public_key(),
        urls=DistributionUrls(),
    )
    return sign(tbs, signer(issuer_algorithm))


def self_signed(plan: IssuancePlan) -> x509.Certificate:
    """A certificate of the plan, signed by its own key."""
    tbs = build(
        plan=plan,
        issuer=None,
        serial_number=new_serial_number(),
        public_key=key(plan.key_algorithm).public_key(),
        urls=DistributionUrls(),
    )
    return sign(tbs, signer(plan.key_algorithm))


def der(certificate: x509.Certificate) -> bytes:
    """Its encoding."""
    return certificate.public_bytes(Encoding.DER)
