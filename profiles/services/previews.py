"""Would a save take renewals away?"""

from collections.abc import Callable

from pki_portal.errors import PortalError
from profiles.impact import Impact


def renewals_lost(preview: Callable[[], Impact]) -> Impact | None:
    """The impact, where renewals that pass today would be refused; else None.

    None too where the change itself is refused: to save it says why, and puts it on record.
    """
    try:
        impact = preview()
    except PortalError:
        return None
    return impact if impact.renewals.newly_refused else None
