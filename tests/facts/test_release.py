"""What a release is called, and how a session tells which one it runs."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from safemigrate.facts.errors import WrongSettings
from safemigrate.facts.release import (
    MAX_RELEASE_CHARS,
    PLATFORM_VARIABLES,
    check_release,
    label,
    release_from,
    release_of,
)

FIRST = "abcXYZ019"
releases = st.builds(
    lambda first, rest: first + rest,
    st.sampled_from(FIRST),
    st.text(FIRST + "._+:/-", max_size=MAX_RELEASE_CHARS - 1),
)


@given(st.text(max_size=90), releases)
@example("", "v1")
@example("release=v0", "v1")
@example("web release=v0", "v1")
@example("x" * 80, "v" * MAX_RELEASE_CHARS)
@example("Bäckerei " * 9, "v1")
def test_a_label_is_read_back_whatever_the_application_calls_itself(name, release):
    """The gate would take a session that it cannot read for old code, or miss one that is."""
    made = label(name, release)
    assert release_of(made) == release
    assert len(made.encode()) <= 63
    assert made.isascii()


@given(st.text(max_size=6), releases, releases)
def test_a_second_label_takes_the_place_of_the_first(name, old, new):
    """A pool hands a labelled connection to the next release's process; six letters always fit."""
    assert label(label(name, old), new) == label(name, new)


@given(st.text("abc _-", max_size=20), releases)
def test_the_users_own_name_stays_in_front(name, release):
    """Dashboards group by it; the longest release leaves six characters of it."""
    assume(name)
    room = 63 - len(f" release={release}")
    assert room >= 6
    assert label(name, release).startswith(name[:room])


@pytest.mark.parametrize(
    "name", ["", "psql", "release", "release=", "my-release=v1", "release=v1 web", "Release=v1"]
)
def test_a_name_without_a_label_has_no_release(name):
    """Somebody's application is called so by chance."""
    assert release_of(name) == ""


@pytest.mark.parametrize("name", ["", " ", "-v1", "v 1", "v1\n", "vé", "v'1", "a;b", ".1"])
def test_a_release_that_no_session_could_carry_is_refused(name):
    """It would end up in SQL and in the lists of sessions."""
    with pytest.raises(WrongSettings, match="letters, digits"):
        check_release(name, "somewhere")


def test_a_release_that_is_too_long_is_refused_with_both_numbers():
    """PostgreSQL would cut it, and two releases would look the same."""
    with pytest.raises(WrongSettings, match=f"has 49 characters .* {MAX_RELEASE_CHARS} fit"):
        check_release("v" * 49, "somewhere")
    assert check_release("v" * 48, "somewhere") == "v" * 48


@pytest.mark.parametrize("variable", PLATFORM_VARIABLES)
def test_the_platforms_variable_is_read(variable):
    """Nothing needs to be set on a platform that tells the commit."""
    assert release_from("", {variable: " 0a1b2c \n"}) == "0a1b2c"


def test_the_setting_goes_before_the_platform():
    """Whoever sets it means it."""
    assert release_from("mine", {PLATFORM_VARIABLES[0]: "theirs"}) == "mine"


def test_a_platforms_long_value_is_cut_and_a_wrong_one_named():
    """Nobody chose it, so it must not stop a deploy for its length."""
    assert release_from("", {"K_REVISION": "r" * 60}) == "r" * MAX_RELEASE_CHARS
    with pytest.raises(WrongSettings, match="K_REVISION"):
        release_from("", {"K_REVISION": "a b"})


def test_without_either_there_is_no_release():
    """Then a contract waits for an explicit --phase contract."""
    assert release_from("", {"K_REVISION": "  "}) == ""
