from pki_portal.access.web.refusals import place, refusal_of
from pki_portal.errors import Invalid, Violation


def violation(field: str) -> Violation:
    return Violation(field=field, code="c", rule="r", asked="a", allowed="b", fix="f")


def test_violations_stand_beside_their_fields_and_the_rest_above() -> None:
    first, second, other = violation("subject/0"), violation("subject/1"), violation("issuer")
    placed = place([first, other, second], lambda path: "subject" if path.startswith("subject") else None)
    assert placed.by_field == {"subject": [first, second]}
    assert placed.elsewhere == [other]
    refusal = refusal_of(Invalid("Refused.", violations=[first, other, second]), placed, title="No certificate")
    assert (refusal.title, refusal.text, refusal.elsewhere) == ("No certificate", "", (other,))


def test_the_message_is_told_where_no_violation_says_it() -> None:
    assert (
        refusal_of(Invalid("The CA is disabled."), place([], lambda _: None), title="x").text == "The CA is disabled."
    )
