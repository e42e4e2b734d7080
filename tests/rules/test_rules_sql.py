"""E119, E141 to E150, W403: RunSQL, read by PostgreSQL's own grammar."""

from __future__ import annotations

import pytest
from django.db import migrations, models
from django.db.models import F

from safemigrate.operations import ContractDrop
from tests.rules.asking import NOOP, FakeMigration, ask, ids, on_a_new_table, within
from tests.rules.asking import one_of_sql as one
from tests.rules.asking import run_sql as run
from tests.rules.corpus import DANGEROUS_SQL, HARMLESS_SQL

UNIQUE = models.UniqueConstraint(fields=["number"], name="u", nulls_distinct=False)
VIRTUAL = models.GeneratedField(
    expression=F("total") * 2, output_field=models.IntegerField(), db_persist=False
)


@pytest.mark.parametrize(("sql", "rules"), DANGEROUS_SQL)
def test_no_dangerous_text_passes(sql, rules):
    found = ask(run(sql))
    assert {finding.rule for finding in found} == rules
    for finding in found:
        assert "\n" not in finding.what
        assert len(finding.what) < 80, finding.what
        assert finding.instead or all(finding.steps)
        assert "Use ." not in "".join(finding.steps)


@pytest.mark.parametrize("sql", HARMLESS_SQL)
def test_no_harmless_text_is_bothered(sql):
    assert ids(run(sql)) == []


@pytest.mark.parametrize(("sql", "rules"), [(s, r) for s, r in DANGEROUS_SQL if "E119" not in r])
def test_the_same_holds_in_capitals_with_comments_and_odd_white_space(sql, rules):
    if any(mark in sql for mark in ("$", "'", '"', "--")):
        return  # a body, a text or a quoted name is not the same in other letters
    odd = "/* x */\n\t" + "\n  ".join(sql.upper().split(" ")) + "\n;-- y"
    assert {finding.rule for finding in ask(run(odd))} == rules


@pytest.mark.parametrize(("sql", "rules"), DANGEROUS_SQL[::7])
def test_a_list_and_parameters_are_read_too(sql, rules):
    for said in ([sql], [(sql, None)], (("SELECT 1", None), sql), [(sql.replace("%", "%%"), [])]):
        expected = rules - {"E148"} if ";" not in sql else rules
        assert {finding.rule for finding in ask(run(list(said)))} >= expected


class TestRawSql:
    def test_what_the_grammar_refuses_cannot_be_judged(self):
        finding = one("ALTER TABEL x", "E119")
        assert "Assured" in finding.steps[-1]
        assert "syntax error" in finding.why

    def test_no_sql_is_left_alone(self):
        for nothing in (NOOP, [], ["", ";"]):
            assert ids(run(nothing)) == []

    def test_parameters_stand_for_values(self):
        assert ids(run([("UPDATE shop_order SET note = %s WHERE id = %s", ["it's 5%", 5])])) == []
        assert ids(run([("SET LOCAL lock_timeout = %s", ["50ms"])])) == []
        assert ids(run([("SELECT 1 WHERE 'a' LIKE '%%'", [])])) == []
        assert ids(run([("SELECT %(a)s", {"a": None})])) == []

    def test_parameters_that_do_not_fit_cannot_be_judged(self):
        assert ids(run([("SELECT %s, %s", [1])])) == ["E119"]

    def test_another_server_is_said_to_be_another(self):
        finding = one("ALTER TABLE a ADD b int", "E119", vendor="mysql")
        assert "mysql" in finding.what
        assert ids(run(NOOP), vendor="mysql") == []

    def test_without_the_parser_nothing_is_guessed(self, monkeypatch):
        import sys

        from safemigrate.facts import grammar

        for cached in (grammar._parser, grammar.statements):
            cached.cache_clear()
        monkeypatch.setitem(sys.modules, "postgast", None)
        assert "pip install postgast" in one("SELECT 1", "E119").why
        grammar._parser.cache_clear()

    def test_a_nul_hides_nothing(self):
        assert ids(run("SELECT 1\0; DROP TABLE shop_order")) == ["E119"]

    def test_the_way_back_is_read_too(self):
        assert "on the way back" in one("SELECT 1", "E119", back="SELEC 1").what

    def test_a_text_that_nests_too_deep_is_a_finding(self):
        assert ids(run(f"SELECT {'+'.join('1' * 5000)}")) == ["E119"]


class TestSqlLock:
    def test_the_lock_the_table_and_the_way_are_told(self):
        finding = one("CREATE INDEX i ON shop_order (total)", "E141")
        assert finding.what == "RunSQL: CREATE INDEX stops shop_order."
        assert "SHARE on shop_order: every write waits" in finding.why
        assert "AddIndexConcurrently" in finding.steps[0]

    def test_a_table_made_in_the_same_migration_is_left_alone(self):
        index = run("CREATE INDEX i ON shop_order (total)")
        assert on_a_new_table(index) == []
        assert on_a_new_table(run("CREATE INDEX ON shop_order_tags (order_id)")) == []
        assert within(run("CREATE TABLE fresh (id int)"), run("CREATE INDEX ON fresh (id)")) == []
        assert within(index) == ["E141"]

    def test_not_null_after_a_check_that_was_validated_reads_nothing(self):
        add = run("ALTER TABLE shop_order ADD CONSTRAINT k CHECK (total IS NOT NULL) NOT VALID")
        validate = run("ALTER TABLE shop_order VALIDATE CONSTRAINT k")
        sets = run("ALTER TABLE shop_order ALTER total SET NOT NULL")
        before = [FakeMigration(add), FakeMigration(validate)]
        assert ids(sets, ancestors=lambda: before) == []
        assert ids(sets, ancestors=lambda: before[:1]) == ["E141"]

    def test_the_way_back_is_judged(self):
        concurrently = "CREATE INDEX CONCURRENTLY i ON shop_order (total)"
        assert ids(run(concurrently, "DROP INDEX i")) == ["E141"]
        assert ids(run(concurrently, "DROP INDEX CONCURRENTLY i")) == []


class TestSqlRewrite:
    def test_it_names_the_table_and_the_lock(self):
        finding = one("VACUUM FULL shop_order", "E142")
        assert "ACCESS EXCLUSIVE on shop_order" in finding.why

    def test_on_the_way_back_too(self):
        wide = "ALTER TABLE shop_order ALTER number TYPE text"
        back = "ALTER TABLE shop_order ALTER number TYPE varchar(20)"
        assert "on the way back" in one(wide, "E142", back).what


class TestSqlDrop:
    def test_what_the_models_know_is_dropped_by_a_contract(self):
        finding = one("ALTER TABLE shop_order DROP note", "E143")
        assert [type(o) for o in finding.instead] == [ContractDrop]
        assert one('DROP TABLE "kept_table"', "E143").instead[0].model_name == "Kept"

    def test_what_no_model_knows_gets_steps(self):
        assert one("DROP SEQUENCE numbers", "E143").steps

    def test_a_way_back_may_drop_what_the_way_there_has_made(self):
        for there, back in (
            ("CREATE TABLE fresh (id int)", "DROP TABLE fresh"),
            ("ALTER TABLE shop_order ADD x int", "ALTER TABLE shop_order DROP x"),
            ("CREATE VIEW v AS SELECT 1", "DROP VIEW v"),
            ("CREATE TYPE mood AS ENUM ('ok')", "DROP TYPE mood"),
            ("CREATE SEQUENCE s", "DROP SEQUENCE IF EXISTS s"),
            ("CREATE EXTENSION citext", "DROP EXTENSION citext"),
            ("CREATE SCHEMA audit", "DROP SCHEMA audit"),
            ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP FUNCTION f()"),
        ):
            assert ids(run(there, back)) == [], back

    def test_a_way_back_may_drop_nothing_else(self):
        assert ids(run("CREATE TABLE fresh (id int)", "DROP TABLE shop_order")) == ["E143"]
        assert ids(run("SELECT 1", "ALTER TABLE shop_order DROP note")) == ["E143"]

    def test_a_view_is_gone_for_a_moment_between_two_transactions(self):
        again = ["DROP VIEW v", "CREATE VIEW v AS SELECT 1"]
        assert within(run(again)) == []
        assert within(run(again), atomic=False) == ["E143"]


class TestSqlRename:
    def test_a_rename_and_its_way_back_are_one_finding(self):
        there = "ALTER TABLE shop_order RENAME total TO amount"
        back = "ALTER TABLE shop_order RENAME amount TO total"
        assert one(there, "E144", back).what == "RunSQL renames total to amount in shop_order."


class TestSqlTruncate:
    def test_each_table_is_named(self):
        assert ids(run("TRUNCATE shop_order, shop_shop")) == ["E145", "E145"]
        assert on_a_new_table(run("TRUNCATE shop_order")) == []


class TestSqlUnboundedWrite:
    def test_the_batched_way_is_offered(self):
        finding = one("UPDATE shop_order SET total = 0", "E146")
        assert "BatchedBackfill" in finding.steps[0]

    def test_a_loop_that_commits_is_a_batch(self):
        loop = """DO $$ DECLARE r record; BEGIN FOR r IN SELECT id FROM shop_order LOOP
            UPDATE shop_order SET total = 0 WHERE id = r.id; COMMIT; END LOOP; END $$"""
        assert within(run(loop), atomic=False) == []
        assert within(run(loop)) == ["E148"]


class TestSqlTimeout:
    def test_a_setting_that_is_put_back_later_in_the_list_is_left_alone(self):
        assert ids(run(["SET lock_timeout = '50ms'", "SELECT 1", "RESET lock_timeout"])) == []
        assert ids(run(["SET work_mem = '1GB'", "SET work_mem TO DEFAULT"])) == []

    def test_waiting_in_line_is_told_with_the_time(self):
        sql = "SET LOCAL lock_timeout = '5s'; ALTER TABLE shop_order ADD x int"
        finding = one(sql, "E147")
        assert "'5s' allows that" in finding.why


class TestSqlTransaction:
    CONCURRENTLY = run("CREATE INDEX CONCURRENTLY i ON shop_order (total)")

    def test_concurrently_in_an_atomic_migration_is_refused(self):
        assert within(self.CONCURRENTLY) == ["E148"]
        assert within(self.CONCURRENTLY, atomic=False) == []

    def test_one_text_is_one_transaction_and_a_list_is_not(self):
        two = ["CREATE INDEX CONCURRENTLY i ON shop_order (total)", "DROP INDEX CONCURRENTLY j"]
        assert within(run("; ".join(two)), atomic=False) == ["E148", "E148"]
        assert within(run(two), atomic=False) == []

    def test_a_commit_of_ones_own_ends_the_migration(self):
        pair = run("BEGIN; ALTER TABLE shop_order ADD x int; COMMIT")
        assert within(pair) == ["E148", "E148"]
        assert within(pair, atomic=False) == []
        assert within(run(["BEGIN", "SELECT 1"]), atomic=False) == ["E148"]

    def test_set_local_alone_does_nothing(self):
        settings = run(["SET LOCAL statement_timeout = 5", "SELECT 1"])
        assert within(settings, atomic=False) == ["E148"]
        assert within(settings) == []


class TestSqlHeldLock:
    VALIDATE = run("ALTER TABLE shop_order VALIDATE CONSTRAINT k")

    def test_a_lock_of_an_operation_before_it_counts(self):
        from django.db import models

        add = migrations.AddField("order", "x", models.IntegerField(null=True))
        assert within(add, self.VALIDATE) == ["E149"]
        assert within(add, self.VALIDATE, atomic=False) == []

    def test_a_lock_of_a_runsql_before_it_counts(self):
        add = run("ALTER TABLE shop_order ADD CONSTRAINT k CHECK (total > 0) NOT VALID")
        assert within(add, self.VALIDATE) == ["E149"]
        assert within(add, self.VALIDATE, atomic=False) == []
        both = run([add.sql, self.VALIDATE.sql])
        assert within(both, atomic=False) == []


class TestSqlIncompatible:
    def test_what_is_asked_of_the_running_release_is_told(self):
        finding = one("ALTER TABLE shop_order ALTER status DROP DEFAULT", "E150")
        assert "leave the value to the database" in finding.why

    def test_a_way_back_may_take_back(self):
        assert (
            ids(run("GRANT SELECT ON shop_order TO app", "REVOKE SELECT ON shop_order FROM app"))
            == []
        )


def nothing(apps, schema_editor):
    """Code that can be read."""


class TestNoWayBack:
    def test_it_is_a_warning_with_the_name_of_what_is_missing(self):
        finding = ask(migrations.RunSQL("SELECT 1"))[0]
        assert finding.rule == "W403"
        assert "reverse_sql" in finding.steps[0]
        assert ids(migrations.RunPython(nothing)) == ["W403"]
        assert ids(migrations.RunPython(nothing, migrations.RunPython.noop)) == []
