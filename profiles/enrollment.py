"""How a certificate can be asked for: the table of enrollment methods."""

from enum import StrEnum


class EnrollmentMethod(StrEnum):
    """Methods that a profile can be made for."""

    API = "api"
    EST = "est"
    ACME = "acme"
