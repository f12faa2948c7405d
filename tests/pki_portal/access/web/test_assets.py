"""What the pages are made of: vendored files are as they were vendored, and nothing is inline or from elsewhere."""

import hashlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
VENDOR = ROOT / "static" / "vendor"
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
SOURCES = [*TEMPLATES, *(ROOT / "pki_portal").rglob("*.py"), *(ROOT / "certificates").rglob("*.py")]


def test_vendored_files_are_those_of_the_list() -> None:
    lines = [line.split() for line in (VENDOR / "SHA256SUMS").read_text().splitlines()]
    listed = {name: digest for digest, name in lines}
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VENDOR.iterdir()}
    assert found.pop("SHA256SUMS")
    assert found == listed


def test_every_vendored_work_has_its_licence_beside_it() -> None:
    assert {path.name for path in VENDOR.glob("*.LICENSE.txt")} == {"tabler.LICENSE.txt", "tabler-icons.LICENSE.txt"}


def test_no_stylesheet_or_script_names_a_source_map() -> None:
    for path in (*(ROOT / "static").rglob("*.css"), *(ROOT / "static").rglob("*.js")):
        assert "sourceMappingURL" not in path.read_text(), path.name


def test_the_sprite_holds_the_icons_used_and_no_others() -> None:
    sprite = set(re.findall(r'<symbol id="([^"]+)"', (ROOT / "static" / "icons.svg").read_text()))
    text = "".join(path.read_text() for path in SOURCES)
    used = set(re.findall(r'{% icon "([^"]+)" %}', text))
    used |= set(re.findall(r'NavigationEntry\("[^"]+", "[^"]+", "([^"]+)"', text))
    assert used == sprite


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_template_has_inline_style_or_script_or_a_foreign_address(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text)
    assert not re.search(r"<script(?![^>]*\ssrc=)", text)
    assert not re.search(r"(?:src|href)=[\"']https?:", text)
