"""What may stand in a CA's certificate, and what its state allows: each check names every reason at once."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from urllib.parse import urlsplit

from cryptography import x509

from certificates.models import AuthorityCertificate, AuthorityKey, Certificate, CertificateAuthority
from certificates.models.authority import AuthorityKind, AuthorityStatus
from certificates.models.certificate import CertificateStatus
from certificates.services.authorities.paths import certification_path_of, versions_above
from certificates.services.blocked_keys import blocked_key_of
from certificates.x509.keys import algorithm_of
from certificates.x509.lint import is_absolute_uri
from certificates.x509.name_constraints import path_constraints
from certificates.x509.names import encode_subject, read_subject
from pki_portal.errors import Violation
from profiles.policy.authority import (
    issuer_violations,
    path_length_violations,
    start_violations,
    under_issuer_violations,
    validity_violations,
)
from profiles.policy.judges.lifetime import Validity
from profiles.policy.names import InvalidName, normalise_attribute
from profiles.policy.request import AttributeValue, IssuerFacts
from profiles.policy.vocabulary import SubjectAttribute, key_family

ROOT_LIFE_YEARS = 10
INTERMEDIATE_LIFE_YEARS = 5
NAME_LENGTH = 64
FRIENDLY_NAME_LENGTH = 255
MOST_CRL_MIRRORS = 4
LONGEST_CRL_URL = 1024
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
            AttributeValue(attribute, value)
            for attribute in SubjectAttribute
            if (value := getattr(self, attribute.value, ""))
        )

    def name(self) -> x509.Name:
        """The encoded Name. Raises Invalid."""
        return encode_subject(self.attributes())


def subject_of(authority: CertificateAuthority) -> AuthoritySubject:
    """The name in a CA's columns; :func:`name_of` tells all of it."""
    return AuthoritySubject(**{field.name: getattr(authority, field.name) for field in fields(AuthoritySubject)})


def name_of(authority: CertificateAuthority) -> x509.Name:
    """The CA's whole name as its certificates encode it."""
    if authority.encoded_subject is not None:
        return x509.Name.from_bytes(bytes(authority.encoded_subject))
    return subject_of(authority).name()


def attributes_of(authority: CertificateAuthority) -> tuple[AttributeValue, ...]:
    """The CA's whole name as values, in the order of encoding."""
    if authority.encoded_subject is not None:
        return read_subject(name_of(authority))
    return subject_of(authority).attributes()


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


def normalised_urls(urls: Sequence[str]) -> tuple[str, ...]:
    """Without blanks around them and without repetitions, in the order given."""
    return tuple(dict.fromkeys(url.strip() for url in urls))


def crl_url_violations(urls: Sequence[str]) -> Iterator[Violation]:
    """Mirrors of a CRL: a few absolute http(s) URLs (RFC 5280, 4.2.1.13)."""
    rule = "further addresses of the CRL"
    if len(urls) > MOST_CRL_MIRRORS:
        yield Violation(
            field="crl_distribution_point_urls",
            code="too_many_urls",
            rule=rule,
            asked=f"{len(urls)} addresses",
            allowed=f"at most {MOST_CRL_MIRRORS}, besides this portal's own",
            fix="Name those that relying parties can reach best.",
        )
        return
    for index, url in enumerate(urls):
        parts = urlsplit(url) if is_absolute_uri(url) and len(url) <= LONGEST_CRL_URL else None
        if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
            yield Violation(
                field=f"crl_distribution_point_urls/{index}",
                code="url_invalid",
                rule=rule,
                asked=url[:200],
                allowed=f"an absolute http or https URL of at most {LONGEST_CRL_URL} characters, without a user name",
                fix="Write it as http://crl.example.com/issuing.crl.",
            )


def issuer_facts_of(authority: CertificateAuthority) -> IssuerFacts | None:
    """What the rules ask of a CA that would sign, from its active certificate; None while it has none.

    One query for each certificate above it that is not yet loaded.
    """
    row = authority.active_certificate
    return facts_of_version(authority, row) if row is not None else None


def facts_of_version(authority: CertificateAuthority, row: AuthorityCertificate) -> IssuerFacts:
    """The same of any version, whose key signs."""
    path = [x509.load_der_x509_certificate(der) for der in certification_path_of(row)]
    key_name = algorithm_of(path[0].public_key()) or authority.key_algorithm
    return IssuerFacts(
        name=authority.name,
        key_family=key_family(key_name),
        key_algorithm=key_name,
        not_before=row.not_before,
        not_after=row.not_after,
        path_length=row.path_length,
        is_active=authority.status == AuthorityStatus.ACTIVE,
        subject=read_subject(path[0].subject),
        name_constraints=path_constraints(path),
        revoked=_revoked_in(authority, row),
    )


def _revoked_in(authority: CertificateAuthority, row: AuthorityCertificate) -> str:
    """The CA in the path of one of its versions whose certificate was revoked, the nearest; empty where none was."""
    for version in versions_above(row):
        if version.revoked_at is not None:
            return authority.name if version is row else version.authority.name
    return ""


def is_cut_off(authority: CertificateAuthority) -> bool:
    """Whether all that the CA signs counts for nothing: its active certificate is revoked, or its key is blocked.

    Only another certificate, or another key, mends that. One query.
    """
    active = authority.active_certificate
    return active is not None and (active.revoked_at is not None or blocked_key_of(active.key) is not None)


def blocked_key_violations(authority: CertificateAuthority, key: AuthorityKey) -> Iterator[Violation]:
    """A key that is compromised is certified never again, by whomever. One query."""
    blocked = blocked_key_of(key)
    if blocked is not None:
        yield state_violation(
            authority,
            "key_blocked",
            f"has a compromised key: certificate {blocked.serial_number} with it was revoked at"
            f" {blocked.blocked_at:%Y-%m-%d %H:%M:%S} UTC",
            f"Give {authority.name} a new key.",
        )


def issuer_without_certificate(authority: CertificateAuthority) -> Violation:
    """Why a CA that has no certificate of its own signs nothing."""
    return Violation(
        field="profile",
        code="issuer_without_certificate",
        rule=f"CA {authority.name}",
        asked=f"a certificate from {authority.name}",
        allowed="CAs that have a certificate of their own",
        fix=f"Install a certificate for CA {authority.name}, or use a profile of another CA.",
    )


def parent_violations(
    parent: CertificateAuthority,
    *,
    subject: tuple[AttributeValue, ...] | None,
    validity: Validity,
    max_path_length: int | None,
    now: datetime,
) -> Iterator[Violation]:
    """Everything that a parent refuses: its own state, and what its certificate leaves no room for.

    ``subject`` None where it is wrong in itself: then the parent's state alone is judged.
    """
    issuer = issuer_facts_of(parent)
    if issuer is None:
        yield Violation(
            field="parent",
            code="issuer_without_certificate",
            rule=f"CA {parent.name}",
            asked=parent.name,
            allowed="a CA that has a certificate",
            fix=f"Install a certificate for {parent.name} first, or choose another parent.",
        )
        return
    yield from issuer_violations(issuer, now=now)
    if subject is not None:
        yield from under_issuer_violations(issuer, subject=subject, validity=validity, max_path_length=max_path_length)


def reissue_violations(
    authority: CertificateAuthority,
    parent: CertificateAuthority | None,
    *,
    validity: Validity,
    max_path_length: int | None,
    now: datetime,
) -> Iterator[Violation]:
    """What stands against a new certificate for a CA that exists, whatever its key; one query for each CA above the
    parent.

    A CA that is disabled because its certificate was revoked is enabled by a new one.
    """
    if authority.status == AuthorityStatus.DISABLED and not is_cut_off(authority):
        yield state_violation(authority, "authority_disabled", "is disabled", f"Enable {authority.name} first.")
    yield from path_length_violations(max_path_length)
    yield from validity_violations(validity, now=now)
    yield from start_violations(validity, now=now)
    yield from _room_for_those_below(authority, validity=validity, max_path_length=max_path_length, now=now)
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
            subject=attributes_of(authority),
            validity=validity,
            max_path_length=max_path_length,
            now=now,
        )


def _room_for_those_below(
    authority: CertificateAuthority, *, validity: Validity, max_path_length: int | None, now: datetime
) -> Iterator[Violation]:
    """What the CA's earlier certificates gave to CAs below it stays good under the new one."""
    below = [
        (f"CA {name}", not_after, path_length)
        for name, not_after, path_length in CertificateAuthority.objects.filter(
            active_certificate__issuer_certificate__authority=authority, active_certificate__not_after__gt=now
        )
        .exclude(pk=authority.pk)
        .values_list("name", "active_certificate__not_after", "active_certificate__path_length")
    ]
    below += [
        (f"the CA certificate {serial_number}", not_after, path_length)
        for serial_number, not_after, path_length in Certificate.objects.filter(
            authority=authority, is_ca=True, status=CertificateStatus.ACTIVE, not_after__gt=now
        ).values_list("serial_number", "not_after", "path_length")
    ]
    rule = "certificates of CAs below it"
    last = max(below, key=lambda each: each[1], default=None)
    if last is not None and validity.not_after < last[1]:
        yield Violation(
            field="not_after",
            code="not_after_before_child",
            rule=rule,
            asked=validity.not_after.isoformat(),
            allowed=f"not before {last[1].isoformat()}, when {last[0]} ends",
            fix=f"Choose an end of {last[1].isoformat()} or later.",
        )
    if max_path_length is None:
        return
    unlimited = next((name for name, _, path_length in below if path_length is None), None)
    longest = max(((path_length, name) for name, _, path_length in below if path_length is not None), default=None)
    if unlimited is not None:
        yield _too_short_for(unlimited, rule, max_path_length, "no limit", "Ask for no limit.")
    elif longest is not None and max_path_length <= longest[0]:
        least = longest[0] + 1
        yield _too_short_for(
            longest[1], rule, max_path_length, f"at least {least}", f"Ask for a path length of at least {least}."
        )


def _too_short_for(below: str, rule: str, asked: int, allowed: str, fix: str) -> Violation:
    return Violation(
        field="max_path_length",
        code="path_length_too_short_for_child",
        rule=rule,
        asked=str(asked),
        allowed=f"{allowed}, because of {below}",
        fix=fix,
    )


def renewal_violations(
    authority: CertificateAuthority, parent: CertificateAuthority | None, *, validity: Validity, now: datetime
) -> Iterator[Violation]:
    """What stands against a later end: the same, and that it is none."""
    present = authority.active_certificate
    if present is None:
        yield without_certificate(authority)
        return
    yield from blocked_key_violations(authority, present.key)
    yield from reissue_violations(authority, parent, validity=validity, max_path_length=present.path_length, now=now)
    if present.revoked_at is None and validity.not_after <= present.not_after:
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
