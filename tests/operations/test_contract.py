"""What every public operation promises; each inherits all of it from its samples."""

from __future__ import annotations

import inspect
import re

import pytest
from django.db import migrations, models
from django.db.migrations.migration import Migration
from django.db.migrations.optimizer import MigrationOptimizer
from django.db.migrations.writer import MigrationWriter
from django.test import override_settings

from safemigrate import operations
from safemigrate.facts.errors import NeedsAutocommit, WrongOperation
from safemigrate.planner.squash import PlainOptimizer, plain_operations
from tests.deaths import Life
from tests.operations.samples import SAMPLES, Sample
from tests.operations.shop import TABLES, Shop, killed_at, known_to

PUBLIC = sorted(
    (
        value
        for value in map(operations.__dict__.get, operations.__all__)
        if inspect.isclass(value)
        and issubclass(value, operations.SafeOperation)
        and value is not operations.SafeOperation
    ),
    key=lambda operation: operation.__name__,
)

every_sample = pytest.mark.parametrize("sample", SAMPLES, ids=str)


@pytest.fixture
def shop(pg) -> Shop:
    return Shop(pg).open()


def ready(shop: Shop, sample: Sample) -> Shop:
    known_to(shop.connection, getattr(sample.make(), "constraint", None))
    shop.apply(*sample.prepare())
    return shop


@pytest.mark.parametrize("operation", PUBLIC, ids=lambda operation: operation.__name__)
def test_every_operation_has_a_sample(operation):
    """An operation that nobody tried would be believed to keep the contract."""
    assert operation in {type(sample.make()) for sample in SAMPLES}


@pytest.mark.parametrize("operation", PUBLIC, ids=lambda operation: operation.__name__)
def test_the_docstring_says_locks_rerun_and_way_back(operation):
    """A DBA reads it to decide; the three headings are what a DBA asks."""
    text = inspect.getdoc(operation)
    for heading in ("Locks:", "Re-run:", "Back:"):
        assert heading in text
    assert operation.phase in operations.Phase


@every_sample
def test_it_tells_what_it_does(sample):
    """``--plan`` prints the description; makemigrations makes the file's name of the fragment."""
    operation = sample.make()
    assert 10 < len(operation.describe()) < 100
    assert re.fullmatch(r"[a-z0-9_]{4,60}", operation.migration_name_fragment)
    assert operation.describe() in operation.formatted_description()


@every_sample
def test_run_twice_it_sends_nothing_the_second_time(shop, sample):
    """The first run was killed before it was recorded, so migrate runs all of it once more."""
    ready(shop, sample)
    before = shop.state
    with shop.sent() as first:
        shop.apply(sample.make())
    with shop.sent() as second:
        shop.again(sample.make(), before)
    assert first
    assert second == []


@every_sample
def test_there_and_back_leaves_the_schema_as_it_was(shop, sample):
    """A rollout failed, and the deploy goes back to where it came from."""
    ready(shop, sample)
    before, schema = shop.state, shop.schema()
    operation = sample.make()
    shop.apply(operation)
    shop.unapply(operation, before)
    if sample.comes_back:
        assert shop.schema() == schema
    else:
        assert shop.schema()["columns"] == schema["columns"]
    # And forwards once more, as the next attempt of the deploy will.
    shop.apply(sample.make())


@every_sample
def test_unapplied_twice_it_sends_nothing_the_second_time(shop, sample):
    """The way back is killed as easily as the way forward."""
    ready(shop, sample)
    before = shop.state
    operation = sample.make()
    shop.apply(operation)
    after = shop.state
    shop.unapply(operation, before)
    schema = shop.schema()
    shop.state = after
    with shop.sent() as second:
        shop.unapply(operation, before)
    # Forgetting a backfill that was forgotten deletes no row.
    assert [s for s in second if not s.startswith("DELETE FROM")] == []
    assert shop.schema() == schema


@every_sample
def test_it_is_written_under_its_public_name_and_read_back_equal(sample):
    """The path ends up in other people's repositories for years."""
    operation = sample.make()
    text = written(operation)
    assert f"safemigrate.operations.{type(operation).__name__}(" in text
    assert not re.search(r"safemigrate\.operations\.[a-z]", text)
    assert "import safemigrate.operations" in text
    again = read_back(text)
    assert type(again) is type(operation)
    assert written(again) == text


def written(operation) -> str:
    migration = type("Migration", (Migration,), {"operations": [operation]})("0002_x", "shop")
    return MigrationWriter(migration, include_header=False).as_string()


def read_back(text: str):
    namespace: dict = {}
    exec(text, namespace)
    (operation,) = namespace["Migration"].operations
    return operation


class Refusing:
    """A router that keeps the shop out of this database."""

    def allow_migrate(self, db, app_label, **hints):
        return False


@every_sample
def test_a_router_that_refuses_sends_nothing(shop, sample):
    """The model lives in another database; this one must not hear of it."""
    ready(shop, sample)
    operation, before = sample.make(), shop.state
    with override_settings(DATABASE_ROUTERS=[Refusing()]), shop.sent() as sent:
        shop.apply(operation)
        shop.unapply(operation, before)
    assert sent == []


@every_sample
def test_inside_a_transaction_it_refuses_and_changes_nothing(shop, sample):
    """Somebody copied the operation into a migration without ``atomic = False``."""
    ready(shop, sample)
    operation, schema, data = sample.make(), shop.schema(), shop.data()
    if not operation.needs_autocommit:
        shop.apply(operation, atomic=True)
        return
    with (
        shop.sent() as sent,
        pytest.raises(NeedsAutocommit, match=r"Nothing was changed\..*atomic = False"),
    ):
        shop.apply(operation, atomic=True)
    assert sent == []
    assert (shop.schema(), shop.data()) == (schema, data)


@every_sample
def test_an_ordinary_role_that_owns_the_tables_may_do_it(pg, sample):
    """No deploy runs as a superuser."""
    with pg.cursor() as cursor:
        cursor.execute(
            "DO $$ BEGIN CREATE ROLE ordinary; EXCEPTION WHEN duplicate_object THEN END $$; "
            "GRANT ALL ON SCHEMA public TO ordinary; SET SESSION AUTHORIZATION ordinary"
        )
    shop = ready(Shop(pg).open(), sample)
    before, operation = shop.state, sample.make()
    shop.apply(operation)
    shop.unapply(operation, before)
    assert shop.ask("SELECT session_user::text") == [("ordinary",)]


MISSING = [
    pytest.param(sample, make, id=f"{sample}-{number}")
    for sample in SAMPLES
    for number, make in enumerate(sample.missing)
]


@pytest.mark.parametrize(("sample", "make"), MISSING)
def test_it_says_when_it_names_something_that_is_not_there(shop, sample, make):
    """A typing error, or a dependency on the wrong migration."""
    ready(shop, sample)
    schema, data = shop.schema(), shop.data()
    with (
        shop.sent() as sent,
        pytest.raises(WrongOperation, match=r"(?i)noth|no_idx|\.a\b") as raised,
    ):
        shop.apply(make())
    assert "Nothing was changed." in str(raised.value)
    assert sent == []
    assert (shop.schema(), shop.data()) == (schema, data)


@pytest.mark.parametrize("operation", PUBLIC, ids=lambda operation: operation.__name__)
def test_every_operation_was_asked_for_something_missing(operation):
    """No sample may forget it."""
    assert any(s.missing for s in SAMPLES if type(s.make()) is operation)


@every_sample
def test_it_works_on_sqlite(lite, sample):
    """A project's own tests run its migrations there."""
    shop = Shop(lite).open()
    ready(shop, sample)
    before, schema, data = shop.state, shop.schema(), shop.data()
    operation = sample.make()
    shop.apply(operation)
    with shop.sent() as second:
        shop.again(sample.make(), before)
    assert second == []
    shop.unapply(operation, before)
    assert shop.schema()["columns"] == schema["columns"]
    if type(operation) not in (operations.ContractDrop, operations.BatchedBackfill):
        assert shop.data() == data
    assert isinstance(shop.printed(sample.make()), list)


# Killed ------------------------------------------------------------------------------------


def emptied(pg) -> Shop:
    with pg.cursor() as cursor:
        cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return Shop(pg).open()


def ends(shop: Shop):
    return shop.schema(), shop.data()


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.timeout(1200)  # some samples send a hundred statements
@every_sample
def test_killed_at_any_statement_a_second_run_ends_in_the_same_place(pg, sample):
    """The node is drained, the deploy job times out, the connection drops: at any moment."""
    shop = Shop(pg).open()
    with shop.changes() as preparing:
        ready(shop, sample)
    before, life = shop.state, Life()
    with pg.execute_wrapper(life):
        shop.again(sample.make(), before)
    undisturbed, deaths = ends(shop), life.deaths()
    assert deaths
    for at in deaths:
        shop = emptied(pg)
        for statement in preparing:
            with pg.cursor() as cursor:
                cursor.execute(statement)
        shop.state = before
        assert killed_at(shop, sample.make(), at)
        shop.again(sample.make(), before)
        assert ends(shop) == undisturbed, f"killed at statement {at}"


# The optimizer -----------------------------------------------------------------------------


def optimized(*given):
    return MigrationOptimizer().optimize(list(given), "shop")


def neighbours(operation):
    name = getattr(operation, "name", None) or "total"
    index = getattr(getattr(operation, "index", None), "name", None) or name
    column = models.CharField(max_length=44, null=True)
    return [
        migrations.RenameField("order", name, "renamed"),
        migrations.AlterField("order", name, column),
        migrations.RenameField("order", "giver", "donor"),
        migrations.AlterField("order", "giver", models.BigIntegerField(null=True, default=4)),
        migrations.RemoveField("order", "giver"),
        migrations.AddField("order", "extra", models.TextField(null=True)),
        migrations.RenameIndex("order", new_name="new_idx", old_name=index),
        migrations.RemoveIndex("order", "some_other_idx"),
        migrations.AlterModelOptions("order", {"verbose_name": "Order"}),
        migrations.AlterModelOptions("note", {"verbose_name": "Note"}),
        migrations.AlterUniqueTogether("order", {("total", "email")}),
        migrations.RunSQL("SELECT 1", elidable=True),
    ]


@every_sample
@pytest.mark.parametrize("number", range(12))
@pytest.mark.parametrize("first", [True, False], ids=["before it", "behind it"])
def test_the_optimizer_never_makes_it_unsafe_or_lose_it(sample, number, first):
    """squashmigrations, --update and optimizemigration all ask the optimizer."""
    operation = sample.make()
    neighbour = neighbours(operation)[number]
    given = (neighbour, operation) if first else (operation, neighbour)
    left = optimized(*given)
    assert [type(o) for o in left].count(type(operation)) == 1
    stock = {base for base in type(operation).__mro__ if base.__module__.startswith("django.db")}
    assert all(o is neighbour or type(o) not in stock for o in left)


def by_total(name="total_idx"):
    return operations.AddIndexConcurrently("order", models.Index(fields=["total"], name=name))


def test_an_index_renamed_before_it_is_built_is_still_built_concurrently():
    """Django 5.1 answered with a plain AddIndex."""
    rename = migrations.RenameIndex("order", new_name="new_idx", old_name="total_idx")
    (left,) = optimized(by_total(), rename)
    assert type(left) is operations.AddIndexConcurrently
    assert left.index.name == "new_idx"


def test_an_index_built_and_removed_again_is_never_built():
    """A feature was added and withdrawn before it was released."""
    assert optimized(by_total(), migrations.RemoveIndex("order", "total_idx")) == []
    removed = operations.RemoveIndexConcurrently("order", "total_idx")
    assert optimized(by_total(), removed) == []


def test_a_field_added_and_removed_again_is_never_added():
    """The same for a column."""
    added = operations.ExpandField("order", "note", models.TextField(null=True))
    assert optimized(added, migrations.RemoveField("order", "note")) == []


def test_an_expanded_field_that_is_altered_keeps_its_class():
    """Until 6.0 the stock reduce answers with a plain AddField, which breaks running code."""
    added = operations.ExpandField("order", "note", models.TextField(null=True))
    altered = migrations.AlterField("order", "note", models.TextField(default=""))
    assert [type(o) for o in optimized(added, altered)] == [
        operations.ExpandField,
        migrations.AlterField,
    ]


def test_an_expanded_field_that_is_renamed_keeps_its_class():
    """The same for a rename."""
    added = operations.ExpandField("order", "note", models.TextField(null=True))
    renamed = migrations.RenameField("order", "note", "remark")
    assert [type(o) for o in optimized(added, renamed)] == [
        operations.ExpandField,
        migrations.RenameField,
    ]


def test_a_backfill_beside_an_elidable_neighbour_stays():
    """An elidable operation vanishes when a squash reduces its neighbour; ours are not."""
    for sample in SAMPLES:
        assert not sample.make().elidable


@every_sample
def test_next_to_create_model_the_state_ends_the_same(sample):
    """The table is new in a squash, so folding is right; the state must not notice."""
    chain = [*TABLES, *sample.prepare(), sample.make()]
    left = optimized(*chain)
    assert state_of(left) == state_of(chain)


@every_sample
def test_in_a_new_table_it_is_as_good_as_plain_operations_of_django(sample):
    """What squashmigrations writes of a finished chain: the state is the same, and nothing ours."""
    chain = [*TABLES, *sample.prepare(), sample.make()]
    plain = list(plain_operations(chain, "shop"))
    assert not [o for o in plain if isinstance(o, operations.SafeOperation)]
    assert state_of(plain) == state_of(chain)
    assert state_of(PlainOptimizer().optimize(chain, "shop")) == state_of(chain)


def state_of(chain):
    state = Shop(None).after(*chain)
    return {
        key: ({n: deconstructed(f) for n, f in m.fields.items()}, sorted_options(m.options))
        for key, m in state.models.items()
    }


def deconstructed(field):
    """Also what an array is made of, which is a field itself."""
    _, path, args, kwargs = field.deconstruct()
    inner = {k: deconstructed(v) for k, v in kwargs.items() if isinstance(v, models.Field)}
    return path, args, {**kwargs, **inner}


def sorted_options(options):
    indexes = sorted(index.name for index in options.get("indexes", []))
    return {**options, "indexes": indexes}
