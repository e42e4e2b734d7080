"""Backfills on task queues: workers in processes of their own, as a project runs them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta

import psycopg
import pytest

from safemigrate.queues.helping import ROLLOUT, Then, after_other_code
from tests.docs import pages
from tests.management.test_backfills import START, STATE, hurry
from tests.management.test_migrate import refused
from tests.projects import Project

FILL = """
class Migration(migrations.Migration):
    atomic = False
    dependencies = [("shop", "0001_initial")]
    operations = [
        BatchedBackfill(
            "order", values={"total": F("total") + 1}, batch_rows=20, workers=2, background=True
        ),
    ]
"""
# A small table is cut, and a dead worker's range comes free soon.
SOON = """
from datetime import timedelta
from safemigrate.backfill import leases, workers
workers.LEAST_PAGES = 1
leases.LEASE = timedelta(seconds=1)
"""
FRAMEWORK = """
INSTALLED_APPS.append("django_tasks_db")
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
SAFEMIGRATE["BACKFILL_QUEUE"] = os.environ.get("QUEUE", "django-tasks")
"""
CELERY = """
SAFEMIGRATE["BACKFILL_QUEUE"] = os.environ.get("QUEUE", "celery")
"""
APP = """
from celery import Celery
app = Celery("shop", broker="{broker}")
app.conf.worker_hijack_root_logger = False
app.autodiscover_tasks()
"""
DB_WORKER = ("manage.py", "db_worker", "--interval", "0.1", "--no-startup-delay")
CELERY_WORKER = ("-m", "celery", "-A", "queue_app", "worker", "--pool", "solo", "-l", "INFO")
DOCS = pages.ROOT / "docs"
LATER = (
    "SELECT run_after BETWEEN now() - interval '1 minute' AND now() + interval '1 minute' "
    "FROM django_tasks_database_dbtaskresult WHERE status = 'READY'"
)
TASKS_LEFT = "SELECT status, run_after FROM django_tasks_database_dbtaskresult ORDER BY enqueued_at"


@pytest.fixture
def shop(project) -> Project:
    """Two thousand orders, and a trigger that makes each batch take 200 ms."""
    project.models(START + SOON)
    project.run("makemigrations")
    return project


def on(shop: Project, setting: str, *, app: bool = False) -> Project:
    """The same with a queue, and a release that asks it for a backfill."""
    for line in setting.strip().splitlines():
        shop.setting(line)
    if app or setting is CELERY:
        broker = "sqla+postgresql+psycopg://{user}@/{dbname}?host={host}".format(**shop.address)
        shop.write("queue_app.py", APP.format(broker=broker))
        shop.write("shop/__init__.py", "from queue_app import app")
    shop.deploy("r1")
    shop.sql(
        "INSERT INTO shop_order (amount, total) SELECT n, 0 FROM generate_series(1, 2000) n; "
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_sleep(0.2); RETURN NULL; END $$; "
        "CREATE TRIGGER slow AFTER UPDATE ON shop_order EXECUTE FUNCTION slow()"
    )
    shop.migration("0002_fill", FILL)
    shop.release = "r2"
    return shop


@pytest.fixture
def worker(shop) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts workers; those that are left are killed: Celery's farewell takes seconds."""
    started = []

    def start(*words: str, **env: str) -> subprocess.Popen[bytes]:
        with (shop.folder / f"worker{len(started)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *words],
                cwd=shop.folder,
                env=shop.env(DJANGO_SETTINGS_MODULE="config", **env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
    for process in started:
        process.wait()


def eventually(shop: Project, query: str, is_so: Callable[[list], bool]) -> list:
    until = time.monotonic() + 60
    rows: list = []
    while time.monotonic() < until:
        with suppress(psycopg.errors.UndefinedTable):  # made by the first worker
            if is_so(rows := shop.sql(query)):
                return rows
        time.sleep(0.05)
    logs = "\n".join(path.read_text()[-3000:] for path in shop.folder.glob("worker*.log"))
    raise AssertionError(f"{query}: {rows}\n{logs}")


def is_done(rows: list) -> bool:
    return bool(rows) and rows[0][1] == "done"


def totals(shop: Project) -> list:
    return shop.sql("SELECT total, count(*) FROM shop_order GROUP BY total")


AT_WORK = (
    "SELECT DISTINCT split_part(worker, ':', 2)::int FROM safemigrate_backfill_range "
    "WHERE state = 'leased' AND batches > 0"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "words"),
    [(FRAMEWORK, DB_WORKER), (CELERY, CELERY_WORKER)],
    ids=["django", "celery"],
)
def test_two_workers_share_a_run_and_one_finishes_what_the_other_died_of(
    shop, worker, setting, words
):
    """No row is filled twice, and none is left out."""
    on(shop, setting)
    ran = shop.run("migrate")
    [(run_id, state, *_)] = shop.sql(STATE)
    assert f"Backfill {run_id} of shop_order: 2 tasks sent to " in ran.out
    assert state == "queued"
    mine = {process.pid: process for process in (worker(*words), worker(*words))}
    at_work = eventually(shop, AT_WORK, lambda rows: len(rows) == 2)
    assert {pid for (pid,) in at_work} == set(mine)
    killed, other = mine.values()
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait(10)
    hurry(shop)
    eventually(shop, STATE, is_done)
    assert totals(shop) == [(1, 2000)]
    assert other.poll() is None


@pytest.mark.slow
def test_workers_of_two_kinds_of_queues_share_a_run(shop, worker):
    """Whatever runs a task, it knows a run and its ranges; the Celery worker dies in one."""
    on(shop, FRAMEWORK, app=True)
    shop.run("migrate")
    [(run_id, *_)] = shop.sql(STATE)
    run = ("safemigrate", "backfills", "run", str(run_id), "--queue", "--workers", "2")
    assert "2 tasks sent to celery." in shop.run(*run, QUEUE="celery").out
    celery = worker(*CELERY_WORKER, QUEUE="celery")
    eventually(shop, AT_WORK, lambda rows: rows == [(celery.pid,)])
    framework = worker(*DB_WORKER)
    eventually(shop, AT_WORK, lambda rows: {pid for (pid,) in rows} == {celery.pid, framework.pid})
    os.kill(celery.pid, signal.SIGKILL)
    celery.wait(10)
    hurry(shop)
    eventually(shop, STATE, is_done)
    assert totals(shop) == [(1, 2000)]


@pytest.mark.slow
def test_a_task_makes_room_after_its_shift_and_sends_itself_again(shop, worker):
    """A queue kills tasks that take too long; one task of many seconds becomes many."""
    on(shop, FRAMEWORK)
    shop.migration("0002_fill", FILL.replace("workers=2, ", ""))
    shop.setting('SAFEMIGRATE["BACKFILL_SHIFT"] = timedelta(seconds=1)')
    shop.run("migrate")
    worker(*DB_WORKER, "--batch")
    eventually(shop, TASKS_LEFT, lambda rows: len(rows) >= 3)
    hurry(shop)
    eventually(shop, STATE, is_done)
    assert totals(shop) == [(1, 2000)]
    assert {status for status, _ in eventually(shop, TASKS_LEFT, none_is_open)} == {"SUCCESSFUL"}


def none_is_open(rows: list) -> bool:
    return not {status for status, _ in rows} & {"READY", "RUNNING"}


@pytest.mark.slow
def test_workers_of_the_release_before_leave_the_run_for_those_that_come(shop, worker):
    """migrate comes before the rollout: the workers that see the task first know no such work."""
    on(shop, FRAMEWORK)
    hurry(shop)
    shop.migration("0002_fill", FILL.replace("workers=2, ", ""))
    shop.run("migrate")
    new = shop.folder / "shop/migrations/0002_fill.py"
    new.rename(shop.folder / "kept")
    worker(*DB_WORKER, "--batch").wait(60)
    assert [status for status, _ in shop.sql(TASKS_LEFT)] == ["SUCCESSFUL", "READY"]
    assert shop.sql(LATER) == [(True,)]
    assert shop.sql(STATE)[0][1] == "queued"
    (shop.folder / "kept").rename(new)
    shop.sql(
        "UPDATE django_tasks_database_dbtaskresult SET run_after = now() WHERE status = 'READY'"
    )
    worker(*DB_WORKER, "--batch").wait(60)
    assert shop.sql(STATE)[0][1] == "done"
    assert totals(shop) == [(1, 2000)]


@pytest.mark.slow
def test_a_held_run_keeps_no_worker_and_its_resume_asks_the_queue_again(shop, worker):
    on(shop, FRAMEWORK)
    hurry(shop)
    shop.run("migrate")
    [(run_id, *_)] = shop.sql(STATE)
    number = str(run_id)
    assert "tasks were sent" in " ".join(shop.run("safemigrate", "backfills").out.split())
    shop.run("safemigrate", "backfills", "pause", number)
    refused(
        shop.manage("safemigrate", "backfills", "run", number, "--queue"),
        f"Backfill {run_id} is paused. Nothing was changed. To let it go on: ",
    )
    worker(*DB_WORKER, "--batch").wait(60)
    assert [status for status, _ in shop.sql(TASKS_LEFT)] == ["SUCCESSFUL"] * 2
    assert totals(shop) == [(0, 2000)]
    resumed = shop.run("safemigrate", "backfills", "resume", number)
    assert "2 tasks sent to django-tasks." in resumed.out
    worker(*DB_WORKER, "--batch").wait(60)
    assert totals(shop) == [(1, 2000)]
    refused(
        shop.manage("safemigrate", "backfills", "run", number, "--queue"),
        f"Backfill {run_id} is done",
    )
    idle = shop.run("safemigrate", "backfills", "run", "--queue")
    assert "No backfill waits for a task queue." in idle.out


@pytest.mark.slow
def test_the_role_of_the_workers_needs_no_more_than_the_page_says(shop, worker):
    """It owns no table, and may make none."""
    on(shop, FRAMEWORK)
    hurry(shop)
    shop.run("migrate")
    [grants] = pages.blocks(DOCS / "backfills.md", "sql")
    shop.sql(
        "DO $$ BEGIN CREATE ROLE worker LOGIN; EXCEPTION WHEN duplicate_object THEN END $$; "
        f"{grants.text} GRANT SELECT, INSERT, UPDATE, DELETE "
        "ON shop_order, django_tasks_database_dbtaskresult TO worker; "
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC"
    )
    as_worker = shop.url.replace("//postgres@", "//worker@")
    worker(*DB_WORKER, "--batch", DATABASE_URL=as_worker).wait(60)
    assert totals(shop) == [(1, 2000)], (shop.folder / "worker0.log").read_text()
    assert shop.sql(STATE)[0][1] == "done"


IMMEDIATE = 'SAFEMIGRATE["BACKFILL_QUEUE"] = "django-tasks"'


def test_a_framework_that_runs_tasks_at_once_leaves_the_work_to_migrate(shop):
    on(shop, IMMEDIATE)
    hurry(shop)
    ran = shop.run("migrate")
    assert "django-tasks runs tasks where they are sent, so this process does backfill" in ran.out
    assert "Backfilled shop_order: 2,000 rows" in ran.out
    assert shop.sql(STATE)[0][1] == "done"
    assert totals(shop) == [(1, 2000)]


def test_an_eager_celery_leaves_the_work_to_migrate(shop):
    on(shop, CELERY)
    hurry(shop)
    shop.write("queue_app.py", APP.format(broker="") + "app.conf.task_always_eager = True")
    ran = shop.run("migrate")
    assert "celery runs tasks where they are sent, so this process does backfill" in ran.out
    assert totals(shop) == [(1, 2000)]


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ('SAFEMIGRATE["BACKFILL_QUEUE"] = "celery"', "this project has no Celery app"),
        (
            f'{IMMEDIATE}\nTASKS = {{"default": {{"BACKEND": '
            '("django" if __import__("django").VERSION >= (6,) else "django_") + '
            '("." if __import__("django").VERSION >= (6,) else "") + '
            '"tasks.backends.dummy.DummyBackend"}}',
            "the DummyBackend, which keeps tasks and runs none",
        ),
        (f'{IMMEDIATE}\nTASKS = {{"default": {{"BACKEND": "nowhere.Backend"}}}}', "nowhere"),
        (
            f"{FRAMEWORK}\nSAFEMIGRATE['BACKFILL_QUEUE'] = 'django-tasks:slow'",
            "Queue 'slow' is not valid",
        ),
    ],
    ids=["no app", "dummy", "no backend", "no such queue"],
)
def test_a_queue_that_is_not_there_fails_no_deploy_and_the_run_stays(shop, lines, why):
    for line in lines.strip().splitlines():
        shop.setting(line)
    on(shop, "SAFEMIGRATE")
    ran = shop.run("migrate")
    [(run_id, state, *_)] = shop.sql(STATE)
    assert state == "queued"
    assert why in ran.out
    assert f"Backfills that stay as they are: {run_id}." in ran.out
    refused(shop.manage("safemigrate", "backfills", "run", str(run_id), "--queue"), why)
    assert shop.sql(STATE)[0][1] == "queued"


BROKEN = """
def broken(apps, schema_editor):
    raise ValueError("broken here")


class Migration(migrations.Migration):
    dependencies = [("shop", "0002_fill")]
    operations = [migrations.RunPython(broken, migrations.RunPython.noop)]
"""


def test_a_celery_that_breaks_when_it_is_asked_fails_no_deploy_and_hides_no_failure(shop):
    on(shop, CELERY)
    hurry(shop)
    kept = (shop.folder / "queue_app.py").read_text()
    shop.write("queue_app.py", kept + "app.config_from_object('nowhere.at_all')")
    assert "ModuleNotFoundError: No module named 'nowhere'" in shop.run("migrate").out
    assert shop.sql(STATE)[0][1] == "queued"
    shop.migration("0003_broken", BROKEN)
    failed = shop.manage("migrate")
    assert failed.code == 1
    assert "broken here" in failed.err


def test_a_brokers_address_that_cannot_be_read_is_not_shown(shop):
    """Its password has a sign in it that an address must escape."""
    on(shop, CELERY)
    hurry(shop)
    shop.write("queue_app.py", APP.format(broker="amqp://shop:se/cret@broker:5672//"))
    ran = shop.run("migrate")
    assert shop.sql(STATE)[0][1] == "queued"
    assert "The task queue celery did not take a task: ValueError" in ran.out
    assert "'se'" not in ran.text


@pytest.mark.parametrize("was", ["queued", "failed"])
def test_a_broker_that_cannot_be_reached_fails_no_deploy_and_the_run_is_asked_for_again(shop, was):
    on(shop, CELERY)
    hurry(shop)
    if was == "failed":
        shop.run("migrate")
        shop.sql("UPDATE safemigrate_backfill SET state = 'failed', error = 'DataError 22003'")
    nowhere = "sqla+postgresql+psycopg://nobody@/nothing?host=/nowhere"
    kept = (shop.folder / "queue_app.py").read_text()
    shop.write("queue_app.py", APP.format(broker=nowhere))
    ran = shop.run("migrate")
    [(run_id, state, *_)] = shop.sql(STATE)
    assert state == was
    assert shop.sql("SELECT error FROM safemigrate_backfill") == [
        ("DataError 22003" if was == "failed" else "",)
    ]
    assert f"Backfill {run_id} is {was} and stays so. The task queue celery did not take" in ran.out
    shop.write("queue_app.py", kept)
    assert "2 tasks sent to celery." in shop.run("migrate").out


def test_tasks_that_wait_for_their_turn_are_not_sent_again_with_each_deploy(shop):
    """Behind a backlog a run says nothing; after an hour its tasks are taken for lost."""
    on(shop, CELERY)
    assert "2 tasks sent to celery." in shop.run("migrate").out
    silent = "UPDATE safemigrate_backfill SET updated_at = now() - interval '{} minutes'"
    shop.sql(silent.format(30))
    assert "tasks sent" not in shop.run("migrate").out
    shop.sql(silent.format(61))
    assert "2 tasks sent to celery." in shop.run("migrate").out


def test_only_the_first_hour_of_a_run_waits_for_a_rollout():
    """Rolled back for good, the workers would send its tasks round for ever."""
    assert after_other_code(timedelta(minutes=5)) is Then.LATER
    assert after_other_code(ROLLOUT) is Then.END


def test_words_that_do_not_fit_are_refused(shop):
    on(shop, "SAFEMIGRATE")
    run = ("safemigrate", "backfills", "run")
    refused(shop.manage(*run, "--queue"), "There is no task queue in the settings")
    refused(shop.manage(*run, "--queue", "--watch"), "Give one of them")
    refused(shop.manage(*run, "--workers", "2"), "--workers is for --queue")
