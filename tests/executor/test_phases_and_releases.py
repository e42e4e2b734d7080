"""What one migrate after another applies, holds back, and says about it."""

from __future__ import annotations

import threading
import time

import pytest

DROP_FLAG = 'ContractDrop("order", "flag")'
ADD_SUM = 'migrations.AddField("order", "sum", models.IntegerField(null=True))'
IGNORE = "0002_expand"
DROP = "0003_contract"


@pytest.fixture
def removing(site):
    """The code of r2 no longer knows ``flag``; its migrations are written."""
    site.migration(IGNORE, 'MakeFieldIgnorable("order", "flag")', atomic=False)
    site.migration(DROP, DROP_FLAG, atomic=False)
    return site


HELD_AT_R2 = f"""\
Held back:
  shop.{DROP}
    shop.{IGNORE} came with release r2, and code of the release before may be running; the next \
release applies it, or migrate --phase contract when the rollout is complete
"""


def test_a_contract_waits_for_the_next_release_and_says_so(removing):
    """The deploy script runs migrate before it starts the new code."""
    told = removing.deploy("r2")
    assert f"Applying shop.{IGNORE}... OK" in told
    assert told.endswith(HELD_AT_R2)
    assert "flag" in removing.columns()


def test_the_same_release_once_more_holds_it_still(removing):
    """The deploy failed and is run again."""
    removing.deploy("r2")
    told = removing.deploy("r2")
    assert "No migrations to apply." in told
    assert told.endswith(HELD_AT_R2)


def test_the_next_release_applies_it(removing):
    removing.deploy("r2")
    told = removing.deploy("r3")
    assert f"Applying shop.{DROP}... OK" in told
    assert "Held back" not in told
    assert "flag" not in removing.columns()


def test_a_rolled_back_release_is_no_later_release(removing):
    """r2, back to r1 (which knows nothing of it), r2 again, then r3."""
    removing.deploy("r2")
    removing.deploy("r1")
    assert "Held back" in removing.deploy("r2")
    assert "flag" not in (removing.deploy("r3") and removing.columns())


def test_a_nullable_field_is_dropped_no_earlier_though_nothing_had_to_be_expanded(site, session):
    """r1's code reads the column of a field that r2 no longer knows, nullable or not."""
    site.migration("0002_contract", DROP_FLAG, atomic=False)
    assert "it came with release r2" in site.deploy("r2")
    old = session("web release=r1")
    assert "still runs release r1" in site.deploy("r3")
    old.close()
    site.deploy("r3")
    assert "flag" not in site.columns()


def test_a_session_of_the_old_release_is_named_and_holds_it_back(removing, session):
    """A worker of r1 is still busy with a long task."""
    removing.deploy("r2")
    old = session("worker release=r1")
    told = removing.deploy("r3")
    assert (
        f"process {old.info.backend_pid} (worker release=r1) still runs release r1, which is "
        "older than r2; wait until it has ended" in told
    )
    old.close()
    assert "Applying" in removing.deploy("r3")


def test_an_unlabelled_session_of_the_same_role_holds_it_back(removing, session):
    """A shell or a cron job that was started before safemigrate was installed."""
    removing.deploy("r2")
    session("psql")
    session("a cron job")
    told = removing.deploy("r3")
    assert "(a cron job) carries no release and so may run older code" in told
    removing.settings["SAFEMIGRATE"] = {"IGNORE_SESSIONS": ["psql", "a cron"]}
    assert "Applying" in removing.deploy("r3")


@pytest.mark.slow
def test_wait_lets_the_old_release_leave(removing, session):
    """A rollout drains its old processes while the deploy script waits."""
    removing.deploy("r2")
    old = session("web release=r1")
    ending = threading.Timer(0.7, old.close)
    ending.start()
    told = removing.deploy("r3", wait=30)
    ending.join()
    assert "waiting: process" in told
    assert f"Applying shop.{DROP}... OK" in told


@pytest.mark.slow
def test_wait_ends_when_its_time_is_over(removing, session):
    removing.deploy("r2")
    session("web release=r1")
    assert "still runs release r1" in removing.deploy("r3", wait=1)


def test_looking_never_waits(removing, session):
    removing.deploy("r2")
    session("web release=r1")
    removing.release = "r3"
    before = time.monotonic()
    removing.manage("migrate", plan=True, wait=600)
    removing.manage("migrate", check_unapplied=True, wait=600)
    assert time.monotonic() - before < 100


def test_without_a_release_somebody_must_say_that_the_rollout_is_complete(removing):
    told = removing.deploy("")
    assert "no release is set; run migrate --phase contract when the rollout is complete" in told
    assert "no release is set, so nobody can tell" in removing.deploy("")
    removing.deploy("", phase="contract")
    assert "flag" not in removing.columns()


def test_each_phase_can_be_asked_for(site):
    site.migration("0002_expand", ADD_SUM)
    site.migration(
        "0003_backfill",
        'BatchedBackfill("order", values={"sum": 1}, where=Q(sum__isnull=True))',
        atomic=False,
    )
    site.migration("0004_contract", 'SetNotNull("order", "sum")', atomic=False)
    told = site.deploy("r2", phase="expand")
    assert site.applied() == ["0001_initial", "0002_expand"]
    assert "shop.0003_backfill\n    it is a backfill, and --phase expand was asked for" in told
    site.deploy("r2", phase="backfill")
    assert site.applied()[-1] == "0003_backfill"
    site.deploy("r2", phase="contract")
    assert site.columns()["sum"] is False


def test_a_phase_that_needs_another_first_fails_and_says_which(site):
    site.migration("0002_expand", ADD_SUM)
    site.migration("0003_backfill", 'BatchedBackfill("order", values={"sum": 1})', atomic=False)
    site.release = "r2"
    ran = site.manage("migrate", phase="backfill")
    assert ran.code == 1
    assert ran.err == (
        "CommandError: shop.0003_backfill cannot run before shop.0002_expand, which is needed "
        "first and is held back (it is an expand, and --phase backfill was asked for).\n"
        "Every other backfill that is due was applied. Run migrate first."
    )


def test_a_contract_that_was_asked_for_and_is_held_is_a_failure(removing, session):
    """The script believes the rollout complete; a process of r1 disagrees."""
    removing.deploy("r2")
    session("web release=r1")
    ran = removing.manage("migrate", phase="contract")
    assert ran.code == 1
    assert f"CommandError: shop.{DROP} was asked for and not applied: process" in ran.err
    assert ran.err.endswith("Everything that is due was applied.")


def test_a_held_migration_that_is_the_target_is_a_failure(removing):
    removing.release = "r2"
    ran = removing.manage("migrate", "shop", "0003")
    assert ran.code == 1
    assert f"shop.{DROP} was asked for and not applied" in ran.err
    assert removing.applied() == ["0001_initial", IGNORE]


def test_plan_and_check_tell_what_migrate_will_do(removing):
    removing.release = "r2"
    plan = removing.manage("migrate", plan=True)
    assert plan.code == 0
    assert plan.out.startswith(f"Planned operations:\nshop.{IGNORE}\n")
    assert f"\n  shop.{DROP}\n" in plan.out
    assert removing.manage("migrate", check_unapplied=True).code == 1
    removing.deploy("r2")
    only_held = removing.manage("migrate", check_unapplied=True)
    assert only_held.code == 0
    assert "Held back" in only_held.out
    assert "No planned migration operations." in removing.manage("migrate", plan=True).out
    removing.release = "r3"
    assert removing.manage("migrate", check_unapplied=True).code == 1
    assert f"shop.{DROP}" in removing.manage("migrate", plan=True).out


def test_looking_writes_nothing_at_all(removing):
    """--plan in a pull request's pipeline must not count as a deploy of that release."""
    before = removing.sql("SELECT count(*) FROM safemigrate_ledger")
    removing.release = "r2"
    removing.manage("migrate", plan=True)
    removing.manage("migrate", check_unapplied=True)
    assert removing.sql("SELECT count(*) FROM safemigrate_ledger") == before


@pytest.mark.parametrize("settings", [{"DEBUG": True}, {"SAFEMIGRATE": {"HOLD_CONTRACT": False}}])
def test_where_no_old_code_can_be_everything_runs_straight_through(removing, settings):
    removing.settings = settings
    assert "Held back" not in removing.deploy("r2")
    assert "flag" not in removing.columns()


def test_a_stock_removal_of_somebody_elses_app_is_not_held(site):
    """Its migrations were not written for two releases; holding them would break its new code."""
    site.migration("0002_remove_flag", 'migrations.RemoveField("order", "flag")')
    assert "Held back" not in site.deploy("r2")


def test_a_contract_of_a_table_that_comes_in_the_same_run_is_not_held(site):
    site.migration(
        "0002_audit",
        'migrations.CreateModel("Audit", [("id", models.BigAutoField(primary_key=True)), '
        '("x", models.IntegerField(null=True))])',
    )
    site.migration("0003_contract", 'ContractDrop("audit", "x")', atomic=False)
    assert "Held back" not in site.deploy("r2")


def test_a_backfill_that_relies_on_new_code_waits_as_well(site):
    site.migration("0002_expand", ADD_SUM)
    site.migration(
        "0003_backfill",
        'BatchedBackfill("order", values={"sum": 1}, where=Q(sum__isnull=True), '
        "after_rollout=True)",
        atomic=False,
    )
    assert "0003_backfill" in site.deploy("r2").partition("Held back")[2]
    site.deploy("r3")
    assert site.sql("SELECT count(*) FROM shop_order WHERE sum = 1") == [(10,)]


# The contract that floats ------------------------------------------------------------------


@pytest.fixture
def floating(removing):
    """A second feature was merged behind the held contract; r2 is deployed with both."""
    removing.migration("0004_expand", ADD_SUM)
    told = removing.deploy("r2")
    assert "Applying shop.0004_expand... OK" in told
    return removing


def test_the_history_tells_the_truth_while_a_contract_is_held(floating):
    assert floating.applied() == ["0001_initial", IGNORE, "0004_expand"]
    assert floating.deploy("r2").endswith(HELD_AT_R2)
    shown = floating.manage("showmigrations", "shop").out
    assert shown == f"shop\n [X] 0001_initial\n [X] {IGNORE}\n [ ] {DROP}\n [X] 0004_expand\n"


def test_the_held_contract_comes_on_top_later(floating):
    floating.deploy("r3")
    assert floating.applied() == ["0001_initial", IGNORE, DROP, "0004_expand"]
    assert set(floating.columns()) == {"id", "total", "sum"}


def test_a_later_migration_sees_the_state_that_is_there(floating):
    """RunPython behind the held contract: its Order still has the field, as the table has."""
    floating.migration(
        "0005_look", "migrations.RunPython(look, migrations.RunPython.noop)", after="0004_expand"
    )
    floating.code(
        "0005_look",
        """
        def look(apps, schema_editor):
            names = {f.name for f in apps.get_model("shop", "Order")._meta.get_fields()}
            assert len(names) == 4, names
        """,
    )
    floating.deploy("r2")
    assert "0005_look" in floating.applied()


@pytest.mark.parametrize("first", ["on top", "held"])
def test_it_can_be_unapplied_either_way(floating, first):
    """Back to before both, whether the contract was applied or still held."""
    if first == "on top":
        floating.deploy("r3")
    floating.deploy("r3", "shop", "0001")
    assert floating.applied() == ["0001_initial"]
    assert set(floating.columns()) == {"id", "flag", "total"}


def test_the_contract_alone_can_be_unapplied_by_its_parent(floating):
    floating.deploy("r3")
    floating.deploy("r3", "shop", IGNORE)
    assert floating.applied() == ["0001_initial", IGNORE]
    assert floating.columns()["flag"] is True


def test_the_applied_leaf_as_target_brings_the_held_one_when_it_is_due(floating):
    floating.deploy("r3", "shop", "0004")
    assert DROP in floating.applied()


def test_a_second_feature_about_the_same_thing_stops_the_deploy(removing):
    """The column that waits to be dropped is added again, as something else."""
    removing.deploy("r2")
    removing.migration(
        "0004_again", 'migrations.AddField("order", "flag", models.IntegerField(null=True))'
    )
    removing.migration("0005_other", ADD_SUM)
    removing.release = "r2"
    ran = removing.manage("migrate")
    assert ran.code == 1
    assert f"shop.0004_again cannot run before shop.{DROP}, which is held back (" in ran.err
    assert "they change the same thing." in ran.err
    assert "Everything else that is due was applied. Do not roll this release out" in ran.err
    assert "shop.0005_other cannot run before shop.0004_again, which cannot run either." in ran.err
    assert removing.applied() == ["0001_initial", IGNORE]
    assert removing.manage("migrate", plan=True).code == 1


def test_what_is_applied_in_between_does_not_hide_the_held_one(floating):
    """A third feature, a day later: the contract is held two files further up."""
    again = 'migrations.AddField("order", "flag", models.IntegerField(null=True))'
    floating.migration("0005_again", again)
    floating.release = "r2"
    ran = floating.manage("migrate")
    assert ran.code == 1
    assert f"shop.0005_again cannot run before shop.{DROP}, which is held back (" in ran.err
    assert set(floating.columns()) == {"id", "flag", "total", "sum"}


def test_a_hole_that_is_no_contract_is_still_refused(site):
    """Somebody deleted a row of django_migrations, or merged in the wrong order."""
    site.migration("0002_sum", ADD_SUM)
    site.migration(
        "0003_note", 'migrations.AddField("order", "note", models.IntegerField(null=True))'
    )
    site.deploy("r2")
    site.sql("DELETE FROM django_migrations WHERE name = '0002_sum'")
    with pytest.raises(Exception, match=r"is applied before its dependency shop\.0002_sum"):
        site.manage("migrate")


def test_a_migration_that_says_run_before_the_held_one_is_applied(removing):
    removing.migration("0004_first", ADD_SUM, after=IGNORE, run_before=[("shop", DROP)])
    removing.deploy("r2")
    assert "0004_first" in removing.applied()
    assert DROP not in removing.applied()


def test_a_squash_of_what_is_partly_held_waits_for_its_parts(floating):
    """Squashed while the contract was held: the originals go on, the squash takes over later."""
    floating.migration(
        "0002_squashed",
        'MakeFieldIgnorable("order", "flag")',
        DROP_FLAG,
        ADD_SUM,
        after="0001_initial",
        atomic=False,
        replaces=[("shop", IGNORE), ("shop", DROP), ("shop", "0004_expand")],
    )
    assert "Held back" in floating.deploy("r2")
    floating.deploy("r3")
    assert set(floating.columns()) == {"id", "total", "sum"}
    assert "No migrations to apply." in floating.deploy("r4")


def test_a_squash_of_what_is_applied_is_there_when_a_contract_comes(site):
    """A project of five years has squashed more than once before its first contract."""
    site.migration("0002_sum", ADD_SUM, after="0001_initial")
    site.deploy("r1")
    site.migration("0002_squashed", ADD_SUM, after="0001_initial", replaces=[("shop", "0002_sum")])
    site.migration(
        IGNORE, 'MakeFieldIgnorable("order", "flag")', after="0002_squashed", atomic=False
    )
    site.migration(DROP, DROP_FLAG, atomic=False)
    told = site.deploy("r2")
    assert f"Applying shop.{IGNORE}... OK" in told
    assert "Held back" in told
    assert DROP in site.manage("safemigrate", "status").out
    assert f"Applying shop.{DROP}... OK" in site.deploy("r3")
    assert set(site.columns()) == {"id", "total", "sum"}


# Backwards ---------------------------------------------------------------------------------


def test_backwards_through_a_contract_adds_the_column_again(removing):
    removing.deploy("r2")
    removing.deploy("r3")
    removing.deploy("r3", "shop", IGNORE)
    assert removing.columns()["flag"] is True
    removing.deploy("r3", "shop", "zero")
    assert removing.columns() == {}


def test_a_choice_for_a_field_passes_the_contract_of_that_field(site):
    """Two pull requests of one day: the field, and another choice for it."""
    slug = 'models.SlugField(default="a"'
    site.migration("0002_kind", f'ExpandField("order", "kind", {slug}), database_default="a")')
    site.migration("0003_contract", 'DropDatabaseDefault("order", "kind", database_default="a")')
    choice = f'{slug}, choices=[("a", "A")], help_text="x")'
    site.migration("0004_choice", f'migrations.AlterField("order", "kind", {choice})')
    told = site.deploy("r2")
    assert "Applying shop.0004_choice... OK" in told
    assert "shop.0003_contract" in told.partition("Held back:")[2]
    assert "Applying shop.0003_contract... OK" in site.deploy("r3")
