"""Where the pages are: each page that people see once, by the name that a picture of it gets."""

from uuid import UUID

SHARED_PAGES = {
    "projects": "/projects/",
    "change-password": "/accounts/password/change/",
    "forgotten-password": "/accounts/password/reset/",
    "not-found": "/no/such/page/",
}


def project_pages(
    *, slug: str, certificate: UUID | str, request: UUID | str, profile: UUID | str, template: UUID | str,
    authority: UUID | str, alert: UUID | str, incident: UUID | str,
) -> dict[str, str]:  # fmt: skip
    """Path of one page of every kind of a project, with those things on them."""
    pages = {
        "overview": "",
        "certificates": "certificates/",
        "certificate": f"certificates/{certificate}/",
        "certificate-decision": f"certificates/{certificate}/decision/",
        "export": f"certificates/{certificate}/export/",
        "deploy": f"certificates/{certificate}/deploy/",
        "import-certificates": "certificates/import/",
        "renew": f"certificates/{certificate}/renew/",
        "issue": "certificates/issue/",
        "requests": "requests/",
        "request": f"requests/{request}/",
        "request-decision": f"requests/{request}/decision/",
        "approvals": "approvals/",
        "approval-policies": "approvals/policies/",
        "create-approval-policy": "approvals/policies/create/",
        "profiles": "profiles/",
        "profile": f"profiles/{profile}/",
        "profile-history": f"profiles/{profile}/history/",
        "profile-version": f"profiles/{profile}/history/1/",
        "create-profile": "profiles/create/",
        "edit-profile": f"profiles/{profile}/edit/",
        "move-profile": f"profiles/{profile}/move/",
        "waive": f"profiles/{profile}/waive/",
        "templates": "templates/",
        "template": f"templates/{template}/",
        "try-template": f"templates/{template}/try/",
        "template-history": f"templates/{template}/history/",
        "template-version": f"templates/{template}/history/1/",
        "create-template": "templates/create/?preset=tls-server",
        "edit-template": f"templates/{template}/edit/",
        "authorities": "authorities/",
        "authority": f"authorities/{authority}/",
        "revoke-authority": f"authorities/{authority}/1/revoke/",
        "create-authority": "authorities/create/",
        "import-authority": "authorities/import/",
        "alerts": "alerts/",
        "alert": f"alerts/{alert}/",
        "create-alert": "alerts/create/",
        "edit-alert": f"alerts/{alert}/edit/",
        "incidents": "incidents/",
        "incident": f"incidents/{incident}/",
        "declare-incident": "incidents/declare/",
        "audit-log": "audit-log/",
    }
    return {name: f"/projects/{slug}/{path}" for name, path in pages.items()}
