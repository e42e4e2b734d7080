"""What is said of each class of statement follows from what the facts say of it."""

from __future__ import annotations

import dataclasses

import pytest

from safemigrate.facts.locks import LockMode
from safemigrate.facts.statements import FACTS, Cost, Fact, Harm
from tests.facts.statements import ABOUT_NO_TABLE, SAMPLES, Sample
from tests.rules.asking import FakeMigration, ask, ids
from tests.rules.asking import run_sql as run

OF_HARM = {
    Harm.DROP: "E143",
    Harm.RENAME: "E144",
    Harm.TRUNCATE: "E145",
    Harm.WRITE: "E146",
    Harm.INCOMPATIBLE: "E150",
}
NOBODY_WRITES_TO_IT = "refresh-concurrently"  # a materialized view
# Where the class is told by the model, or by what the same SQL made.
BY_MODEL = {
    "alter-type-free": Sample("ALTER TABLE shop_order ALTER number TYPE varchar(30)"),
    "drop-default-unused": Sample("ALTER TABLE shop_order ALTER note DROP DEFAULT"),
    "select-for-update": Sample("SELECT 1 FROM shop_order FOR UPDATE"),
    "set-expression-virtual": Sample(
        "ALTER TABLE shop_order ADD z int GENERATED ALWAYS AS (total) VIRTUAL;"
        "ALTER TABLE shop_order ALTER z SET EXPRESSION AS (total + 1)"
    ),
    "attach-partition-new": Sample(
        "CREATE TABLE part (id int); ALTER TABLE shop_order ATTACH PARTITION part FOR VALUES IN (1)"
    ),
}
ALL = {**SAMPLES, **ABOUT_NO_TABLE, **BY_MODEL}


def expected(fact: Fact) -> set[str]:
    found = {OF_HARM[fact.harm]} if fact.harm is not Harm.NONE else set()
    stops = fact.blocks_writes or fact.other is LockMode.ACCESS_EXCLUSIVE
    if fact.cost is Cost.REWRITE:
        found.add("E142")
    elif fact.cost is Cost.SCAN and stops and fact.key != NOBODY_WRITES_TO_IT:
        found.add("E141")
    return found | ({"E141"} if fact.key == "drop-index" else set())


@pytest.mark.parametrize("key", ALL)
def test_every_class_that_hurts_has_a_rule_that_says_so_and_no_other_is_bothered(key):
    """A fact with a harm or a strong lock that nobody reads would be a hole."""
    fact, sample = FACTS[key], ALL[key]
    operation, earlier = run(sample.sql), FakeMigration(run(sample.before or "SELECT 1"))
    own = FakeMigration(operation, atomic=not fact.alone)
    assert set(ids(operation, migration=own, ancestors=lambda: [earlier])) == expected(fact)


def in_one_transaction(*texts: str, version: int) -> list[str]:
    operations = [run(text) for text in texts]
    migration = FakeMigration(*operations)
    return ids(operations[-1], migration=migration, version=(version,))


def test_a_lock_that_another_version_takes_decides_there(monkeypatch):
    """No statement is judged differently by the facts as they are; one that comes will be."""
    stronger = ((16, LockMode.ACCESS_EXCLUSIVE),)
    fact = dataclasses.replace(FACTS["comment"], lock_of=stronger, cost=Cost.SCAN)
    monkeypatch.setitem(FACTS, "comment", fact)
    comment = run("COMMENT ON TABLE shop_order IS 'x'")
    assert ids(comment, version=(15,)) == []
    assert ids(comment, version=(16,)) == ["E141"]
    assert ids(comment, version=(18,)) == ["E141"]
    assert ids(comment) == []
    (finding,) = ask(comment, version=(17,))
    assert "takes ACCESS EXCLUSIVE" in finding.why
    second = ("ALTER TABLE shop_shop ADD x int", comment.sql)
    assert "E151" not in in_one_transaction(*second, version=15)
    assert "E151" in in_one_transaction(*second, version=16)


@pytest.mark.parametrize("version", range(14, 19))
def test_of_the_facts_as_they_are_none_is_judged_by_the_version(version):
    """GRANT looks at its table since 18; what a statement stops is the same from 14 on."""
    for fact in FACTS.values():
        here = fact.at(version)
        assert here.blocks_writes is fact.blocks_writes
        assert here.blocks_reads is fact.blocks_reads
