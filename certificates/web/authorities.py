"""Pages of certificate authorities."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from certificates.models import AuthorityCertificate, CertificateAuthority, RevocationListShard
from certificates.models.authority import AuthorityKind, AuthorityStatus, ChainPhase, KeyStore
from certificates.services import authorities as services
from certificates.services.authorities import (
    authorities_of,
    authority_certificates_of,
    authority_csr,
    chain_of,
    create_intermediate,
    create_root,
    delete_authority,
    deletion_violations,
    end_finding,
    find_authority,
    health_of,
    keys_of,
    name_of,
    update_authority,
)
from certificates.services.authorities.health import Finding
from certificates.services.crl import List, lists_of, publish_now
from certificates.services.urls import authority_certificate_url, crl_url, ocsp_url
from certificates.web.authority_form import AuthorityForm, ImportForm, InstallForm, MirrorsForm, RenewForm
from certificates.x509.inspect import pem_of
from certificates.x509.names import distinguished_name
from pki_portal.access.permissions import Action
from pki_portal.access.web.pages import Page, project_page, show
from pki_portal.errors import NotFound, PortalError
from profiles.policy.vocabulary import KeyAlgorithm

_PHASES = {
    ChainPhase.OLD: "The old key signs. Hand the new root to all clients; nothing else changes.",
    ChainPhase.CROSS_SIGNED: "The new key signs. Clients that trust either root verify everything; move them now.",
    ChainPhase.NEW: "The new key signs, and chains end at the new root. Clients that trust the old one alone fail.",
}


@dataclass(slots=True)
class Branch:
    """A CA and the CAs below it."""

    authority: CertificateAuthority
    ending: Finding | None = None
    branches: list["Branch"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Version:
    """One certificate of a CA, as its page shows it."""

    row: AuthorityCertificate
    pem: str
    chain_pem: str
    url: str
    is_crossed: bool


@dataclass(frozen=True, slots=True)
class CrlLine:
    """One CRL of a CA, as its page shows it."""

    row: List
    url: str

    @property
    def is_stale(self) -> bool:
        """Whether the next one who asks for it gets a newer list."""
        return self.row.revision != self.row.published_revision

    @property
    def is_shard(self) -> bool:
        """Whether it lists only the certificates that name it."""
        return isinstance(self.row, RevocationListShard)


@project_page(section="authorities", action=Action.CERTIFICATE_AUTHORITIES_READ)
def authorities(request: HttpRequest, page: Page) -> HttpResponse:
    """Every CA under its parent."""
    found = authorities_of(requester=page.requester, project_id=page.project.pk).order_by("created_at", "name")
    context = {"branches": branches_of(list(found), timezone.now())}
    return show(request, page, "certificates/authorities.html", context)


@project_page(section="authorities", action=Action.CERTIFICATE_AUTHORITIES_CREATE, event="create-ca")
def create_authority(request: HttpRequest, page: Page) -> HttpResponse:
    """GET shows the form, POST makes a root or an intermediate."""
    if request.method != "POST":
        return show(request, page, "certificates/authority_form.html", {"form": AuthorityForm(project=page.project)})
    form = AuthorityForm(request.POST, project=page.project)
    if form.is_valid():
        try:
            made = _create(page, form)
        except PortalError as error:
            form.refuse(error)
        else:
            messages.success(request, f"CA {made.name} was created.")
            return redirect("authority", page.project.slug, made.pk)
    status = form.refusal.status if form.refusal else 422
    return show(request, page, "certificates/authority_form.html", {"form": form}, status=status)


@project_page(section="authorities", action=Action.CERTIFICATE_AUTHORITIES_CREATE, event="import-ca")
def import_authority(request: HttpRequest, page: Page) -> HttpResponse:
    """GET shows the form, POST takes over a CA with its key."""
    template = "certificates/authority_import.html"
    if request.method != "POST":
        return show(request, page, template, {"form": ImportForm()})
    form = ImportForm(request.POST, request.FILES)
    if form.is_valid():
        try:
            made = services.import_authority(requester=page.requester, project=page.project, **form.given())
        except PortalError as error:
            form.refuse(error)
        else:
            messages.success(request, f"CA {made.name} was imported.")
            return redirect("authority", page.project.slug, made.pk)
    status = form.refusal.status if form.refusal else 422
    return show(request, page, template, {"form": form}, status=status)


@project_page(section="authorities", action=Action.CERTIFICATE_AUTHORITIES_READ)
def authority(request: HttpRequest, page: Page, authority_id: UUID) -> HttpResponse:
    """Health, facts, keys, certificates by version, CRLs; POST ``act`` does one thing to the CA."""
    found = find_authority_of(page, authority_id)
    forms: dict[str, InstallForm | RenewForm | MirrorsForm] = {
        "install": InstallForm(),
        "renew": RenewForm(),
        "mirrors": MirrorsForm(initial={"crl_distribution_point_urls": "\n".join(found.crl_distribution_point_urls)}),
    }
    act = request.POST.get("act", "")
    if act in forms:
        form = type(forms[act])(request.POST, request.FILES)
        if _done(request, page, found, form):
            return redirect("authority", page.project.slug, found.pk)
        forms[act] = form
    elif request.method == "POST":
        return _act(request, page, found)
    now = timezone.now()
    keys = keys_of(found, now)
    is_waiting = found.status == AuthorityStatus.PENDING_CERTIFICATE or keys[0].waits
    may_edit = Action.CERTIFICATE_AUTHORITIES_EDIT.name in page.may
    context = {
        "authority": found,
        "subject": distinguished_name(name_of(found)),
        "health": health_of(found, now),
        "keys": keys,
        "phases": [(phase, _PHASES[phase]) for phase in ChainPhase] if found.chain_phase else [],
        "versions": [_version(row) for row in authority_certificates_of(found).order_by("-version")],
        "crls": [CrlLine(crl, crl_url(crl.pk)) for crl in lists_of(found)],
        "ocsp_url": ocsp_url(found.pk),
        "forms": forms,
        "csr": authority_csr(requester=page.requester, authority=found) if is_waiting and may_edit else "",
        "profiles": found.certificate_profiles.order_by("slug"),
        "children": found.children.order_by("name"),
        "why_kept": list(deletion_violations(found, now=now)),
    }
    refusal = forms[act].refusal if act in forms else None
    status = refusal.status if refusal is not None else 422 if act in forms else 200
    return show(request, page, "certificates/authority.html", context, status=status)


@project_page(section="authorities", action=Action.CERTIFICATE_AUTHORITIES_READ)
def authority_download(request: HttpRequest, page: Page, authority_id: UUID, version: int, part: str) -> HttpResponse:
    """``certificate`` or ``chain`` (that certificate first, root last) of one version as a file."""
    found = find_authority_of(page, authority_id)
    row = authority_certificates_of(found).filter(version=version).first()
    if row is None or part not in {"certificate", "chain"}:
        raise Http404
    shown = _version(row)
    text = shown.pem if part == "certificate" else shown.chain_pem
    return HttpResponse(text + "\n", content_type="application/x-pem-file")


def branches_of(rows: Sequence[CertificateAuthority], now: datetime) -> list[Branch]:
    """The rows as trees; one whose parent is not among them stands at the top."""
    known = {row.pk: Branch(row, end_finding(row, now)) for row in rows}
    tops: list[Branch] = []
    for branch in known.values():
        parent = known.get(branch.authority.parent_id) if branch.authority.parent_id else None
        (parent.branches if parent else tops).append(branch)
    return tops


def _create(page: Page, form: AuthorityForm) -> CertificateAuthority:
    values = form.cleaned_data
    given = {
        "requester": page.requester,
        "project": page.project,
        "name": values["name"],
        "subject": form.subject(),
        "key_algorithm": KeyAlgorithm(values["key_algorithm"]),
        "key_store": KeyStore(values["key_store"] or KeyStore.DATABASE),
        "not_after": form.ends(),
        "max_path_length": values["max_path_length"],
        "name_constraints": form.name_constraints(),
        "crl_distribution_point_urls": form.crl_mirrors(),
    }
    if values["kind"] == AuthorityKind.ROOT:
        return create_root(**given)
    return create_intermediate(**given, parent=form.chosen_parent())


def _act(request: HttpRequest, page: Page, found: CertificateAuthority) -> HttpResponse:
    act = request.POST.get("act")
    try:
        if act == "disable":
            update_authority(requester=page.requester, authority=found, status=AuthorityStatus.DISABLED)
            messages.success(request, f"CA {found.name} is disabled: it issues nothing until it is enabled again.")
        elif act == "enable":
            update_authority(requester=page.requester, authority=found, status=AuthorityStatus.ACTIVE)
            messages.success(request, f"CA {found.name} is enabled.")
        elif act == "phase" and request.POST.get("phase") in set(ChainPhase):
            phase = ChainPhase(request.POST["phase"])
            update_authority(requester=page.requester, authority=found, chain_phase=phase)
            messages.success(request, f"CA {found.name} is in the phase {phase.label.lower()}.")
        elif act in {"enable-ocsp", "disable-ocsp"}:
            is_on = act == "enable-ocsp"
            update_authority(requester=page.requester, authority=found, is_ocsp_enabled=is_on)
            messages.success(request, f"OCSP of {found.name} is {'on' if is_on else 'off'}.")
        elif act == "publish":
            count = publish_now(requester=page.requester, authority=found)
            messages.success(request, "The CRL was published." if count == 1 else f"{count} CRLs were published.")
        elif act == "delete":
            delete_authority(requester=page.requester, authority=found)
            messages.success(request, f"CA {found.name} was deleted.")
            return redirect("authorities", page.project.slug)
    except PortalError as error:
        messages.error(request, error.message)
    return redirect("authority", page.project.slug, found.pk)


def _done(
    request: HttpRequest, page: Page, found: CertificateAuthority, form: InstallForm | RenewForm | MirrorsForm
) -> bool:
    """Whether what the form asks was done; else it tells why not."""
    if not form.is_valid():
        return False
    try:
        told = _do(page, found, form)
    except PortalError as error:
        form.refuse(error)
        return False
    messages.success(request, told)
    return True


def _do(page: Page, found: CertificateAuthority, form: InstallForm | RenewForm | MirrorsForm) -> str:
    """Do it, and say what was done. Raises PortalError."""
    if isinstance(form, MirrorsForm):
        update_authority(requester=page.requester, authority=found, crl_distribution_point_urls=form.urls())
        return "What is signed from now on names these addresses of the CRL."
    if isinstance(form, InstallForm):
        version = services.import_authority_certificate(requester=page.requester, authority=found, **form.given())
        return f"The certificate was installed as version {version.version}."
    if not form.is_rekey:
        version = services.renew_authority(requester=page.requester, authority=found, not_after=form.ends())
        return f"CA {found.name} was renewed: version {version.version}."
    rekeyed = services.rekey_authority(
        requester=page.requester, authority=found, not_after=form.ends(), key_algorithm=form.new_algorithm()
    )
    if rekeyed.certificate is None:
        return "The new key was made. Have its request signed, and install the answer; until then the old key signs."
    if found.chain_phase:
        return "The new key was made. Hand the new root certificate to all clients, then switch the chain."
    return "The new key was made and signs from now on."


def find_authority_of(page: Page, authority_id: UUID) -> CertificateAuthority:
    """The CA, if it is of the page's project. Raises NotFound, PermissionDenied."""
    found = find_authority(requester=page.requester, authority_id=authority_id)
    if found.project_id != page.project.pk:
        raise NotFound("There is no such CA in this project.")
    return found


def _version(row: AuthorityCertificate) -> Version:
    path = [pem_of(der) for der in chain_of(row)]
    issuer = row.issuer_certificate
    return Version(
        row=row,
        pem=path[0],
        chain_pem="\n".join(path),
        url=authority_certificate_url(row.authority_id, row.pk),
        is_crossed=issuer is not None and issuer.authority_id == row.authority_id,
    )
