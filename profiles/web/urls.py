"""Addresses of the pages about profiles and templates of a project."""

from django.urls import path

from profiles.web import history, profiles, templates

urlpatterns = [
    path("projects/<slug:slug>/profiles/", profiles.profiles, name="profiles"),
    path("projects/<slug:slug>/profiles/create/", profiles.create, name="create-profile"),
    path("projects/<slug:slug>/profiles/<uuid:profile_id>/", profiles.profile, name="profile"),
    path("projects/<slug:slug>/profiles/<uuid:profile_id>/edit/", profiles.edit, name="edit-profile"),
    path("projects/<slug:slug>/profiles/<uuid:profile_id>/move/", profiles.move, name="move-profile"),
    path("projects/<slug:slug>/profiles/<uuid:profile_id>/waive/", profiles.waive, name="waive"),
    path(
        "projects/<slug:slug>/profiles/<uuid:profile_id>/remove-waiver/", profiles.remove_waiver, name="remove-waiver"
    ),
    path("projects/<slug:slug>/profiles/<uuid:profile_id>/delete/", profiles.delete, name="delete-profile"),
    path("projects/<slug:slug>/profiles/<uuid:profile_id>/history/", history.profile_versions, name="profile-history"),
    path(
        "projects/<slug:slug>/profiles/<uuid:profile_id>/history/<int:number>/",
        history.profile_version,
        name="profile-version",
    ),
    path("projects/<slug:slug>/templates/", templates.templates, name="templates"),
    path("projects/<slug:slug>/templates/create/", templates.create, name="create-template"),
    path("projects/<slug:slug>/templates/in-words/", templates.rules_in_words, name="rules-in-words"),
    path("projects/<slug:slug>/templates/<uuid:template_id>/", templates.template, name="template"),
    path("projects/<slug:slug>/templates/<uuid:template_id>/edit/", templates.edit, name="edit-template"),
    path("projects/<slug:slug>/templates/<uuid:template_id>/delete/", templates.delete, name="delete-template"),
    path(
        "projects/<slug:slug>/templates/<uuid:template_id>/history/", history.template_versions, name="template-history"
    ),
    path(
        "projects/<slug:slug>/templates/<uuid:template_id>/history/<int:number>/",
        history.template_version,
        name="template-version",
    ),
]
