"""What may stand in a CA's certificate, and the one verdict on it; the CA's own counterpart of ``decide``."""

from collections.abc import Iterator
from datetime import UTC, datetime

from pki_portal.errors import Violation
from profiles.policy import names
from profiles.policy.errors import Code, PolicyViolation
from profiles.policy.judges.algorithms import default_signature_algorithm
from profiles.policy.judges.lifetime import EARLIEST, Validity
from profiles.policy.name_constraints import breaches, constraint_violations
from profiles.policy.plan import JUDGED, AuthorityPlan
from profiles.policy.request import ApplicantKey, AttributeValue, IssuerFacts, NameConstraints
from profiles.policy.rules import LONGEST_PATH
from profiles.policy.vocabulary import KeyAlgorithm, SubjectAttribute, key_family

NO_CONSTRAINTS = NameConstraints()


def decide_authority(
    *,
    subject: tuple[AttributeValue, ...],
    validity: Validity,
    path_length: int | None,
    issuer: IssuerFacts | None,
    key_name: str,
    now: datetime,
    name_constraints: NameConstraints = NO_CONSTRAINTS,
    encoded_subject: bytes | None = None,
    is_self_issued: bool = False,
) -> AuthorityPlan:
    """Judge a CA's certificate and make the plan of it, which nobody else makes; pure.

    Args:
        subject: in normal form, in the order of encoding.
        path_length: None means no limit.
        issuer: None for a root.
        key_name: name of the CA's own key (``EC_secp384r1``); a root signs with it.
        now: aware UTC.
        name_constraints: of the CA itself, in normal form; those above it apply besides.
        encoded_subject: DER of the name where the CA has it already; then it is not judged as a new one.
        is_self_issued: one key of a CA certifies another of the same CA (RFC 5280, 3.2).

    Raises:
        PolicyViolation: refused, with every violation.
    """
    violations = [
        *(subject_violations(subject) if encoded_subject is None else ()),
        *path_length_violations(path_length),
        *constraint_violations(name_constraints),
        *validity_violations(validity, now=now),
    ]
    if issuer is not None:
        violations += issuer_violations(issuer, now=now)
        violations += under_issuer_violations(
            issuer, subject=subject, validity=validity, max_path_length=path_length, is_self_issued=is_self_issued
        )
    if violations:
        raise PolicyViolation(violations)
    signing_key = key_name if issuer is None else issuer.key_algorithm
    return AuthorityPlan(
        subject=subject,
        not_before=validity.not_before,
        not_after=validity.not_after,
        path_length=path_length,
        signature_algorithm=default_signature_algorithm(key_family(signing_key), signing_key),
        name_constraints=name_constraints,
        encoded_subject=encoded_subject,
        judged=JUDGED,
    )


def subject_violations(attributes: tuple[AttributeValue, ...]) -> Iterator[Violation]:
    """RFC 5280, 4.1.2.6: a CA has a name, of attributes within their upper bounds (appendix A)."""
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
            names.normalise_attribute(attribute)
        except names.InvalidName as problem:
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


def start_violations(validity: Validity, *, now: datetime) -> Iterator[Violation]:
    """A CA that is active, or becomes so at once, has a certificate that has started."""
    if validity.not_before > now:
        yield Violation(
            field="not_before",
            code="not_before_in_future",
            rule="validity of an active CA",
            asked=_utc(validity.not_before),
            allowed=f"not after now, {_utc(now)}",
            fix="Leave notBefore out: the certificate starts now.",
        )


def issuer_violations(issuer: IssuerFacts, *, now: datetime) -> Iterator[Violation]:
    """The issuer can sign at all: it is active and its certificate is valid now."""
    rule = f"CA {issuer.name}"
    if issuer.revoked:
        yield Violation(
            field="parent",
            code="issuer_revoked",
            rule=rule,
            asked=f"{issuer.name}, below a certificate of {issuer.revoked} that was revoked",
            allowed="a CA whose certificate, and none above it, was revoked",
            fix=f"Give {issuer.revoked} a new certificate, or choose another parent.",
        )
    elif not issuer.is_active:
        yield Violation(
            field="parent",
            code="issuer_not_active",
            rule=rule,
            asked=f"{issuer.name} is not active",
            allowed="an active CA",
            fix=f"Enable {issuer.name}, or choose another parent.",
        )
    if issuer.not_before > now:
        yield Violation(
            field="parent",
            code="issuer_not_started",
            rule=rule,
            asked=f"{issuer.name} starts {_utc(issuer.not_before)}",
            allowed="a CA that is valid now",
            fix=f"Wait until then, issue {issuer.name} a certificate that has started, or choose another parent.",
        )
    if issuer.not_after <= now:
        yield Violation(
            field="parent",
            code="issuer_expired",
            rule=rule,
            asked=f"{issuer.name} ended {_utc(issuer.not_after)}",
            allowed="a CA that has not expired",
            fix=f"Renew {issuer.name}, or choose another parent.",
        )


def under_issuer_violations(
    issuer: IssuerFacts,
    *,
    subject: tuple[AttributeValue, ...],
    validity: Validity,
    max_path_length: int | None,
    is_self_issued: bool = False,
) -> Iterator[Violation]:
    """What the issuer's certificate leaves room for: validity, path length, another name, one within constraints."""
    rule = f"certificate of CA {issuer.name}"
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
    if is_self_issued:
        # RFC 5280, 6.1.4 (l): such a certificate costs the path no length, and no name is compared with its own.
        return
    yield from _path_length_under(issuer, rule=rule, max_path_length=max_path_length)
    if names.same_subject(subject, issuer.subject):
        yield Violation(
            field="common_name",
            code="subject_is_issuer",
            rule="RFC 5280, 3.2: only a self-issued certificate names its subject as its issuer",
            asked=", ".join(f"{each.type}={each.value}" for each in subject)[:1000],
            allowed=f"a name other than that of {issuer.name}",
            fix="Choose another common name.",
        )
    for breach in breaches(issuer.name_constraints, subject=subject, alternative_names=(), is_end_entity=False):
        yield Violation(
            field="common_name",
            code=Code.NAME_EXCLUDED if breach.is_excluded else Code.NAME_NOT_PERMITTED,
            rule=breach.rule,
            asked=breach.asked,
            allowed=breach.allowed,
            fix="Choose a name within the constraints, or another parent.",
        )


def _path_length_under(issuer: IssuerFacts, *, rule: str, max_path_length: int | None) -> Iterator[Violation]:
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


def applicant_key_violations(key: ApplicantKey) -> Iterator[Violation]:
    """The key of a CSR for a CA: of a kind that is certified here, and sound."""
    if key.algorithm is None:
        yield csr_violation(
            "key_not_supported", key.description, ", ".join(KeyAlgorithm), "Make the CSR with one of these keys."
        )
    for weakness in key.weaknesses:
        yield csr_violation("key_weak", key.description, f"a sound key: {weakness}", "Make a new key and CSR.")


def csr_violation(code: str, asked: str, allowed: str, fix: str) -> Violation:
    """Something in the CSR of a CA."""
    return Violation(field="csr", code=code, rule="CSR of a CA", asked=asked, allowed=allowed, fix=fix)


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")
