import pytest

from pki_portal.access.addresses import address_of, is_trusted, networks_of
from pki_portal.errors import Malformed


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("", None),
        ("unix:", None),
        ("192.0.2.1, 198.51.100.1", None),
    ],
)
def test_address_of(text: str, address: str | None) -> None:
    assert address_of(text) == address


def test_networks_are_normalised() -> None:
    assert networks_of(["192.0.2.7", " 198.51.100.9/24 ", "2001:DB8::/32"], field="x") == [
        "192.0.2.7/32",
        "198.51.100.0/24",
        "2001:db8::/32",
    ]


def test_every_bad_network_is_named() -> None:
    with pytest.raises(Malformed) as caught:
        networks_of(["192.0.2.1", "nonsense", "192.0.2.0/33", "\x00"], field="trusted")
    assert [violation.field for violation in caught.value.violations] == [
        "trusted/1/ip_address",
        "trusted/2/ip_address",
        "trusted/3/ip_address",
    ]


@pytest.mark.parametrize(
    ("address", "networks", "trusted"),
    [
        ("192.0.2.1", ["192.0.2.0/24"], True),
        ("192.0.3.1", ["192.0.2.0/24"], False),
        ("192.0.2.1", ["2001:db8::/32", "192.0.2.1/32"], True),
        ("2001:db8::1", ["0.0.0.0/0"], False),
        ("2001:db8::1", ["0.0.0.0/0", "::/0"], True),
        (None, ["0.0.0.0/0", "::/0"], True),
        (None, ["192.0.2.0/24"], False),
        ("192.0.2.1", [], False),
    ],
)
def test_is_trusted(address: str | None, networks: list[str], trusted: bool) -> None:
    assert is_trusted(address, networks) is trusted
