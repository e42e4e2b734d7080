"""E123: what the server's version does not have."""

from __future__ import annotations

import pytest
from django.contrib.postgres.operations import CreateCollation
from django.db import migrations, models
from django.db.models import F, Func, Value

from safemigrate.operations import AddUniqueConstraintConcurrently
from tests.facts.versions import OLDER, VERSIONED
from tests.rules.asking import FakeMigration, ask, ids
from tests.rules.asking import one_of_sql as one
from tests.rules.asking import run_sql as run
from tests.rules.corpus import HARMLESS_SQL

UNIQUE = models.UniqueConstraint(fields=["number"], name="u", nulls_distinct=False)
VIRTUAL = models.GeneratedField(
    expression=F("total") * 2, output_field=models.IntegerField(), db_persist=False
)
UUID7 = Func(function="UUIDV7", output_field=models.UUIDField())
LIKE = Func(F("number"), Value("a"), function="regexp_like", output_field=models.BooleanField())


class TestServerVersion:
    @pytest.mark.parametrize(("since", "sql"), VERSIONED)
    def test_what_a_version_does_not_have_is_refused_and_what_it_has_is_not(self, since, sql):
        assert "E123" in ids(run(sql), version=(since - 1,))
        assert "E123" not in ids(run(sql), version=(since,))
        assert "E123" not in ids(run(sql), version=(since, 4))
        assert "E123" not in ids(run(sql))

    @pytest.mark.parametrize("sql", [*HARMLESS_SQL, *OLDER])
    def test_what_is_older_than_every_version_is_left_alone(self, sql):
        newer = "VIRTUAL" in sql or "ENFORCED" in sql
        assert ("E123" in ids(run(sql), version=(14,))) is newer

    def test_both_versions_are_told(self):
        finding = one("CREATE TABLE a (b int UNIQUE NULLS NOT DISTINCT)", "E123", version=(14,))
        assert finding.what == "RunSQL: PostgreSQL 14 has no NULLS NOT DISTINCT."
        assert "came with PostgreSQL 15" in finding.why

    def test_the_way_back_and_blocks_are_read_too(self):
        merge = "CREATE TABLE a (b uuid DEFAULT uuidv7())"
        assert "E123" in ids(run("SELECT 1", merge), version=(17,))
        assert "E123" in ids(run(f"DO $$ BEGIN {merge}; END $$"), version=(17,))

    def test_a_function_of_the_same_name_made_for_older_servers_is_left_alone(self):
        port = run(
            "CREATE FUNCTION uuidv7() RETURNS uuid LANGUAGE sql AS 'SELECT gen_random_uuid()'"
        )
        other = run(port.sql.replace("uuidv7", "uuidv8"))
        use = run("ALTER TABLE shop_order ALTER number SET DEFAULT uuidv7()")
        trigger = run(
            "CREATE TRIGGER t BEFORE INSERT ON shop_order FOR EACH ROW EXECUTE FUNCTION crc32()"
        )
        old = {"version": (16,)}
        for harmless in (port, run(f"{port.sql}; {use.sql}"), trigger):
            assert "E123" not in ids(harmless, **old)
        for made, rules in ((port, []), (other, ["E123"])):
            own = {"migration": FakeMigration(use), **old}
            assert ids(use, ancestors=lambda made=made: [FakeMigration(made)], **own) == rules
            assert ids(use, migration=FakeMigration(made, use), **old) == rules
        assert ids(use, ancestors=lambda: [FakeMigration(use, port)], **old) == ["E123"]

    def test_a_foreign_key_of_a_partitioned_table_is_not_valid_since_18(self):
        made = run("CREATE TABLE parted (id int) PARTITION BY RANGE (id)")
        key = run("ALTER TABLE parted ADD FOREIGN KEY (id) REFERENCES shop_shop NOT VALID")
        before = FakeMigration(made)
        for version, rules in (((17,), ["E123"]), ((18,), []), (None, [])):
            asked = {"version": version, "migration": FakeMigration(key)}
            found = ids(key, ancestors=lambda: [before], **asked)
            assert [rule for rule in found if rule == "E123"] == rules
        assert "E123" not in ids(key, version=(17,), ancestors=list)

    @pytest.mark.parametrize(
        ("since", "operation"),
        [
            (15, migrations.AddConstraint("order", UNIQUE)),
            (15, AddUniqueConstraintConcurrently("order", UNIQUE)),
            (15, migrations.CreateModel("New", [], options={"constraints": [UNIQUE]})),
            (17, CreateCollation("plain", "C.UTF-8", provider="builtin")),
            (18, migrations.AddField("order", "twice", VIRTUAL)),
            (18, migrations.CreateModel("New", [("twice", VIRTUAL)])),
            (18, migrations.AddField("order", "key", models.UUIDField(db_default=UUID7))),
            (15, migrations.AddIndex("order", models.Index(LIKE, name="i"))),
            (
                15,
                migrations.AddConstraint("order", models.CheckConstraint(condition=LIKE, name="c")),
            ),
        ],
        ids=lambda value: getattr(value, "describe", str)() if value != 15 else "15",
    )
    def test_operations_need_a_version_too(self, since, operation):
        assert "E123" in ids(operation, version=(since - 1,))
        assert "E123" not in ids(operation, version=(since,))
        assert "E123" not in ids(operation)

    def test_a_collation_of_an_older_provider_needs_none(self):
        for provider in ("icu", "libc"):
            assert ids(CreateCollation("plain", "und", provider=provider), version=(14,)) == []

    def test_what_is_left_out_and_what_is_refused_are_told_apart(self):
        """Django leaves such a constraint out without a word, ours refuses it."""
        told = {}
        for operation in (migrations.AddConstraint, AddUniqueConstraintConcurrently):
            found = ask(operation("order", UNIQUE), version=(14,))
            (told[operation],) = (one.why for one in found if one.rule == "E123")
        assert "without a word" in told[migrations.AddConstraint]
        assert "refuses it" in told[AddUniqueConstraintConcurrently]

    def test_a_check_of_a_new_column_that_is_not_enforced_reads_no_row(self):
        check = "ALTER TABLE shop_order ADD x int CHECK (x > 0)"
        assert ids(run(f"{check} NOT ENFORCED")) == []
        assert ids(run(check)) == ["E141"]
        assert ids(run(f"{check} CHECK (x < 9) NOT ENFORCED")) == ["E141"]
