"""``manage.py safemigrate backfills``: one terminal migrates, another one gives orders."""

from __future__ import annotations

import json
import time

import pytest

from tests.management.test_migrate import end, refused
from tests.projects import Project

START = """
class Order(models.Model):
    amount = models.IntegerField()
    total = models.IntegerField(null=True)
"""
FILL = """
class Migration(migrations.Migration):
    atomic = False
    dependencies = [("shop", "0001_initial")]
    operations = [
        BatchedBackfill(
            "order", values={"total": F("amount") * 2}, where=Q(total__isnull=True), batch_rows=20
        ),
    ]
"""
STATE = "SELECT id, state, batches, rows_done FROM safemigrate_backfill"
WHERE = "SELECT to_regclass('safemigrate_backfill')"


@pytest.fixture
def shop(project) -> Project:
    """Two thousand orders, and a trigger that makes each batch take 200 ms."""
    project.models(START)
    project.run("makemigrations")
    project.deploy("r1")
    project.sql(
        "INSERT INTO shop_order (amount) SELECT generate_series(1, 2000); "
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_sleep(0.2); RETURN NULL; END $$; "
        "CREATE TRIGGER slow AFTER UPDATE ON shop_order EXECUTE FUNCTION slow()"
    )
    project.migration("0002_fill", FILL)
    project.release = "r2"
    return project


def wait_for(shop: Project, is_so) -> tuple:
    """The state row, once it is so."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if shop.sql(WHERE)[0][0] and (rows := shop.sql(STATE)) and is_so(*rows[0]):
            return rows[0]
        time.sleep(0.02)
    raise AssertionError(shop.sql(STATE))


def has_begun(run_id, state, batches, rows):
    return batches >= 3


def hurry(shop: Project) -> None:
    shop.sql(
        "CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RETURN NULL; END $$"
    )


def unfilled(shop: Project) -> int:
    return shop.sql("SELECT count(*) FROM shop_order WHERE total IS DISTINCT FROM amount * 2")[0][0]


@pytest.mark.slow
def test_a_running_migrate_is_paused_and_resumed_from_another_terminal(shop):
    migrate = shop.start("migrate")
    run_id, *_ = wait_for(shop, has_begun)
    paused = shop.run("safemigrate", "backfills", "pause", str(run_id))
    assert f"Backfill {run_id} of shop_order is paused after " in paused.out
    [(_, state, batches, _)] = shop.sql(STATE)
    assert state == "paused"
    listed = shop.run("safemigrate", "backfills")
    assert "shop.0002_fill:order" in listed.out
    assert "paused by " in listed.out
    assert shop.sql(STATE)[0][1:3] == ("paused", batches)
    assert migrate.poll() is None
    hurry(shop)
    shop.run("safemigrate", "backfills", "resume", str(run_id))
    ran = end(migrate)
    assert ran.code == 0, ran.text
    assert f"to go on: manage.py safemigrate backfills resume {run_id}" in ran.out
    assert unfilled(shop) == 0
    assert (
        "No backfill is open. 1 done: --all shows them." in shop.run("safemigrate", "backfills").out
    )


@pytest.mark.slow
def test_a_canceled_backfill_stops_this_migrate_and_the_next_until_it_is_resumed(shop):
    migrate = shop.start("migrate")
    run_id, *_ = wait_for(shop, has_begun)
    canceled = shop.run("safemigrate", "backfills", "cancel", str(run_id))
    assert "which stay filled" in canceled.out
    for ran in (end(migrate), shop.manage("migrate")):
        refused(
            ran,
            "The backfill of shop_order was canceled by ",
            "rows were filled and stay",
            f"manage.py safemigrate backfills resume {run_id}, then migrate",
        )
    hurry(shop)
    shop.run("safemigrate", "backfills", "resume", str(run_id))
    shop.run("migrate")
    assert unfilled(shop) == 0
    assert shop.sql(STATE)[0][1] == "done"


@pytest.mark.slow
def test_the_list_can_be_read_by_programs(shop):
    migrate = shop.start("migrate")
    run_id, *_ = wait_for(shop, has_begun)
    shop.run("safemigrate", "backfills", "set", str(run_id), "--rate", "1000000", "--workers", "1")
    [run] = json.loads(shop.run("safemigrate", "backfills", "--format", "json").out)
    assert (run["id"], run["state"], run["rate_cap"], run["workers"]) == (
        run_id, "running", 1_000_000, 1,
    )  # fmt: skip
    assert run["rows_per_second"] > 0
    shop.run("safemigrate", "backfills", "cancel", str(run_id))
    end(migrate)


def test_orders_that_make_no_sense_are_refused_and_change_nothing(shop):
    unknown = "There is no backfill 7. Nothing was changed. There is none on this database"
    refused(shop.manage("safemigrate", "backfills", "pause", "7"), unknown)
    shop.sql("DROP TRIGGER slow ON shop_order")
    shop.run("migrate")
    [(run_id, *_)] = shop.sql(STATE)
    number = str(run_id)
    refused(
        shop.manage("safemigrate", "backfills", "pause", "77"),
        f"There is no backfill 77. Nothing was changed. There are: {run_id}",
    )
    for order in ("pause", "cancel", "resume"):
        refused(
            shop.manage("safemigrate", "backfills", order, number),
            f"A backfill that is done cannot {order}.",
        )
    sets = ("safemigrate", "backfills", "set", number)
    refused(shop.manage(*sets), "Give --rate, --workers or both")
    refused(shop.manage(*sets, "--rate", "-1"), "--rate is -1")
    refused(shop.manage(*sets, "--workers", "0"), "--workers is 0")
    refused(shop.manage(*sets, "--rate", "5"), f"Backfill {run_id} is done")
    assert f"id: {run_id}" in shop.run("safemigrate", "backfills", "show", number).out


RISKY = """
class Migration(migrations.Migration):
    atomic = False
    dependencies = [("shop", "0001_initial")]
    operations = [
        BatchedBackfill(
            "order", values={"total": models.Value(300) / F("amount")}, where=Q(total__isnull=True)
        ),
    ]
"""
CONTRACT = """
class Migration(migrations.Migration):
    atomic = False
    dependencies = [("shop", "0002_fill")]
    operations = [SetNotNull("order", "total")]
"""


def test_a_contract_waits_for_rows_that_were_set_aside_and_retry_lets_it_go(shop):
    """One order of two thousand has no amount; nobody finds out at the contract."""
    hurry(shop)
    shop.sql("UPDATE shop_order SET amount = 0 WHERE id = 7")
    shop.migration("0002_fill", RISKY)
    ran = shop.run("migrate")
    assert "row 7 is set aside: DataError 22012: division by zero" in ran.out
    [(run_id, *_)] = shop.sql(STATE)
    shop.migration("0003_contract", CONTRACT)
    held = shop.deploy("r3")
    assert f"backfill {run_id} of shop_order has 1 rows set aside" in held.out
    assert f"manage.py safemigrate backfills retry {run_id}" in held.out
    retry = ("safemigrate", "backfills", "retry", str(run_id))
    refused(shop.manage(*retry), "0 of 1 rows that were set aside are filled; 1 fail as before")
    shop.setting('SAFEMIGRATE["HOLD_CONTRACT"] = "UNHELD" not in os.environ')
    refused(
        shop.manage("migrate", UNHELD="1"),
        "shop.0003_contract cannot be applied: ",
        f"retry {run_id}",
    )
    assert 'row ["7"] of batch ' in shop.run("safemigrate", "backfills", "show", str(run_id)).out
    shop.sql("UPDATE shop_order SET amount = 3 WHERE id = 7")
    assert "1 of 1 rows that were set aside are filled" in shop.run(*retry).out
    assert "has no row set aside" in shop.run(*retry).out
    shop.deploy("r4")
    assert shop.columns("shop_order")["total"][1] is False
    assert shop.sql("SELECT total FROM shop_order WHERE id = 7") == [(100,)]


IN_BACKGROUND = """
class Migration(migrations.Migration):
    atomic = False
    dependencies = [("shop", "0001_initial")]
    operations = [
        BatchedBackfill(
            "order",
            values={"total": F("amount") * 2},
            where=Q(total__isnull=True),
            background=True,
        ),
    ]
"""


def test_in_the_background_migrate_asks_a_worker_fills_and_the_contract_waits(shop):
    hurry(shop)
    shop.migration("0002_fill", IN_BACKGROUND)
    ran = shop.run("migrate")
    [(run_id, state, batches, _)] = shop.sql(STATE)
    assert (state, batches) == ("queued", 0)
    assert f"shop_order: backfill {run_id} waits for a worker: " in ran.out
    assert f"manage.py safemigrate backfills run {run_id}" in ran.out
    assert shop.applied()[-1] == "0002_fill"
    shop.migration("0003_contract", CONTRACT)
    held = shop.deploy("r3")
    assert f"backfill {run_id} of shop_order is queued" in held.out
    assert shop.applied()[-1] == "0002_fill"
    worked = shop.run("safemigrate", "backfills", "run")
    assert "Backfilled shop_order: 2,000 rows in " in worked.out
    assert unfilled(shop) == 0
    shop.deploy("r4")
    assert shop.columns("shop_order")["total"][1] is False


def test_a_worker_that_fails_says_so_and_a_run_of_other_code_is_refused(shop):
    hurry(shop)
    shop.migration("0002_fill", IN_BACKGROUND)
    shop.run("migrate")
    [(run_id, *_)] = shop.sql(STATE)
    shop.sql("ALTER TABLE shop_order ADD CHECK (total < 0) NOT VALID")
    ran = shop.manage("safemigrate", "backfills", "run")
    assert ran.code == 1
    assert f"Backfill {run_id}: The backfill of shop_order stopped: 101 rows" in ran.err
    assert f"CommandError: Not done: {run_id}." in ran.err
    assert shop.sql(STATE)[0][1] == "failed"
    shop.migration("0002_fill", IN_BACKGROUND.replace("* 2", "* 3"))
    refused(
        shop.manage("safemigrate", "backfills", "run", str(run_id)),
        f"Backfill {run_id} belongs to shop.0002_fill, and in this code no BatchedBackfill there",
    )


def test_a_run_of_what_was_corrected_since_holds_no_contract_back(shop):
    """It failed in the deploy; somebody corrected the migration, and the next deploy filled all."""
    hurry(shop)
    shop.migration("0002_fill", RISKY.replace("/ F(", "/ 0 * F("))
    refused(shop.manage("migrate"), "error budget is 100")
    shop.migration("0002_fill", RISKY)
    shop.run("migrate")
    assert [state for _, state, *_ in shop.sql(STATE + " ORDER BY id")] == ["failed", "done"]
    shop.migration("0003_contract", CONTRACT)
    shop.deploy("r3")
    assert shop.columns("shop_order")["total"][1] is False


def test_the_plan_says_what_a_backfill_will_take(shop):
    """Also where nobody has ever analyzed the table."""
    shop.sql("ALTER TABLE shop_order SET (autovacuum_enabled = false)")
    ran = shop.run("migrate", "--plan")
    assert "shop.0002_fill: shop_order: up to " in ran.out
    shop.sql("ANALYZE shop_order")
    assert (
        "up to 2,000 rows in 100 batches, about 0 s at 30,000 rows/s; about "
        in shop.run("migrate", "--plan").out
    )
    shop.setting('SAFEMIGRATE["BACKFILL_RATE"] = 10')
    assert ", about 3 min at 10 rows/s; about " in shop.run("migrate", "--plan").out
    shop.sql("TRUNCATE shop_order")
    shop.sql("ANALYZE shop_order")
    assert "shop_order: empty, nothing to fill" in shop.run("migrate", "--plan").out
