"""E161, E162, E163, W404, W405: RunPython, read as its source stands in the file."""

from __future__ import annotations

import functools
import smtplib

import pytest
from django.db import migrations, models
from django.db.models import F, Q
from django.test.utils import isolate_apps

from safemigrate.operations import BatchedBackfill
from tests.rules.asking import ask, ids, on_a_new_table, shop

NOOP = migrations.RunPython.noop

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


class TestPythonNetwork:
    def test_a_call_is_a_warning(self):
        assert ids(migrations.RunPython(sends, NOOP)) == ["W405"]

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
