"""pkilint's RFC 5280 checks, in this process, before anything is signed."""

import ipaddress
import re
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from threading import Lock
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from profiles.policy.plan import IssuancePlan
from profiles.policy.request import GeneralName
from profiles.policy.vocabulary import NameType
from profiles.policy.waivers import LintWaiver

REMEMBERED_SHAPES: Final = 4096
# Our own finding: there is nothing to check.
UNREADABLE: Final = "base.unreadable"


class Severity(StrEnum):
    """FATAL: nothing more could be checked; ERROR: a MUST is broken; WARNING: a SHOULD; NOTICE: worth a look."""

    FATAL = "FATAL"
    ERROR = "ERROR"
    WARNING = "WARNING"
    NOTICE = "NOTICE"


@dataclass(frozen=True, slots=True)
class Finding:
    """What the linter says of one node of a certificate.

    Attributes:
        code: as pkilint has it (``pkix.invalid_uri_syntax``).
        node: path to the node in the certificate; ``value`` its text where it is a name, else empty.
        waived: why it does not block, where it is waived; else empty.
    """

    severity: Severity
    code: str
    message: str
    node: str
    value: str = ""
    waived: str = ""

    @property
    def is_waivable(self) -> bool:
        """Whether a profile's waiver can name it: it is one of the linter's checks, and from WARNING up."""
        return self.code in waivable_codes()


def lint(certificate_der: bytes) -> tuple[Finding, ...]:
    """Findings of pkilint's PKIX checks from NOTICE up. 3-9 ms; the first call of a process half a second more."""
    loader, container = _linter()
    try:
        document = loader.load_der_document(certificate_der, "certificate")
    except ValueError as error:
        return (Finding(Severity.FATAL, UNREADABLE, str(error), ""),)
    return tuple(
        Finding(
            severity=Severity(description.finding.severity.name),
            code=description.finding.code,
            message=description.message or "",
            node=result.node.path,
            value=str(result.node.pdu) if result.node.path.endswith(_NAME_NODES) else "",
        )
        for result in container.validate(document.root)
        for description in result.finding_descriptions
        if description.finding.severity.name in Severity.__members__
    )


_NAME_NODES: Final = (
    "dNSName",
    "rfc822Name",
    "uniformResourceIdentifier",
    "accessLocation.uniformResourceIdentifier",
    ".value.emailAddress",
)
# A self-signed certificate names its subject twice.
_NAME_OF_SOMEBODY: Final = ("certificate.tbsCertificate.subject.", "certificate.tbsCertificate.issuer.")


@cache
def _linter() -> tuple[Any, Any]:
    """Loader and checks; one of each per process, imported only where something is linted."""
    from pkilint import loader
    from pkilint.pkix import certificate, extension, name

    container = certificate.create_pkix_certificate_validator_container(
        certificate.create_decoding_validators(name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS),
        [
            certificate.create_issuer_validator_container([]),
            certificate.create_validity_validator_container(),
            certificate.create_subject_validator_container([]),
            certificate.create_extensions_validator_container([]),
            certificate.create_spki_validator_container([]),
        ],
    )
    return loader.RFC5280CertificateDocumentLoader(), container


@cache
def waivable_codes() -> frozenset[str]:
    """Ids of all findings from WARNING up that these checks can have. The first call of a process imports pkilint."""
    from pkilint import report

    findings = report.get_included_validations(_linter()[1])
    return frozenset(finding.code for finding in findings if finding.severity.name in _WAIVABLE)


_WAIVABLE: Final = frozenset({Severity.FATAL, Severity.ERROR, Severity.WARNING})
_BLOCKING: Final = frozenset({Severity.FATAL, Severity.ERROR})


def blocking(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings for which a certificate must not be signed: those of ERROR and FATAL that are not waived."""
    return tuple(finding for finding in findings if finding.severity in _BLOCKING and not finding.waived)


def marked(
    findings: Iterable[Finding], *, own_urls: Collection[str] = (), waivers: Iterable[LintWaiver] = ()
) -> tuple[Finding, ...]:
    """The same findings; those that are waived say why.

    Args:
        own_urls: what this installation itself writes as addresses of CRLs, CA certificates and OCSP.
        waivers: those of the certificate's profile that count now; the built-in ones always do.
    """
    reasons = {waiver.code: waiver.reason for waiver in waivers}
    return tuple(
        replace(finding, waived=_built_in_waiver(finding, own_urls) or reasons.get(finding.code, ""))
        for finding in findings
    )


def _built_in_waiver(finding: Finding, own_urls: Collection[str]) -> str:
    """The reason of a waiver that stands for every profile; empty where there is none.

    Every name here has passed the policy's grammar and its template's patterns.
    """
    is_alternative_name = ".subjectAltName." in finding.node
    match finding.code:
        case "pkix.invalid_domain_name_syntax":
            # RFC 5280 leaves wildcards to applications, RFC 9525 defines them, and the template allowed this one.
            # Names of one label, or under a top level like zone1, are what private networks have: good by RFC 1034,
            # 3.5 and RFC 1123, 2.1, while pkilint takes the form of public top levels for the rule.
            if is_alternative_name and _is_host_name(finding.value.removeprefix("*.")):
                return "The template allows this wildcard or private host name (RFC 9525; RFC 1123, 2.1)."
        case "pkix.name_domain_components_invalid_domain_name":
            # The same private networks' domains (DC=local); pkilint tells the name in the message alone.
            if _is_host_name(finding.message.partition('"')[2].removesuffix('"')):
                return "The template allows this private domain (RFC 1123, 2.1)."
        case "pkix.invalid_email_address_syntax":
            # The same private networks' mailboxes (alice@mailhost); the rest of the address must look as it should.
            local, _, host = finding.value.rpartition("@")
            is_mailbox = _MAILBOX.fullmatch(local) is not None and _is_host_name(host)
            if is_mailbox and (is_alternative_name or finding.node.startswith(_NAME_OF_SOMEBODY)):
                return "The template allows this mailbox on a private host name (RFC 1123, 2.1)."
        case "pkix.invalid_uri_syntax":
            # pkilint takes only web addresses on public hosts for URIs. This installation may live on localhost; and
            # RFC 5280, 4.2.1.6 allows any absolute URI (spiffe:, urn:) in the subject's names.
            if finding.value in own_urls:
                return "An address of this installation, on a host without a public name."
            if is_alternative_name and is_absolute_uri(finding.value):
                return "Any absolute URI may be an alternative name (RFC 5280, 4.2.1.6)."
    return ""


_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_PUBLIC_FORM: Final = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9-]*\.)+[A-Za-z0-9-]*[A-Za-z]")
_MAILBOX: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+")


def _is_host_name(name: str) -> bool:
    """RFC 1034, 3.5 with RFC 1123, 2.1: labels of letters, digits and hyphens."""
    return len(name) <= 253 and all(_LABEL.fullmatch(label) for label in name.split("."))


def is_absolute_uri(text: str) -> bool:
    """RFC 3986 characters, a scheme and something after it; where an authority is written, it has a host."""
    if not _URI.fullmatch(text):
        return False
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.hostname) if text[len(parts.scheme) + 1 :].startswith("//") else True


def shape_of(plan: IssuancePlan, *, issuer: x509.Certificate | None, urls: Collection[str]) -> Hashable:
    """What decides the linter's verdict besides single values, which the policy's grammars judge one by one.

    The template has no part in it: what it grants is in the plan.
    """
    return (
        tuple(attribute.type for attribute in plan.subject),
        frozenset(_name_shape(name) for name in plan.subject_alternative_names),
        plan.key_usages,
        plan.extended_key_usages,
        plan.basic_constraints,
        plan.is_ocsp_responder,
        plan.key_algorithm,
        plan.signature_algorithm,
        # RFC 5280, 4.1.2.5: UTCTime to 2049, GeneralizedTime from then on.
        (plan.not_before.year >= 2050, plan.not_after.year >= 2050),
        issuer.fingerprint(hashes.SHA256()) if issuer else None,
        tuple(urls),
    )


def _name_shape(name: GeneralName) -> tuple[str, str]:
    match name.type:
        case NameType.DNS_NAME:
            return name.type, "" if _PUBLIC_FORM.fullmatch(name.value) else "special"
        case NameType.IP_ADDRESS:
            return name.type, str(ipaddress.ip_address(name.value).version)
        case NameType.URI:
            return name.type, name.value.partition(":")[0]
    return str(name.type), ""


class _CleanShapes:
    """Shapes whose certificate had no finding at all; the oldest is forgotten when there are too many. Thread-safe."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._shapes: OrderedDict[Hashable, None] = OrderedDict()
        self._lock = Lock()

    def __contains__(self, shape: Hashable) -> bool:
        with self._lock:
            return shape in self._shapes

    def add(self, shape: Hashable) -> None:
        with self._lock:
            self._shapes[shape] = None
            if len(self._shapes) > self._limit:
                self._shapes.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._shapes.clear()


_clean_shapes: Final = _CleanShapes(REMEMBERED_SHAPES)


def lint_shape(
    shape: Hashable, draft_der: Callable[[], bytes], *, own_urls: Collection[str] = ()
) -> tuple[Finding, ...]:
    """Findings for a certificate of this shape; an empty answer is remembered, any other is looked for again.

    A finding can come of a value (a wildcard), so one certificate's findings are never told of another. Findings on
    this installation's own addresses are left out: they are the same for all and waived.

    Args:
        draft_der: makes the certificate to lint; called for shapes that this process has not seen clean.
    """
    if shape in _clean_shapes:
        return ()
    findings = tuple(finding for finding in lint(draft_der()) if finding.value not in own_urls)
    if not findings:
        _clean_shapes.add(shape)
    return findings


def forget_shapes() -> None:
    """Forget every verdict (for tests)."""
    _clean_shapes.clear()
