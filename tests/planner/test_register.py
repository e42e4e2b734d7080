"""What meets a footprint is found without a look at all others, and is the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from safemigrate.planner.footprints import REFERENCE, REFERRERS, WHOLE, Footprint, Touch
from safemigrate.planner.register import Register

TOUCHES = st.builds(
    Touch,
    st.sampled_from(["shop", "audit"]),
    st.sampled_from(["order", "tag"]),
    st.sampled_from(["flag", "total", WHOLE, REFERENCE, REFERRERS]),
    st.booleans(),
)
FOOTPRINTS = st.builds(
    Footprint,
    st.frozensets(TOUCHES, max_size=3),
    st.sampled_from([(), ("UPDATE shop_order SET flag = 1",)]),
    st.sampled_from([False, False, False, True]),
)


@given(st.lists(FOOTPRINTS, max_size=6), FOOTPRINTS)
def test_it_finds_what_asking_each_of_them_finds(footprints, asked):
    register = Register()
    named = {("shop", str(number)): each for number, each in enumerate(footprints)}
    for key, each in named.items():
        assert register.add(key, each)
    meeting = {key for key, each in named.items() if each.meets(asked)}
    colliding = {key for key, each in named.items() if each.collides(asked)}
    assert sorted(register.meeting(asked)) == sorted(meeting)
    assert sorted(register.colliding(asked)) == sorted(colliding)


def test_what_is_there_already_stays():
    register = Register()
    flag = Footprint(frozenset({Touch("shop", "order", "flag")}))
    assert register.add(("shop", "1"), flag)
    assert not register.add(("shop", "1"), Footprint())
    assert register.meeting(flag) == [("shop", "1")]
