"""Whether what judged a request still stands as its certificate is stored."""

from certificates.services.issuing_authority import IssuingAuthority, signs_by
from pki_portal.errors import Conflict, NotFound, Violation
from profiles.models import CertificateProfile
from profiles.services.versions import RulesInForce, rules_as_loaded, rules_in_force


def require_unchanged(profile: CertificateProfile, issuer: IssuingAuthority | None) -> None:
    """Return if what was judged still stands as the caller's transaction begins, else raise NotFound or Conflict.

    In a block of ``remembering`` of that transaction's own: one query where nothing at all has changed since.
    """
    judged_by = rules_as_loaded(profile)
    in_force = rules_in_force(profile.pk)
    if in_force is None:
        raise profile_gone(profile)
    if in_force != judged_by:
        raise _rules_changed(profile, judged_by, in_force)
    if issuer is not None and not signs_by(issuer.authority.pk, issuer.row.pk):
        raise _issuer_changed(issuer)


def profile_gone(profile: CertificateProfile) -> NotFound:
    """What is told of a profile that somebody deleted meanwhile."""
    return NotFound(f"Certificate profile {profile.slug} was deleted while the certificate was made; none was issued.")


def _issuer_changed(issuer: IssuingAuthority) -> Conflict:
    name = issuer.facts.name
    return Conflict(
        f"CA {name} was disabled or got another certificate while this one was made; none was issued. Ask again.",
        violations=[
            Violation(
                field="issuer",
                code="issuer_changed",
                rule=f"CA {name}",
                asked=f"a certificate from {name}",
                allowed="a CA that stays as it is while it signs",
                fix="Send the request again; it is judged by the CA as it stands then.",
            )
        ],
        retry_after=1,
    )


def _rules_changed(profile: CertificateProfile, judged_by: RulesInForce, in_force: RulesInForce) -> Conflict:
    if in_force.profile_version != judged_by.profile_version:
        changed = f"certificate profile {profile.slug}"
        version = judged_by.profile_version
    else:
        changed = f"certificate template {profile.template.name}"
        version = judged_by.template_version
    return Conflict(
        f"{changed.capitalize()} was changed while the certificate was made; none was issued. Ask again.",
        violations=[
            Violation(
                field="profile",
                code="rules_changed",
                rule=changed,
                asked=f"a certificate by version {version}",
                allowed="rules that stay as they are while a certificate is made",
                fix="Send the request again; it is judged by the rules as they stand then.",
            )
        ],
        retry_after=1,
    )
