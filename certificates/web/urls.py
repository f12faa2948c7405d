"""Addresses of the pages about certificates, requests and authorities of a project."""

from django.urls import path

from certificates.web import (
    approval_policies,
    approvals,
    authorities,
    certificates,
    decisions,
    export,
    importing,
    issue,
    overview,
    renewal,
    requests,
    revocation,
    try_it,
)

urlpatterns = [
    path("projects/<slug:slug>/", overview.overview, name="overview"),
    path("projects/<slug:slug>/certificates/", certificates.certificates, name="certificates"),
    path("projects/<slug:slug>/certificates/issue/", issue.issue, name="issue"),
    path("projects/<slug:slug>/certificates/import/", importing.import_certificates, name="import-certificates"),
    path("projects/<slug:slug>/certificates/<uuid:certificate_id>/export/", export.export, name="export"),
    path("projects/<slug:slug>/certificates/<uuid:certificate_id>/deploy/", export.deploy, name="deploy"),
    path("projects/<slug:slug>/certificates/revoke/", revocation.revoke_many, name="revoke-many"),
    path("projects/<slug:slug>/certificates/<uuid:certificate_id>/renew/", renewal.renew, name="renew"),
    path(
        "projects/<slug:slug>/certificates/<uuid:certificate_id>/renewal/",
        renewal.renewal_config,
        name="renewal-config",
    ),
    path("projects/<slug:slug>/certificates/<uuid:certificate_id>/revoke/", revocation.revoke, name="revoke"),
    path(
        "projects/<slug:slug>/certificates/<uuid:certificate_id>/delete/",
        certificates.delete_certificate,
        name="delete-certificate",
    ),
    path("projects/<slug:slug>/certificates/<uuid:certificate_id>/release/", revocation.release, name="release"),
    path("projects/<slug:slug>/certificates/<uuid:certificate_id>/", certificates.certificate, name="certificate"),
    path(
        "projects/<slug:slug>/certificates/<uuid:certificate_id>/download/<slug:part>/",
        export.certificate_download,
        name="certificate-download",
    ),
    path(
        "projects/<slug:slug>/certificates/<uuid:certificate_id>/decision/",
        decisions.certificate_decision,
        name="certificate-decision",
    ),
    path(
        "projects/<slug:slug>/requests/<uuid:request_id>/decision/",
        decisions.request_decision,
        name="request-decision",
    ),
    path(
        "projects/<slug:slug>/certificates/<uuid:certificate_id>/key/",
        certificates.certificate_key,
        name="certificate-key",
    ),
    path(
        "projects/<slug:slug>/certificates/<uuid:certificate_id>/destroy-key/",
        certificates.destroy_key,
        name="destroy-key",
    ),
    path("projects/<slug:slug>/templates/try/", try_it.try_rules, name="try-rules"),
    path("projects/<slug:slug>/templates/<uuid:template_id>/try/", try_it.try_template, name="try-template"),
    path("projects/<slug:slug>/profiles/<uuid:profile_id>/try/", try_it.try_profile, name="try-profile"),
    path("projects/<slug:slug>/requests/", requests.requests, name="requests"),
    path("projects/<slug:slug>/requests/<uuid:request_id>/", requests.request_detail, name="request"),
    path("projects/<slug:slug>/requests/<uuid:request_id>/approve/", approvals.approve, name="approve"),
    path("projects/<slug:slug>/requests/<uuid:request_id>/reject/", approvals.reject, name="reject"),
    path("projects/<slug:slug>/requests/<uuid:request_id>/cancel/", approvals.cancel, name="cancel"),
    path("projects/<slug:slug>/approvals/", approvals.approvals, name="approvals"),
    path("projects/<slug:slug>/approvals/policies/", approval_policies.approval_policies, name="approval-policies"),
    path("projects/<slug:slug>/approvals/policies/create/", approval_policies.create, name="create-approval-policy"),
    path(
        "projects/<slug:slug>/approvals/policies/<uuid:policy_id>/edit/",
        approval_policies.edit,
        name="edit-approval-policy",
    ),
    path(
        "projects/<slug:slug>/approvals/policies/<uuid:policy_id>/delete/",
        approval_policies.delete,
        name="delete-approval-policy",
    ),
    path("projects/<slug:slug>/authorities/", authorities.authorities, name="authorities"),
    path("projects/<slug:slug>/authorities/create/", authorities.create_authority, name="create-authority"),
    path("projects/<slug:slug>/authorities/import/", authorities.import_authority, name="import-authority"),
    path("projects/<slug:slug>/authorities/<uuid:authority_id>/", authorities.authority, name="authority"),
    path(
        "projects/<slug:slug>/authorities/<uuid:authority_id>/<int:version>/revoke/",
        revocation.revoke_authority,
        name="revoke-authority",
    ),
    path(
        "projects/<slug:slug>/authorities/<uuid:authority_id>/<int:version>/<str:part>.pem",
        authorities.authority_download,
        name="authority-download",
    ),
]
