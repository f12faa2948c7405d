"""Refusals of the policy: every reason has a code, and every code its words."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from pki_portal.errors import Forbidden, Invalid, Malformed, Violation


class Code(StrEnum):
    """What was wrong, stable: programs may depend on these."""

    # Names
    NAME_MISSING = "name_missing"
    TOO_MANY_NAMES = "too_many_names"
    TOO_MANY_VALUES = "too_many_values"
    INVALID_VALUE = "invalid_value"
    TYPE_NOT_SUPPORTED = "type_not_supported"
    TYPE_NOT_ALLOWED = "type_not_allowed"
    TOO_MUCH_TEXT = "too_much_text"
    SEVERAL_COMMON_NAMES = "several_common_names"
    SUBJECT_IS_ISSUER = "subject_is_issuer"
    NAME_NOT_PERMITTED = "name_not_permitted"
    NAME_EXCLUDED = "name_excluded"
    EMAIL_NOT_AMONG_NAMES = "email_not_among_names"
    # A value against the lists of a rule
    VALUE_DENIED = "value_denied"
    VALUE_NOT_IN_LIST = "value_not_in_list"
    VALUE_DOES_NOT_MATCH = "value_does_not_match"
    REQUIRED_MISSING = "required_missing"
    REQUIRED_NOT_MET = "required_not_met"
    # Usages
    USAGE_DOES_NOT_FIT_KEY = "usage_does_not_fit_key"
    KEY_DOES_NOT_FIT_USAGE = "key_does_not_fit_usage"
    USAGE_FOR_CA_ONLY = "usage_for_ca_only"
    USAGE_NEEDS_KEY_AGREEMENT = "usage_needs_key_agreement"
    USAGES_EXCLUDE_EACH_OTHER = "usages_exclude_each_other"
    CA_WITHOUT_KEY_CERT_SIGN = "ca_without_key_cert_sign"
    # Keys and algorithms
    CHOICE_NOT_OFFERED = "choice_not_offered"
    KEY_ALGORITHM_DIFFERS = "key_algorithm_differs"
    WEAK_KEY = "weak_key"
    UNSUPPORTED_KEY = "unsupported_key"
    CSR_NOT_SELF_SIGNABLE = "csr_not_self_signable"
    SIGNATURE_DOES_NOT_FIT_SIGNER = "signature_does_not_fit_signer"
    NO_SIGNATURE_FITS_SIGNER = "no_signature_fits_signer"
    # Validity
    VALIDITY_MISSING = "validity_missing"
    TTL_AND_DATES = "ttl_and_dates"
    TTL_TOO_SHORT = "ttl_too_short"
    TTL_TOO_LONG = "ttl_too_long"
    DATE_OUT_OF_RANGE = "date_out_of_range"
    ENDS_BEFORE_START = "ends_before_start"
    ENDS_IN_PAST = "ends_in_past"
    STARTS_BEFORE_ISSUER = "starts_before_issuer"
    ENDS_AFTER_ISSUER = "ends_after_issuer"
    # Certificates for CAs
    CA_DENIED = "ca_denied"
    CA_REQUIRED = "ca_required"
    PATH_LENGTH_WITHOUT_CA = "path_length_without_ca"
    PATH_LENGTH_MISSING = "path_length_missing"
    PATH_LENGTH_OUT_OF_RANGE = "path_length_out_of_range"
    PATH_LENGTH_TOO_LONG = "path_length_too_long"
    # The signing CA
    ISSUER_NOT_ACTIVE = "issuer_not_active"
    ISSUER_REVOKED = "issuer_revoked"
    ISSUER_EXPIRED = "issuer_expired"
    ISSUER_ALLOWS_NO_CA = "issuer_allows_no_ca"
    # The answer itself
    TOO_MANY_VIOLATIONS = "too_many_violations"
    # Rules themselves
    MALFORMED_RULE = "malformed_rule"
    EMPTY_RULE = "empty_rule"
    CONTRADICTORY_RULE = "contradictory_rule"
    IMPOSSIBLE_RULE = "impossible_rule"
    DUPLICATE_RULE = "duplicate_rule"


VERDICTS: Mapping[str, str] = {
    Code.NAME_MISSING: "in a certificate that needs a name",
    Code.TOO_MANY_NAMES: "are too many",
    Code.TOO_MANY_VALUES: "are more than the template allows",
    Code.TOO_MUCH_TEXT: "is too much",
    Code.SEVERAL_COMMON_NAMES: "is more than one",
    Code.SUBJECT_IS_ISSUER: "is the name of the CA itself",
    Code.NAME_NOT_PERMITTED: "is outside what the CA may issue for",
    Code.NAME_EXCLUDED: "is excluded from what the CA may issue for",
    Code.EMAIL_NOT_AMONG_NAMES: "cannot be an alternative name too, as it must",
    Code.INVALID_VALUE: "is not valid",
    Code.TYPE_NOT_SUPPORTED: "cannot be allowed by any template",
    Code.TYPE_NOT_ALLOWED: "is not allowed by the template",
    Code.VALUE_DENIED: "is denied",
    Code.VALUE_NOT_IN_LIST: "is not in the allowed list",
    Code.VALUE_DOES_NOT_MATCH: "does not match",
    Code.REQUIRED_MISSING: "where one is required",
    Code.REQUIRED_NOT_MET: "without one that is required",
    Code.USAGE_DOES_NOT_FIT_KEY: "does not fit the key",
    Code.KEY_DOES_NOT_FIT_USAGE: "does not fit a usage that the template requires",
    Code.USAGE_FOR_CA_ONLY: "is for CAs only",
    Code.USAGE_NEEDS_KEY_AGREEMENT: "means nothing without key_agreement",
    Code.USAGES_EXCLUDE_EACH_OTHER: "exclude each other",
    Code.CA_WITHOUT_KEY_CERT_SIGN: "cannot sign certificates",
    Code.CHOICE_NOT_OFFERED: "cannot be chosen",
    Code.KEY_ALGORITHM_DIFFERS: "is not that of the CSR's key",
    Code.WEAK_KEY: "is weak",
    Code.UNSUPPORTED_KEY: "is of a kind that is not certified",
    Code.CSR_NOT_SELF_SIGNABLE: "cannot be signed here",
    Code.SIGNATURE_DOES_NOT_FIT_SIGNER: "cannot be made by the signing key",
    Code.NO_SIGNATURE_FITS_SIGNER: "can none be made by the signing key",
    Code.VALIDITY_MISSING: "is not known",
    Code.TTL_AND_DATES: "exclude each other",
    Code.TTL_TOO_SHORT: "is too short",
    Code.TTL_TOO_LONG: "is more than the template allows",
    Code.DATE_OUT_OF_RANGE: "cannot be written into a certificate",
    Code.ENDS_BEFORE_START: "is not after the start",
    Code.ENDS_IN_PAST: "is past already",
    Code.STARTS_BEFORE_ISSUER: "is before the start of the CA's own certificate",
    Code.ENDS_AFTER_ISSUER: "is after the end of the CA's own certificate",
    Code.CA_DENIED: "is denied",
    Code.CA_REQUIRED: "is not what the template is for",
    Code.PATH_LENGTH_WITHOUT_CA: "means nothing without isCA",
    Code.PATH_LENGTH_MISSING: "where one is required",
    Code.PATH_LENGTH_OUT_OF_RANGE: "is out of range",
    Code.PATH_LENGTH_TOO_LONG: "is too long",
    Code.ISSUER_NOT_ACTIVE: "is not active",
    Code.ISSUER_REVOKED: "was revoked, or a CA above it was",
    Code.ISSUER_EXPIRED: "has expired",
    Code.ISSUER_ALLOWS_NO_CA: "may have no CA below it",
    Code.TOO_MANY_VIOLATIONS: "is not told in full",
    Code.MALFORMED_RULE: "cannot be read",
    Code.EMPTY_RULE: "says nothing",
    Code.CONTRADICTORY_RULE: "is denied and allowed at once",
    Code.IMPOSSIBLE_RULE: "can be met by nothing",
    Code.DUPLICATE_RULE: "stands there twice",
}


def sentence(violation: Violation) -> str:
    """The violation as one clause for people: what was asked, the verdict, what is allowed."""
    return f"{violation.asked} {VERDICTS.get(violation.code, 'is refused')}: {violation.allowed}"


def _summary(violations: Sequence[Violation], limit: int = 10) -> str:
    clauses = [sentence(violation) for violation in violations[:limit]]
    if len(violations) > limit:
        clauses.append(f"and {len(violations) - limit} more")
    return "; ".join(clauses)


class PolicyViolation(Invalid):
    """A request that its template, profile or CA refuses, with every violation at once."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__(_summary(violations), violations=violations)


class ValidityMissing(Malformed):
    """Neither the request nor profile nor template says how long the certificate shall live."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__(_summary(violations), violations=violations)


class RuleError(Malformed):
    """A template or profile whose rules cannot be read, with every defect at once."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__(_summary(violations), violations=violations)


class DuplicateRule(Forbidden):
    """A template that is readable, but names a type or a value twice (the wire format tells the two apart)."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__(_summary(violations), violations=violations)
