"""`manage.py issue`: the command door to a certificate."""

import os
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from django.core.management.base import BaseCommand, CommandError

from certificates.services.approvals.asking import StoredRequest, request_certificate
from certificates.services.issuance import IssuedCertificate
from certificates.services.requests import read_applicant_csr
from certificates.services.retrieval import certificate_pem
from pki_portal.access.permissions import Action
from pki_portal.access.querysets import get_project_by_slug
from pki_portal.access.requester import Requester, system_requester
from pki_portal.errors import PortalError
from profiles.models import CertificateProfile
from profiles.policy.request import AttributeValue, GeneralName, IssuanceRequest
from profiles.policy.validity import parse_ttl
from profiles.policy.vocabulary import (
    NameType,
    SubjectAttribute,
    parse_extended_key_usage,
    parse_key_algorithm,
    parse_key_usage,
    parse_signature_algorithm,
)
from profiles.services import find_profile_by_slug

T = TypeVar("T")

CERTIFICATE_FILE = "certificate.pem"
CHAIN_FILE = "chain.pem"
PRIVATE_KEY_FILE = "private-key.pem"
# Exit status where the request waits for approval.
WAITS = 3

_SUBJECT_OPTIONS = {
    "--common-name": SubjectAttribute.COMMON_NAME,
    "--organization": SubjectAttribute.ORGANIZATION,
    "--organizational-unit": SubjectAttribute.ORGANIZATIONAL_UNIT,
    "--country": SubjectAttribute.COUNTRY,
    "--state": SubjectAttribute.STATE,
    "--locality": SubjectAttribute.LOCALITY,
    "--domain-component": SubjectAttribute.DOMAIN_COMPONENT,
    "--serial-number": SubjectAttribute.SERIAL_NUMBER,
    "--subject-email": SubjectAttribute.EMAIL,
}
_NAME_OPTIONS = {
    "--dns": NameType.DNS_NAME,
    "--ip": NameType.IP_ADDRESS,
    "--email": NameType.EMAIL,
    "--upn": NameType.UPN,
    "--uri": NameType.URI,
}
# What a CSR says itself; beside --csr these would be silently overruled, so they are refused.
_SAID_BY_CSR = ("subject", "names", "key_usages", "extended_key_usages", "key_algorithm", "signature_algorithm")


def readable(parse: Callable[[str], T]) -> Callable[[str], T]:
    """``parse`` for argparse: its ValueError becomes the message that is shown."""

    def read(text: str) -> T:
        try:
            return parse(text)
        except ValueError as problem:
            raise ArgumentTypeError(str(problem)) from None

    return read


def parse_moment(text: str) -> datetime:
    """An ISO 8601 date or date and time, UTC where no offset stands; raises ValueError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no date: write 2027-01-31 or 2027-01-31T12:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Command(BaseCommand):
    """Issue a certificate from a profile; the private key is printed, or written to a file, once."""

    help = "Issue a certificate from a profile, or sign a CSR with --csr. PEMs go to stdout or into --out-dir."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Project and profile, then what shall be in the certificate."""
        parser.add_argument("--project", required=True, metavar="SLUG")
        parser.add_argument("--profile", required=True, metavar="SLUG")
        for option, attribute in _SUBJECT_OPTIONS.items():
            parser.add_argument(
                option, dest="subject", action="append", type=partial(AttributeValue, attribute), metavar="TEXT"
            )
        for option, kind in _NAME_OPTIONS.items():
            parser.add_argument(
                option, dest="names", action="append", type=partial(GeneralName, kind), metavar="NAME",
                help="subject alternative name; repeat for more, the order is kept",
            )  # fmt: skip
        parser.add_argument("--ttl", type=readable(parse_ttl), help="life such as 90d, 24h, 1y")
        parser.add_argument("--not-before", type=readable(parse_moment), metavar="DATE")
        parser.add_argument("--not-after", type=readable(parse_moment), metavar="DATE")
        parser.add_argument("--key-algorithm", type=readable(parse_key_algorithm), metavar="NAME")
        parser.add_argument("--signature-algorithm", type=readable(parse_signature_algorithm), metavar="NAME")
        parser.add_argument(
            "--key-usage", dest="key_usages", action="append", type=readable(parse_key_usage), metavar="NAME"
        )
        parser.add_argument(
            "--extended-key-usage",
            dest="extended_key_usages",
            action="append",
            type=readable(parse_extended_key_usage),
            metavar="NAME",
        )
        parser.add_argument("--csr", type=Path, metavar="FILE", help="PKCS#10 in PEM; the key stays with its owner")
        parser.add_argument("--out-dir", type=Path, metavar="DIR", help="write files here instead of to stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        """Issue, and hand over what was made; a refusal is listed with its fixes and ends with status 1.

        A request that waits for approval has made no certificate, and ends with status 3.
        """
        if options["ttl"] is not None and (options["not_before"] or options["not_after"]):
            raise CommandError("Give either --ttl or --not-before and --not-after, not both.")
        files = None if options["out_dir"] is None else _reserve(options["out_dir"], with_key=options["csr"] is None)
        try:
            issued = self._issue(options)
        except BaseException:
            _withdraw(files)
            raise
        if isinstance(issued, StoredRequest):
            _withdraw(files)
            self.stderr.write(f"{issued.message} Request {issued.request.pk}.")
            raise SystemExit(WAITS)
        for warning in issued.warnings:
            self.stderr.write(f"Note: {warning}")
        certificate = issued.certificate
        end = f"{certificate.not_after:%Y-%m-%d %H:%M} UTC"
        self.stderr.write(f"Serial number {certificate.serial_number}, valid until {end}.")
        if files is None:
            for pem in (certificate_pem(certificate), *issued.certification_path, issued.private_key):
                if pem is not None:
                    self.stdout.write(pem)
        else:
            for path in _write(files, issued):
                self.stderr.write(f"Wrote {path}.")

    def _issue(self, options: dict[str, Any]) -> IssuedCertificate | StoredRequest:
        requester = system_requester("manage.py issue")
        try:
            project = get_project_by_slug(requester=requester, slug=options["project"])
            profile = find_profile_by_slug(
                requester=requester,
                project=project,
                slug=options["profile"],
                action=Action.CERTIFICATE_PROFILES_ISSUE_CERT,
            )
            request = _request(options, profile=profile, requester=requester)
            return request_certificate(profile=profile, request=request, requester=requester)
        except PortalError as refusal:
            raise CommandError(refusal_text(refusal)) from None


def refusal_text(refusal: PortalError) -> str:
    """A refusal for a terminal: the message alone, or one paragraph for each violation."""
    if not refusal.violations:
        return refusal.message
    paragraphs = [
        f"  {violation.field or 'certificate'}: asked {violation.asked or 'nothing'}; allowed: {violation.allowed}\n"
        f"    fix: {violation.fix}  [{violation.code}; {violation.rule}]"
        for violation in refusal.violations
    ]
    return "\n".join(["Refused:", *paragraphs])


def _request(options: dict[str, Any], *, profile: CertificateProfile, requester: Requester) -> IssuanceRequest:
    life: dict[str, Any] = {name: options[name] for name in ("ttl", "not_before", "not_after")}
    if options["csr"] is None:
        return IssuanceRequest(
            subject=tuple(options["subject"] or ()),
            subject_alternative_names=tuple(options["names"] or ()),
            key_usages=_tuple_or_none(options["key_usages"]),
            extended_key_usages=_tuple_or_none(options["extended_key_usages"]),
            key_algorithm=options["key_algorithm"],
            signature_algorithm=options["signature_algorithm"],
            **life,
        )
    if any(options[name] for name in _SAID_BY_CSR):
        raise CommandError("With --csr only --ttl, --not-before and --not-after are read: the CSR says the rest.")
    try:
        csr = options["csr"].read_bytes()
    except OSError as problem:
        raise CommandError(f"The CSR cannot be read: {problem}") from None
    return replace(read_applicant_csr(profile=profile, requester=requester, csr=csr), **life)


def _tuple_or_none(values: list[T] | None) -> tuple[T, ...] | None:
    return None if values is None else tuple(values)


def _reserve(folder: Path, *, with_key: bool) -> dict[str, Path]:
    """Make the files empty before anything is issued: a key that cannot be written would be lost.

    Raises:
        CommandError: the folder cannot be written to, or holds such files already.
    """
    wanted = {CERTIFICATE_FILE: 0o644, CHAIN_FILE: 0o644} | ({PRIVATE_KEY_FILE: 0o600} if with_key else {})
    made: dict[str, Path] = {}
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, mode in wanted.items():
            os.close(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
            made[name] = folder / name
    except OSError as problem:
        _withdraw(made)
        raise CommandError(f"Nothing was issued: {problem}") from None
    return made


def _withdraw(files: dict[str, Path] | None) -> None:
    for path in (files or {}).values():
        with suppress(OSError):
            path.unlink()


def _write(files: dict[str, Path], issued: IssuedCertificate) -> list[Path]:
    contents = {
        PRIVATE_KEY_FILE: issued.private_key,
        CERTIFICATE_FILE: certificate_pem(issued.certificate),
        CHAIN_FILE: "\n".join(issued.certification_path),
    }
    written = []
    for name, pem in contents.items():
        if pem is not None and name in files:
            files[name].write_text(f"{pem}\n", encoding="ascii")
            written.append(files[name])
    return written
