from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from uuid import UUID, uuid4

import pytest
from django.http import QueryDict
from rest_framework import serializers

from pki_portal.errors import Malformed, TooLarge
from pki_portal.rest import (
    EnumField,
    StrictBooleanField,
    StrictCharField,
    StrictIntegerField,
    StrictListField,
    UUIDField,
    WireSerializer,
    iso,
    parse_json,
    parse_uuid,
    pointer_of,
)

# Fixed: parameters name tests, and every worker must collect the same names.
AN_ID = "0f4a1c5e-7d2b-4e1a-9c3d-5b6a7f8e9d01"


class Colour(StrEnum):
    RED = "red"
    BLUE = "sea-blue"


class InnerSerializer(WireSerializer):
    name = StrictCharField(required=False)


class OuterSerializer(WireSerializer):
    text = StrictCharField(required=False, max_length=5)
    flag = StrictBooleanField(required=False)
    number = StrictIntegerField(required=False)
    colour = EnumField(Colour, synonyms={"azure": Colour.BLUE}, required=False)
    key = UUIDField(required=False)
    words = StrictListField(child=StrictCharField(), required=False, max_length=3)
    inner = InnerSerializer(required=False)
    entries = StrictListField(child=InnerSerializer(), required=False)


def read(**data: object) -> dict[str, object]:
    serializer = OuterSerializer(data=data)
    serializer.is_valid(raise_exception=True)
    given: dict[str, object] = serializer.validated_data
    return given


# --- parse_json


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"", {}),
        (b" \r\n", {}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b"\xef\xbb\xbf[]", []),
        (b"[" * 32 + b"]" * 32, None),
        (b"[" * 32 + b"1" + b"]" * 32, None),
        (rb'"\\u0000"', r"\u0000"),
        (rb'"\ud83d\ude00"', "😀"),
    ],
)
def test_parse_json_reads(raw: bytes, value: object) -> None:
    parsed = parse_json(raw)
    assert value is None or parsed == value


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"{'a': 1}",
        b"[1,]",
        b"nonsense",
        b"\xff\xfe",
        b'"\xed\xa0\x80"',
        b"NaN",
        b"[Infinity]",
        b"[-Infinity]",
        b"[1e999]",
        b"9" * 5000,
        rb'"\u0000"',
        rb'{"\u0000": 1}',
        rb'["\ud800"]',
        rb'[{"a": "\udfff"}]',
        b'"\x00"',
    ],
)
def test_parse_json_refuses(raw: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        parse_json(raw)
    assert caught.value.violations[0].code == "invalid_json"


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 33 + b"]" * 33,
        b'{"a":' * 33 + b"1" + b"}" * 33,
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_parse_json_refuses_deep_nesting(raw: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        parse_json(raw)
    assert caught.value.violations[0].code == "too_deep"


def test_parse_json_refuses_more_than_a_mebibyte() -> None:
    with pytest.raises(TooLarge):
        parse_json(b'"' + b"a" * 1024 * 1024 + b'"')


def test_parse_json_takes_many_brackets_side_by_side() -> None:
    assert len(parse_json(b"[" + b"[]," * 1000 + b"[]]")) == 1001


# --- fields


def test_fields_read_what_they_name() -> None:
    key = uuid4()
    assert read(
        text=" a ", flag=True, number=7.0, colour="RED", key=str(key).upper(), words=["x"], inner={"name": "y"}
    ) == {
        "text": "a",
        "flag": True,
        "number": 7,
        "colour": Colour.RED,
        "key": key,
        "words": ["x"],
        "inner": {"name": "y"},
    }


def test_number_is_read_as_int_not_float() -> None:
    assert type(read(number=7.0)["number"]) is int


@pytest.mark.parametrize("spelling", ["azure", "AZURE", "Sea-Blue", " sea-blue "])
def test_enum_reads_every_spelling(spelling: str) -> None:
    assert read(colour=spelling) == {"colour": Colour.BLUE}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("text", 0, "Expected string, received number"),
        ("text", True, "Expected string, received boolean"),
        ("text", ["a"], "Expected string, received array"),
        ("text", {"a": 1}, "Expected string, received object"),
        ("text", "abcdef", "Ensure this field has no more than 5 characters."),
        ("text", "a\x00b", "Null characters are not allowed."),
        ("flag", "true", "Expected boolean, received string"),
        ("flag", 1, "Expected boolean, received number"),
        ("flag", {}, "Expected boolean, received object"),
        ("number", "7", "Expected number, received string"),
        ("number", True, "Expected number, received boolean"),
        ("number", 7.5, "Expected integer, received float"),
        ("number", 2**31, "Ensure this value is less than or equal to 2147483647."),
        ("number", [], "Expected number, received array"),
        ("colour", "green", "Invalid enum value. Expected 'red' | 'sea-blue', received 'green'"),
        ("colour", 1, "Expected string, received number"),
        ("colour", [], "Expected string, received array"),
        ("key", "x", "Invalid uuid"),
        ("key", f"{{{AN_ID}}}", "Invalid uuid"),
        ("key", 5, "Expected string, received number"),
        ("words", "abc", "Expected array, received string"),
        ("words", {"0": "a"}, "Expected array, received object"),
        ("words", ["a"] * 4, "Ensure this field has no more than 3 elements."),
    ],
)
def test_fields_refuse(field: str, value: object, message: str) -> None:
    with pytest.raises(serializers.ValidationError) as caught:
        read(**{field: value})
    assert str(caught.value.detail[field][0]) == message  # type: ignore[index, call-overload]


@pytest.mark.parametrize("value", [None, [], "text", 5, True])
def test_serializer_refuses_what_is_no_object(value: object) -> None:
    serializer = OuterSerializer(data=value)
    assert not serializer.is_valid()


@pytest.mark.parametrize(("query", "value"), [("flag=true", True), ("flag=FALSE", False)])
def test_boolean_is_read_by_name_in_a_query(query: str, value: bool) -> None:
    serializer = OuterSerializer(data=QueryDict(query))
    serializer.is_valid(raise_exception=True)
    assert serializer.validated_data["flag"] is value


def test_boolean_absent_from_a_query_is_not_false() -> None:
    serializer = OuterSerializer(data=QueryDict("text=a"))
    serializer.is_valid(raise_exception=True)
    assert "flag" not in serializer.validated_data


@pytest.mark.parametrize("query", ["flag=yes", "number=7.0", "number=x", "number=1" + "0" * 30])
def test_query_values_of_the_wrong_form_are_refused(query: str) -> None:
    assert not OuterSerializer(data=QueryDict(query)).is_valid()


def test_empty_query_values_are_as_good_as_none() -> None:
    serializer = OuterSerializer(data=QueryDict("flag=&number="))
    serializer.is_valid(raise_exception=True)
    assert serializer.validated_data == {}


def test_ignored_keys_name_nested_ones_as_pointers() -> None:
    serializer = OuterSerializer(
        data={"text": "a", "extra": 1, "a/b~c": 2, "inner": {"name": "x", "odd": 1}, "entries": [{}, {"odd": 2}]}
    )
    serializer.is_valid(raise_exception=True)
    assert serializer.ignored_keys == ["/extra", "/a~1b~0c", "/inner/odd", "/entries/1/odd"]
    assert "extra" not in serializer.validated_data


def test_ignored_keys_are_at_most_a_hundred() -> None:
    serializer = OuterSerializer(data={f"k{number}": 1 for number in range(1000)})
    assert len(serializer.ignored_keys) == 100


# --- ids and times


def test_parse_uuid_reads_the_canonical_form() -> None:
    key = uuid4()
    assert parse_uuid(str(key).upper(), field="project_id") == key


@pytest.mark.parametrize("text", ["", "x", "1", "0" * 32, f"{{{AN_ID}}}", f"urn:uuid:{AN_ID}", f"{AN_ID}\n", "\x00"])
def test_parse_uuid_refuses(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse_uuid(text, field="project_id")
    assert caught.value.violations[0].field == "project_id"


def test_parse_uuid_gives_a_uuid() -> None:
    assert isinstance(parse_uuid(str(uuid4()), field="x"), UUID)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC), "2026-01-02T03:04:05.678Z"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2))), "2026-01-02T01:04:05.000Z"),
    ],
)
def test_iso_is_utc_with_milliseconds(moment: datetime, text: str) -> None:
    assert iso(moment) == text


@pytest.mark.parametrize(
    ("field", "pointer"),
    [
        ("", ""),
        ("subject/common_name", "/attributes/commonName"),
        ("subject/organizational_unit", "/attributes/organizationalUnit"),
        ("subject", "/attributes"),
        ("subject_alternative_names", "/attributes/altNames"),
        ("subject_alternative_names/3", "/attributes/altNames/3"),
        ("key_usages", "/attributes/keyUsages"),
        ("extended_key_usages/0", "/attributes/extendedKeyUsages/0"),
        ("basic_constraints/path_length", "/attributes/basicConstraints/pathLength"),
        ("ttl", "/attributes/ttl"),
        ("csr", "/csr"),
        ("profile", "/profileId"),
        ("issuer", "/profileId"),
        ("issuer_type", "/issuerType"),
        ("certificate", "/certificate"),
        ("subject/0/type", "/subject/0/type"),
        ("validity/max", "/validity/max"),
        ("api_config/renew_before_days", "/apiConfig/renewBeforeDays"),
        ("a~b", "/a~0b"),
    ],
)
def test_pointer_of_inside_paths(field: str, pointer: str) -> None:
    assert pointer_of(field) == pointer
