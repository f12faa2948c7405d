"""What may stand in a CA's certificate, and what its state allows: each check names every reason at once."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime

from cryptography import x509

from certificates.models import AuthorityCertificate, CertificateAuthority
from certificates.models.authority import AuthorityKind, AuthorityStatus
from certificates.x509.names import encode_subject
from pki_portal.errors import Violation
from profiles.policy.judges.constraints import LONGEST_PATH
from profiles.policy.names import InvalidName, normalise_attribute
from profiles.policy.request import AttributeValue
from profiles.policy.vocabulary import SubjectAttribute

ROOT_LIFE_YEARS = 10
INTERMEDIATE_LIFE_YEARS = 5
# UTCTime, which is to be used up to 2049, begins here.
EARLIEST = datetime(1950, 1, 1, tzinfo=UTC)
NAME_LENGTH = 64
FRIENDLY_NAME_LENGTH = 255
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class AuthoritySubject:
    """A CA's distinguished name; an empty text leaves the attribute out, at least one is needed."""

    common_name: str = ""
    organization: str = ""
    organizational_unit: str = ""
    country: str = ""
    state: str = ""
    locality: str = ""

    def attributes(self) -> tuple[AttributeValue, ...]:
        """The attributes that are there, in the order of encoding."""
        return tuple(
            AttributeValue(attribute, getattr(self, attribute.value))
            for attribute in SubjectAttribute
            if getattr(self, attribute.value)
        )

    def name(self) -> x509.Name:
        """The encoded Name. Raises Invalid."""
        return encode_subject(self.attributes())


@dataclass(frozen=True, slots=True)
class Validity:
    """Aware UTC in whole seconds, both ends included (RFC 5280, 4.1.2.5)."""

    not_before: datetime
    not_after: datetime


def subject_of(authority: CertificateAuthority) -> AuthoritySubject:
    """The name in a CA's columns."""
    return AuthoritySubject(**{field.name: getattr(authority, field.name) for field in fields(AuthoritySubject)})


def normalised(subject: AuthoritySubject) -> AuthoritySubject:
    """The subject in normal form; a value without one is kept for :func:`subject_violations` to name."""
    values = {}
    for field in fields(subject):
        value = getattr(subject, field.name).strip()
        values[field.name] = value
        if value:
            try:
                values[field.name] = normalise_attribute(AttributeValue(SubjectAttribute(field.name), value)).value
            except InvalidName:
                continue
    return AuthoritySubject(**values)


def validity_of(
    *, not_before: datetime | None, not_after: datetime | None, default_years: int, now: datetime
) -> Validity:
    """The dates as asked, in whole seconds; from now, and for so many years, where nothing is asked."""
    start = _whole(not_before or now)
    return Validity(not_before=start, not_after=_whole(not_after) if not_after else _years_later(start, default_years))


def _whole(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)


def _years_later(moment: datetime, years: int) -> datetime:
    year = min(moment.year + years, 9999)
    try:
        return moment.replace(year=year)
    except ValueError:  # 29 February
        return moment.replace(year=year, day=28)


def name_violations(name: str) -> Iterator[Violation]:
    """The name of a CA is a slug: programs put it into configuration."""
    if len(name) > NAME_LENGTH or not _SLUG.fullmatch(name):
        yield Violation(
            field="name",
            code="name_not_a_slug",
            rule="name of a CA",
            asked=name[:200],
            allowed=f"1 to {NAME_LENGTH} lower-case letters, digits and single hyphens, none at the ends",
            fix="Choose a name such as issuing-ca-1.",
        )


def friendly_name_violations(friendly_name: str) -> Iterator[Violation]:
    """A name for people: any text that fits, on one line."""
    if len(friendly_name) > FRIENDLY_NAME_LENGTH or not friendly_name.isprintable():
        yield Violation(
            field="friendly_name",
            code="friendly_name_invalid",
            rule="friendly name of a CA",
            asked=friendly_name[:200],
            allowed=f"at most {FRIENDLY_NAME_LENGTH} printable characters",
            fix="Shorten it, and leave out line breaks and control characters.",
        )


def subject_violations(subject: AuthoritySubject) -> Iterator[Violation]:
    """RFC 5280, 4.1.2.6: a CA has a name, of attributes within their upper bounds (appendix A)."""
    attributes = subject.attributes()
    if not attributes:
        yield Violation(
            field="common_name",
            code="subject_empty",
            rule="RFC 5280, 4.1.2.6",
            asked="an empty subject",
            allowed="at least one attribute: " + ", ".join(SubjectAttribute),
            fix="Give the CA at least a common name.",
        )
    for attribute in attributes:
        try:
            normalise_attribute(attribute)
        except InvalidName as problem:
            yield Violation(
                field=str(attribute.type),
                code="subject_value_invalid",
                rule="RFC 5280, appendix A",
                asked=attribute.value[:200],
                allowed=f"a value that a name can carry: {problem.reason}",
                fix=f"{problem.fix[:1].upper()}{problem.fix[1:]}.",
            )


def path_length_violations(max_path_length: int | None) -> Iterator[Violation]:
    """RFC 5280, 4.2.1.9: not negative; None means no limit."""
    if max_path_length is not None and not 0 <= max_path_length <= LONGEST_PATH:
        yield Violation(
            field="max_path_length",
            code="path_length_out_of_range",
            rule="RFC 5280, 4.2.1.9",
            asked=str(max_path_length),
            allowed=f"0 to {LONGEST_PATH}, or no limit (-1 in the API)",
            fix="Ask for 0 where the CA issues no other CAs.",
        )


def validity_violations(validity: Validity, *, now: datetime) -> Iterator[Violation]:
    """A validity runs forward, is not over, and can be written (RFC 5280, 4.1.2.5.1)."""
    if validity.not_before < EARLIEST:
        yield Violation(
            field="not_before",
            code="not_before_too_early",
            rule="RFC 5280, 4.1.2.5.1",
            asked=_utc(validity.not_before),
            allowed=f"not before {_utc(EARLIEST)}",
            fix="Choose a later start.",
        )
    if validity.not_after <= validity.not_before:
        yield Violation(
            field="not_after",
            code="validity_backward",
            rule="RFC 5280, 4.1.2.5",
            asked=_utc(validity.not_after),
            allowed=f"later than notBefore, {_utc(validity.not_before)}",
            fix="Choose a later end or an earlier start.",
        )
    elif validity.not_after <= now:
        yield Violation(
            field="not_after",
            code="validity_over",
            rule="validity of a CA",
            asked=_utc(validity.not_after),
            allowed=f"later than now, {_utc(now)}",
            fix="Choose an end in the future.",
        )


def issuer_violations(parent: CertificateAuthority, *, now: datetime) -> Iterator[Violation]:
    """The parent can sign at all: it is active and its certificate is valid now."""
    certificate = parent.active_certificate
    rule = f"CA {parent.name}"
    if certificate is None:
        yield Violation(
            field="parent",
            code="issuer_without_certificate",
            rule=rule,
            asked=parent.name,
            allowed="a CA that has a certificate",
            fix=f"Install a certificate for {parent.name} first, or choose another parent.",
        )
        return
    if parent.status != AuthorityStatus.ACTIVE:
        yield Violation(
            field="parent",
            code="issuer_not_active",
            rule=rule,
            asked=f"{parent.name} is {parent.status}",
            allowed="an active CA",
            fix=f"Enable {parent.name}, or choose another parent.",
        )
    if certificate.not_after <= now:
        yield Violation(
            field="parent",
            code="issuer_expired",
            rule=rule,
            asked=f"{parent.name} ended {_utc(certificate.not_after)}",
            allowed="a CA that has not expired",
            fix=f"Renew {parent.name}, or choose another parent.",
        )


def under_issuer_violations(
    parent: CertificateAuthority,
    issuer: AuthorityCertificate,
    *,
    subject: x509.Name,
    validity: Validity,
    max_path_length: int | None,
) -> Iterator[Violation]:
    """What the parent's certificate leaves room for: validity, path length, another name."""
    rule = f"certificate of CA {parent.name}"
    if validity.not_before < issuer.not_before:
        yield Violation(
            field="not_before",
            code="not_before_before_issuer",
            rule=rule,
            asked=_utc(validity.not_before),
            allowed=f"not before {_utc(issuer.not_before)}",
            fix=f"The earliest possible start is {_utc(issuer.not_before)}.",
        )
    if validity.not_after > issuer.not_after:
        yield Violation(
            field="not_after",
            code="not_after_past_issuer",
            rule=rule,
            asked=_utc(validity.not_after),
            allowed=f"not after {_utc(issuer.not_after)}",
            fix=f"The latest possible end is {_utc(issuer.not_after)}.",
        )
    yield from _path_length_under(issuer, rule=rule, max_path_length=max_path_length)
    if subject == x509.load_der_x509_certificate(bytes(issuer.der)).subject:
        yield Violation(
            field="common_name",
            code="subject_is_issuer",
            rule="RFC 5280, 3.2: only a self-issued certificate names its subject as its issuer",
            asked=subject.rfc4514_string(),
            allowed=f"a name other than that of {parent.name}",
            fix="Choose another common name.",
        )


def _path_length_under(issuer: AuthorityCertificate, *, rule: str, max_path_length: int | None) -> Iterator[Violation]:
    """RFC 5280, 4.2.1.9: each CA below has a smaller path length than the one above."""
    if issuer.path_length is None:
        return
    if issuer.path_length == 0:
        yield Violation(
            field="parent",
            code="issuer_path_length_zero",
            rule=rule,
            asked="a CA below it",
            allowed="end entities only: its path length is 0",
            fix="Choose another parent, or issue this one a new certificate with a greater path length.",
        )
    elif max_path_length is None or max_path_length >= issuer.path_length:
        yield Violation(
            field="max_path_length",
            code="path_length_too_long",
            rule=rule,
            asked="no limit" if max_path_length is None else str(max_path_length),
            allowed=f"at most {issuer.path_length - 1}",
            fix=f"Ask for a path length of at most {issuer.path_length - 1}.",
        )


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")


def parent_violations(
    parent: CertificateAuthority,
    *,
    subject: x509.Name,
    validity: Validity,
    max_path_length: int | None,
    now: datetime,
) -> Iterator[Violation]:
    """Everything that a parent refuses: its own state, and what its certificate leaves no room for."""
    yield from issuer_violations(parent, now=now)
    if parent.active_certificate is not None:
        yield from under_issuer_violations(
            parent,
            parent.active_certificate,
            subject=subject,
            validity=validity,
            max_path_length=max_path_length,
        )


def reissue_violations(
    authority: CertificateAuthority,
    parent: CertificateAuthority | None,
    *,
    validity: Validity,
    max_path_length: int | None,
    now: datetime,
) -> Iterator[Violation]:
    """What stands against a new certificate for a CA that exists; one query for each CA above the parent."""
    if authority.status == AuthorityStatus.DISABLED:
        yield state_violation(authority, "authority_disabled", "is disabled", f"Enable {authority.name} first.")
    yield from path_length_violations(max_path_length)
    yield from validity_violations(validity, now=now)
    if authority.kind == AuthorityKind.ROOT:
        if parent is not None:
            yield parent_violation(
                authority, "root_has_no_parent", parent, "no parent: a root signs itself", "Leave the parent out."
            )
        return
    if parent is None:
        yield Violation(
            field="parent",
            code="parent_missing",
            rule=f"CA {authority.name}",
            asked="no parent",
            allowed="an internal parent CA",
            fix="Name a parent CA of this project, or have the CSR signed elsewhere and import the certificate.",
        )
    elif _is_same_or_below(parent, authority):
        yield parent_violation(
            authority, "parent_is_below", parent, f"a CA that is not below {authority.name}", "Choose another parent."
        )
    else:
        yield from parent_violations(
            parent,
            subject=subject_of(authority).name(),
            validity=validity,
            max_path_length=max_path_length,
            now=now,
        )


def renewal_violations(
    authority: CertificateAuthority, parent: CertificateAuthority | None, *, validity: Validity, now: datetime
) -> Iterator[Violation]:
    """What stands against a later end: the same, and that it is none."""
    present = authority.active_certificate
    if present is None:
        yield without_certificate(authority)
        return
    yield from reissue_violations(authority, parent, validity=validity, max_path_length=present.path_length, now=now)
    if validity.not_after <= present.not_after:
        yield Violation(
            field="not_after",
            code="not_after_not_later",
            rule=f"certificate of CA {authority.name}",
            asked=validity.not_after.isoformat(),
            allowed=f"later than the present end, {present.not_after.isoformat()}",
            fix="Choose a later end.",
        )


def _is_same_or_below(candidate: CertificateAuthority, authority: CertificateAuthority) -> bool:
    """Whether ``candidate`` is ``authority`` or hangs below it; one query for each CA on the way up."""
    current: CertificateAuthority | None = candidate
    while current is not None:
        if current.pk == authority.pk:
            return True
        current = current.parent
    return False


def name_taken(name: str) -> Violation:
    """Another CA of the project has the name."""
    return Violation(
        field="name",
        code="name_taken",
        rule="names of CAs are unique in a project",
        asked=name[:200],
        allowed="a name that no other CA of the project has",
        fix="Choose another name.",
    )


def without_certificate(authority: CertificateAuthority) -> Violation:
    """The CA still waits for its first certificate."""
    return state_violation(
        authority, "without_certificate", "has no certificate yet", f"Install a certificate for {authority.name} first."
    )


def state_violation(authority: CertificateAuthority, code: str, state: str, fix: str) -> Violation:
    """The CA itself is of the wrong kind or in the wrong state; ``state`` continues its name."""
    return Violation(
        field="authority",
        code=code,
        rule=f"CA {authority.name}",
        asked=f"{authority.name} {state}",
        allowed="a CA in another state",
        fix=fix,
    )


def parent_violation(
    authority: CertificateAuthority, code: str, parent: CertificateAuthority, allowed: str, fix: str
) -> Violation:
    """The parent that was named cannot be one for this CA."""
    return Violation(
        field="parent", code=code, rule=f"CA {authority.name}", asked=parent.name, allowed=allowed, fix=fix
    )
