"""The stories' judge: what it lets pass, and what it must not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.stories.oracle import Oracle
from tests.stories.rows import Row
from tests.stories.schema import differences


def info(name: str, **more: Any) -> dict[str, Any]:
    plain = {"null": False, "pk": False, "volatile": False, "generated": False, "default": None}
    return {"name": name, "unique": False, "max_length": None, "digits": None, **plain, **more}


def told(old: dict[str, Any], new: dict[str, Any], **more: Any) -> Oracle:
    row = Row("x", "", "", **more)
    known: Any = {
        "old": {"shop.Order": {"fields": old}},
        "new": {"shop.Order": {"fields": new}},
    }
    return Oracle(row, ["shop"], known)


TOTAL = {"total": info("total")}


def reads(oracle: Oracle, side: Any, **values: Any) -> None:
    oracle.check(side, {"shop.Order": {1: values}}, "a window")


def test_what_one_release_wrote_the_other_must_read():
    oracle = told(TOTAL, TOTAL)
    oracle.log("old", [("saved", "shop.Order", 1, {"total": 5})])
    reads(oracle, "new", total=5)
    with pytest.raises(AssertionError, match=r"total is 6, not \[5\]"):
        reads(oracle, "new", total=6)


def test_a_row_that_is_missing_or_too_many_is_told():
    oracle = told(TOTAL, TOTAL)
    oracle.log("old", [("saved", "shop.Order", 2, {"total": 5})])
    with pytest.raises(AssertionError, match=r"rows \[2\] are missing, \[1\] are too many"):
        reads(oracle, "old", total=5)


def test_a_renamed_field_is_one_value_under_two_names():
    renamed = {"Order.total": "Order.amount"}
    oracle = told(TOTAL, {"amount": info("amount")}, renamed=renamed)
    oracle.log("new", [("saved", "shop.Order", 1, {"amount": 5})])
    reads(oracle, "old", total=5)
    with pytest.raises(AssertionError, match="total is None"):
        reads(oracle, "old", total=None)


def test_a_new_field_has_its_default_and_nothing_else():
    oracle = told(TOTAL, TOTAL | {"kind": info("kind", default=7)})
    oracle.log("old", [("saved", "shop.Order", 1, {"total": 5})])
    reads(oracle, "new", total=5, kind=7)
    with pytest.raises(AssertionError, match="kind is 8"):
        reads(oracle, "new", total=5, kind=8)


def test_a_value_that_may_be_any_must_stay_what_it_was():
    oracle = told(TOTAL, TOTAL | {"code": info("code", volatile=True)})
    oracle.log("old", [("saved", "shop.Order", 1, {"total": 5})])
    with pytest.raises(AssertionError, match="code is None"):
        reads(oracle, "new", total=5, code=None)
    reads(oracle, "new", total=5, code="a")
    with pytest.raises(AssertionError, match="code is 'b'"):
        reads(oracle, "new", total=5, code="b")


def test_a_null_is_filled_once_and_for_both():
    nullable = {"note": info("note", null=True)}
    oracle = told(nullable, {"note": info("note")}, fills={"Order.note": "x"})
    oracle.log("old", [("saved", "shop.Order", 1, {"note": None})])
    reads(oracle, "old", note=None)
    reads(oracle, "new", note="x")
    with pytest.raises(AssertionError, match="note is None"):
        reads(oracle, "old", note=None)


def test_two_schemas_differ_by_what_is_left_over_and_what_is_missing():
    found = {"triggers": ["a", "b"]}
    assert differences(found, {"triggers": ["b", "c"]}) == [
        "triggers: found   a",
        "triggers: missing c",
    ]
    assert differences(found, found) == []
