"""E161 to E164, W404, W405: RunPython, read as its source stands in the file."""

from __future__ import annotations

import functools
import smtplib
import time

import pytest
from django.db import migrations, models, transaction
from django.db.models import F, Q
from django.test.utils import isolate_apps

from safemigrate.operations import BatchedBackfill
from tests.rules import corpus_python, corpus_python_other
from tests.rules.asking import FakeMigration, ask, ids, on_a_new_table, shop

NOOP = migrations.RunPython.noop

DANGEROUS = [
    (set(rules.split()), code)
    for corpus in (corpus_python, corpus_python_other)
    for rules, codes in corpus.DANGEROUS.items()
    for code in codes
]


def named(value):
    return getattr(value, "__name__", type(value).__name__)


@pytest.mark.parametrize(("rules", "code"), DANGEROUS, ids=named)
def test_no_dangerous_code_passes(rules, code):
    operation = migrations.RunPython(code, NOOP)
    found = ask(operation, migration=FakeMigration(operation))
    assert {finding.rule for finding in found} == rules
    for finding in found:
        assert len(finding.what) < 80, finding.what
        assert finding.instead or all(finding.steps)


@pytest.mark.parametrize("code", corpus_python_other.HARMLESS, ids=named)
def test_no_harmless_code_is_bothered(code):
    operation = migrations.RunPython(code, NOOP)
    assert ids(operation, migration=FakeMigration(operation)) == []


with isolate_apps():

    class Thing(models.Model):
        class Meta:
            app_label = "nowhere"


def errors(code):
    return [rule for rule in ids(migrations.RunPython(code, NOOP)) if rule.startswith("E")]


def update_all(apps, schema_editor):
    order = apps.get_model("shop", "Order")
    order.objects.using(schema_editor.connection.alias).filter(total__isnull=True).update(
        total=F("status"), note="x"
    )


def delete_all(apps, schema_editor):
    apps.get_model("shop.Order").objects.all().delete()


def save_each(apps, schema_editor):
    orders = apps.get_model("shop", "Order").objects.filter(note="")
    for order in orders.iterator():
        order.note = "x"
        order.save()


def through_another(apps, schema_editor):
    _helped(apps)


def _helped(apps):
    for order in apps.get_model("shop", "Order").objects.all():
        order.save(update_fields=["note"])


def few(apps, schema_editor):
    order = apps.get_model("shop", "Order")
    order.objects.filter(pk=5).update(total=1)
    order.objects.filter(id__in=[1, 2], total=5).delete()
    for one in order.objects.all()[:100]:
        one.save()
    for one in order.objects.all():
        print(one)
    apps.get_model("contenttypes", "ContentType").objects.filter(pk=1).delete()
    order.objects.create(total=1)
    {"a": 1}.update(b=2)


class TestPythonUnboundedWrite:
    def test_an_update_that_can_be_read_is_offered_in_batches(self):
        found = ask(migrations.RunPython(update_all, NOOP))
        assert [finding.rule for finding in found] == ["E161"]
        wanted = BatchedBackfill(
            "Order", {"total": F("status"), "note": "x"}, where=Q(total__isnull=True)
        )
        assert found[0].instead[0].deconstruct() == wanted.deconstruct()
        assert len(found[0].what) < 80

    def test_what_cannot_be_filled_in_gets_steps(self):
        for code in (delete_all, save_each, through_another):
            found = ask(migrations.RunPython(code, NOOP))
            assert found[0].rule == "E161"
            assert "BatchedBackfill" in found[0].steps[0]

    def test_a_few_rows_are_left_alone(self):
        assert errors(few) == []

    def test_a_new_table_is_left_alone(self):
        assert on_a_new_table(migrations.RunPython(update_all, NOOP)) == []

    def test_the_way_back_is_read_too(self):
        assert "E161" in ids(migrations.RunPython(few, delete_all))


def imports_ours(apps, schema_editor):
    from testproject.shop.models import Order

    Order.objects.filter(pk=1).delete()


def uses_a_global(apps, schema_editor):
    Thing.objects.filter(pk=1).delete()


class TestPythonRealModels:
    def test_an_import_and_a_global_are_seen(self):
        assert errors(imports_ours) == ["E162"]
        assert errors(uses_a_global) == ["E162"]

    def test_historical_models_are_left_alone(self):
        assert errors(few) == []


SQL = "DELETE FROM shop_order WHERE id = 5"


def a_few_rows_of_sql(apps, schema_editor):
    schema_editor.execute(SQL)
    schema_editor.execute("UPDATE shop_order SET total = %s WHERE id = %s", [1, 2])
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT %(a)s", {"a": 1})
        print(cursor.fetchall())


def nothing_at_all(apps, schema_editor):
    pass


def sql_from_elsewhere(apps, schema_editor):
    schema_editor.execute(apps.the_sql)


class TestPythonSql:
    def test_what_it_does_is_told_as_of_sql(self):
        drop = corpus_python_other.raw_drop_
        (finding,) = ask(migrations.RunPython(drop, NOOP))
        assert finding.rule == "E164"
        assert finding.what == "raw_drop_() drops shop_order."
        (truncate,) = ask(migrations.RunPython(nothing_at_all, corpus_python_other.conns_))
        assert truncate.what == "conns_() on the way back empties shop_order."

    def test_rows_that_are_named_by_a_key_are_left_alone(self):
        assert ids(migrations.RunPython(a_few_rows_of_sql, NOOP)) == []

    def test_what_is_put_together_elsewhere_cannot_be_judged(self):
        (finding,) = ask(migrations.RunPython(sql_from_elsewhere, NOOP))
        assert finding.what == "sql_from_elsewhere() sends SQL that is put together as it runs."

    def test_a_table_that_is_new_is_left_alone(self):
        assert on_a_new_table(migrations.RunPython(corpus_python_other.raw_, NOOP)) == []


class TestPythonDatabase:
    def test_queries_without_an_alias_are_a_warning(self):
        assert "W404" in ids(migrations.RunPython(few, NOOP))
        assert "W404" not in ids(migrations.RunPython(update_all, NOOP))

    def test_code_without_queries_is_left_alone(self):
        assert ids(migrations.RunPython(with_nothing, NOOP)) == []


def with_nothing(apps, schema_editor):
    """Nothing."""


def sends(apps, schema_editor):
    smtplib.SMTP("localhost")


def sleeps_between(apps, schema_editor):
    for one in range(1, 5):
        schema_editor.execute("UPDATE shop_order SET total = 1 WHERE id = %s", [one])
        time.sleep(1)


def sleeps_alone(apps, schema_editor):
    time.sleep(1)


def sleeps_in_a_block(apps, schema_editor):
    from time import sleep

    with transaction.atomic(using=schema_editor.connection.alias):
        schema_editor.execute("UPDATE shop_order SET total = 1 WHERE id = 1")
        sleep(1)


class TestPythonNetwork:
    def test_a_call_is_a_warning(self):
        assert ids(migrations.RunPython(sends, NOOP)) == ["W405"]

    @pytest.mark.parametrize(
        ("code", "atomic", "own", "said"),
        [
            (sleeps_between, True, None, ["W405"]),
            (sleeps_between, False, True, ["W405"]),
            (sleeps_between, False, None, []),
            (sleeps_between, True, False, []),
            (sleeps_alone, True, None, []),
            (sleeps_in_a_block, False, None, ["W405"]),
        ],
    )
    def test_to_sleep_in_a_transaction_that_has_locked_something(self, code, atomic, own, said):
        """Between the transactions of a migration that is not atomic it is a kindness."""
        operation = migrations.RunPython(code, NOOP, atomic=own)
        assert ids(operation, migration=FakeMigration(operation, atomic=atomic)) == said
        if not said:
            before = migrations.AddField("order", "x", models.IntegerField(null=True))
            inside = FakeMigration(before, operation, atomic=atomic)
            wanted = ["W405"] if atomic and own is None else []
            assert ids(operation, migration=inside) == wanted

    def test_the_state_is_not_changed_by_reading(self):
        before = shop()
        ids(migrations.RunPython(few, NOOP), before=before)
        assert before.models.keys() == shop().models.keys()


class Callable:
    """An object in place of a function."""

    def __call__(self, apps, schema_editor):
        pass


class TestPythonUnreadable:
    @pytest.mark.parametrize(
        "code",
        [lambda apps, editor: None, functools.partial(print), print, Callable()],
    )
    def test_what_nobody_can_read_is_a_finding(self, code):
        noop = migrations.RunPython.noop
        assert ids(migrations.RunPython(code, noop)) == ["E163"]
        assert ids(migrations.RunPython(noop, code)) == ["E163"]

    def test_what_does_nothing_and_what_has_no_way_back_are_left_alone(self):
        noop = migrations.RunPython.noop
        assert ids(migrations.RunPython(noop, noop)) == []
        assert "E163" not in ids(migrations.RunPython(noop))
