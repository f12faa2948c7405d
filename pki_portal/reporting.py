"""What of the configuration is hidden in reports of exceptions."""

import re

from django.views.debug import SafeExceptionReporterFilter


class ReportFilter(SafeExceptionReporterFilter):
    """Django's, and PINs: on the page of a traceback (DEBUG) no secret of the settings or the environment is shown."""

    hidden_settings = re.compile(f"{SafeExceptionReporterFilter.hidden_settings.pattern}|PIN", re.IGNORECASE)
