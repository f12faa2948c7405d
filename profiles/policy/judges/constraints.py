"""Basic constraints (RFC 5280, 4.2.1.9): may this be a CA's certificate, and how long a path below it?"""

from pki_portal.errors import Change
from profiles.policy.errors import Code
from profiles.policy.judges.findings import Findings
from profiles.policy.request import BasicConstraints, IssuerFacts
from profiles.policy.rules import LONGEST_PATH, BasicConstraintsRule
from profiles.policy.vocabulary import BasicConstraintsState
from profiles.policy.wording import shown

_END_ENTITY = BasicConstraints(is_ca=False)
_PATH = "basic_constraints"
_PATH_LENGTH = "basic_constraints/path_length"
_TEMPLATE = "template basic_constraints"
# The whole object, for a CSR may say it where the request beside it says nothing.
_AS_END_ENTITY = (Change("set", _PATH, {"is_ca": False}),)


def judge_basic_constraints(
    findings: Findings, *, rule: BasicConstraintsRule, asked: BasicConstraints | None, issuer: IssuerFacts | None
) -> BasicConstraints:
    """What the extension will say; the path length not asked for is one less than the issuer's."""
    asked = asked or _END_ENTITY
    if not asked.is_ca:
        _judge_end_entity(findings, rule, asked)
        return _END_ENTITY
    if rule.state is BasicConstraintsState.DENIED:
        findings.refuse(
            _PATH,
            Code.CA_DENIED,
            rule=_TEMPLATE,
            asked="a certificate for a CA (isCA)",
            allowed="certificates for end entities",
            fix="leave basicConstraints out, or use a profile whose template allows isCA",
            changes=_AS_END_ENTITY,
        )
        return asked
    if issuer is not None and issuer.path_length is not None and issuer.path_length < 1:
        findings.refuse(
            _PATH,
            Code.ISSUER_ALLOWS_NO_CA,
            rule=f"path length of CA {shown(issuer.name)}",
            asked=f"CA {shown(issuer.name)}",
            allowed="certificates for end entities",
            fix="leave basicConstraints out, or use a profile of a CA with a longer path",
            changes=_AS_END_ENTITY,
        )
        return asked
    findings.passed(_PATH, _TEMPLATE, "a certificate for a CA (isCA)", rule.state.value)
    return _judge_path_length(findings, rule, asked, issuer)


def _as_authority(path_length: int | None) -> tuple[Change, ...]:
    return (Change("set", _PATH, {"is_ca": True} | ({} if path_length is None else {"path_length": path_length})),)


def _judge_end_entity(findings: Findings, rule: BasicConstraintsRule, asked: BasicConstraints) -> None:
    if rule.state is BasicConstraintsState.REQUIRED:
        findings.refuse(
            _PATH,
            Code.CA_REQUIRED,
            rule=_TEMPLATE,
            asked="a certificate for an end entity",
            allowed="certificates for CAs",
            fix="ask for basicConstraints with isCA",
            changes=_as_authority(rule.max_path_length),
        )
    else:
        findings.passed(_PATH, _TEMPLATE, "a certificate for an end entity", f"CAs are {rule.state}")
    if asked.path_length is not None:
        findings.refuse(
            _PATH_LENGTH,
            Code.PATH_LENGTH_WITHOUT_CA,
            rule="RFC 5280, 4.2.1.9",
            asked="a path length",
            allowed="none in a certificate for an end entity",
            fix="leave the path length out",
            changes=_AS_END_ENTITY,
        )


def _judge_path_length(
    findings: Findings, rule: BasicConstraintsRule, asked: BasicConstraints, issuer: IssuerFacts | None
) -> BasicConstraints:
    ceiling = None if issuer is None or issuer.path_length is None else issuer.path_length - 1
    limits = {
        f"{_TEMPLATE}/max_path_length": rule.max_path_length,
        "path length of the CA": ceiling,
        "limit of path lengths": LONGEST_PATH,
    }
    known = {place: limit for place, limit in limits.items() if limit is not None}
    longest = min(known.values())
    fix, mended = f"ask for a path length of at most {longest}", _as_authority(longest) if longest >= 0 else ()
    length = asked.path_length
    if length is None:
        if rule.max_path_length is not None:
            findings.refuse(
                _PATH_LENGTH,
                Code.PATH_LENGTH_MISSING,
                rule=f"{_TEMPLATE}/max_path_length",
                asked="no path length",
                allowed=f"at most {longest}",
                fix=fix,
                changes=mended,
            )
        elif ceiling is not None:
            findings.note(f"no path length was asked for: {ceiling} is filled in, one less than the CA's")
        return BasicConstraints(is_ca=True, path_length=ceiling)
    if length < 0:
        findings.refuse(
            _PATH_LENGTH,
            Code.PATH_LENGTH_OUT_OF_RANGE,
            rule="RFC 5280, 4.2.1.9",
            asked="a negative path length",
            allowed=f"0 to {longest}",
            fix=fix,
            changes=mended,
        )
    for place, limit in known.items():
        if length > limit:
            findings.refuse(
                _PATH_LENGTH,
                Code.PATH_LENGTH_TOO_LONG,
                rule=place,
                asked=f"path length {length}" if length < 10**6 else "a huge path length",
                allowed=f"at most {limit}",
                fix=fix,
                changes=mended,
            )
    if 0 <= length <= longest:
        findings.passed(_PATH_LENGTH, f"{_TEMPLATE}, the CA", f"path length {length}", f"at most {longest}")
    return BasicConstraints(is_ca=True, path_length=length)
