"""Key and signature algorithms, and the applicant's own key."""

from collections.abc import Iterable, Mapping, Sequence, Set

from pki_portal.errors import Change
from profiles.policy.errors import Code
from profiles.policy.judges.findings import Findings
from profiles.policy.judges.usages import fits
from profiles.policy.request import ApplicantKey, IssuanceRequest, IssuerFacts
from profiles.policy.rules import ProfileDefaults, TemplateRules
from profiles.policy.vocabulary import KeyAlgorithm, KeyFamily, KeyUsage, SignatureAlgorithm
from profiles.policy.wording import listed, quoted, shown

# Where a template lists none, the first that fits what is asked.
_KEYS_WITHOUT_LIST = (KeyAlgorithm.EC_PRIME256V1, KeyAlgorithm.RSA_2048)
_SIGNATURE_OF_FAMILY: Mapping[KeyFamily, SignatureAlgorithm] = {
    KeyFamily.RSA: SignatureAlgorithm.RSA_SHA256,
    KeyFamily.EC: SignatureAlgorithm.ECDSA_SHA256,
    KeyFamily.ED25519: SignatureAlgorithm.ED25519,
    KeyFamily.ML_DSA_44: SignatureAlgorithm.ML_DSA_44,
    KeyFamily.ML_DSA_65: SignatureAlgorithm.ML_DSA_65,
    KeyFamily.ML_DSA_87: SignatureAlgorithm.ML_DSA_87,
}
# A digest as strong as the curve.
_SIGNATURE_OF_KEY: Mapping[str, SignatureAlgorithm] = {
    KeyAlgorithm.EC_SECP384R1: SignatureAlgorithm.ECDSA_SHA384,
    KeyAlgorithm.EC_SECP521R1: SignatureAlgorithm.ECDSA_SHA512,
}
_SIGNATURES: Mapping[KeyFamily, Sequence[SignatureAlgorithm]] = {
    family: tuple(each for each in SignatureAlgorithm if each.family is family) for family in KeyFamily
}
_EVERY_FAMILY = frozenset(KeyFamily)
_KEY_RULE = "template algorithms/key_algorithm"
_SIGNATURE_RULE = "template algorithms/signature"


def default_signature_algorithm(family: KeyFamily, key_algorithm: str) -> SignatureAlgorithm:
    """The signature that a key makes where nobody says which."""
    return _SIGNATURE_OF_KEY.get(key_algorithm, _SIGNATURE_OF_FAMILY[family])


def judge_key_algorithm(
    findings: Findings,
    *,
    rules: TemplateRules,
    defaults: ProfileDefaults,
    request: IssuanceRequest,
    issuer: IssuerFacts | None,
) -> KeyAlgorithm | None:
    """The algorithm of the key to be certified; None where there is none to speak of, which is refused."""
    if request.applicant_key is not None:
        return _judge_applicant_key(findings, rules, request, request.applicant_key, issuer)
    offered = rules.key_algorithms
    if request.key_algorithm is not None:
        if offered is None:
            _refuse_choice(findings, "key_algorithm", _KEY_RULE, f"key algorithm {request.key_algorithm}")
        elif request.key_algorithm not in offered:
            _refuse_unlisted(findings, "key_algorithm", _KEY_RULE, f"key algorithm {request.key_algorithm}", offered)
        else:
            findings.passed("key_algorithm", _KEY_RULE, f"key algorithm {request.key_algorithm}", listed(offered))
        return request.key_algorithm
    return _filled_key_algorithm(findings, rules, defaults, request, is_self_signed=issuer is None)


def judge_signature_algorithm(
    findings: Findings,
    *,
    rules: TemplateRules,
    defaults: ProfileDefaults,
    request: IssuanceRequest,
    issuer: IssuerFacts | None,
    key_algorithm: KeyAlgorithm | None,
) -> SignatureAlgorithm | None:
    """The algorithm of the signature, one that the signing key can make; None where there is none, which is refused."""
    if issuer is not None:
        signer, family, signing_key = f"CA {shown(issuer.name)}", issuer.key_family, issuer.key_algorithm
    elif key_algorithm is not None:
        signer, family, signing_key = "its own key", key_algorithm.family, key_algorithm.value
    else:
        return None
    signer = f"{signer} ({shown(signing_key)})"
    offered = rules.signature_algorithms
    makeable = _SIGNATURES[family]
    fitting = makeable if offered is None else tuple(each for each in offered if each.family is family)
    if not fitting:
        findings.refuse(
            "signature_algorithm",
            Code.NO_SIGNATURE_FITS_SIGNER,
            rule=_SIGNATURE_RULE,
            asked=f"the template's signature algorithms ({listed(offered or ['none'])})",
            allowed=f"{listed(makeable)} by {signer}",
            fix=_fix_without_signature(rules, issuer, makeable),
            changes=tuple(
                Change("set", "key_algorithm", each.value) for each in _keys_with_signature(rules, issuer)[:1]
            ),
        )
        return None
    if request.signature_algorithm is not None and offered is None:
        asked = f"signature algorithm {request.signature_algorithm}"
        _refuse_choice(findings, "signature_algorithm", _SIGNATURE_RULE, asked)
        return request.signature_algorithm
    wanted = request.signature_algorithm or defaults.signature_algorithm
    if wanted is None:
        wanted = default_signature_algorithm(family, signing_key) if offered is None else fitting[0]
        findings.note(f"no signature algorithm was asked for: {wanted} fits {signer}")
        findings.filled("signature_algorithm", _SIGNATURE_RULE, f"signature algorithm {wanted}", listed(fitting))
        return wanted
    asked = f"signature algorithm {wanted}"
    if request.signature_algorithm is None:
        asked += defaults.source.mark
        findings.note(f"no signature algorithm was asked for: {wanted} is filled in from {defaults.source}")
    if offered is not None and wanted not in offered:
        _refuse_unlisted(findings, "signature_algorithm", _SIGNATURE_RULE, asked, fitting)
    elif wanted.family is not family:
        # Where the template offers no choice, the profile alone can have asked.
        findings.refuse(
            "signature_algorithm",
            Code.SIGNATURE_DOES_NOT_FIT_SIGNER,
            rule=f"key of {signer}",
            asked=asked,
            allowed=listed(fitting),
            fix=(
                defaults.source.with_another("default")
                if offered is None
                else f"ask for {listed(fitting)}, or for none"
            ),
            changes=() if offered is None else (Change("set", "signature_algorithm", fitting[0].value),),
        )
    else:
        tell = findings.filled if request.signature_algorithm is None else findings.passed
        tell("signature_algorithm", _SIGNATURE_RULE, asked, listed(fitting))
    return wanted


def _fix_without_signature(
    rules: TemplateRules, issuer: IssuerFacts | None, makeable: Iterable[SignatureAlgorithm]
) -> str:
    """Only a self-signed certificate's applicant can do something about it: ask for another key."""
    keys = _keys_with_signature(rules, issuer)
    if keys:
        return f"ask for a key of {listed(keys)}"
    return f"have the template list {listed(makeable)}, or use a profile of another CA"


def _keys_with_signature(rules: TemplateRules, issuer: IssuerFacts | None) -> list[KeyAlgorithm]:
    """Of a self-signed certificate: the keys on offer that can make a signature that the template lists."""
    if issuer is not None:
        return []
    families = {each.family for each in rules.signature_algorithms or ()}
    return [each for each in rules.key_algorithms or () if each.family in families]


def _refuse_choice(findings: Findings, path: str, rule: str, asked: str) -> None:
    findings.refuse(
        path,
        Code.CHOICE_NOT_OFFERED,
        rule=rule,
        asked=asked,
        allowed="no choice: the template lists none",
        fix="leave it out: one that fits is chosen",
        changes=(Change("remove", path),),
    )


def _refuse_unlisted(findings: Findings, path: str, rule: str, asked: str, offered: Sequence[str]) -> None:
    options = listed(offered)
    findings.refuse(
        path,
        Code.VALUE_NOT_IN_LIST,
        rule=rule,
        asked=asked,
        allowed=options or "none",
        fix=f"use {options}" if options else "have the template changed",
        changes=() if path == "csr" else tuple(Change("set", path, str(each)) for each in offered[:1]),
    )


def _filled_key_algorithm(
    findings: Findings,
    rules: TemplateRules,
    defaults: ProfileDefaults,
    request: IssuanceRequest,
    *,
    is_self_signed: bool,
) -> KeyAlgorithm | None:
    offered = rules.key_algorithms
    default = defaults.key_algorithm
    if default is not None:
        findings.note(f"no key algorithm was asked for: {default} is filled in from {defaults.source}")
        asked = f"key algorithm {default}{defaults.source.mark}"
        if offered is not None and default not in offered:
            _refuse_unlisted(findings, "key_algorithm", _KEY_RULE, asked, offered)
        else:
            findings.filled("key_algorithm", _KEY_RULE, asked, listed(offered) if offered else "any")
        return default
    candidates = _KEYS_WITHOUT_LIST if offered is None else offered
    if not candidates:
        _refuse_unlisted(findings, "key_algorithm", _KEY_RULE, "a key algorithm", ())
        return None
    chosen = _first_fitting(candidates, rules, request, _signing_families(rules, defaults, request, is_self_signed))
    findings.note(f"no key algorithm was asked for: {chosen} is the first that fits")
    findings.filled("key_algorithm", _KEY_RULE, f"key algorithm {chosen}", listed(candidates))
    return chosen


def _signing_families(
    rules: TemplateRules, defaults: ProfileDefaults, request: IssuanceRequest, is_self_signed: bool
) -> Set[KeyFamily]:
    """The families that a key may be of, so that it can sign its own certificate."""
    if not is_self_signed:
        return _EVERY_FAMILY
    wanted = request.signature_algorithm or defaults.signature_algorithm
    signatures = rules.signature_algorithms if rules.signature_algorithms is not None else tuple(SignatureAlgorithm)
    return {each.family for each in ((wanted,) if wanted is not None else signatures)}


def _first_fitting(
    candidates: tuple[KeyAlgorithm, ...], rules: TemplateRules, request: IssuanceRequest, families: Set[KeyFamily]
) -> KeyAlgorithm:
    """The first for all that is asked and required, else the first for what is required, else the first."""
    required = () if rules.key_usages is None else rules.key_usages.required
    for usages in ((*required, *(request.key_usages or ())), required):
        for candidate in candidates:
            if candidate.family in families and _fits_all(usages, candidate):
                return candidate
    return candidates[0]


def _fits_all(usages: Iterable[KeyUsage], algorithm: KeyAlgorithm) -> bool:
    return all(fits(usage, algorithm) for usage in usages)


def _judge_applicant_key(
    findings: Findings,
    rules: TemplateRules,
    request: IssuanceRequest,
    key: ApplicantKey,
    issuer: IssuerFacts | None,
) -> KeyAlgorithm | None:
    label = f"the key of the CSR ({shown(key.description)})"
    if issuer is None:
        findings.refuse(
            "csr",
            Code.CSR_NOT_SELF_SIGNABLE,
            rule="self-signed profile",
            asked="a CSR",
            allowed="keys made by the portal: only the key's owner can sign with it",
            fix="leave the CSR out, or use a profile of a CA",
        )
    for weakness in key.weaknesses:
        findings.refuse(
            "csr",
            Code.WEAK_KEY,
            rule="key strength",
            asked=label,
            allowed=shown(weakness, 300),
            fix="make a new key and a CSR for it",
        )
    offered = rules.key_algorithms if rules.key_algorithms is not None else tuple(KeyAlgorithm)
    options = listed(offered) or "none"
    if key.algorithm is None:
        # A weakness says more than "unsupported" where the size is the weakness.
        if not key.weaknesses:
            findings.refuse(
                "csr",
                Code.UNSUPPORTED_KEY,
                rule="supported keys",
                asked=label,
                allowed=options,
                fix=f"make a key of {options} and a CSR for it",
            )
        return None
    if key.algorithm not in offered:
        _refuse_unlisted(findings, "csr", _KEY_RULE, f"key algorithm {key.algorithm}", offered)
    elif not key.weaknesses:
        findings.passed("csr", _KEY_RULE, f"key algorithm {key.algorithm}", options)
    if request.key_algorithm is not None and request.key_algorithm is not key.algorithm:
        findings.refuse(
            "key_algorithm",
            Code.KEY_ALGORITHM_DIFFERS,
            rule="the CSR",
            asked=f"key algorithm {quoted(request.key_algorithm)}",
            allowed=key.algorithm.value,
            fix="leave the key algorithm out: the CSR brings the key",
            changes=(Change("remove", "key_algorithm"),),
        )
    return key.algorithm
