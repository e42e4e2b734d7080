"""One dict, every key known, every value of its type."""

from __future__ import annotations

import dataclasses
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safemigrate.facts.errors import WrongSettings
from safemigrate.facts.settings import Settings, current, parse

KEYS = [field.name.upper() for field in dataclasses.fields(Settings)]
DURATIONS = [f.name.upper() for f in dataclasses.fields(Settings) if f.type == "timedelta"]


def refusal(raw) -> str:
    with pytest.raises(WrongSettings) as raised:
        parse(raw, {})
    text = str(raised.value)
    assert "Nothing was changed." in text
    return text


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("RELEASES", "RELEASE"),
        ("release", "RELEASE"),
        ("LOCK_TIMEOUT", "LOCK_DEADLINE"),
        ("HOLD_CONTRACTS", "HOLD_CONTRACT"),
        ("BATCH_DURATION_MS", "BATCH_DURATION"),
        ("IGNORED_SESSIONS", "IGNORE_SESSIONS"),
        ("BASELINE_FILE", "BASELINE"),
        ("RUNNER_WAITS", "RUNNER_WAIT"),
        ("BUILDDEADLINE", "BUILD_DEADLINE"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_right_one(typed, meant):
    """A typing error in the settings would silently mean the default."""
    text = refusal({typed: 1})
    assert f"unknown key {typed!r}" in text
    assert f'Did you mean "{meant}"?' in text
    assert all(key in text for key in KEYS)


@pytest.mark.parametrize("key", ["ZZZZ", "", 7, None])
def test_a_key_like_no_other_is_refused_without_a_guess(key):
    """A guess that is far off would send the reader the wrong way."""
    text = refusal({key: 1})
    assert repr(key) in text
    assert "Did you mean" not in text


WRONG = {
    "RELEASE": [7, None, ["v1"]],
    "HOLD_CONTRACT": ["no", 0, None],
    "HELD_TOO_LONG": [14, "14 days"],
    "LOCK_DEADLINE": [300, 0.5, "5m"],
    "BUILD_DEADLINE": [None, 1],
    "BUILD_WORKERS": [True, "2", 1.5, None],
    "RUNNER_WAIT": [60],
    "BATCH_DURATION": [100, "100ms"],
    "BACKFILL_WORKERS": ["2", True, 1.5],
    "BACKFILL_RATE": [True, "2", 1.5, None],
    "BACKFILL_PROBE": [7, None, ["shop.busy"]],
    "BACKFILL_QUEUE": [7, None, ["celery"]],
    "BACKFILL_SHIFT": [300, "5m"],
    "REPLICA_LAG_MB": ["16MB", 1.5, True],
    "IGNORE_REPLICAS": ["db2", [1]],
    "WAL_BEHIND_MB": ["1GB", None],
    "WAITING_SESSIONS": [False, "4"],
    "DEAD_ROWS_PERCENT": [1.5, "150 %"],
    "ERROR_BUDGET": [1.5, "many"],
    "HELD_BACK_DEADLINE": [3600, "2h"],
    "IGNORE_SESSIONS": ["psql", [1], None],
    "BASELINE": [None, 3],
    "SERVER_VERSION": ["16", 16.4, (16,), True],
    "THIRD_PARTY": ["blog", [1], None],
    "ASSURED": [
        *("blog.0001", ["blog.0001"], {1: "x"}, {"blog.0001": ""}, {"blog.0001": {}}),
        {"blog.0001": {"because": "x", "until": "soon"}},
        {"blog.0001": {"becaus": "x"}},
    ],
}


def test_every_key_is_tried_with_wrong_types():
    """A key that is added later must be tried too."""
    assert set(WRONG) == set(KEYS)


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in WRONG.items() for value in values]
)
def test_a_wrong_type_is_refused_with_the_right_one(key, value):
    """Seconds where a timedelta is wanted would be read as something else by somebody."""
    text = refusal({key: value})
    assert f'SAFEMIGRATE["{key}"]' in text
    inside = value["blog.0001"] if isinstance(value, dict) and "blog.0001" in value else value
    assert f"of type {type(inside).__name__}" in text
    assert "Give " in text


@pytest.mark.parametrize("name", ["redis", "Celery", ":slow", "celery/slow"])
def test_a_queue_that_nobody_knows_is_refused(name):
    text = refusal({"BACKFILL_QUEUE": name})
    assert f'SAFEMIGRATE["BACKFILL_QUEUE"] is {name!r}' in text
    assert "Give 'celery' or 'django-tasks'" in text


@pytest.mark.parametrize("key", DURATIONS)
def test_a_duration_may_not_be_negative(key):
    """-5 minutes comes from a subtraction somewhere."""
    assert key in refusal({key: timedelta(minutes=-5)})


@pytest.mark.parametrize("key", [k for k in DURATIONS if k != "HELD_TOO_LONG"])
def test_a_duration_may_not_be_zero(key):
    """A deadline of nothing would give up before the first try."""
    assert "longer than zero" in refusal({key: timedelta(0)})


@pytest.mark.parametrize(
    "key",
    [
        "BUILD_WORKERS",
        "BACKFILL_RATE",
        "REPLICA_LAG_MB",
        "WAL_BEHIND_MB",
        "WAITING_SESSIONS",
        "DEAD_ROWS_PERCENT",
        "ERROR_BUDGET",
    ],
)
def test_a_number_below_zero_is_refused(key):
    assert "zero or more" in refusal({key: -1})


def test_less_than_one_worker_is_refused():
    assert "one or more" in refusal({"BACKFILL_WORKERS": 0})


def test_the_string_of_the_other_package_is_named():
    """django-safemigrate has a setting of the same name, a string."""
    assert "django-safemigrate" in refusal("strict")


@pytest.mark.parametrize("raw", [None, [], 7, {"a"}])
def test_anything_but_a_dict_is_refused(raw):
    """Somebody wrote SAFEMIGRATE = None to switch it off."""
    assert f"of type {type(raw).__name__}" in refusal(raw)


def test_what_is_right_is_taken_as_it_is():
    """Paths and lists are as good as strings and tuples."""
    settings = parse(
        {
            "RELEASE": "v1",
            "HOLD_CONTRACT": False,
            "BASELINE": Path("x") / "y.json",
            "IGNORE_SESSIONS": ["psql"],
            "LOCK_DEADLINE": timedelta(seconds=3),
        },
        {},
    )
    assert settings.release == "v1"
    assert not settings.hold_contract
    assert settings.baseline == str(Path("x") / "y.json")
    assert settings.ignore_sessions == ("psql",)
    assert settings.lock_deadline == timedelta(seconds=3)


def test_a_word_for_an_installed_package_is_good_until_its_day():
    """A reason that was true for one night must not hold for ever."""
    until = {"because": "runs at night", "until": "2027-01-31"}
    settings = parse({"ASSURED": {"blog.0001": "few rows", "blog.0002": until}}, {})
    assert settings.assured_on(date(2027, 1, 31)) == {"blog.0001", "blog.0002"}
    assert settings.assured_on(date(2027, 2, 1)) == {"blog.0001"}


def test_an_empty_dict_is_all_defaults():
    """Nothing but INSTALLED_APPS is needed."""
    assert parse({}, {}) == Settings()


def test_a_change_of_the_setting_is_seen(settings):
    """``override_settings`` in a project's own tests."""
    settings.SAFEMIGRATE = {"RELEASE": "v9"}
    assert current().release == "v9"


@given(st.dictionaries(st.text(), st.one_of(st.none(), st.integers(), st.text()), min_size=1))
def test_whatever_is_given_it_is_read_or_refused_in_words(raw):
    """No wrong setting may end in a traceback of ours."""
    try:
        parse(raw, {})
    except WrongSettings:
        return


@pytest.mark.parametrize("version", [9, 13, 160004, -16])
def test_a_version_is_the_first_number_alone(version):
    """The server itself calls 16.4 160004, and older ones are not judged for."""
    assert "such as 16" in refusal({"SERVER_VERSION": version})
    assert parse({"SERVER_VERSION": 16}, {}).server_version == 16
