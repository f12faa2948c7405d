"""Which changes of templates and profiles change the stamp (``pki_portal.access.remembering``)."""

from pki_portal.access.remembering import Scope
from pki_portal.access.stamp_triggers import watch
from profiles.models import AcmeEnrollment, ApiEnrollment, CertificateProfile, CertificateTemplate, EstEnrollment


def watch_all() -> None:
    """All but the versions, which never change."""
    for model in (CertificateTemplate, CertificateProfile, ApiEnrollment, EstEnrollment, AcmeEnrollment):
        watch(Scope.RULES, model)
