"""The pages in a real browser: a project to look at, and pages that are watched to their end."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from tests.factories import make_project, make_user
from tests.pages import DESKTOP, Scene, Watch, sign_in
from tests.scenery import make_issuing_profile


@pytest.fixture(scope="session")
def base_url() -> None:
    """No base address: the plugin's own fixture of this name is a method, which pytest warns of."""


@pytest.fixture
def scene(live_server: LiveServer, transactional_db: None, settings: Settings) -> Scene:
    """Project Acme with profile ``server``; alice is its admin."""
    settings.SITE_URL = live_server.url
    project = make_project(slug="acme")
    return Scene(
        origin=live_server.url,
        project=project,
        profile=make_issuing_profile(project),
        alice=make_user("alice", project=project),
    )


@pytest.fixture
def watch(scene: Scene) -> Iterator[Watch]:
    """A test fails at its end if any of its pages broke the policy, left the portal, broke a script or met a fault."""
    watching = Watch(scene.origin)
    yield watching
    assert watching.troubles == []


@pytest.fixture
def open_page(new_context: Callable[..., BrowserContext], watch: Watch) -> Callable[..., Page]:
    """Open a watched page in a context of its own, with the options of ``Browser.new_context``."""

    def open_one(**options: Any) -> Page:
        context = new_context(**({"viewport": DESKTOP} | options))
        context.set_default_timeout(10_000)
        return watch.over(context.new_page())

    return open_one


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    """A watched page; nobody is signed in."""
    return open_page(accept_downloads=True)


@pytest.fixture
def signed_in(page: Page, scene: Scene) -> Page:
    """A watched page in which alice is signed in."""
    sign_in(page, scene)
    return page
