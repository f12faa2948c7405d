"""Tags and filters of the pages."""

from datetime import UTC, datetime, timedelta

import pytest
from django import forms
from django.utils import timezone

from pki_portal.access.templatetags.portal import (
    badge,
    colons,
    day,
    distance,
    field,
    icon,
    instant,
    pretty_json,
    short_serial,
    violations_of,
    words,
)
from pki_portal.errors import Violation

MOMENT = datetime(2026, 11, 23, 21, 5, 7, tzinfo=UTC)


class NameForm(forms.Form):
    """One field with a hint."""

    name = forms.CharField(label="Name", help_text="Short.", max_length=3)
    violations: dict[str, list[Violation]]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("digital_signature", "Digital signature"),
        ("crl_sign", "CRL sign"),
        ("dns_name", "DNS name"),
        ("EC_prime256v1", "ECDSA P-256"),
        ("RSA_2048", "RSA 2048"),
        ("RSA-SHA256", "RSA-SHA256"),
        ("certificate-profile", "Certificate profile"),
        ("", ""),
    ],
)
def test_words(name: str, text: str) -> None:
    assert words(name) == text


@pytest.mark.parametrize(
    ("status", "markup"),
    [
        ("active", '<span class="badge-status badge-good">Active</span>'),
        ("expiring", '<span class="badge-status badge-warn">Expiring soon</span>'),
        ("<b>", '<span class="badge-status badge-grey">&lt;b&gt;</span>'),
    ],
)
def test_badge(status: str, markup: str) -> None:
    assert badge(status) == markup


def test_short_serial_keeps_both_ends_and_short_ones_whole() -> None:
    assert short_serial("0123456789abcdef0123") == "012345…ef0123"
    assert short_serial("0a1b") == "0a1b"


def test_colons() -> None:
    assert colons("0a1b2c") == "0a:1b:2c"


def test_day_and_instant() -> None:
    assert ">2026-11-23</time>" in day(MOMENT)
    assert "2026-11-23 21:05:07 UTC" in day(MOMENT)
    assert ">2026-11-23 21:05:07 UTC</time>" in instant(MOMENT)
    assert "—" in day(None)
    assert "—" in instant(None)


def test_distance_tells_before_from_after() -> None:
    now = timezone.now()
    assert distance(now + timedelta(days=3, hours=1)) == "in 3\xa0days"
    assert distance(now - timedelta(days=3, hours=1)) == "3\xa0days ago"


def test_icon_is_hidden_from_screen_readers() -> None:
    assert 'aria-hidden="true"' in icon("lock")
    assert 'href="/static/icons.svg#lock"' in icon("lock")


def test_pretty_json_keeps_letters() -> None:
    assert pretty_json({"b": 1, "a": "ü"}) == '{\n  "a": "ü",\n  "b": 1\n}'


def test_field_ties_hint_and_violations_to_its_control() -> None:
    form = NameForm({"name": "long"})
    form.violations = {"name": [Violation("name", "code", "rule", "long", "short ones", "Shorten it.")]}
    shown = field(form["name"])
    assert 'aria-describedby="id_name-hint id_name-violations"' in shown["control"]
    assert 'aria-invalid="true"' in shown["control"]
    assert [violation.fix for violation in violations_of(form["name"])] == ["Shorten it.", ""]


def test_a_field_without_fault_is_not_marked() -> None:
    shown = field(NameForm({"name": "ok"})["name"])
    assert "aria-invalid" not in shown["control"]
    assert shown["violations"] == []
