"""Versions are written once."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction

from profiles.models import ProfileVersion, TemplateVersion
from profiles.models.version import ImmutableError, Version
from tests.factories import make_project

pytestmark = pytest.mark.django_db

MAKE: dict[str, Callable[..., Version]] = {
    "template": lambda **values: TemplateVersion(template_id=values.pop("of"), **values),
    "profile": lambda **values: ProfileVersion(profile_id=values.pop("of"), **values),
}


def make(kind: str, **changes: Any) -> Version:
    project = changes.pop("project", None) or make_project()
    values = {"of": uuid4(), "project": project, "number": 1, "name": "web", "document": {"name": "web"}}
    version = MAKE[kind](**(values | {"author_kind": "system", "author_name": "tests"} | changes))
    version.save()
    return version


@pytest.mark.parametrize("kind", MAKE)
def test_saving_one_again_is_refused(kind: str) -> None:
    version = make(kind)
    version.document = {"name": "other"}

    with pytest.raises(ImmutableError):
        version.save()
    with pytest.raises(ImmutableError):
        version.save(update_fields=["document"])

    assert type(version).objects.get().document == {"name": "web"}


@pytest.mark.parametrize("kind", MAKE)
def test_deleting_one_is_refused(kind: str) -> None:
    with pytest.raises(ImmutableError):
        make(kind).delete()


@pytest.mark.parametrize(
    "act",
    [
        lambda versions: versions.update(number=2),
        lambda versions: versions.delete(),
        lambda versions: versions.all().delete(),
        lambda versions: versions.filter(number=1).update(document={}),
        lambda versions: versions.bulk_update(list(versions.all()), ["number"]),
        lambda versions: versions.update_or_create(number=1, defaults={"name": "x"}),
    ],
    ids=["update", "delete", "delete-queryset", "filtered-update", "bulk_update", "update_or_create"],
)
@pytest.mark.parametrize("kind", MAKE)
def test_bulk_changes_are_refused(kind: str, act: Callable[[Any], object]) -> None:
    version = make(kind)

    with pytest.raises(ImmutableError):
        act(type(version).objects)

    assert type(version).objects.get().number == 1


@pytest.mark.parametrize("kind", MAKE)
def test_a_number_stands_once_for_each_thing_and_is_at_least_1(kind: str) -> None:
    of, project = uuid4(), make_project()
    make(kind, of=of, project=project)
    make(kind, of=of, project=project, number=2)
    make(kind, project=project)

    for number in (1, 0):
        with pytest.raises(IntegrityError), transaction.atomic():
            make(kind, of=of, project=project, number=number)
