import dataclasses
from datetime import UTC, datetime, timedelta, timezone

import pytest

from profiles.policy.amend import amended
from profiles.policy.errors import sentence
from profiles.policy.judges.lifetime import utc_second
from profiles.policy.rules import ProfileDefaults
from profiles.policy.validity import parse_ttl
from tests.profiles.policy.samples import (
    NOW,
    RSA_CA,
    SECOND,
    found,
    granted,
    judge,
    make_request,
    only,
    refused,
    rules_of,
)

DAY = timedelta(days=1)
FREE = rules_of(validity=None)
LATE_CA = dataclasses.replace(RSA_CA, not_after=SECOND + timedelta(days=10, hours=5))


def test_life_starts_now_in_whole_seconds() -> None:
    plan = granted(rules_of(), make_request(ttl=timedelta(days=1.5, microseconds=3)))
    assert (plan.not_before, plan.not_after) == (SECOND, SECOND + timedelta(days=1.5))
    assert plan.not_before.tzinfo is UTC


def test_dates_alone_say_it_all_and_lose_their_fractions() -> None:
    zone = timezone(timedelta(hours=2))
    start = (SECOND + DAY).astimezone(zone) + timedelta(milliseconds=7)
    plan = granted(rules_of(), make_request(ttl=None, not_before=start, not_after=start + 9 * DAY))
    assert (plan.not_before, plan.not_after) == (SECOND + DAY, SECOND + 10 * DAY)
    assert plan.not_before.tzinfo is UTC


def test_end_alone_starts_now() -> None:
    decision = judge(rules_of(), make_request(ttl=None, not_after=SECOND + 9 * DAY))
    plan = decision.granted()
    assert (plan.not_before, plan.not_after) == (SECOND, SECOND + 9 * DAY)
    assert not any("ttl" in warning for warning in decision.warnings)


def test_start_alone_takes_the_default_ttl() -> None:
    defaults = ProfileDefaults(ttl=7 * DAY)
    decision = judge(rules_of(), make_request(ttl=None, not_before=SECOND + DAY), defaults=defaults)
    assert decision.granted().not_after == SECOND + 8 * DAY
    assert "no ttl was asked for: 7d is the profile's default" in decision.warnings


def test_nothing_said_takes_the_template_s_longest() -> None:
    decision = judge(rules_of(), make_request(ttl=None))
    assert decision.granted().not_after == SECOND + 398 * DAY
    assert "no ttl was asked for: 398d is the template's longest" in decision.warnings


def test_nothing_said_anywhere_is_refused_naming_the_ttl() -> None:
    violation = only(refused(FREE, make_request(ttl=None)))
    assert found([violation]) == [("ttl", "validity_missing")]
    assert violation.fix == "add a ttl, for example 90d"


@pytest.mark.parametrize("dates", [{"not_before": SECOND}, {"not_after": SECOND + DAY}])
def test_ttl_and_dates_exclude_each_other(dates: dict[str, datetime]) -> None:
    assert found(refused(rules_of(), make_request(ttl=DAY, **dates))) == [("ttl", "ttl_and_dates")]


@pytest.mark.parametrize("ttl", [timedelta(0), timedelta(milliseconds=999), -DAY, timedelta.min])
def test_less_than_a_second_is_too_short(ttl: timedelta) -> None:
    assert found(refused(rules_of(), make_request(ttl=ttl))) == [("ttl", "ttl_too_short")]


def test_one_second_is_a_life() -> None:
    plan = granted(rules_of(), make_request(ttl=timedelta(seconds=1.9)))
    assert plan.not_after - plan.not_before == timedelta(seconds=1)


@pytest.mark.parametrize("ttl", [timedelta.max, parse_ttl("9000y")])
def test_end_off_the_calendar_is_refused(ttl: timedelta) -> None:
    violation = only(refused(rules_of(), make_request(ttl=ttl)))
    assert found([violation]) == [("ttl", "date_out_of_range")]
    assert violation.fix == "ask for a ttl of at most 398d"


def test_start_before_1950_cannot_be_written() -> None:
    start = datetime(1949, 12, 31, tzinfo=UTC)
    violation = refused(FREE, make_request(ttl=None, not_before=start, not_after=SECOND + DAY), issuer=None)
    assert found(violation) == [("not_before", "date_out_of_range")]


@pytest.mark.parametrize("after", [timedelta(0), -DAY])
def test_end_must_come_after_the_start(after: timedelta) -> None:
    start = SECOND + 5 * DAY
    violation = only(refused(rules_of(), make_request(ttl=None, not_before=start, not_after=start + after)))
    assert found([violation]) == [("not_after", "ends_before_start")]
    assert violation.fix == "ask for a notAfter later than 2026-11-28T12:00:00Z"


def test_end_in_the_past_is_refused() -> None:
    request = make_request(ttl=None, not_before=SECOND - 5 * DAY, not_after=SECOND)
    violation = only(refused(rules_of(), request))
    assert found([violation]) == [("not_after", "ends_in_past")]


def test_default_ttl_over_the_template_s_longest_is_told_to_come_from_the_profile() -> None:
    decision = judge(rules_of(validity={"max": "5d"}), make_request(ttl=None), defaults=ProfileDefaults(ttl=7 * DAY))
    assert found(decision.violations) == [("ttl", "ttl_too_long")]
    assert "no ttl was asked for: 7d is the profile's default" in decision.warnings


def test_dates_over_the_template_s_longest_are_refused_at_the_end() -> None:
    request = make_request(ttl=None, not_after=SECOND + 399 * DAY)
    violation = only(refused(rules_of(), request))
    assert found([violation]) == [("not_after", "ttl_too_long")]


def test_a_second_more_than_the_longest_is_too_much() -> None:
    assert granted(rules_of(), make_request(ttl=398 * DAY))
    violation = only(refused(rules_of(), make_request(ttl=398 * DAY + timedelta(seconds=1))))
    assert sentence(violation).startswith("a life of 34387201s is more than the template allows: at most 398d")


def test_end_past_the_ca_s_is_refused_with_the_latest_end_never_cut() -> None:
    violation = only(refused(rules_of(), make_request(ttl=30 * DAY), issuer=LATE_CA))
    assert found([violation]) == [("ttl", "ends_after_issuer")]
    assert violation.rule == "validity of CA Acme RSA CA"
    assert violation.allowed == "until 2026-12-03T17:00:00Z"
    assert violation.fix == "ask for a ttl of at most 10d, or a notAfter of 2026-12-03T17:00:00Z or before"


def test_fix_for_a_ca_near_its_end_counts_hours_and_seconds() -> None:
    issuer = dataclasses.replace(RSA_CA, not_after=SECOND + timedelta(hours=5, seconds=7))
    assert "at most 5h," in only(refused(rules_of(), make_request(ttl=DAY), issuer=issuer)).fix
    issuer = dataclasses.replace(RSA_CA, not_after=SECOND + timedelta(seconds=61))
    assert "at most 61s," in only(refused(rules_of(), make_request(ttl=DAY), issuer=issuer)).fix


def test_filled_in_ttl_is_not_cut_to_the_ca_either() -> None:
    assert found(refused(rules_of(), make_request(ttl=None), issuer=LATE_CA)) == [("ttl", "ends_after_issuer")]


def test_fix_obeys_template_and_ca_both() -> None:
    violations = refused(rules_of(validity={"max": "3d"}), make_request(ttl=30 * DAY), issuer=LATE_CA)
    assert found(violations) == [("ttl", "ttl_too_long"), ("ttl", "ends_after_issuer")]
    assert {violation.fix for violation in violations} == {
        "ask for a ttl of at most 3d, or a notAfter of 2026-11-26T12:00:00Z or before"
    }


def test_life_may_end_with_the_ca_s() -> None:
    assert granted(rules_of(), make_request(ttl=None, not_after=LATE_CA.not_after), issuer=LATE_CA)


def test_start_after_the_ca_s_end_needs_another_profile() -> None:
    start = LATE_CA.not_after + DAY
    request = make_request(ttl=None, not_before=start, not_after=start + DAY)
    violation = only(refused(rules_of(), request, issuer=LATE_CA))
    assert found([violation]) == [("not_after", "ends_after_issuer")]
    assert violation.fix == "use another profile: under this one no certificate can start then"


def test_start_before_the_ca_s_is_refused() -> None:
    request = make_request(ttl=None, not_before=RSA_CA.not_before - DAY, not_after=SECOND + DAY)
    violation = only(refused(rules_of(), request))
    assert found([violation]) == [("not_before", "starts_before_issuer")]
    assert violation.allowed == "2026-10-24T12:00:00Z or later"


def test_backdated_start_within_the_ca_s_life_is_granted() -> None:
    request = make_request(ttl=None, not_before=SECOND - DAY, not_after=SECOND + DAY)
    assert granted(rules_of(), request).not_before == SECOND - DAY


def test_ca_that_has_not_started_cannot_sign_now() -> None:
    issuer = dataclasses.replace(RSA_CA, not_before=SECOND + DAY)
    violation = only(refused(rules_of(), make_request(), issuer=issuer))
    assert found([violation]) == [("not_before", "starts_before_issuer")]
    assert violation.fix == "ask for a notBefore of 2026-11-24T12:00:00Z or later"


def test_inactive_ca_is_named() -> None:
    violation = only(refused(rules_of(), make_request(), issuer=dataclasses.replace(RSA_CA, is_active=False)))
    assert found([violation]) == [("issuer", "issuer_not_active")]
    assert sentence(violation) == "CA Acme RSA CA is not active: an active CA with a certificate"


def test_expired_ca_is_named_and_told_once() -> None:
    violation = only(refused(rules_of(), make_request(), issuer=dataclasses.replace(RSA_CA, not_after=SECOND)))
    assert found([violation]) == [("issuer", "issuer_expired")]
    assert violation.allowed == "until 2026-11-23T12:00:00Z"


def test_self_signed_profiles_have_no_ca_to_outlive() -> None:
    plan = granted(FREE, make_request(ttl=parse_ttl("5000y")), issuer=None)
    assert plan.not_after.year > 6000


@pytest.mark.parametrize(
    ("moment", "second"),
    [
        (NOW, SECOND),
        (datetime(2026, 1, 2, 3, 4, 5, 6), datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),  # noqa: DTZ001 - that is the case
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=9))), datetime(1, 1, 1, tzinfo=UTC)),
        (
            datetime(9999, 12, 31, 23, tzinfo=timezone(-timedelta(hours=9))),
            datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
        ),
    ],
)
def test_any_moment_becomes_a_second_of_utc(moment: datetime, second: datetime) -> None:
    assert utc_second(moment) == second


def test_fix_at_the_end_of_the_calendar_is_safe() -> None:
    start = datetime(9990, 1, 1, tzinfo=UTC)
    rules = rules_of(validity={"max": "20y"})
    issuer = dataclasses.replace(RSA_CA, not_after=datetime(9995, 1, 1, tzinfo=UTC))
    request = make_request(ttl=None, not_before=start, not_after=datetime(9999, 1, 1, tzinfo=UTC))
    assert "9995-01-01" in only(refused(rules, request, issuer=issuer)).fix


def test_a_life_shorter_than_the_template_lets_be_is_refused_and_can_be_mended() -> None:
    rules = rules_of(validity={"min": "7d", "max": "90d"})
    request = make_request(ttl=timedelta(days=6))
    violation = only(refused(rules, request))
    assert found([violation]) == [("ttl", "ttl_too_short")]
    assert (violation.rule, violation.asked, violation.allowed) == (
        "template validity/min",
        "a life of 6d",
        "at least 7d",
    )
    plan = granted(rules, amended(request, violation.changes))
    assert plan.not_after - plan.not_before == timedelta(days=7)
    assert granted(rules, make_request(ttl=timedelta(days=7)))
    dated = make_request(ttl=None, not_before=SECOND, not_after=SECOND + timedelta(days=1))
    violation = only(refused(rules, dated))
    assert found([violation]) == [("not_after", "ttl_too_short")]
    assert granted(rules, amended(dated, violation.changes)).not_after == SECOND + timedelta(days=7)


def test_where_the_ca_ends_before_the_shortest_life_no_change_is_offered() -> None:
    rules = rules_of(validity={"min": "9y"})
    ends = dataclasses.replace(RSA_CA, not_after=SECOND + timedelta(days=30))
    violation = only(refused(rules, make_request(ttl=timedelta(days=6)), issuer=ends))
    assert violation.changes == ()


@pytest.mark.parametrize(
    ("not_before", "field", "value"),
    [
        (None, "ttl", "3650d"),
        (SECOND + DAY, "not_after", (SECOND + 3651 * DAY).strftime("%Y-%m-%dT%H:%M:%SZ")),
        (datetime(9999, 12, 30, tzinfo=UTC), "not_after", "9999-12-31T23:59:59Z"),
        (datetime(990, 1, 1, tzinfo=UTC), "ttl", "3650d"),
    ],
)
def test_an_end_past_the_calendar_is_mended_in_the_one_way_that_the_start_leaves(
    not_before: datetime | None, field: str, value: str
) -> None:
    defaults = ProfileDefaults(ttl=timedelta(days=3_650_000))
    asked = make_request(ttl=None, not_before=not_before)

    violation = only(judge(FREE, asked, defaults=defaults).violations)

    assert violation.code == "date_out_of_range"
    assert (violation.changes[-1].field, violation.changes[-1].value) == (field, value)
    after = judge(FREE, amended(asked, violation.changes), defaults=defaults)
    assert not {"date_out_of_range", "ttl_and_dates"} & {each.code for each in after.violations}


def test_nothing_is_offered_where_the_calendar_is_at_its_end() -> None:
    asked = make_request(ttl=None, not_before=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))

    violation = only(judge(FREE, asked, defaults=ProfileDefaults(ttl=timedelta(days=3_650_000))).violations)

    assert (violation.fix, violation.changes) == ("ask for an earlier notBefore", ())
