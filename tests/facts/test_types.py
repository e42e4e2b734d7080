"""Which type changes to which: told by the types' names alone."""

from __future__ import annotations

import pytest

from safemigrate.facts.types import Type, akin, change, differ, parsed

CHANGES = {
    "FREE": [
        ("integer", "integer"),
        ("varchar(10)", "varchar(20)"),
        ("varchar(10)", "character varying"),
        ("varchar(10)", "text"),
        ("text", "varchar"),
        ("numeric(8, 2)", "numeric(9, 2)"),
        ("numeric(8, 2)", "numeric"),
        ("decimal(8, 2)", "numeric(8,2)"),
        ("varchar(10)[]", "varchar(10)[]"),
    ],
    "SHARED": [
        ("smallint", "integer"),
        ("integer", "bigint"),
        ("serial", "bigint"),
        ("integer", "numeric(10, 0)"),
        ("integer", "numeric(12, 2)"),
        ("bigint", "numeric"),
        ("integer", "double precision"),
        ("real", "double precision"),
        ("numeric(8, 2)", "numeric(9, 3)"),
        ("integer[]", "bigint[]"),
        ("varchar(5)[]", "varchar(9)[]"),
    ],
    "NARROWED": [
        ("bigint", "integer"),
        ("integer", "smallint"),
        ("integer", "numeric(9, 0)"),
        ("integer", "numeric(10, 2)"),
        ("bigint", "double precision"),
        ("numeric(8, 2)", "numeric(8, 3)"),
        ("numeric(8, 2)", "numeric(8, 1)"),
        ("numeric(8, 2)", "numeric(7, 2)"),
        ("numeric", "numeric(8, 2)"),
        ("varchar(20)", "varchar(10)"),
        ("text", "varchar(10)"),
        ("double precision", "real"),
    ],
    "IMPOSSIBLE": [
        ("integer", "text"),
        ("varchar(10)", "integer"),
        ("varchar(36)", "uuid"),
        ("text", "jsonb"),
        ("inet", "text"),
        ("date", "timestamp with time zone"),
        ("timestamp with time zone", "date"),
        ("numeric(8, 2)", "integer"),
        ("numeric(8, 2)", "double precision"),
        ("double precision", "numeric(8, 2)"),
        ("boolean", "integer"),
        ("integer", "integer[]"),
        ("numeric(8, 2)[]", "numeric(9, 3)[]"),
        ("bigint[]", "integer[]"),
        ("geometry(POINT,4326)", "geometry(POLYGON,4326)"),
    ],
}


@pytest.mark.parametrize(
    ("kind", "was", "becomes"),
    [(kind, *pair) for kind, pairs in CHANGES.items() for pair in pairs],
)
def test_a_change_of_type_is_judged_by_what_both_releases_can_use(kind, was, becomes):
    """Free, shared, narrowed or impossible; whatever is not known is impossible."""
    assert change(was, becomes).name == kind


def test_a_type_is_read_as_django_and_as_the_server_spell_it():
    """``format_type`` says character varying, Django varchar."""
    assert parsed("character varying(20)") == parsed("varchar(20)") == Type("varchar", 20)
    assert parsed("numeric(8,2)") == Type("numeric", 8, 2)
    assert parsed("integer[][3]") == Type("integer", dimensions=2)
    assert parsed("Hand-made !") == Type("Hand-made !")


@pytest.mark.parametrize(
    ("was", "becomes", "expected"),
    [
        ("bigint", "double precision", True),
        ("double precision", "numeric(8, 2)", True),
        ("varchar(9)", "text", True),
        ("timestamp with time zone", "date", True),
        ("uuid", "uuid", True),
        ("integer[]", "bigint[]", True),
        ("integer", "integer[]", False),
        ("integer", "text", False),
        ("boolean", "integer", False),
        ("uuid", "varchar(36)", False),
    ],
)
def test_values_of_one_kind_may_be_meant_for_each_other(was, becomes, expected):
    """However many of them fit."""
    assert akin(was, becomes) is expected


@pytest.mark.parametrize(
    ("found", "wanted", "another"),
    [
        ("integer[]", "integer[][]", False),
        ("integer[]", "integer", True),
        ("integer", "integer[]", True),
        ("bigint[]", "integer[][]", True),
        ("character varying(9)[]", "varchar(9)[3][3]", False),
        ("public.citext", "citext", False),
    ],
)
def test_what_the_server_says_of_a_column_is_told_from_another_type(found, wanted, another):
    assert differ(found, wanted) is another
