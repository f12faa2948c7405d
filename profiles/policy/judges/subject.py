"""The subject: its attributes, and whether there is a name at all."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from pki_portal.errors import Change
from profiles.policy import names
from profiles.policy.errors import Code
from profiles.policy.judges import patterns
from profiles.policy.judges.findings import Findings
from profiles.policy.request import AttributeValue, IssuanceRequest, IssuerFacts
from profiles.policy.rules import ProfileDefaults, Source, TemplateRules, ValueRule
from profiles.policy.vocabulary import NameType, SubjectAttribute, as_word
from profiles.policy.wording import listed, quoted, shown

# Long enough for 1,000 usual host names.
MOST_OCTETS_OF_NAMES = 64 * 1024
MOST_ATTRIBUTES = 50
_ORDER: Final[Mapping[str, int]] = {kind: number for number, kind in enumerate(SubjectAttribute)}


def judge_subject(
    findings: Findings, *, rules: TemplateRules, defaults: ProfileDefaults, request: IssuanceRequest
) -> tuple[AttributeValue, ...]:
    """The subject in the order of encoding, filled from the profile's defaults."""
    filled = _missing(defaults, request)
    findings.warnings.extend(
        f"{attribute.type} was not asked for: {quoted(attribute.value)} is filled in from {defaults.source}"
        for attribute in filled
    )
    granted: list[AttributeValue] = []
    for attribute, where in [*_asked_places(request), *((each, _Where(each.type, defaults.source)) for each in filled)]:
        normal = _normal(findings, attribute, where)
        if normal is None:
            continue
        granted.append(normal)
        _judge_value(findings, rules.subject, normal, where)
    _judge_presence(findings, rules.subject, defaults.source, request, filled, granted)
    _judge_number_of_common_names(findings, granted)
    _judge_domain_name(findings, request, granted)
    _judge_count(findings, rules.subject, defaults.source, request, granted)
    return tuple(sorted(granted, key=lambda attribute: _ORDER[attribute.type]))


class _Where(NamedTuple):
    """Where a value of the subject stands.

    Attributes:
        origin: where the value came from, if nobody asked for it.
        number: of a domain component, which alone stands in a list, its place in it; None where it would be added.
        same: all places in that list with the same value.
    """

    kind: str
    origin: Source | None = None
    number: int | None = None
    same: tuple[int, ...] = ()

    @property
    def path(self) -> str:
        return f"subject/{self.kind}" if self.number is None else f"subject/{self.kind}/{self.number}"

    @property
    def mark(self) -> str:
        return self.origin.mark if self.origin else ""

    @property
    def place(self) -> patterns.Place:
        indexes = self.same if self.kind == SubjectAttribute.DOMAIN_COMPONENT else None
        return patterns.Place(f"subject/{self.kind}", indexes, is_asked=self.origin is None)


def _asked_places(request: IssuanceRequest) -> Iterator[tuple[AttributeValue, _Where]]:
    """What was asked, and where it stands."""
    components = [_plain(each) for each in request.subject if each.type == SubjectAttribute.DOMAIN_COMPONENT]
    number = 0
    for attribute in request.subject:
        if attribute.type != SubjectAttribute.DOMAIN_COMPONENT:
            yield attribute, _Where(attribute.type)
            continue
        same = tuple(index for index, each in enumerate(components) if each == components[number])
        yield attribute, _Where(attribute.type, None, number, same)
        number += 1


def _plain(attribute: AttributeValue) -> str:
    """The value in normal form, or as it is where it has none."""
    try:
        return names.normalise_attribute(attribute).value
    except names.InvalidName:
        return attribute.value


def judge_amount_of_text(findings: Findings, request: IssuanceRequest) -> bool:
    """Whether the names are short enough to be judged: each costs time by its length, whatever comes of it."""
    values = [each.value for each in request.subject]
    values += [each.value for each in request.subject_alternative_names]
    octets = sum(len(value.encode("utf-8", "surrogatepass")) for value in values)
    if octets <= MOST_OCTETS_OF_NAMES and len(request.subject) <= MOST_ATTRIBUTES:
        return True
    findings.refuse(
        "subject_alternative_names" if request.subject_alternative_names else "subject",
        Code.TOO_MUCH_TEXT,
        rule="limit of all names together",
        asked=f"{octets} octets of names with {len(request.subject)} subject attributes",
        allowed=f"at most {MOST_OCTETS_OF_NAMES} octets and {MOST_ATTRIBUTES} subject attributes in one request",
        fix="spread the names over several certificates, or ask for shorter ones",
    )
    return False


def judge_distance_from_issuer(
    findings: Findings, *, rules: TemplateRules, subject: tuple[AttributeValue, ...], issuer: IssuerFacts | None
) -> None:
    """Nobody else has the CA's name: what bears it would pass for the CA's own in paths and CRLs (RFC 5280, 6.1)."""
    if issuer is None or not issuer.subject or not names.same_subject(subject, issuer.subject):
        return
    taken = {each.value.casefold() for each in issuer.subject}
    findings.refuse(
        "subject",
        Code.SUBJECT_IS_ISSUER,
        rule=f"name of CA {shown(issuer.name)}",
        asked=f"the subject {listed(f'{each.type}={each.value}' for each in subject)}",
        allowed="any subject but that of the CA, whatever its case, spaces and order",
        fix="use another common_name",
        changes=_another_common_name(rules, taken),
    )


def judge_presence_of_names(
    findings: Findings,
    *,
    rules: TemplateRules,
    defaults: ProfileDefaults,
    request: IssuanceRequest,
    is_self_signed: bool,
) -> None:
    """A certificate names somebody: in its subject or beside it (RFC 5280, 4.1.2.6), and always its issuer."""
    if request.subject or _missing(defaults, request):
        return
    if is_self_signed:
        findings.refuse(
            "subject/common_name",
            Code.NAME_MISSING,
            rule="RFC 5280, 4.1.2.4",
            asked="no subject",
            allowed="a subject: a self-signed certificate is its own issuer, and an issuer has a name",
            fix="give a common_name",
            changes=_another_common_name(rules, set()),
        )
        return
    if request.subject_alternative_names:
        return
    findings.refuse(
        "subject/common_name",
        Code.NAME_MISSING,
        rule="RFC 5280, 4.1.2.6",
        asked="neither a subject nor a subject alternative name",
        allowed="a subject, a subject alternative name, or both",
        fix="give a common_name or at least one subject alternative name",
        changes=_another_common_name(rules, set()) or _some_alternative_name(rules),
    )


def _another_common_name(rules: TemplateRules, taken: set[str]) -> tuple[Change, ...]:
    """A common name that the template lets pass, if it has one that can be told."""
    kind = SubjectAttribute.COMMON_NAME
    rule = rules.subject.get(kind)
    if rule is None:
        return ()
    judged = _judged(_Where(kind), kind, rule)
    for value in patterns.passing_values(judged, patterns.permitted(rule) or ("*",), ""):
        if value.casefold() not in taken:
            return judged.put(value)
    return ()


def _some_alternative_name(rules: TemplateRules) -> tuple[Change, ...]:
    rule = rules.subject_alternative_names.get(NameType.DNS_NAME)
    if rule is None:
        return ()
    where = patterns.Place("subject_alternative_names", ())
    judged = patterns.Judged(NameType.DNS_NAME, rule, where.base, where, "", "")
    passing = next(patterns.passing_values(judged, patterns.permitted(rule) or ("*",), ""), None)
    return () if passing is None else judged.put(passing)


def _missing(defaults: ProfileDefaults, request: IssuanceRequest) -> tuple[AttributeValue, ...]:
    """What the profile fills in; a CSR's subject is the applicant's word unless it is empty."""
    if request.applicant_key is not None and request.subject:
        return ()
    asked = {attribute.type for attribute in request.subject}
    return tuple(attribute for attribute in defaults.subject if attribute.type not in asked)


def _normal(findings: Findings, attribute: AttributeValue, where: _Where) -> AttributeValue | None:
    kind = as_word(attribute.type, SubjectAttribute)
    if kind is None:
        findings.refuse(
            "subject",
            Code.TYPE_NOT_SUPPORTED,
            rule="subject attributes",
            asked=f"subject attribute {shown(attribute.type)} with value {quoted(attribute.value)}",
            allowed=listed(SubjectAttribute),
            fix=f"leave the attribute {shown(attribute.type)} out of the subject",
            changes=where.place.leave_out(),
        )
        return None
    try:
        return names.normalise_attribute(attribute)
    except names.InvalidName as defect:
        fix, changes = patterns.way_to_write(defect, where.place, kind)
        findings.refuse(
            where.path,
            Code.INVALID_VALUE,
            rule="RFC 5280, appendix A",
            asked=f"{kind} {quoted(attribute.value)}{where.mark}",
            allowed=defect.reason,
            fix=fix,
            changes=changes,
        )
        return None


def _judge_number_of_common_names(findings: Findings, granted: list[AttributeValue]) -> None:
    """Programs differ in which of several they read, so that a second could hide behind the first."""
    values = [each.value for each in granted if each.type == SubjectAttribute.COMMON_NAME]
    if len(values) > 1:
        findings.refuse(
            "subject/common_name",
            Code.SEVERAL_COMMON_NAMES,
            rule="one common_name",
            asked=f"common_name {listed(values)}",
            allowed="one at most",
            fix="keep one common_name, and ask for the others as subject alternative names",
            changes=(Change("set", "subject/common_name", values[0]),),
        )


def _judge_count(
    findings: Findings,
    rules: Mapping[SubjectAttribute, ValueRule],
    source: Source,
    request: IssuanceRequest,
    granted: list[AttributeValue],
) -> None:
    """Each attribute no more often than its rule says."""
    for kind, rule in rules.items():
        if rule.max_count is None:
            continue
        count = sum(each.type == kind for each in granted)
        asked = sum(each.type == kind for each in request.subject)
        judged = _judged(_Where(kind, None if asked else source), kind, rule)
        # More may have been asked than are valid: leaving out by number leaves at most so many.
        surplus = patterns.Place(f"subject/{kind}", tuple(range(rule.max_count, asked)), is_asked=asked > 0)
        patterns.judge_count(findings, judged, count, surplus)


def _judge_domain_name(findings: Findings, request: IssuanceRequest, granted: list[AttributeValue]) -> None:
    """Together the domain components are one domain name (RFC 2247, 2)."""
    labels = [each.value for each in granted if each.type == SubjectAttribute.DOMAIN_COMPONENT]
    length = len(".".join(labels))
    if length <= names.LONGEST_HOST:
        return
    asked = sum(each.type == SubjectAttribute.DOMAIN_COMPONENT for each in request.subject)
    findings.refuse(
        f"subject/{SubjectAttribute.DOMAIN_COMPONENT}",
        Code.TOO_MUCH_TEXT,
        rule="RFC 1035, 2.3.4",
        asked=f"{len(labels)} domain components of {length} characters together",
        allowed=f"a domain name of at most {names.LONGEST_HOST} characters",
        fix="leave domain components out",
        # Three labels of 63 characters always fit.
        changes=[
            Change("remove", f"subject/{SubjectAttribute.DOMAIN_COMPONENT}/{number}")
            for number in reversed(range(3, asked))
        ],
    )


def _judge_value(
    findings: Findings, rules: Mapping[SubjectAttribute, ValueRule], attribute: AttributeValue, where: _Where
) -> None:
    kind = SubjectAttribute(attribute.type)
    rule = rules.get(kind)
    if rule is None:
        findings.refuse(
            where.path,
            Code.TYPE_NOT_ALLOWED,
            rule="template subject",
            asked=f"{kind} {quoted(attribute.value)}{where.mark}",
            allowed=listed(rules) if rules else "no subject attributes",
            fix=(
                f"{where.origin.without(kind)}, or have the template changed" if where.origin else f"leave {kind} out"
            ),
            changes=where.place.leave_out(),
        )
        return
    judged = _judged(where, kind, rule)
    if patterns.refuse_denied(findings, judged, attribute.value):
        return
    permitting = patterns.permitted(rule)
    # An attribute may stand in a subject more than once: what is neither required nor allowed does not slip in beside.
    if permitting and not names.matches_any(permitting, attribute.value, kind):
        which = "required" if rule.required else "allowed"
        patterns.refuse_mismatch(findings, judged, attribute.value, which, rule.required or rule.allowed)
        return
    tell = findings.filled if where.origin else findings.passed
    tell(judged.path, judged.place, judged.asked(attribute.value), patterns.described(rule))


def _judge_presence(
    findings: Findings,
    rules: Mapping[SubjectAttribute, ValueRule],
    source: Source,
    request: IssuanceRequest,
    filled: Sequence[AttributeValue],
    granted: list[AttributeValue],
) -> None:
    """A required attribute is there and one of its values fits; a value that fits nothing is refused already."""
    for kind, rule in rules.items():
        if not rule.required:
            continue
        is_filled = any(attribute.type == kind for attribute in filled)
        judged = _judged(_Where(kind, source if is_filled else None), kind, rule)
        values = [attribute.value for attribute in granted if attribute.type == kind]
        if not is_filled and not any(attribute.type == kind for attribute in request.subject):
            fix, changes = patterns.way_in(findings, judged, rule.required)
            findings.refuse(
                judged.path,
                Code.REQUIRED_MISSING,
                rule=f"{judged.place} required",
                asked=f"no {kind}",
                allowed=listed(rule.required),
                fix=fix,
                changes=changes,
            )
        elif values and all(
            names.matches_any(rule.allowed, value, kind) and not names.matches_any(rule.required, value, kind)
            for value in values
        ):
            fix, changes = patterns.way_out(findings, judged, rule.required, values[0])
            findings.refuse(
                judged.path,
                Code.REQUIRED_NOT_MET,
                rule=f"{judged.place} required",
                asked=f"{kind} {listed(values)}",
                allowed=listed(rule.required),
                fix=fix,
                changes=changes,
            )


def _judged(where: _Where, kind: SubjectAttribute, rule: ValueRule) -> patterns.Judged:
    return patterns.Judged(kind, rule, where.path, where.place, kind.value, f"template subject/{kind}", where.origin)
