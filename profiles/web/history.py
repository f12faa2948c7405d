"""Pages about versions: what changed, when and by whom, what differs between two, and one as a whole."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from uuid import UUID

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from pki_portal.access.permissions import Action
from pki_portal.access.requester import Requester
from pki_portal.access.templatetags.portal import words
from pki_portal.access.web.pages import Page, project_page, show
from pki_portal.errors import NotFound
from profiles.models import CertificateProfile, CertificateTemplate
from profiles.models.version import Version
from profiles.policy.difference import Difference, differences
from profiles.querysets import profile_history, template_history, version_numbered

VERSIONS_A_PAGE = 20
# So many places of a change are named in its line; the rest are counted.
PLACES_NAMED = 2

# Whole paths, and parts of paths, that do not read well as they are.
_LABELS = {
    "slug": "Name",
    "validity/max": "Longest validity",
    "algorithms/key_algorithm": "Key algorithms",
    "algorithms/signature": "Signature algorithms",
    "basic_constraints/is_ca": "Certificates for CAs",
    "basic_constraints/max_path_length": "Longest path length",
    "certificate_authority/name": "Issuing CA",
    "certificate_authority/id": "Issuing CA, id",
    "template/name": "Template",
    "template/id": "Template, id",
    "enrollment_method": "Enrollment",
    "defaults/ttl": "Usual validity",
    "defaults/ttl_days": "Usual validity, days",
    "settings/api/auto_renew": "Auto-renewal",
    "settings/api/renew_before_days": "Renewal, days before the end",
}
_PARTS = {"sans": "alternative names", "est": "EST", "acme": "ACME", "api": "API", "settings": "enrollment"}
# Under these, values are names of the vocabulary, not what somebody wrote.
_VOCABULARY = (
    *("key_usages", "extended_key_usages", "algorithms/key_algorithm"),
    *("defaults/key_usages", "defaults/extended_key_usages", "defaults/key_algorithm"),
)


@dataclass(frozen=True, slots=True)
class Told:
    """One difference in words; values as a list of texts, empty where nothing is said."""

    label: str
    before: Sequence[str]
    after: Sequence[str]


@dataclass(frozen=True, slots=True)
class Line:
    """A version in the table, with what changed in one line."""

    version: Version
    summary: str


@dataclass(frozen=True, slots=True)
class Kind:
    """Whose versions: how they are found, and where their pages are."""

    section: str
    action: Action
    noun: str
    history: Callable[[Requester, UUID], QuerySet[Any]]
    rows: Callable[[], QuerySet[Any]]


TEMPLATE = Kind(
    section="templates",
    action=Action.CERTIFICATE_TEMPLATES_READ,
    noun="template",
    history=lambda requester, owner: template_history(requester=requester, template_id=owner),
    rows=CertificateTemplate.objects.all,
)
PROFILE = Kind(
    section="profiles",
    action=Action.CERTIFICATE_PROFILES_READ,
    noun="profile",
    history=lambda requester, owner: profile_history(requester=requester, profile_id=owner),
    rows=CertificateProfile.objects.all,
)


def told(difference: Difference) -> Told:
    """A difference in words."""
    return Told(
        label=label_of(difference.path),
        before=_texts(difference.path, difference.before),
        after=_texts(difference.path, difference.after),
    )


def label_of(path: str) -> str:
    """The path of a difference as people read it: ``Subject, common name: allowed``."""
    if path in _LABELS:
        return _LABELS[path]
    *outer, last = [_words_of(part) for part in path.split("/")]
    text = f"{', '.join(outer)}: {last}" if outer else last
    return text[:1].upper() + text[1:]


def _words_of(part: str) -> str:
    key, _, kind = part.partition("[")
    text = _PARTS.get(key) or _uncapitalised(words(key))
    return f"{text}, {_uncapitalised(words(kind.rstrip(']')))}" if kind else text


def _uncapitalised(text: str) -> str:
    """Unless it starts with an abbreviation."""
    return text if text[:2].isupper() else text[:1].lower() + text[1:]


def _texts(path: str, value: object) -> list[str]:
    members = value if isinstance(value, list) else [value]
    is_vocabulary = path.startswith(_VOCABULARY)
    return [_text(member, is_vocabulary=is_vocabulary) for member in members if member not in (None, "")]


def _text(value: object, *, is_vocabulary: bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return words(value) if is_vocabulary else value
    return json.dumps(value, ensure_ascii=False)


def summary_of(before: Version | None, after: Version) -> str:
    """What changed, in one line."""
    if before is None:
        return "First version" if after.number == 1 else ""
    labels = list(dict.fromkeys(label_of(each.path) for each in differences(before.document, after.document)))
    named = "; ".join(labels[:PLACES_NAMED])
    rest = len(labels) - PLACES_NAMED
    return f"{named}; and {rest} more" if rest > 0 else named


def _history(request: HttpRequest, page: Page, kind: Kind, owner_id: UUID) -> HttpResponse:
    versions = _versions(page, kind, owner_id)
    numbers = list(versions.values_list("number", flat=True))
    page_obj = Paginator(versions, VERSIONS_A_PAGE).get_page(request.GET.get("page"))
    # One more than the page shows, to compare the last line with.
    shown = list(versions[page_obj.start_index() - 1 : page_obj.end_index() + 1])
    lines = [Line(after, summary_of(before, after)) for after, before in pairwise([*shown, None]) if after]
    to = _chosen(request.GET.get("to"), numbers, numbers[0])
    start = _chosen(request.GET.get("from"), numbers, to - 1 if to > 1 else to)
    compared = differences(version_numbered(versions, start).document, version_numbered(versions, to).document)
    context = {
        **_names(kind, owner_id, versions.first()),
        "page_obj": page_obj,
        "lines": lines[:VERSIONS_A_PAGE],
        "numbers": numbers,
        "start": start,
        "to": to,
        "differences": [told(each) for each in compared],
    }
    return show(request, page, "profiles/history.html", context)


def _version(request: HttpRequest, page: Page, kind: Kind, owner_id: UUID, number: int) -> HttpResponse:
    versions = _versions(page, kind, owner_id)
    version = version_numbered(versions, number)
    before = versions.filter(number=number - 1).first()
    context = {
        **_names(kind, owner_id, version),
        "version": version,
        "newest": versions.values_list("number", flat=True).first(),
        "before": before,
        "differences": [told(each) for each in differences(before.document, version.document)] if before else [],
        "says": [told(each) for each in differences({}, version.document)],
    }
    return show(request, page, "profiles/version.html", context)


def _versions(page: Page, kind: Kind, owner_id: UUID) -> QuerySet[Version]:
    versions: QuerySet[Version] = kind.history(page.requester, owner_id)
    if not versions.filter(project=page.project).exists():
        raise NotFound(f"There is no such {kind.noun} in this project.")
    return versions


def _names(kind: Kind, owner_id: UUID, version: Version | None) -> dict[str, Any]:
    """What the pages say and link to; the thing itself may be gone."""
    return {
        "noun": kind.noun,
        "owner_id": owner_id,
        "name": version.name if version else "",
        "is_deleted": not kind.rows().filter(pk=owner_id).exists(),
        "list_url": kind.section,
        "history_url": f"{kind.noun}-history",
        "version_url": f"{kind.noun}-version",
    }


def _chosen(text: str | None, numbers: Sequence[int], otherwise: int) -> int:
    """A number out of the query if there is that version, else another."""
    return next((number for number in numbers if str(number) == text), otherwise)


@project_page(section=TEMPLATE.section, action=TEMPLATE.action)
def template_versions(request: HttpRequest, page: Page, template_id: UUID) -> HttpResponse:
    """The versions of a template; ``from`` and ``to`` choose two to compare, else the newest with the one before."""
    return _history(request, page, TEMPLATE, template_id)


@project_page(section=TEMPLATE.section, action=TEMPLATE.action)
def template_version(request: HttpRequest, page: Page, template_id: UUID, number: int) -> HttpResponse:
    """One version of a template, all that it says."""
    return _version(request, page, TEMPLATE, template_id, number)


@project_page(section=PROFILE.section, action=PROFILE.action)
def profile_versions(request: HttpRequest, page: Page, profile_id: UUID) -> HttpResponse:
    """As :func:`template_versions`, of a profile."""
    return _history(request, page, PROFILE, profile_id)


@project_page(section=PROFILE.section, action=PROFILE.action)
def profile_version(request: HttpRequest, page: Page, profile_id: UUID, number: int) -> HttpResponse:
    """One version of a profile, all that it says."""
    return _version(request, page, PROFILE, profile_id, number)
