"""What no database takes is replaced, and nothing else."""

from pki_portal.storable import is_storable, storable, storable_json

ODD = "a\x00b\ud83dc\U0001f511"


def test_nul_and_half_surrogates_are_replaced_one_for_one() -> None:
    assert storable(ODD) == "a\ufffdb\ufffdc\U0001f511"
    assert len(storable(ODD)) == len(ODD)
    assert storable("plain \U0001f511") == "plain \U0001f511"


def test_what_is_storable() -> None:
    assert not is_storable("\x00")
    assert not is_storable("\udfff")
    assert is_storable("\U0001f511\x01")


def test_json_is_replaced_at_every_level_keys_too() -> None:
    assert storable_json({"\x00": ("\x00", [{"x": "\ud800"}], 7, None, True, 1.5)}) == {
        "\ufffd": ["\ufffd", [{"x": "\ufffd"}], 7, None, True, 1.5]
    }
