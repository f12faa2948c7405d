"""Subject alternative names (RFC 5280, 4.2.1.6)."""

from collections.abc import Mapping, Sequence
from itertools import chain

from pki_portal.errors import Change
from profiles.policy import names
from profiles.policy.errors import Code
from profiles.policy.judges import patterns
from profiles.policy.judges.findings import Findings
from profiles.policy.name_constraints import breaches, rule_of
from profiles.policy.request import AttributeValue, GeneralName, IssuanceRequest, IssuerFacts
from profiles.policy.rules import Source, TemplateRules, ValueRule
from profiles.policy.vocabulary import NameType, SubjectAttribute, as_word
from profiles.policy.wording import listed, quoted, shown

_PATH = "subject_alternative_names"
# By which TLS clients know a server (RFC 9525, 6.1).
_OF_SERVERS = frozenset({NameType.DNS_NAME, NameType.IP_ADDRESS})
# More make a certificate that few programs read, and cost more to judge than one request should.
MOST_NAMES = 1_000


def judge_alternative_names(
    findings: Findings, *, rules: TemplateRules, request: IssuanceRequest
) -> tuple[GeneralName, ...]:
    """The names in normal form, each once, in the order asked."""
    asked = request.subject_alternative_names
    if len(asked) > MOST_NAMES:
        findings.refuse(
            _PATH,
            Code.TOO_MANY_NAMES,
            rule="limit of subject alternative names",
            asked=f"{len(asked)} subject alternative names",
            allowed=f"at most {MOST_NAMES}",
            fix=f"spread the names over several certificates of at most {MOST_NAMES} names",
        )
        return ()
    granted: dict[GeneralName, list[int]] = {}
    # One name in two spellings is mended in both places, or the other would be refused next.
    alike = {index: tuple(indexes) for indexes in _places(request).values() for index in indexes}
    for index, name in enumerate(asked):
        where = patterns.Place(_PATH, alike[index])
        path = f"{_PATH}/{index}"
        normal = _normal(findings, path, where, name)
        if normal is None:
            continue
        if normal in granted:
            granted[normal].append(index)
            findings.note(f"{_label(normal.type)} {quoted(name.value)} was asked for twice and is written once")
            continue
        granted[normal] = [index]
        _judge_name(findings, path, where, rules, normal)
    _judge_count(findings, rules, granted)
    _judge_required(findings, rules, tuple(granted))
    return tuple(granted)


def judge_name_constraints(
    findings: Findings,
    *,
    request: IssuanceRequest,
    subject: tuple[AttributeValue, ...],
    alternative_names: tuple[GeneralName, ...],
    is_ca: bool,
    issuer: IssuerFacts | None,
) -> None:
    """Every CA of the path allows every name: programs refuse a certificate with another (RFC 5280, 4.2.1.10)."""
    if issuer is None or not issuer.name_constraints:
        return
    found = list(
        breaches(issuer.name_constraints, subject=subject, alternative_names=alternative_names, is_end_entity=not is_ca)
    )
    places = _places(request) if found else {}
    for breach in found:
        # Of several CAs that refuse one name, the first offers to leave it out.
        indexes = places.pop(breach.name, []) if breach.index is not None else []
        findings.refuse(
            f"{_PATH}/{indexes[0]}" if indexes else "subject" if breach.index is None else _PATH,
            Code.NAME_EXCLUDED if breach.is_excluded else Code.NAME_NOT_PERMITTED,
            rule=breach.rule,
            asked=breach.asked,
            allowed=breach.allowed,
            fix=f"ask for {breach.allowed}, or use a profile of another CA",
            changes=tuple(Change("remove", f"{_PATH}/{index}") for index in reversed(indexes)),
        )
    broken = {breach.authority for breach in found}
    for constraint in issuer.name_constraints:
        if constraint.authority not in broken:
            findings.passed(_PATH, rule_of(constraint), "all names", "names within its constraints")


def _places(request: IssuanceRequest) -> dict[GeneralName, list[int]]:
    """Where each name was asked for: in normal form, or as it is where it has none."""
    places: dict[GeneralName, list[int]] = {}
    for index, name in enumerate(request.subject_alternative_names):
        try:
            normal = names.normalise(name)
        except names.InvalidName:
            normal = name
        places.setdefault(normal, []).append(index)
    return places


def judge_email_of_subject(
    findings: Findings,
    *,
    rules: TemplateRules,
    source: Source,
    request: IssuanceRequest,
    subject: tuple[AttributeValue, ...],
    alternative_names: tuple[GeneralName, ...],
) -> tuple[GeneralName, ...]:
    """The names with each email address of the subject among them, where it must be (RFC 5280, 4.1.2.6)."""
    granted = list(alternative_names)
    for attribute in subject:
        name = GeneralName(NameType.EMAIL, attribute.value)
        if attribute.type != SubjectAttribute.EMAIL or name in granted:
            continue
        if _may_be_added(rules, name, granted):
            findings.note(f"email {quoted(name.value)} is added as email SAN: it has to stand there too")
            _add(findings, rules, name, granted)
            continue
        is_asked = any(each.type == SubjectAttribute.EMAIL for each in request.subject)
        rule = rules.subject_alternative_names.get(NameType.EMAIL)
        findings.refuse(
            "subject/email",
            Code.EMAIL_NOT_AMONG_NAMES,
            rule="RFC 5280, 4.1.2.6",
            asked=f"email {quoted(name.value)} in the subject",
            allowed=patterns.described(rule) if rule else "no email SAN",
            fix=(
                "leave the email out of the subject, or have the template allow it as email SAN"
                if is_asked
                else f"{source.without('email')}, or have the template allow it as email SAN"
            ),
            changes=(Change("remove", "subject/email"),) if is_asked else (),
        )
    return tuple(granted)


def add_common_name(
    findings: Findings,
    *,
    rules: TemplateRules,
    subject: tuple[AttributeValue, ...],
    alternative_names: tuple[GeneralName, ...],
    issuer: IssuerFacts | None,
) -> tuple[GeneralName, ...]:
    """The names of a TLS server with its common name among them, if that is a host name (RFC 9525, 6.3).

    Nothing is added that the template or the CA's name constraints would refuse if it had been asked for.
    """
    granted = list(alternative_names)
    constraints = issuer.name_constraints if issuer else ()
    for attribute in subject:
        host = _host_of(attribute)
        if host is None or host in granted:
            continue
        told = f"common_name {quoted(attribute.value)}"
        breached = any(breaches(constraints, subject=(), alternative_names=(host,), is_end_entity=True))
        if _may_be_added(rules, host, granted) and not breached:
            findings.note(f"{told} is added as dns_name SAN: TLS clients read no other names")
            _add(findings, rules, host, granted)
        else:
            findings.note(f"{told} is no dns_name SAN, and may not be one here: TLS clients read no other names")
    if not any(name.type in _OF_SERVERS for name in granted):
        findings.note(
            "it names no server, for it has no dns_name SAN and no ip_address SAN: TLS clients will refuse it"
        )
    return tuple(granted)


def _host_of(attribute: AttributeValue) -> GeneralName | None:
    if attribute.type != SubjectAttribute.COMMON_NAME or "." not in attribute.value:
        return None
    try:
        return names.normalise(GeneralName(NameType.DNS_NAME, attribute.value))
    except names.InvalidName:
        return None


def _may_be_added(rules: TemplateRules, name: GeneralName, granted: Sequence[GeneralName]) -> bool:
    kind = NameType(name.type)
    rule = rules.subject_alternative_names.get(kind)
    if rule is None or len(granted) >= MOST_NAMES or names.denying(rule.denied, name.value, kind):
        return False
    if rule.max_count is not None and sum(each.type == kind for each in granted) >= rule.max_count:
        return False
    return not rule.allowed or names.matches_any(patterns.permitted(rule), name.value, kind)


def _add(findings: Findings, rules: TemplateRules, name: GeneralName, granted: list[GeneralName]) -> None:
    kind = NameType(name.type)
    judged = _judged(_PATH, patterns.Place(_PATH, ()), kind, rules.subject_alternative_names[kind])
    findings.filled(
        _PATH, judged.place, f"{judged.asked(name.value)} (of the subject)", patterns.described(judged.rule)
    )
    granted.append(name)


def _label(kind: str) -> str:
    return f"{kind} SAN"


def _normal(findings: Findings, path: str, where: patterns.Place, name: GeneralName) -> GeneralName | None:
    kind = as_word(name.type, NameType)
    if kind is None:
        findings.refuse(
            path,
            Code.TYPE_NOT_SUPPORTED,
            rule="kinds of subject alternative names",
            asked=f"{_label(shown(name.type))} {quoted(name.value)}",
            allowed=listed(NameType),
            fix=f"leave the {shown(name.type)} out",
            changes=where.leave_out(),
        )
        return None
    try:
        return names.normalise(name)
    except names.InvalidName as defect:
        fix, changes = patterns.way_to_write(defect, where, kind)
        findings.refuse(
            path,
            Code.INVALID_VALUE,
            rule="RFC 5280, 4.2.1.6",
            asked=f"{_label(kind)} {quoted(name.value)}",
            allowed=defect.reason,
            fix=fix,
            changes=changes,
        )
        return None


def _judge_name(findings: Findings, path: str, where: patterns.Place, rules: TemplateRules, name: GeneralName) -> None:
    kind = NameType(name.type)
    rule = rules.subject_alternative_names.get(kind)
    if rule is None:
        kinds = rules.subject_alternative_names
        findings.refuse(
            path,
            Code.TYPE_NOT_ALLOWED,
            rule="template sans",
            asked=f"{_label(kind)} {quoted(name.value)}",
            allowed=listed(_label(each) for each in kinds) if kinds else "no subject alternative names",
            fix=f"leave the {_label(kind)} out",
            changes=where.leave_out(),
        )
        return
    judged = _judged(path, where, kind, rule)
    if patterns.refuse_denied(findings, judged, name.value):
        return
    permitting = patterns.permitted(rule)
    if rule.allowed and not names.matches_any(permitting, name.value, kind):
        patterns.refuse_mismatch(findings, judged, name.value, "allowed", permitting)
        return
    findings.passed(path, judged.place, judged.asked(name.value), patterns.described(rule))


def _judge_count(findings: Findings, rules: TemplateRules, granted: Mapping[GeneralName, Sequence[int]]) -> None:
    """Each kind of name no more often than its rule says."""
    for kind, rule in rules.subject_alternative_names.items():
        if rule.max_count is None:
            continue
        places = [indexes for name, indexes in granted.items() if name.type == kind]
        judged = _judged(_PATH, patterns.Place(_PATH, ()), kind, rule)
        surplus = patterns.Place(_PATH, tuple(sorted(chain.from_iterable(places[rule.max_count :]))))
        patterns.judge_count(findings, judged, len(places), surplus)


def _judge_required(findings: Findings, rules: TemplateRules, granted: tuple[GeneralName, ...]) -> None:
    """Each required pattern is met by some name of its kind."""
    for kind, rule in rules.subject_alternative_names.items():
        if not rule.required:
            continue
        judged = _judged(_PATH, patterns.Place(_PATH, ()), kind, rule)
        values = [name.value for name in granted if name.type == kind]
        unmet = names.unmet(rule.required, values, kind)
        if rule.required and not unmet:
            met = f"{judged.label} {listed(values)}"
            findings.passed(_PATH, f"{judged.place} required", met, listed(rule.required))
        for pattern in unmet:
            fix, changes = patterns.way_in(findings, judged, (pattern,))
            findings.refuse(
                _PATH,
                Code.REQUIRED_NOT_MET if values else Code.REQUIRED_MISSING,
                rule=f"{judged.place} required",
                asked=f"{judged.label} {listed(values)}" if values else f"no {judged.label}",
                allowed=listed([pattern]),
                fix=fix,
                changes=changes,
            )


def _judged(path: str, where: patterns.Place, kind: NameType, rule: ValueRule) -> patterns.Judged:
    return patterns.Judged(kind, rule, path, where, _label(kind), f"template sans/{kind}")
