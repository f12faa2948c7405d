"""What every page shares."""

import pytest
from django.test import Client

from tests.factories import make_project, make_user

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("page", ["/", "/projects/", "/projects/acme/", "/projects/acme/audit-log/"])
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "FOO"])
def test_pages_are_read_and_posted_to_and_nothing_else(client: Client, page: str, method: str) -> None:
    client.force_login(make_user(project=make_project(slug="acme")))
    answer = client.generic(method, page)
    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD, POST")
    assert client.head(page).status_code in {200, 302}
