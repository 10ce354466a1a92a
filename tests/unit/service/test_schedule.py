"""Schedules and their fire times: intervals, cron, jitter, both changes of the clock, missed runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest
from apscheduler.job import Job
from apscheduler.schedulers.background import BackgroundScheduler
from hypothesis import given, settings
from hypothesis import strategies as st

from contactsync.errors import ScheduleError
from contactsync.schedule import SCHEDULE_FORMS, Timetable, last_due, parse_schedule

PROPERTY = settings(deadline=None, database=None)
BERLIN = "Europe/Berlin"
SPRING = datetime(2027, 3, 27, 12, tzinfo=UTC)
"""The day before Berlin's clock goes from 02:00 to 03:00, at 01:00 UTC on 28 March 2027."""
AUTUMN = datetime(2027, 10, 30, 12, tzinfo=UTC)
"""The day before Berlin's clock goes from 03:00 back to 02:00, at 01:00 UTC on 31 October 2027."""
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def at(text: str) -> datetime:
    """An instant in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def timetable(text: str, zone: str = "UTC", jitter: int = 0, seed: str = "7") -> Timetable:
    """The trigger of a schedule."""
    trigger = parse_schedule(text, zone, jitter, seed=seed)
    assert trigger is not None
    return trigger


def fires(trigger: Timetable, start: datetime) -> Iterator[datetime]:
    """The fire times from `start` on, as for a scheduler that is always on time."""
    fire = trigger.get_next_fire_time(None, start)
    while fire is not None:
        yield fire
        fire = trigger.get_next_fire_time(fire, fire)


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("every 15m", 15 * MINUTE),
        ("EVERY 1s", SECOND),
        (" every  1h30m ", 90 * MINUTE),
        ("every 1h 30 m", 90 * MINUTE),
        ("every 2d", 48 * HOUR),
        ("every 90s", 90 * SECOND),
        ("every 366d", timedelta(days=366)),
    ],
)
def test_an_interval_is_the_sum_of_its_numbers(text: str, step: timedelta) -> None:
    """Its fire times are exactly so far apart."""
    first, second, third = islice(fires(timetable(text), at("2027-01-01T00:00:07")), 3)
    assert (second - first, third - second) == (step, step)


def test_an_interval_is_counted_from_a_fixed_instant() -> None:
    """Whenever the daemon starts, `every 15m` fires on the quarter of the hour in UTC."""
    starts = [at("2027-01-01T10:00:01"), at("2027-01-01T10:07:30"), at("2027-01-01T10:15:00")]
    assert {next(fires(timetable("every 15m"), start)) for start in starts} == {at("2027-01-01T10:15:00")}


def test_manual_has_no_trigger() -> None:
    """In any case of letters."""
    assert parse_schedule(" Manual ", "UTC", 0) is None


NEW_YEAR = at("2027-01-01T00:00:01")
IN_NUUK = at("2027-03-28T01:10")


@pytest.mark.parametrize(
    ("text", "zone", "start", "expected"),
    [
        ("@hourly", "UTC", NEW_YEAR, "2027-01-01 01:00, 2027-01-01 02:00"),
        ("@daily", "UTC", NEW_YEAR, "2027-01-02 00:00, 2027-01-03 00:00"),
        ("@MIDNIGHT", "UTC", NEW_YEAR, "2027-01-02 00:00, 2027-01-03 00:00"),
        ("@weekly", "UTC", NEW_YEAR, "2027-01-03 00:00, 2027-01-10 00:00"),
        ("@monthly", "UTC", NEW_YEAR, "2027-02-01 00:00, 2027-03-01 00:00"),
        ("@yearly", "UTC", NEW_YEAR, "2028-01-01 00:00, 2029-01-01 00:00"),
        ("@annually", "UTC", NEW_YEAR, "2028-01-01 00:00, 2029-01-01 00:00"),
        ("*/25 8-9 * * *", "UTC", NEW_YEAR, "2027-01-01 08:00, 2027-01-01 08:25, 2027-01-01 08:50, 2027-01-01 09:00"),
        ("50/5 0 * * *", "UTC", NEW_YEAR, "2027-01-01 00:50, 2027-01-01 00:55, 2027-01-02 00:50"),
        ("5,10-15/5,5 0 * * *", "UTC", NEW_YEAR, "2027-01-01 00:05, 2027-01-01 00:10, 2027-01-01 00:15"),
        ("0 0 1 JAN,mar *", "UTC", NEW_YEAR, "2027-03-01 00:00, 2028-01-01 00:00"),
        ("0 0 29 2 *", "UTC", NEW_YEAR, "2028-02-29 00:00, 2032-02-29 00:00"),
        ("0 0 31 * *", "UTC", NEW_YEAR, "2027-01-31 00:00, 2027-03-31 00:00"),
        # Winter and summer time.
        ("30 8 1 1,7 *", BERLIN, NEW_YEAR, "2027-01-01 07:30, 2027-07-01 06:30"),
        # A skipped local time is read with the offset before the gap; two that become one fire once.
        ("30 2 * * *", BERLIN, SPRING, "2027-03-28 01:30, 2027-03-29 00:30"),
        ("30 2,3 * * *", BERLIN, SPRING, "2027-03-28 01:30, 2027-03-29 00:30, 2027-03-29 01:30"),
        # A local time that occurs twice fires the first time.
        ("30 2 * * *", BERLIN, AUTUMN, "2027-10-31 00:30, 2027-11-01 01:30"),
        # Cairo skips 00:00 to 01:00 on 30 April 2027, Nuuk 23:00 to 00:00 on 27 March 2027.
        ("@daily", "Africa/Cairo", at("2027-04-28T12:00"), "2027-04-28 22:00, 2027-04-29 22:00, 2027-04-30 21:00"),
        ("30 23 * * *", "America/Nuuk", IN_NUUK, "2027-03-28 01:30, 2027-03-29 00:30"),
        (
            "15,30 0,23 * * *",
            "America/Nuuk",
            at("2027-03-28T01:10"),
            "2027-03-28 01:15, 2027-03-28 01:30, 2027-03-29 00:15",
        ),
    ],
)
def test_fire_times_of_cron(text: str, zone: str, start: datetime, expected: str) -> None:
    """Each form fires when crontab(5) says, in its time zone and through both changes of the clock."""
    times = expected.split(", ")
    assert [f"{fire:%Y-%m-%d %H:%M}" for fire in islice(fires(timetable(text, zone), start), len(times))] == times


@pytest.mark.parametrize(
    ("text", "days"),
    [
        # The week from Sunday 3 January 2027: Sunday is 0 and 7.
        ("0 0 * * 0", [3]),
        ("0 0 * * 7", [3]),
        ("0 0 * * sun", [3]),
        ("0 0 * * 1", [4]),
        ("0 0 * * mon-fri", [4, 5, 6, 7, 8]),
        ("0 0 * * 1-5", [4, 5, 6, 7, 8]),
        ("0 0 * * mon-fri/2", [4, 6, 8]),
        ("0 0 * * 5-7", [3, 8, 9]),
        ("0 0 * * sat-sun", [3, 9]),
        ("0 0 * * fri-mon", [3, 4, 8, 9]),
        ("0 0 * * */3", [3, 6, 9]),
        ("0 0 * * 6,0", [3, 9]),
        # With two restricted day fields a day matches either; with an asterisk in one, both.
        ("0 0 13 * fri", [8, 13, 15, 22, 29]),
        ("0 0 13 * *", [13]),
        ("0 0 * * fri", [8, 15, 22, 29]),
        ("0 0 */2 * fri", [15, 29]),
        ("0 0 1-7 * */6", [3]),
    ],
)
def test_days_of_cron(text: str, days: list[int]) -> None:
    """Weekdays have cron's numbers, and the day fields are combined as in cron."""
    assert [fire.day for fire in islice(fires(timetable(text), at("2027-01-03T00:00")), len(days))] == days


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "five fields"),
        ("hourly", "five fields"),
        ("* * * *", "not 4"),
        ("0 * * * * *", "not 6"),
        ("@reboot", "name does not exist"),
        ("every", "needs numbers with units"),
        ("every 15", "needs numbers with units"),
        ("every m", "needs numbers with units"),
        ("every 1.5h", "needs numbers with units"),
        ("every -1m", "needs numbers with units"),
        ("every ١m", "needs numbers with units"),
        ("every 0s", "at least 1 second"),
        ("every 367d", "at most 366 days"),
        ("every" + " 99999999d" * 90, "at most 366 days"),
        ("60 * * * *", 'minute must be 0 to 59, not "60"'),
        ("* 24 * * *", "hour must be 0 to 23"),
        ("* * 0 * *", "day of the month must be 1 to 31"),
        ("* * * 13 *", "month must be 1 to 12 or jan to dec"),
        ("* * * * 8", "day of the week must be 0 to 7 or sun to sat"),
        ("* * * monday *", "month must be"),
        ("* * * * mon;tue", 'is not valid: "mon;tue"'),
        ("* * * * 5#2", 'is not valid: "5#2"'),
        ("? * * * *", 'is not valid: "?"'),
        ("5, * * * *", 'is not valid: ""'),
        ("20-10 * * * *", "goes backwards"),
        ("*/0 * * * *", "step of 0"),
        ("*/90 * * * *", "step of 90"),
        ("0 0 30 2 *", "does not exist"),
        ("* * * * " + "1," * 600 + "1", "1000 characters"),
    ],
)
def test_invalid_schedules(text: str, problem: str) -> None:
    """The error says what is not valid, and its hint shows the forms."""
    with pytest.raises(ScheduleError) as caught:
        parse_schedule(text, "UTC", 0)
    assert problem in caught.value.message
    assert caught.value.hint == SCHEDULE_FORMS


@pytest.mark.parametrize(
    ("zone", "hint"),
    [
        ("europe/berlin", "Europe/Berlin"),
        ("Europe/Berln", "Europe/Berlin"),
        ("America/New York", "America/New_York"),
        ("Europe", "Europe/"),
        ("", "IANA name"),
        ("../etc/passwd", "IANA name"),
        ("a\x00b", "IANA name"),
        ("\ud800", "IANA name"),
    ],
)
def test_unknown_time_zones(zone: str, hint: str) -> None:
    """The error suggests one with a similar name."""
    with pytest.raises(ScheduleError, match="There is no time zone") as caught:
        parse_schedule("@daily", zone, 0)
    assert hint in caught.value.hint


@pytest.mark.parametrize("jitter", [-1, 86_401])
def test_jitter_has_limits(jitter: int) -> None:
    """It is 0 seconds to a day."""
    with pytest.raises(ScheduleError, match="jitter"):
        parse_schedule("@daily", "UTC", jitter)


@given(st.text(alphabet=st.one_of(st.sampled_from("0123456789*/-, @everymanusdh"), st.characters()), max_size=30))
@PROPERTY
def test_no_text_raises_anything_but_a_schedule_error(text: str) -> None:
    """Any text raises ScheduleError, is manual, or has a fire time."""
    try:
        trigger = parse_schedule(text, "UTC", 0)
    except ScheduleError as error:
        assert error.hint == SCHEDULE_FORMS  # noqa: PT017  # both outcomes are valid
        return
    assert trigger is None or trigger.get_next_fire_time(None, SPRING) is not None


NUMBERS = st.lists(st.integers(0, 23), min_size=1, max_size=3).map(lambda some: ",".join(map(str, some)))
WEEKDAYS = st.sampled_from(["*", "mon-fri", "0", "7", "sat-sun"])
DAYS = st.sampled_from(["*", "1", "13,28", "*/2", "31"])
CRON_TEXTS = st.tuples(NUMBERS | st.just("*/7"), NUMBERS | st.just("*"), DAYS, st.just("*"), WEEKDAYS).map(" ".join)
SCHEDULES = CRON_TEXTS | st.sampled_from(["every 1s", "every 7m", "every 1h30m", "every 2d", "@hourly", "@daily"])
ZONES = st.sampled_from(["UTC", BERLIN, "America/Santiago", "Australia/Lord_Howe", "Africa/Cairo", "America/Nuuk"])
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # the zone is a parameter
JITTERS = st.sampled_from([0, 1, 59, 600, 86_400])


@pytest.mark.parametrize("jitter", [0, 60, 3600])
@pytest.mark.parametrize("start", [SPRING, AUTUMN])
def test_a_daily_run_comes_once_each_day_at_both_changes(start: datetime, jitter: int) -> None:
    """02:30 in Berlin, which is skipped in spring and occurs twice in autumn."""
    trigger = timetable("30 2 * * *", BERLIN, jitter)
    days = [(fire - start.replace(hour=0)) // timedelta(days=1) for fire in islice(fires(trigger, start), 4)]
    assert days == [1, 2, 3, 4]


@pytest.mark.parametrize("start", [SPRING, AUTUMN])
@pytest.mark.parametrize(
    ("text", "step"),
    [("@hourly", HOUR), ("30 * * * *", HOUR), ("*/15 * * * *", 15 * MINUTE), ("every 15m", 15 * MINUTE)],
)
def test_hourly_and_shorter_schedules_follow_elapsed_time(start: datetime, text: str, step: timedelta) -> None:
    """The time between two runs stays the same."""
    found = list(islice(fires(timetable(text, BERLIN), start), 100))
    assert {later - earlier for earlier, later in pairwise(found)} == {step}


@pytest.mark.parametrize("start", [SPRING, AUTUMN])
@pytest.mark.parametrize("text", ["@hourly", "*/15 * * * *", "every 15m"])
@pytest.mark.parametrize("jitter", [1, 300, 86_400])
def test_jitter_skips_and_doubles_nothing_at_the_changes(start: datetime, text: str, jitter: int) -> None:
    """Each instant has one fire time, before the next instant."""
    plain = list(islice(fires(timetable(text, BERLIN), start + SECOND), 101))
    delayed = list(islice(fires(timetable(text, BERLIN, jitter), plain[0]), 100))
    assert all(tick <= fire < following for fire, (tick, following) in zip(delayed, pairwise(plain), strict=True))
    assert all(fire - tick <= timedelta(seconds=jitter) for fire, tick in zip(delayed, plain, strict=False))


def test_jitter_differs_between_runs_and_definitions() -> None:
    """Delays are spread over the whole jitter and stay the same after a restart."""
    start = at("2027-01-01T00:00")
    mine = list(islice(fires(timetable("@hourly", jitter=600, seed="1"), start), 200))
    assert mine == list(islice(fires(timetable("@hourly", jitter=600, seed="1"), start), 200))
    assert mine != list(islice(fires(timetable("@hourly", jitter=600, seed="2"), start), 200))
    delays = sorted((fire - start) % HOUR for fire in mine)
    assert delays[0] < MINUTE
    assert delays[-1] > 9 * MINUTE


def test_without_a_seed_the_jitter_is_random() -> None:
    """Two triggers have different fire times."""
    one, other = (parse_schedule("@daily", "UTC", 3600) for _ in range(2))
    assert one is not None
    assert other is not None
    assert list(islice(fires(one, SPRING), 5)) != list(islice(fires(other, SPRING), 5))


@given(SCHEDULES, ZONES, JITTERS, MOMENTS)
@PROPERTY
def test_fire_times_ascend(text: str, zone: str, jitter: int, start: datetime) -> None:
    """For any schedule, zone and jitter, and from the start on."""
    trigger = timetable(text, zone, jitter)
    found = list(islice(fires(trigger, start), 10))
    assert len(found) == 10
    assert found[0] >= start
    assert all(earlier < later for earlier, later in pairwise(found))


@given(SCHEDULES, ZONES, JITTERS, MOMENTS, st.timedeltas(timedelta(0), timedelta(days=3)))
@PROPERTY
def test_fire_times_do_not_depend_on_the_start(
    text: str, zone: str, jitter: int, start: datetime, later: timedelta
) -> None:
    """The next one after a restart is the one without a restart."""
    trigger = timetable(text, zone, jitter)
    after_restart = trigger.get_next_fire_time(None, start + later)
    newest = trigger.latest_fire_time(start + later)
    assert after_restart is not None
    assert newest is not None
    assert newest <= start + later <= after_restart
    assert after_restart in {newest, trigger.get_next_fire_time(newest, newest)}


def test_a_clock_that_jumps_by_years_costs_no_loop() -> None:
    """From 1970 to 2027 APScheduler's job is due twice, not once a second."""
    scheduler = BackgroundScheduler(timezone=UTC)
    job = scheduler.add_job(print, timetable("every 1s"), next_run_time=at("1970-01-01T00:00:05"))
    assert isinstance(job, Job)
    due = job._get_run_times(at("2027-01-01T00:00:00.5"))  # noqa: SLF001  # the loop
    assert due == [at("1970-01-01T00:00:05"), at("2027-01-01T00:00:00")]


def _calls_of(function: Callable[[], object]) -> int:
    """How many functions it calls, in Python."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls


def test_definitions_with_one_schedule_share_its_instants() -> None:
    """Only the first one searches the days of a year, so that very many definitions start soon."""

    def start(seed: str) -> None:
        trigger = timetable("7 7 7 7 *", BERLIN, seed=seed)
        trigger.get_next_fire_time(None, SPRING)
        last_due(trigger, SPRING, SPRING + SECOND)

    first, second = _calls_of(lambda: start("1")), _calls_of(lambda: start("2"))
    assert second < first / 10


@pytest.mark.parametrize(
    ("text", "after", "now", "due"),
    [
        ("every 1s", "2026-01-01T00:00:00", "2027-01-01T00:00:00.5", "2027-01-01T00:00:00"),
        ("every 15m", "2027-01-01T10:15", "2027-01-01T10:29:59", None),
        ("every 15m", "2027-01-01T10:15", "2027-01-01T10:30", "2027-01-01T10:30"),
        ("* * * * *", "2000-01-01T00:00", "2027-01-01T00:00:59", "2027-01-01T00:00"),
        ("30 2 * * mon-fri", "2027-01-01T02:30", "2027-01-03T12:00", None),
        ("30 2 * * mon-fri", "2027-01-01T02:29", "2027-01-03T12:00", "2027-01-01T02:30"),
        ("0 0 29 2 *", "2020-01-01T00:00", "2027-01-01T00:00", "2024-02-29T00:00"),
        ("@daily", "2027-01-01T00:00", "2027-01-01T00:00", None),
        ("@daily", "2027-01-02T00:00", "2027-01-01T12:00", None),
    ],
)
def test_the_newest_missed_run(text: str, after: str, now: str, due: str | None) -> None:
    """It is after the last run and not after now."""
    assert last_due(timetable(text), at(after), at(now)) == (at(due) if due else None)


@given(SCHEDULES, ZONES, JITTERS, MOMENTS, st.timedeltas(timedelta(0), timedelta(minutes=30)))
@PROPERTY
def test_the_missed_run_is_the_last_one_that_would_have_fired(
    text: str, zone: str, jitter: int, after: datetime, down: timedelta
) -> None:
    """As found by going from fire time to fire time."""
    trigger = timetable(text, zone, jitter)
    newest = None
    for fire in fires(trigger, after + timedelta(microseconds=1)):
        if fire > after + down:
            break
        newest = fire
    assert last_due(trigger, after, after + down) == newest
