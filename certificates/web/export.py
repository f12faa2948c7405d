"""A certificate as files, and how to put them to use."""

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.debug import sensitive_post_parameters

from certificates.models import Certificate
from certificates.services.deployment import Group, deploy_kit
from certificates.services.export import PublicFormat, is_its_key, key_file, path_of, public_file
from certificates.services.file_names import file_stem
from certificates.services.kept_keys import is_key_kept, secret_of
from certificates.web.certificates import find_certificate_of
from certificates.web.export_form import PackForm
from pki_portal.access.permissions import Action
from pki_portal.access.web.pages import Page, project_page, show
from pki_portal.attachments import attachment
from pki_portal.errors import PermissionDenied, PortalError

_FILES = (
    (PublicFormat.PEM, "Certificate", "PEM: the certificate alone"),
    (PublicFormat.FULLCHAIN, "Full chain", "PEM: the certificate and its intermediates, as servers send them"),
    (PublicFormat.CHAIN, "Chain", "PEM: everything above the certificate"),
    (PublicFormat.ROOT, "Root", "PEM: for those who are to trust it"),
    (PublicFormat.DER, "Certificate, DER", "binary: for Windows, Java and devices"),
    (PublicFormat.P7B, "Whole path, PKCS#7", ".p7b: for Windows and Java"),
    (PublicFormat.TRUSTSTORE, "Truststore", ".p12: the root for Java; its password is changeit"),
)
_NEED_ISSUERS = {PublicFormat.CHAIN, PublicFormat.ROOT, PublicFormat.TRUSTSTORE}


@project_page(section="certificates", action=Action.CERTIFICATES_READ)
def certificate_download(request: HttpRequest, page: Page, certificate_id: UUID, part: str) -> HttpResponse:
    """One of the formats without a key."""
    if part not in set(PublicFormat):
        raise Http404
    file = public_file(find_certificate_of(page, certificate_id), PublicFormat(part))
    return attachment(file.content, name=file.name, media_type=file.media_type)


@sensitive_post_parameters("password", "private_key")
@project_page(section="certificates", action=Action.CERTIFICATES_READ)
def export(request: HttpRequest, page: Page, certificate_id: UUID) -> HttpResponse:
    """All formats; POST answers the file with the key: the one that is kept, or the one that comes with the POST.

    A key that was shown this once comes back from the page that shows it, is packed and forgotten. Where the form is
    refused it is shown once more, for that page is gone; what is not the certificate's key is never shown.
    """
    found = find_certificate_of(page, certificate_id)
    if request.method != "POST":
        return _show(request, page, found, PackForm(certificate=found))
    form = PackForm(request.POST, certificate=found)
    open_key = request.POST.get("private_key")
    if form.is_valid():
        try:
            file = key_file(requester=page.requester, certificate=found, packing=form.packing(), open_key=open_key)
        except PermissionDenied:
            raise
        except PortalError as error:
            form.refuse(error)
        else:
            return attachment(file.content, name=file.name, media_type=file.media_type)
    status = form.refusal.status if form.refusal else 422
    if open_key is not None and is_its_key(found, open_key):
        context = {
            "certificate": found,
            "pack": form,
            "private_key": open_key.strip(),
            "key_filename": f"{file_stem(found)}.key",
            "is_shown_again": True,
        }
        return show(request, page, "certificates/private_key.html", context, status=status)
    return _show(request, page, found, form, status=status)


def _show(request: HttpRequest, page: Page, found: Certificate, form: PackForm, *, status: int = 200) -> HttpResponse:
    has_root = path_of(found).root is not None
    context = {
        "certificate": found,
        "files": [(each.value, title, text) for each, title, text in _FILES if has_root or each not in _NEED_ISSUERS],
        "has_root": has_root,
        "pack": form,
        "has_key": is_key_kept(found),
        "secret": secret_of(found),
    }
    return show(request, page, "certificates/export.html", context, status=status)


@project_page(section="certificates", action=Action.CERTIFICATES_READ)
def deploy(request: HttpRequest, page: Page, certificate_id: UUID) -> HttpResponse:
    """The deploy kit: files, servers, checks, trust stores."""
    found = find_certificate_of(page, certificate_id)
    kit = deploy_kit(found)
    context = {
        "certificate": found,
        "kit": kit,
        "has_key": is_key_kept(found),
        "groups": [
            (title, text, [recipe for recipe in kit.recipes if recipe.group == group])
            for group, title, text in (
                (Group.CHECK, "Get and check", "Before a server uses it, and after."),
                (Group.SERVER, "Servers", "Each with its files in the order that it wants them."),
                (Group.TRUST, "Trust the root", "On every machine that connects, once."),
            )
        ],
    }
    return show(request, page, "certificates/deploy.html", context)
