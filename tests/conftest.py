"""What every test stands on: cheap passwords, a known address and key, a state folder and a database of its own."""

import base64
import gc
import itertools
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from django.conf import settings

from tests.chromium import launch_options

SITE_URL = "http://pki.test"
MASTER_KEY = base64.b64encode(bytes(range(32))).decode()

# Playwright's synchronous interface keeps an event loop in the test's thread, which Django takes for an async view.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")


def pytest_configure(config: pytest.Config) -> None:
    """Settings for the whole run, before the first connection; each xdist worker has a state folder of its own."""
    # In memory where there is room: the journal and SQLite flush to disk before each answer.
    memory = Path("/dev/shm")  # noqa: S108 - only the place; the folder is made anew, and nobody else may read it
    has_room = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2 * 1024**3
    state = Path(tempfile.mkdtemp(prefix="pki-portal-tests-", dir=memory if has_room else None))
    config.add_cleanup(lambda: shutil.rmtree(state, ignore_errors=True))
    settings.PKI_PORTAL_VAR = state
    settings.PKI_PORTAL_MASTER_KEYS = f"test:{MASTER_KEY}"
    settings.PKI_PORTAL_MASTER_KEYS_FILE = state / "master-keys"
    settings.SECRET_KEY = "for-tests-only"
    settings.SITE_URL = SITE_URL
    settings.CSRF_TRUSTED_ORIGINS = [SITE_URL]
    # Each test client is a new application: none of them reads every static file at its start.
    settings.WHITENOISE_AUTOREFRESH = True
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    database = settings.DATABASES["default"]
    if database["ENGINE"] == "django.db.backends.sqlite3":
        # A file, as in production: an in-memory one has other locking, and live_server's threads must see it too.
        database.setdefault("TEST", {})["NAME"] = str(state / "test.sqlite3")


_journals = itertools.count(1)


@pytest.fixture(autouse=True)
def journal_of_its_own() -> None:
    """No test finds what another one, whose rows are gone, wrote into the journal."""
    settings.PKI_PORTAL_JOURNAL = settings.PKI_PORTAL_VAR / "journal" / str(next(_journals))


# A busy machine is no reason for a test to fail. What generates its own cases is thorough in one run of CI (Makefile).
hypothesis.settings.register_profile("usual", deadline=None)
# There the cases are the same each time, so that what is red is what changed; elsewhere they are new ones each time.
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=2000, derandomize=True)
hypothesis.settings.load_profile("usual")

BROWSER = Path(__file__).with_name("browser")
DATABASE_FIXTURES = {"db", "transactional_db", "live_server", "fresh_database_url"}


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark as ``database`` what asks for one, so that the rest runs once; pytest-django keeps the rest away from it.

    What is marked ``postgresql`` and asks for a database is none of SQLite's. What is marked ``browser`` is looked for
    in one folder alone (Makefile).
    """
    if lost := [
        item.nodeid for item in items if item.get_closest_marker("browser") and BROWSER not in item.path.parents
    ]:
        raise pytest.UsageError(f"marked browser, and not in tests/browser: {', '.join(lost)}")
    is_sqlite = settings.DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3"
    elsewhere = []
    for item in items:
        asks = item.get_closest_marker("django_db") or DATABASE_FIXTURES & set(getattr(item, "fixturenames", ()))
        if asks and not item.get_closest_marker("any_database"):
            item.add_marker("database")
        if asks and is_sqlite and item.get_closest_marker("postgresql"):
            elsewhere.append(item)
    if elsewhere:
        config.hook.pytest_deselected(items=elsewhere)
        items[:] = [item for item in items if item not in elsewhere]


def pytest_collection_finish() -> None:
    """What is there now stays to the end: a collection of garbage need not look through it each time."""
    gc.collect()
    gc.freeze()


_RANDOM_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """The name of a case made from a random UUID says "uuid": xdist's workers must collect the same names."""
    if isinstance(val, str) and _RANDOM_UUID.search(val):
        return _RANDOM_UUID.sub("uuid", val.encode("unicode_escape").decode())
    return None


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """As everywhere in the tests."""
    return browser_type_launch_args | launch_options()
