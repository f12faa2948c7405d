import pytest

from pki_portal.errors import Violation
from profiles.policy.errors import VERDICTS, Code, PolicyViolation, RuleError, ValidityMissing, sentence

VIOLATION = Violation(
    field="subject/common_name",
    code="value_not_in_list",
    rule="template subject/common_name allowed",
    asked='common_name "evil.test"',
    allowed="a.example.com, b.example.com",
    fix="use a.example.com",
)


def test_every_code_has_its_words() -> None:
    assert set(VERDICTS) == set(Code)


def test_sentence_tells_value_verdict_and_what_is_allowed() -> None:
    assert sentence(VIOLATION) == 'common_name "evil.test" is not in the allowed list: a.example.com, b.example.com'


def test_sentence_of_a_foreign_code_is_still_a_sentence() -> None:
    foreign = Violation(field="x", code="other", rule="r", asked="this", allowed="that", fix="do that")
    assert sentence(foreign) == "this is refused: that"


@pytest.mark.parametrize("kind", [PolicyViolation, ValidityMissing, RuleError])
def test_message_holds_the_first_ten_and_the_error_all(
    kind: type[PolicyViolation | ValidityMissing | RuleError],
) -> None:
    error = kind([VIOLATION] * 12)
    assert error.message.count("evil.test") == 10
    assert error.message.endswith("; and 2 more")
    assert len(error.violations) == 12
