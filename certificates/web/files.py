"""Names of files to save."""

import re

from certificates.models import Certificate


def key_file_name(certificate: Certificate) -> str:
    """The certificate's name in characters that every file system takes, with the ending of a key."""
    return (re.sub("[^A-Za-z0-9.-]+", "_", str(certificate)[:64]).strip("._") or "private") + ".key"
