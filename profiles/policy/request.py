"""What an applicant asks, frozen: the one input that every door builds."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from profiles.policy.vocabulary import (
    KeyAlgorithm,
    KeyFamily,
    KeyUsage,
    NameType,
    Purpose,
    SignatureAlgorithm,
    SubjectAttribute,
)


@dataclass(frozen=True, slots=True)
class AttributeValue:
    """One attribute of a subject as asked: a SubjectAttribute, or the dotted OID of one that no template can allow."""

    type: SubjectAttribute | str
    value: str


@dataclass(frozen=True, slots=True)
class GeneralName:
    """One subjectAltName as asked.

    ``type`` is a NameType, or the RFC 5280 name of a kind that no template can allow (``directoryName``).
    """

    type: NameType | str
    value: str


@dataclass(frozen=True, slots=True)
class BasicConstraints:
    """RFC 5280, 4.2.1.9; ``path_length`` None means no limit."""

    is_ca: bool
    path_length: int | None = None


@dataclass(frozen=True, slots=True)
class ApplicantKey:
    """The public key of a CSR whose self-signature has been verified (RFC 2986, 4.2).

    Attributes:
        subject_public_key_info: DER of SubjectPublicKeyInfo.
        algorithm: None where the key is of a kind, size or curve that is not certified here.
        description: what the key is, for people (``RSA 1024``).
        weaknesses: each reason why this key must not be certified, for people.
    """

    subject_public_key_info: bytes
    algorithm: KeyAlgorithm | None
    description: str
    weaknesses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IssuanceRequest:
    """What is asked of a profile.

    None means "not asked": defaults may fill it. An empty tuple of usages means "asked for none".

    Attributes:
        subject: in the order asked.
        subject_alternative_names: in the order asked, values as written.
        ttl: wanted life; excludes ``not_before`` and ``not_after`` (aware UTC).
        applicant_key: given by a CSR; None means that the portal makes the key.
        csr: PEM of the CSR, to be kept with the request; holds no secret.
        ignored: what the request carried and no rule reads, each a noun that the answer's warnings make a sentence of.
    """

    subject: tuple[AttributeValue, ...] = ()
    subject_alternative_names: tuple[GeneralName, ...] = ()
    key_usages: tuple[KeyUsage, ...] | None = None
    extended_key_usages: tuple[Purpose, ...] | None = None
    key_algorithm: KeyAlgorithm | None = None
    signature_algorithm: SignatureAlgorithm | None = None
    ttl: timedelta | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    basic_constraints: BasicConstraints | None = None
    applicant_key: ApplicantKey | None = None
    csr: str | None = None
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Subtree:
    """The base of one GeneralSubtree (RFC 5280, 4.2.1.10).

    Attributes:
        kind: a NameType, or the RFC 5280 name of a kind that nobody can ask for here (``directoryName``).
        value: ``example.com`` for DNS names, ``10.0.0.0/8`` for addresses; for e-mail addresses and URIs a host, with a
            leading dot the hosts below a domain, and for the former also one mailbox.
        attributes: of a directoryName.
    """

    kind: NameType | str
    value: str
    attributes: tuple[AttributeValue, ...] = ()


@dataclass(frozen=True, slots=True)
class NameConstraints:
    """RFC 5280, 4.2.1.10; nothing in it constrains nothing."""

    permitted: tuple[Subtree, ...] = ()
    excluded: tuple[Subtree, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.permitted or self.excluded)


@dataclass(frozen=True, slots=True)
class PathConstraint:
    """What one CA of a certification path constrains; ``authority`` is its name, for messages."""

    authority: str
    constraints: NameConstraints


@dataclass(frozen=True, slots=True)
class IssuerFacts:
    """What the rules need to know of the CA that would sign.

    Attributes:
        name: for messages.
        key_family: of the CA's key, whatever its size.
        key_algorithm: name of the CA's key (``EC_secp384r1``, ``RSA_8192``); chooses the default hash.
        not_before, not_after: of the CA's current certificate, aware UTC.
        path_length: of the CA's current certificate; None means no limit.
        is_active: false for a disabled CA and one without a certificate.
        subject: of the CA's current certificate, in the order encoded; no certificate below it may bear this name.
        name_constraints: of every CA in the certification path, its own included; only of those that constrain.
        revoked: the CA in the certification path whose certificate was revoked, if one was; then nothing below counts.
    """

    name: str
    key_family: KeyFamily
    key_algorithm: str
    not_before: datetime
    not_after: datetime
    path_length: int | None
    is_active: bool = True
    subject: tuple[AttributeValue, ...] = ()
    name_constraints: tuple[PathConstraint, ...] = ()
    revoked: str = ""
