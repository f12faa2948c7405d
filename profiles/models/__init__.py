from profiles.models.enrollment import AcmeEnrollment, ApiEnrollment, EstEnrollment
from profiles.models.profile import CertificateProfile
from profiles.models.template import CertificateTemplate

__all__ = [
    "AcmeEnrollment",
    "ApiEnrollment",
    "CertificateProfile",
    "CertificateTemplate",
    "EstEnrollment",
]
