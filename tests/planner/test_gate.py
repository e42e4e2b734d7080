"""When a contract is due, and the exact words when it is not."""

from __future__ import annotations

from typing import Any

from safemigrate.planner.gate import Facts, Hold, Seen, why_held

EXPAND = ("shop", "0002_expand")
CONTRACT = ("shop", "0003_contract")
BY_HAND = "or migrate --phase contract when the rollout is complete"


def facts(**changed: Any) -> Facts:
    """r1 was there, the expand came with r2, and r3 is being deployed by the role ``shop``."""
    given = {
        "release": "r3",
        "releases": ["r1", "r2", "r3"],
        "applied_under": {EXPAND: "r2"},
        "user": "shop",
        "ignored": ("psql",),
    }
    return Facts(**{**given, **changed})


def seen(name: str, user: str = "shop") -> list[Seen]:
    return [Seen(4711, name, user)]


def why(**changed: Any) -> str:
    hold = why_held([EXPAND], facts(**changed))
    assert hold is not None
    return hold.reason


def test_it_is_due_at_the_next_release_when_nobody_is_left_of_the_old_one():
    assert why_held([EXPAND], facts()) is None


def test_it_waits_in_the_release_that_expands():
    """The old release still runs while ``migrate`` does."""
    assert why(release="r2", releases=["r1", "r2"]) == (
        "shop.0002_expand came with release r2, and code of the release before may be running; "
        f"the next release applies it, {BY_HAND}"
    )


def test_it_waits_while_what_it_completes_is_not_applied():
    """First deploy of the feature: expand and contract are both in the plan."""
    assert why(applied_under={}) == (
        "shop.0002_expand came with release r3, and code of the release before may be running; "
        f"the next release applies it, {BY_HAND}"
    )


def test_a_drop_waits_for_the_release_after_the_one_that_brought_it():
    """A nullable field needs no expand, and yet the release before reads its column."""
    brought = {CONTRACT: "r2"}
    due = facts(applied_under={EXPAND: "r1"}, brought_by=brought)
    assert why_held([EXPAND, CONTRACT], due) is None
    early = facts(applied_under={EXPAND: "r1"}, brought_by=brought, release="r2")
    assert why_held([EXPAND, CONTRACT], early) == Hold(
        "it came with release r2, and code of the release before may be running; "
        f"the next release applies it, {BY_HAND}"
    )
    busy = facts(applied_under={EXPAND: "r1"}, brought_by=brought, sessions=seen("web release=r1"))
    assert why_held([EXPAND, CONTRACT], busy) is not None


def test_going_back_and_forth_between_releases_releases_nothing():
    """r2 expands, is rolled back to r1, comes again; only r3 is a later one."""
    for release in ("r1", "r2"):
        back = facts(release=release, releases=["r1", "r2"])
        assert why_held([EXPAND], back) is not None
    assert why_held([EXPAND], facts()) is None


def test_a_session_of_the_release_before_holds_it():
    hold = why_held([EXPAND], facts(sessions=seen("web release=r1")))
    assert hold == Hold(
        "process 4711 (web release=r1) still runs release r1, which is older than r2; "
        "wait until it has ended",
        may_pass=True,
    )


def test_a_session_of_the_release_that_expanded_holds_nothing():
    """r2's code knows both forms: that is what expand is for."""
    assert why_held([EXPAND], facts(sessions=seen("web release=r2"))) is None
    assert why_held([EXPAND], facts(sessions=seen("web release=r3"))) is None


def test_a_release_that_was_never_seen_may_be_older():
    """A worker started by hand from an image that ``migrate`` never ran from."""
    assert why(sessions=seen("worker release=hotfix")) == (
        "process 4711 (worker release=hotfix) still runs release hotfix, which was never seen "
        "here, so may be older than r2; wait until it has ended"
    )


def test_an_unlabelled_session_of_the_same_role_may_be_old_code():
    assert why(sessions=seen("")) == (
        "process 4711 (no application_name) carries no release and so may run older code; "
        'wait until it has ended, or name it in SAFEMIGRATE["IGNORE_SESSIONS"]'
    )
    assert "process 4711 (gunicorn)" in why(sessions=seen("gunicorn"))


def test_sessions_of_others_do_not_count():
    """Another role, an ignored tool, another ``migrate`` of ours."""
    assert why_held([EXPAND], facts(sessions=seen("etl", user="analyst"))) is None
    assert why_held([EXPAND], facts(sessions=seen("psql"))) is None
    assert why_held([EXPAND], facts(sessions=seen("safemigrate: holds the right"))) is None


def test_a_labelled_session_of_another_role_is_old_code_all_the_same():
    assert "still runs release r1" in why(sessions=seen("web release=r1", user="other"))


def test_an_empty_name_among_the_ignored_ignores_nobody():
    assert why_held([EXPAND], facts(sessions=seen("gunicorn"), ignored=("",))) is not None


def test_without_a_release_it_waits_for_somebody_to_say_so():
    assert why(release="", releases=[]) == (
        "no release is set, so nobody can tell whether older code is running; "
        "run migrate --phase contract when the rollout is complete"
    )
    assert why(release="", releases=[], applied_under={}) == (
        "shop.0002_expand comes first, and no release is set; "
        "run migrate --phase contract when the rollout is complete"
    )


def test_whoever_asks_for_the_contract_says_that_the_rollout_is_complete():
    assert why_held([EXPAND], facts(asked=True, release="", releases=[])) is None
    assert why_held([EXPAND], facts(asked=True, release="r2", releases=["r1", "r2"])) is None


def test_asking_does_not_help_against_a_live_session_of_old_code():
    """A rollout that hangs: somebody believes it complete, a pod of r1 disagrees."""
    assert "still runs release r1" in why(asked=True, sessions=seen("web release=r1"))


def test_asking_does_not_skip_the_expand():
    assert why(asked=True, applied_under={}) == (
        "shop.0002_expand is not applied yet; run migrate first"
    )


def test_what_was_applied_before_the_first_known_release_is_older_than_all():
    """safemigrate was installed later than the expand was applied."""
    assert why_held([EXPAND], facts(applied_under={EXPAND: ""})) is None
