"""Names of the files that a certificate is saved as: the same in downloads and in the texts that use them."""

import re

from certificates.models import Certificate

LONGEST_STEM = 64


def file_stem(certificate: Certificate) -> str:
    """The certificate's first name in letters, digits, dots, hyphens and underscores, which need no quoting anywhere;
    it begins with a letter or a digit.
    """
    names = [name["value"] for name in certificate.subject_alternative_names]
    name = certificate.common_name or (names[0] if names else "") or certificate.serial_number
    safe = re.sub(r"\.{2,}", ".", re.sub(r"[^A-Za-z0-9.-]+", "_", name.replace("*.", "wildcard.")))
    return safe.strip("._-")[:LONGEST_STEM].rstrip("._-") or "certificate"
