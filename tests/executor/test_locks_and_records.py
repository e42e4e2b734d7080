"""Tables that are busy, migrations that fail, and what the ledger keeps of it all."""

from __future__ import annotations

import threading
from datetime import timedelta

import psycopg
import pytest

from tests.conftest import address

ADD_SUM = 'migrations.AddField("order", "sum", models.IntegerField(null=True))'
SHORT = {"SAFEMIGRATE": {"LOCK_DEADLINE": timedelta(milliseconds=300)}}


@pytest.fixture
def reader(server, pg):
    """A report's session that has read the table and not ended its transaction."""
    where = address(server, pg.settings_dict["NAME"])
    with psycopg.connect(**where, application_name="a report") as session:
        yield session
        session.rollback()


def ledger(site, columns: str = "action, name, phase, release, outcome, error"):
    return site.sql(f"SELECT {columns} FROM safemigrate_ledger WHERE release <> 'r1' ORDER BY id")


@pytest.mark.slow
def test_a_busy_table_is_waited_for_and_nobody_stands_behind_us(site, reader, server, pg):
    """A report holds the table; a request that comes during the wait is served at once."""
    site.migration("0002_sum", ADD_SUM)
    reader.execute("SELECT count(*) FROM shop_order")
    where = address(server, pg.settings_dict["NAME"])
    served: list[int] = []

    def requests() -> None:
        with psycopg.connect(**where, autocommit=True, application_name="psql") as web:
            web.execute("SET lock_timeout = '150ms'")
            count = "SELECT count(*) FROM shop_order"
            served.extend(web.execute(count).fetchone()[0] for _ in range(20))
        reader.rollback()

    traffic = threading.Timer(0.3, requests)
    traffic.start()
    told = site.deploy("r2")
    traffic.join()
    assert served == [10] * 20
    assert "Applying shop.0002_sum... OK" in told
    assert "sum" in site.columns()


@pytest.mark.slow
def test_at_the_deadline_nothing_is_changed_and_the_holder_is_named(site, reader):
    site.migration("0002_sum", ADD_SUM)
    reader.execute("SELECT count(*) FROM shop_order")
    site.settings, site.release = SHORT, "r2"
    ran = site.manage("migrate")
    assert ran.code == 1
    assert ran.err.startswith("CommandError: Could not lock shop_order within ")
    assert f"Process {reader.info.backend_pid} (a report, idle in transaction," in ran.err
    assert "Nothing of this step was changed" in ran.err
    assert site.was_usable
    assert "sum" not in site.columns()
    assert site.applied() == ["0001_initial"]
    assert ledger(site)[-1] == (
        "apply",
        "0002_sum",
        "expand",
        "r2",
        "failed",
        "LockNotObtained 55P03",
    )


@pytest.mark.slow
def test_the_state_is_right_after_a_try_that_was_refused_half_way(site, reader):
    """The second table is busy at first: what the first try did to the state must not count."""
    site.migration(
        "0002_tag", 'migrations.CreateModel("Tag", [("id", models.BigAutoField(primary_key=True))])'
    )
    site.deploy("r2")
    site.migration(
        "0003_both",
        'migrations.RemoveField("order", "flag")',
        "migrations.RunSQL('LOCK TABLE shop_tag IN ACCESS EXCLUSIVE MODE')",
        ADD_SUM,
    )
    site.migration("0004_look", "migrations.RunPython(look, migrations.RunPython.noop)")
    site.code(
        "0004_look",
        """
        def look(apps, schema_editor):
            names = {f.name for f in apps.get_model("shop", "Order")._meta.get_fields()}
            assert names == {"id", "total", "sum"}, names
        """,
    )
    reader.execute("SELECT count(*) FROM shop_tag")
    ending = threading.Timer(0.5, reader.rollback)
    ending.start()
    site.deploy("r3")
    ending.join()
    assert set(site.columns()) == {"id", "total", "sum"}


@pytest.mark.slow
@pytest.mark.parametrize("atomic", [True, False])
def test_raw_sql_and_python_do_not_queue_either(site, reader, atomic):
    """RunSQL by hand is how sites were taken down before."""
    site.migration(
        "0002_raw", "migrations.RunSQL('ALTER TABLE shop_order ADD raw int')", atomic=atomic
    )
    reader.execute("SELECT count(*) FROM shop_order")
    site.settings, site.release = SHORT, "r2"
    assert "Could not lock" in site.manage("migrate").err
    assert site.was_usable
    reader.rollback()
    site.deploy("r2")
    assert "raw" in site.columns()


@pytest.mark.slow
def test_a_data_migration_waits_for_a_row_no_longer_than_a_moment(site, reader):
    """Somebody holds a row; RunPython without a bound would wait for ever, holding its own."""
    site.migration("0002_data", "migrations.RunPython(work, migrations.RunPython.noop)")
    site.code(
        "0002_data",
        """
        def work(apps, schema_editor):
            with schema_editor.connection.cursor() as cursor:
                cursor.execute("SELECT current_setting('lock_timeout')")
                assert cursor.fetchone() == ("2s",)
            apps.get_model("shop", "Order").objects.update(total=1)
        """,
    )
    reader.execute("UPDATE shop_order SET total = 0")
    site.settings, site.release = SHORT, "r2"
    assert "Could not lock" in site.manage("migrate").err
    reader.rollback()
    site.deploy("r2")
    assert site.sql("SELECT DISTINCT total FROM shop_order") == [(1,)]


UNIQUE = (
    'migrations.AlterField("order", "flag", models.CharField(max_length=9, null=True, unique=True))'
)


def test_deferred_sql_that_fails_takes_the_whole_migration_with_it(site):
    """A unique constraint over duplicates: Django sends it last, after everything else."""
    site.migration("0002_unique", ADD_SUM, UNIQUE)
    site.release = "r2"
    with pytest.raises(Exception, match="could not create unique index"):
        site.manage("migrate")
    assert site.was_usable, "the transaction that Django leaves open is closed"
    assert site.applied() == ["0001_initial"]
    assert "sum" not in site.columns()
    assert ledger(site)[-1][-1] == "IntegrityError 23505"


def test_deferred_sql_and_the_record_are_one_transaction(site):
    """Killed between the two, Django leaves an applied migration that is not recorded."""
    site.migration(
        "0002_index",
        'migrations.AddField("order", "ref", models.IntegerField(null=True, db_index=True))',
    )
    site.deploy("r2")
    [[same]] = site.sql(
        "SELECT c.xmin = m.xmin FROM django_migrations m, pg_class c "
        "WHERE m.name = '0002_index' AND c.relname LIKE 'shop_order_ref_%'"
    )
    assert same


def test_the_ledger_says_who_did_what_when_and_under_which_release(site):
    site.migration("0002_sum", ADD_SUM)
    site.deploy("r2")
    site.deploy("r2", "shop", "0001")
    assert ledger(site) == [
        ("run", "", "", "r2", "done", ""),
        ("apply", "0002_sum", "expand", "r2", "done", ""),
        ("unapply", "0002_sum", "expand", "r2", "done", ""),
    ]
    for who, host, pid, took in ledger(site, "who, host, pid, duration_ms")[1:]:
        assert all((who, host, pid)), "a person, a machine and a process"
        assert took >= 0


def test_a_faked_migration_is_recorded_as_faked(site):
    site.migration("0002_sum", ADD_SUM)
    site.deploy("r2", fake=True)
    assert ledger(site)[-1][0] == "fake"
    assert "sum" not in site.columns()


def test_fake_initial_looks_and_still_takes_locks_like_any_other(site):
    site.sql("DELETE FROM django_migrations WHERE app = 'shop'")
    site.migration("0002_sum", ADD_SUM)
    told = site.deploy("r2", fake_initial=True)
    assert "Applying shop.0001_initial... FAKED" in told
    assert "Applying shop.0002_sum... OK" in told
    assert [row[:2] for row in ledger(site)[1:]] == [
        ("fake", "0001_initial"),
        ("apply", "0002_sum"),
    ]


def test_a_secret_in_failing_sql_does_not_reach_the_ledger(site):
    site.migration("0002_secret", "migrations.RunSQL(\"SELECT 'hunter2'::int\")")
    site.release = "r2"
    with pytest.raises(Exception, match="hunter2"):
        site.manage("migrate")
    assert ledger(site)[-1] == ("apply", "0002_secret", "expand", "r2", "failed", "DataError 22P02")
    assert "hunter2" not in str(site.sql("SELECT * FROM safemigrate_ledger"))


def test_an_operation_in_an_atomic_migration_is_refused_before_anything(site):
    site.migration(
        "0002_index", 'AddIndexConcurrently("order", models.Index(fields=["total"], name="i"))'
    )
    site.release = "r2"
    ran = site.manage("migrate")
    assert ran.code == 1
    assert ran.err == (
        "CommandError: AddIndexConcurrently on shop.Order commits step by step, but its migration "
        "is one transaction. Nothing was changed. Set atomic = False on the Migration class, and "
        "keep RunPython and other operations of one transaction in a migration of their own."
    )
    assert site.was_usable


@pytest.mark.parametrize(
    ("operation", "named"),
    [
        ('BatchedBackfill("oder", values={"total": 1})', "BatchedBackfill names shop.oder"),
        ('SetNotNull("order", "totl")', "SetNotNull names shop.order.totl"),
        ('ContractDrop("order", "totl")', "ContractDrop names shop.order.totl"),
    ],
)
def test_a_model_or_field_that_is_not_there_is_named(site, operation, named):
    site.migration("0002_wrong", operation, atomic=False)
    site.release = "r2"
    ran = site.manage("migrate")
    assert ran.code == 1
    assert named in ran.err
    assert "which is not there at this point of the migrations. Nothing was changed." in ran.err
    assert site.applied() == ["0001_initial"]


def test_rows_that_came_unfilled_since_the_backfill_are_filled_before_not_null(site):
    """Old code goes on inserting without the new column until its last process has ended."""
    site.migration("0002_expand", ADD_SUM)
    site.migration(
        "0003_backfill",
        'BatchedBackfill("order", values={"sum": F("id") * 2}, where=Q(sum__isnull=True))',
        atomic=False,
    )
    site.migration("0004_contract", 'SetNotNull("order", "sum")', atomic=False)
    site.deploy("r2")
    site.sql("INSERT INTO shop_order (flag) SELECT 'old' FROM generate_series(1, 5)")
    told = site.deploy("r3")
    assert "5 rows came unfilled since shop.0003_backfill; filling them" in told
    assert site.sql("SELECT count(*) FROM shop_order WHERE sum = id * 2") == [(15,)]
    assert site.columns()["sum"] is False


def test_a_backfill_that_was_completed_is_not_asked_for_again(site):
    """Its source column is gone by now; a later contract must not try to read it."""
    site.migration("0002_expand", ADD_SUM)
    fill = 'BatchedBackfill("order", values={"sum": F("total")}, where=Q(sum__isnull=True))'
    site.sql("UPDATE shop_order SET total = 3")
    site.migration("0003_backfill", fill, atomic=False)
    site.migration(
        "0004_contract",
        'SetNotNull("order", "sum")',
        'ContractDrop("order", "total")',
        atomic=False,
    )
    site.deploy("r2")
    site.deploy("r3")
    site.migration("0005_contract", 'ContractDrop("order", "sum")', atomic=False)
    site.deploy("r4")
    site.deploy("r5")
    assert set(site.columns()) == {"id", "flag"}


def test_a_table_that_is_dropped_needs_no_top_up(site):
    site.migration("0002_expand", ADD_SUM)
    site.migration(
        "0003_backfill",
        'BatchedBackfill("order", values={"sum": 1}, where=Q(sum__isnull=True))',
        atomic=False,
    )
    site.deploy("r2")
    site.sql("UPDATE shop_order SET sum = NULL")
    site.migration("0004_contract", 'ContractDrop("order", "sum")', atomic=False)
    site.deploy("r3")
    assert "filling them" not in site.deploy("r4")


def test_signals_are_sent_once_in_a_phased_run_too(site):
    """Permissions and content types are made by post_migrate."""
    from django.db.models.signals import post_migrate, pre_migrate

    seen = []

    def listen(signal, sender, **kwargs):
        seen.append((signal, sender.label))

    site.migration("0002_sum", ADD_SUM)
    pre_migrate.connect(listen)
    post_migrate.connect(listen)
    try:
        site.deploy("r2", phase="expand")
    finally:
        pre_migrate.disconnect(listen)
        post_migrate.disconnect(listen)
    labels = ["safemigrate", "contenttypes", "shop"]
    assert sorted(label for signal, label in seen if signal is post_migrate) == sorted(
        label for label in labels if (pre_migrate, label) in seen
    )
    assert seen.count((post_migrate, "shop")) == 1
    assert site.sql(
        "SELECT count(*) FROM django_content_type WHERE app_label = 'contenttypes'"
    ) == [(1,)]


def test_a_build_runs_without_a_lock_timeout_and_the_session_gets_its_own_back(site):
    site.migration(
        "0002_index",
        'AddIndexConcurrently("order", models.Index(fields=["total"], name="by_total"))',
        atomic=False,
    )
    site.deploy("r2")
    assert site.was_usable
    assert site.sql("SELECT indisvalid FROM pg_index WHERE indexrelid = 'by_total'::regclass") == [
        (True,)
    ]
