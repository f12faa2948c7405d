"""Key usages (RFC 5280, 4.2.1.3) and extended key usages (4.2.1.12)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, Generic, TypeVar

from pki_portal.errors import Change
from profiles.policy.errors import Code
from profiles.policy.judges.findings import Findings
from profiles.policy.request import IssuanceRequest
from profiles.policy.rules import ProfileDefaults, Source, TemplateRules, Usage, UsageRule
from profiles.policy.vocabulary import ExtendedKeyUsage, KeyAlgorithm, KeyFamily, KeyUsage, Purpose, as_purpose
from profiles.policy.wording import listed, quoted

Word = TypeVar("Word", bound=str)

_FOR_CAS = (KeyUsage.KEY_CERT_SIGN, KeyUsage.CRL_SIGN)
_WITH_KEY_AGREEMENT = (KeyUsage.ENCIPHER_ONLY, KeyUsage.DECIPHER_ONLY)
_SIGNING = frozenset({KeyUsage.DIGITAL_SIGNATURE, KeyUsage.NON_REPUDIATION, *_FOR_CAS})

_USAGES_OF: Mapping[KeyFamily, frozenset[KeyUsage]] = {
    KeyFamily.RSA: _SIGNING | {KeyUsage.KEY_ENCIPHERMENT, KeyUsage.DATA_ENCIPHERMENT},  # RFC 4055, 1.2
    KeyFamily.EC: _SIGNING | {KeyUsage.KEY_AGREEMENT, *_WITH_KEY_AGREEMENT},  # RFC 5480, 3; RFC 8813, 3
    KeyFamily.ED25519: _SIGNING,  # RFC 8410, 5; RFC 9295, 3
    KeyFamily.ML_DSA_44: _SIGNING,  # RFC 9881, 5
    KeyFamily.ML_DSA_65: _SIGNING,
    KeyFamily.ML_DSA_87: _SIGNING,
}
_REFERENCES: Mapping[KeyFamily, str] = {
    KeyFamily.RSA: "RFC 4055, 1.2",
    KeyFamily.EC: "RFC 5480, 3",
    KeyFamily.ED25519: "RFC 8410, 5",
    KeyFamily.ML_DSA_44: "RFC 9881, 5",
    KeyFamily.ML_DSA_65: "RFC 9881, 5",
    KeyFamily.ML_DSA_87: "RFC 9881, 5",
}


@dataclass(frozen=True, slots=True)
class _Kind(Generic[Word]):
    """How one of the two extensions is called; ``words`` are the usages with a name, in RFC order."""

    words: Sequence[Word]
    path: str
    label: str
    place: str


_KEY_USAGES: Sequence[KeyUsage] = tuple(KeyUsage)
_PURPOSES: Sequence[Purpose] = tuple(ExtendedKeyUsage)
_KEY_USAGE: _Kind[KeyUsage] = _Kind(_KEY_USAGES, "key_usages", "key usage", "template key_usages")
_EXTENDED: _Kind[Purpose] = _Kind(
    _PURPOSES, "extended_key_usages", "extended key usage", "template extended_key_usages"
)


_LISTED_USAGES: Mapping[KeyFamily, str] = {
    family: listed(usage for usage in KeyUsage if usage in usages) for family, usages in _USAGES_OF.items()
}


def fits(usage: KeyUsage, algorithm: KeyAlgorithm) -> bool:
    """Whether a key of this algorithm can be used so at all."""
    return usage in _USAGES_OF[algorithm.family]


def judge_key_usages(
    findings: Findings,
    *,
    rules: TemplateRules,
    defaults: ProfileDefaults,
    request: IssuanceRequest,
    algorithm: KeyAlgorithm | None,
    is_ca: bool,
) -> tuple[KeyUsage, ...]:
    """The key usages in bit order: as asked, or filled in and fitted to the key."""
    rule = rules.key_usages
    if request.key_usages is None:
        usages = _filled_key_usages(findings, rule, defaults, algorithm, is_ca=is_ca)
    else:
        usages = _in_order(_KEY_USAGES, request.key_usages)
    is_implied = request.key_usages is None and is_ca and rule is None
    judged = _without(usages, _FOR_CAS) if is_implied else usages
    mended = partial(_mended_key_usages, rule, usages, algorithm, is_ca=is_ca)
    source = defaults.source if request.key_usages is None else None
    _judge_lists(findings, _KEY_USAGE, rule, judged, source=source, mended=mended)
    if algorithm is not None:
        _judge_fit(findings, rules, request, usages, algorithm, mended=mended)
    _judge_ca_usages(findings, usages, is_ca=is_ca, mended=mended)
    _judge_key_agreement(findings, usages, mended=mended)
    return usages


def judge_extended_key_usages(
    findings: Findings, *, rules: TemplateRules, defaults: ProfileDefaults, request: IssuanceRequest
) -> tuple[Purpose, ...]:
    """The extended key usages, those of RFC 5280 first and in its order: as asked, or filled in."""
    rule = rules.extended_key_usages
    asked = request.extended_key_usages
    unknown: Sequence[str] = ()
    if asked is None:
        wanted, source = _defaults(rule, defaults.extended_key_usages, defaults.source)
        usages = _in_order(_PURPOSES, wanted)
        _note_filled(findings, _EXTENDED, usages, source)
    else:
        known = [as_purpose(usage) for usage in asked]
        usages = _in_order(_PURPOSES, [usage for usage in known if usage is not None])
        unknown = [usage for usage, word in zip(asked, known, strict=True) if word is None]
    mended = partial(_mended, rule, usages)
    for text in dict.fromkeys(unknown):
        findings.refuse(
            _EXTENDED.path,
            Code.TYPE_NOT_SUPPORTED,
            rule="extended key usages",
            asked=f"extended key usage {quoted(text)}",
            allowed=f"{listed(ExtendedKeyUsage)}, and all others by dotted OID but anyExtendedKeyUsage",
            fix=f"leave {quoted(text)} out",
            changes=_set(_EXTENDED, mended()),
        )
    _judge_lists(findings, _EXTENDED, rule, usages, source=defaults.source if asked is None else None, mended=mended)
    return usages


def _in_order(words: Sequence[Word], usages: Iterable[Word]) -> tuple[Word, ...]:
    """Those with a name in RFC order, then the others as they stand."""
    wanted: dict[Word, None] = dict.fromkeys(usages)
    named: tuple[Word, ...] = tuple(word for word in words if word in wanted)
    return named if len(named) == len(wanted) else (*named, *(usage for usage in wanted if usage not in words))


def _without(usages: Iterable[Word], others: Iterable[Word]) -> tuple[Word, ...]:
    left_out = set(others)
    return tuple(usage for usage in usages if usage not in left_out)


def _set(kind: "_Kind[Any]", usages: Iterable[str]) -> tuple[Change, ...]:
    """The change that asks for just these."""
    return (Change("set", kind.path, [str(usage) for usage in _in_order(kind.words, usages)]),)


def _mended(rule: UsageRule[Usage] | None, usages: Iterable[Usage]) -> tuple[Usage, ...]:
    """What passes of these and of what is required: the one list that every reason offers, or to follow one would be
    refused for another. Found only where something is refused.
    """
    return () if rule is None else tuple(usage for usage in (*_required(rule), *usages) if _permits(rule, usage))


def _mended_key_usages(
    rule: UsageRule[KeyUsage] | None, usages: Sequence[KeyUsage], algorithm: KeyAlgorithm | None, *, is_ca: bool
) -> tuple[KeyUsage, ...]:
    """:func:`_mended`, and as the key, the kind of certificate and RFC 5280, 4.2.1.3, let them stand together."""
    wanted = _mended(rule, (KeyUsage.KEY_CERT_SIGN, *usages) if is_ca else usages)
    mended = tuple(
        usage
        for usage in (wanted if is_ca else _without(wanted, _FOR_CAS))
        if algorithm is None or fits(usage, algorithm)
    )
    if KeyUsage.KEY_AGREEMENT not in mended:
        return _without(mended, _WITH_KEY_AGREEMENT)
    return _without(mended, (KeyUsage.DECIPHER_ONLY,)) if KeyUsage.ENCIPHER_ONLY in mended else mended


def _required(rule: UsageRule[Usage] | None) -> tuple[Usage, ...]:
    return () if rule is None else tuple(dict.fromkeys(rule.required))


def _defaults(
    rule: UsageRule[Usage] | None, from_profile: tuple[Usage, ...] | None, source: str
) -> tuple[tuple[Usage, ...], str]:
    """What to fill in and who says so; what the template requires is always among it."""
    required = _required(rule)
    if from_profile is None:
        return required, "the template requires"
    return tuple(dict.fromkeys(chain(from_profile, required))), f"{source} fills in"


def _note_filled(findings: Findings, kind: _Kind[Word], usages: tuple[Word, ...], source: str) -> None:
    if usages:
        findings.note(f"no {kind.label}s were asked for: {listed(usages)} as {source}")


def _filled_key_usages(
    findings: Findings,
    rule: UsageRule[KeyUsage] | None,
    defaults: ProfileDefaults,
    algorithm: KeyAlgorithm | None,
    *,
    is_ca: bool,
) -> tuple[KeyUsage, ...]:
    wanted, source = _defaults(rule, defaults.key_usages, defaults.source)
    if is_ca:
        # RFC 5280, 4.2.1.3: a CA's certificate has the extension, and in it keyCertSign.
        source = f"{source} and a CA needs" if wanted else "a CA needs"
        wanted = (*wanted, KeyUsage.KEY_CERT_SIGN)
        if rule is None or _permits(rule, KeyUsage.CRL_SIGN):
            wanted = (*wanted, KeyUsage.CRL_SIGN)
    required = _required(rule)
    unfit = {
        usage
        for usage in _without(wanted, required)
        if (algorithm is not None and not fits(usage, algorithm))
        or (usage in _FOR_CAS and not is_ca)
        or (usage in _WITH_KEY_AGREEMENT and KeyUsage.KEY_AGREEMENT not in wanted)
    }
    usages = _in_order(_KEY_USAGES, _without(wanted, unfit))
    _note_filled(findings, _KEY_USAGE, usages, source)
    if unfit:
        left_out = listed(_in_order(_KEY_USAGES, unfit))
        findings.note(f"{left_out} would be filled in, but does not fit this certificate and is left out")
    return usages


def _permits(rule: UsageRule[Usage], usage: Usage) -> bool:
    if usage in rule.denied:
        return False
    if rule.allowed or rule.required:
        return usage in rule.allowed or usage in rule.required
    return bool(rule.denied)


def _permitted(rule: UsageRule[Usage]) -> str:
    if rule.allowed or rule.required:
        return listed(dict.fromkeys((*rule.required, *rule.allowed)))
    return f"any but {listed(rule.denied)}" if rule.denied else "none"


def _judge_lists(
    findings: Findings,
    kind: _Kind[Usage],
    rule: UsageRule[Usage] | None,
    usages: tuple[Usage, ...],
    *,
    source: Source | None,
    mended: Callable[[], tuple[Usage, ...]],
) -> None:
    required = _required(rule)
    for usage in _without(required, usages):
        findings.refuse(
            kind.path,
            Code.REQUIRED_MISSING,
            rule=f"{kind.place} required",
            asked=f"no {kind.label} {usage}",
            allowed=listed(required),
            fix=f"add {usage}",
            changes=_set(kind, (*mended(), usage)),
        )
    passing = [usage for usage in usages if rule is not None and _permits(rule, usage)]
    for usage in _without(usages, passing):
        _refuse_usage(findings, kind, rule, usage, source=source, mended=mended)
    if rule is not None and passing:
        tell = findings.filled if source else findings.passed
        tell(kind.path, kind.place, f"{kind.label} {listed(passing)}", _permitted(rule))


def _refuse_usage(
    findings: Findings,
    kind: _Kind[Usage],
    rule: UsageRule[Usage] | None,
    usage: Usage,
    *,
    source: Source | None,
    mended: Callable[[], tuple[Usage, ...]],
) -> None:
    if rule is None:
        code, place, allowed = Code.TYPE_NOT_ALLOWED, kind.place, f"no {kind.label}s"
    elif usage in rule.denied:
        code, place, allowed = Code.VALUE_DENIED, f"{kind.place} denied", _permitted(rule)
    else:
        code, place, allowed = Code.VALUE_NOT_IN_LIST, f"{kind.place} allowed", _permitted(rule)
    asked, fix = f"{kind.label} {usage}", f"leave {usage} out"
    changes = _set(kind, _without(mended(), (usage,)))
    if source and usage is KeyUsage.KEY_CERT_SIGN and usage not in _required(rule):
        asked, fix = f"{asked} (every CA has it)", f"have the template allow {usage}, or leave isCA out"
        changes = (Change("set", "basic_constraints", {"is_ca": False}),)
    elif source:
        asked += source.mark
        yourself = f"ask for {kind.label}s yourself, without {usage}"
        fix = f"{yourself}, or {source.with_another('default')}" if source is Source.PROFILE else yourself
    findings.refuse(kind.path, code, rule=place, asked=asked, allowed=allowed, fix=fix, changes=changes)


def _judge_fit(
    findings: Findings,
    rules: TemplateRules,
    request: IssuanceRequest,
    usages: tuple[KeyUsage, ...],
    algorithm: KeyAlgorithm,
    *,
    mended: Callable[[], tuple[KeyUsage, ...]],
) -> None:
    required = _required(rules.key_usages)
    offered = rules.key_algorithms if rules.key_algorithms is not None else tuple(KeyAlgorithm)
    for usage in dict.fromkeys((*required, *usages)):
        if fits(usage, algorithm):
            continue
        candidates = [each for each in offered if fits(usage, each)]
        fitting = listed(candidates)
        if usage in required:
            findings.refuse(
                "key_algorithm" if request.applicant_key is None else "csr",
                Code.KEY_DOES_NOT_FIT_USAGE,
                rule=f"{_KEY_USAGE.place} required; {_REFERENCES[algorithm.family]}",
                asked=f"key algorithm {algorithm}",
                allowed=f"{fitting or 'no key'} for {usage}",
                fix=f"use a key of {fitting}" if fitting else "have the template changed: no key that it lists fits",
                changes=tuple(
                    Change("set", "key_algorithm", each.value) for each in candidates[:1] if rules.key_algorithms
                ),
            )
        else:
            findings.refuse(
                _KEY_USAGE.path,
                Code.USAGE_DOES_NOT_FIT_KEY,
                rule=_REFERENCES[algorithm.family],
                asked=f"key usage {usage} with key algorithm {algorithm}",
                allowed=_LISTED_USAGES[algorithm.family],
                fix=f"leave {usage} out" + (f", or use a key of {fitting}" if fitting else ""),
                changes=_set(_KEY_USAGE, _without(mended(), (usage,))),
            )
    if usages and all(fits(usage, algorithm) for usage in usages):
        findings.passed(
            _KEY_USAGE.path,
            _REFERENCES[algorithm.family],
            f"key usage {listed(usages)} with key algorithm {algorithm}",
            _LISTED_USAGES[algorithm.family],
        )


def _judge_ca_usages(
    findings: Findings, usages: tuple[KeyUsage, ...], *, is_ca: bool, mended: Callable[[], tuple[KeyUsage, ...]]
) -> None:
    if is_ca and KeyUsage.KEY_CERT_SIGN not in usages:
        findings.refuse(
            _KEY_USAGE.path,
            Code.CA_WITHOUT_KEY_CERT_SIGN,
            rule="RFC 5280, 4.2.1.3",
            asked="a certificate for a CA without key usage key_cert_sign",
            allowed="key_cert_sign in every certificate for a CA",
            fix="add key_cert_sign, or leave isCA out",
            changes=_set(_KEY_USAGE, (*mended(), KeyUsage.KEY_CERT_SIGN)),
        )
    for usage in _FOR_CAS:
        if usage in usages and not is_ca:
            findings.refuse(
                _KEY_USAGE.path,
                Code.USAGE_FOR_CA_ONLY,
                rule="RFC 5280, 4.2.1.3",
                asked=f"key usage {usage} in a certificate for an end entity",
                allowed="only with basicConstraints isCA",
                fix=f"leave {usage} out, or ask for basicConstraints with isCA",
                changes=_set(_KEY_USAGE, _without(mended(), (usage,))),
            )


def _judge_key_agreement(
    findings: Findings, usages: tuple[KeyUsage, ...], *, mended: Callable[[], tuple[KeyUsage, ...]]
) -> None:
    given = [usage for usage in _WITH_KEY_AGREEMENT if usage in usages]
    if len(given) > 1:
        findings.refuse(
            _KEY_USAGE.path,
            Code.USAGES_EXCLUDE_EACH_OTHER,
            rule="RFC 5280, 4.2.1.3",
            asked=f"key usages {listed(given)}",
            allowed="one of the two",
            fix="leave encipher_only or decipher_only out",
            changes=_set(_KEY_USAGE, _without(mended(), (KeyUsage.DECIPHER_ONLY,))),
        )
    if KeyUsage.KEY_AGREEMENT in usages:
        return
    for usage in given:
        findings.refuse(
            _KEY_USAGE.path,
            Code.USAGE_NEEDS_KEY_AGREEMENT,
            rule="RFC 5280, 4.2.1.3",
            asked=f"key usage {usage}",
            allowed="only together with key_agreement",
            fix=f"leave {usage} out, or add key_agreement",
            changes=_set(_KEY_USAGE, _without(mended(), (usage,))),
        )
