import pytest
from hypothesis import given
from hypothesis import strategies as st

from certificates.x509 import der


def test_values_are_written_as_x690_says() -> None:
    assert der.integer(0) == b"\x02\x01\x00"
    assert der.integer(127) == b"\x02\x01\x7f"
    assert der.integer(128) == b"\x02\x02\x00\x80"
    assert der.object_identifier("2.5.29.21") == bytes.fromhex("0603551d15")
    assert der.object_identifier("1.3.6.1.5.5.7.48.1.5") == bytes.fromhex("06092b0601050507300105")
    assert der.octet_string(b"x" * 200)[:3] == b"\x04\x81\xc8"
    assert der.octet_string(b"x" * 256)[:4] == b"\x04\x82\x01\x00"


@given(st.integers(min_value=0, max_value=2**200))
def test_integers_come_back(value: int) -> None:
    assert der.Value.whole(der.integer(value)).as_integer() == value


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_sequences_come_back(values: list[bytes]) -> None:
    read = der.Value.whole(der.sequence(*map(der.octet_string, values)))
    assert [member.require(der.OCTET_STRING).contents for member in read.members()] == values


@pytest.mark.parametrize(
    "document",
    [
        "",
        "30",
        "3001",
        "300100ff",
        "3080020101 0000",  # indefinite length
        "308100",  # longer than needed
        "30820001 00",
        "3085 0000000001 00",
        "30ff",
        "1f2a00",  # a tag above 30
        "3003 0202 01",
    ],
)
def test_what_is_no_der_is_refused(document: str) -> None:
    with pytest.raises(ValueError, match=r"[a-z]"):
        der.Value.whole(bytes.fromhex(document)).members()


@pytest.mark.parametrize("octets", ["0200", "02020001", "0202ff80", "040101"])
def test_what_is_no_integer_in_its_shortest_form_is_refused(octets: str) -> None:
    with pytest.raises(ValueError, match=r"[a-z]"):
        der.Value.whole(bytes.fromhex(octets)).as_integer()


@given(st.binary(max_size=60))
def test_rubbish_is_read_or_refused(document: bytes) -> None:
    try:
        value = der.Value.whole(document)
    except ValueError:
        return
    assert value.encoded == document
