from profiles.models.enrollment import AcmeEnrollment, ApiEnrollment, EstEnrollment
from profiles.models.profile import CertificateProfile
from profiles.models.template import CertificateTemplate
from profiles.models.version import ProfileVersion, TemplateVersion

__all__ = [
    "AcmeEnrollment",
    "ApiEnrollment",
    "CertificateProfile",
    "CertificateTemplate",
    "EstEnrollment",
    "ProfileVersion",
    "TemplateVersion",
]
