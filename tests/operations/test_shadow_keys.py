"""Another type for a primary key, with all that refers to it."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, migrations, models
from django.db.models import F, Q

from safemigrate import operations as ops
from safemigrate.facts.errors import DataInTheWay, PlanRefused
from tests.operations.shadowing import AUTO, BIG, Tables, thing

BIGGER = models.BigIntegerField()


def family() -> list[migrations.CreateModel]:
    """A model that others refer to in every way there is."""
    parent, cascade = "shop.Owner", models.CASCADE
    return [
        migrations.CreateModel(
            "Owner",
            [
                ("id", AUTO(primary_key=True)),
                ("name", models.CharField(max_length=9)),
                ("boss", models.ForeignKey("shop.Owner", cascade, null=True)),
                ("friends", models.ManyToManyField("self")),
            ],
        ),
        migrations.CreateModel(
            "Car",
            [
                ("id", AUTO(primary_key=True)),
                ("owner", models.ForeignKey(parent, cascade)),
                ("buyer", models.ForeignKey(parent, cascade, null=True, related_name="+")),
                ("name", models.CharField(max_length=9)),
                ("drivers", models.ManyToManyField(parent, related_name="drives")),
            ],
            options={
                "unique_together": {("owner", "name")},
                "indexes": [
                    models.Index(fields=["name", "owner"], name="car_name_owner"),
                    models.Index(F("owner"), name="car_odd", condition=Q(owner__gt=5)),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=["buyer"], condition=Q(buyer__gt=0), name="car_buyer"
                    ),
                    models.CheckConstraint(condition=~Q(owner=F("buyer")), name="car_sold"),
                ],
            },
        ),
        migrations.CreateModel(
            "Licence",
            [
                ("owner", models.OneToOneField(parent, cascade, primary_key=True)),
                ("number", models.IntegerField()),
            ],
        ),
        migrations.CreateModel(
            "Stamp",
            [
                ("id", BIG(primary_key=True)),
                ("licence", models.ForeignKey("shop.Licence", cascade, db_constraint=False)),
            ],
        ),
    ]


def own(tables: Tables, names: str) -> None:
    """ORM code of any release: everything is written and read through the relations."""
    tables.state.__dict__.pop("apps", None)
    Owner, Car, Licence, Stamp = map(tables.model, ("Owner", "Car", "Licence", "Stamp"))
    first, second = (Owner.objects.create(name=name) for name in names)
    second.boss = first
    second.save()
    first.friends.add(second)
    car = Car.objects.create(owner=first, buyer=second, name="car")
    car.drivers.set([first, second])
    Stamp.objects.create(licence=Licence.objects.create(owner=first, number=3))
    read = Car.objects.filter(drivers__name=names[1], owner=first)
    assert [c.buyer.boss_id for c in read] == [first.pk]
    stamp = Stamp.objects.get(licence__owner=first, licence__owner__name=names[0])
    assert stamp.licence_id == first.pk
    with pytest.raises(IntegrityError):
        Car.objects.create(owner=first, name="car")


def test_a_bigger_primary_key_takes_along_all_that_refers_to_it(tables):
    """The change users want most: AutoField to BigAutoField, before the numbers run out."""
    tables.make(*family())
    own(tables, "ab")
    for number, step in enumerate(tables.steps("owner", "id", BIG(primary_key=True))):
        tables.apply(step)
        own(tables, "cdefghij"[2 * number :][:2])
    for step in tables.steps("car", "id", BIG(primary_key=True)):
        tables.apply(step)
    own(tables, "kl")
    assert [pk for (pk,) in tables.ask("SELECT id FROM shop_owner ORDER BY id")] == [*range(1, 13)]
    tables.ask("SELECT setval('shop_owner_id_seq', 3000000000)")
    own(tables, "mn")
    assert tables.everything() == tables.from_scratch()


def test_under_its_lock_a_swap_asks_first_and_then_sends_in_two_journeys_what_changes(tables):
    """Everybody waits for the table meanwhile, and each journey takes as long as the network."""
    tables.make(*family())
    own(tables, "ab")
    add, copy, swap, _ = tables.steps("owner", "id", BIG(primary_key=True))
    tables.apply(add, copy)
    with tables.said_under_locks() as locked:
        tables.apply(swap)
    swaps = [said for said in locked if any("RENAME COLUMN" in sql for sql in said)]
    assert len(swaps) == 6, "of four models and the two tables between"
    for said in swaps:
        changes = [sql for sql in said if "ALTER TABLE" in sql or "ALTER INDEX" in sql]
        assert len(changes) == 2, changes
        assert "RENAME COLUMN" in changes[0]
        assert "CREATE OR REPLACE TRIGGER" in changes[0]
    assert len(tables.ask("SELECT 1 FROM shop_owner")) == 2


def test_a_bigger_primary_key_goes_back_from_every_step(tables):
    """Also after the contract; as long as no number is too big."""
    tables.make(*family())
    own(tables, "ab")
    steps = tables.steps("owner", "id", BIG(primary_key=True))
    seen = []
    for step in steps:
        seen.append((tables.state, tables.everything()))
        tables.apply(step)
    for step, (state, schema) in zip(reversed(steps), reversed(seen), strict=True):
        tables.unapply(step, state)
        assert tables.everything() == schema
        own(tables, "cd")
    for step in steps:
        tables.apply(step)
    assert tables.everything() == tables.from_scratch()


def places() -> list[migrations.CreateModel | migrations.AddField]:
    """Models that inherit the key, refer to each other by it, and are referred to beside it."""
    cascade, parent = models.CASCADE, ("shop.place",)

    def child(name: str, **more: models.Field) -> migrations.CreateModel:
        link = models.OneToOneField(*parent, cascade, parent_link=True, primary_key=True)
        fields = [("place_ptr", link), ("seats", models.IntegerField()), *more.items()]
        return migrations.CreateModel(name, fields, bases=parent)

    def near(model: str) -> models.Field:
        return models.ForeignKey(model, cascade, null=True, related_name="+")

    return [
        migrations.CreateModel("Place", [("id", AUTO(primary_key=True))]),
        child("Cafe"),
        child("Bar", near=near("shop.cafe")),
        migrations.AddField("cafe", "near", near("shop.bar")),
        migrations.CreateModel(
            "Visit",
            [
                ("id", BIG(primary_key=True)),
                ("place", models.ForeignKey(*parent, cascade)),
                ("cafe", near("shop.cafe")),
            ],
        ),
    ]


def test_a_key_that_children_inherit_and_refer_to_each_other_by_gets_another_type(tables):
    """No order of the tables has each come before all that it refers to."""

    def visit() -> None:
        Cafe, Bar, Visit = map(tables.model, ("Cafe", "Bar", "Visit"))
        cafe = Cafe.objects.create(seats=1)
        cafe.near = Bar.objects.create(seats=2, near=cafe)
        cafe.save()
        Visit.objects.create(place=cafe.near.place_ptr, cafe=cafe)
        assert Visit.objects.filter(cafe__near__near=cafe, place__bar__seats=2).count() == 1
        with pytest.raises(IntegrityError):
            tables.ask("DELETE FROM shop_cafe WHERE place_ptr_id = %s RETURNING 1", [cafe.pk])

    tables.make(*places())
    visit()
    steps = tables.steps("place", "id", BIG(primary_key=True))
    seen = []
    for step in steps:
        seen.append((tables.state, tables.everything()))
        tables.apply(step)
        visit()
    for step, (state, schema) in zip(reversed(steps), reversed(seen), strict=True):
        tables.unapply(step, state)
        assert tables.everything() == schema
        visit()
    tables.apply(*steps)
    assert tables.ask(
        "SELECT count(*) FROM shop_visit v JOIN shop_cafe ON place_ptr_id = cafe_id"
    ) == [(9,)]
    assert tables.everything() == tables.from_scratch()


def test_a_key_that_goes_before_the_old_type_does_takes_that_along_and_comes_back(tables):
    """One release gives the primary key another type and removes what refers to it."""
    key = models.ForeignKey("shop.box", models.CASCADE, null=True)
    box = migrations.CreateModel("Box", [("id", AUTO(primary_key=True))])
    tables.make(box, thing(models.IntegerField(), ("box", key)))
    tables.model("Thing").objects.create(size=1, box=tables.model("Box").objects.create())
    *begun, end = tables.steps("box", "id", BIG(primary_key=True))
    steps = [ops.MakeFieldIgnorable("thing", "box"), *begun, ops.ContractDrop("thing", "box"), end]
    seen = []
    for step in steps:
        seen.append((tables.state, tables.everything()))
        tables.apply(step)
        assert not tables.ask("SELECT 1 FROM pg_constraint WHERE contype = 'f'"), "newer code fails"
    for step, (state, schema) in reversed(list(zip(steps, seen, strict=True))):
        tables.unapply(step, state)
        again = isinstance(step, ops.ContractDrop | ops.DropShadowField)
        assert tables.everything() == schema or again, step
        tables.model("Box").objects.create()
    tables.apply(*steps)
    assert tables.everything() == tables.from_scratch()


def test_the_way_back_is_refused_once_a_number_is_too_big(tables):
    """Nothing was undone, and the rows are named."""
    tables.make(*family())
    own(tables, "ab")
    before = tables.state
    *_, swap, _ = steps = tables.steps("owner", "id", BIG(primary_key=True))
    for step in steps[:-1]:
        tables.apply(step)
    tables.ask("SELECT setval('shop_owner_id_seq', 3000000000)")
    own(tables, "cd")
    with (
        tables.connection.schema_editor(atomic=False) as editor,
        pytest.raises(DataInTheWay, match=r"values? of shop_\w+\.\w+ that integer cannot hold"),
    ):
        swap.check_backwards("shop", editor, before)


def test_a_serial_key_keeps_its_sequence(tables):
    """Made before Django 4.1; grants on the sequence stay as they are."""
    tables.make(thing(models.IntegerField(), ("other", models.IntegerField(null=True))))
    with tables.connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE shop_thing ALTER id DROP IDENTITY; CREATE SEQUENCE old_name AS int "
            "OWNED BY shop_thing.id; ALTER TABLE shop_thing ALTER id TYPE int, "
            "ALTER id SET DEFAULT nextval('old_name')"
        )
    tables.state.models["shop", "thing"].fields["id"] = AUTO(primary_key=True)
    tables.state.reload_model("shop", "thing")
    for step in tables.steps("thing", "id", BIG(primary_key=True)):
        tables.model("Thing").objects.create(size=1)
        tables.apply(step)
    last = tables.model("Thing").objects.create(size=1)
    assert last.pk == 5
    columns = {name: rest for _, name, *rest in tables.schema()["columns"]}
    assert columns["id"] == ["bigint", True, "nextval('old_name'::regclass)"]
    assert tables.ask(
        "SELECT data_type::text FROM pg_sequences WHERE sequencename = 'old_name'"
    ) == [("bigint",)]
    owner = "SELECT pg_get_serial_sequence('shop_thing', 'id')"
    assert tables.ask(owner) == [("public.old_name",)]


def line(shelf: models.Field) -> migrations.CreateModel:
    fields = [
        ("pk", models.CompositePrimaryKey("shelf", "place")),
        ("shelf", shelf),
        ("place", models.IntegerField()),
    ]
    return migrations.CreateModel("Line", fields)


def test_a_part_of_a_composite_key_gets_another_type_and_goes_back(tables):
    """The key is built anew beside the old one, and takes its place."""
    tables.make(line(models.IntegerField()))
    rows = tables.model("Line").objects
    rows.bulk_create([tables.model("Line")(shelf=n, place=7) for n in range(9)])
    steps = tables.steps("line", "shelf", BIGGER)
    seen = []
    for step in steps:
        seen.append((tables.state, tables.schema()))
        tables.apply(step)
        with pytest.raises(IntegrityError):
            rows.create(shelf=3, place=7)
    for step, (state, schema) in zip(reversed(steps), reversed(seen), strict=True):
        tables.unapply(step, state)
        assert tables.schema() == schema
    tables.apply(*steps)
    assert sorted(rows.values_list("shelf", flat=True)) == [*range(9)]
    assert tables.everything() == tables.from_scratch()


def test_a_part_of_a_composite_key_that_does_not_fit_is_named(tables):
    tables.make(line(BIGGER))
    rows = tables.model("Line").objects
    rows.create(shelf=5_000_000_000, place=1)
    add, copy, swap, drop = tables.steps("line", "shelf", models.IntegerField(), after_rollout=True)
    tables.apply(add, copy)
    with pytest.raises(DataInTheWay, match=r"1 row has a value of shop_line\.shelf"):
        tables.apply(swap)
    rows.update(shelf=5)
    tables.apply(swap, drop)
    assert tables.everything() == tables.from_scratch()


def test_a_part_of_a_composite_key_gets_another_type_on_sqlite(lite):
    tables = Tables(lite).make(line(models.IntegerField()))
    tables.model("Line").objects.using("lite").create(shelf=3, place=7)
    tables.apply(*tables.steps("line", "shelf", BIGGER))
    with lite.cursor() as cursor:
        cursor.execute("SELECT lower(type), pk FROM pragma_table_info('shop_line')")
        assert sorted(cursor.fetchall()) == [("bigint", 1), ("integer", 2)]


def cars() -> list[migrations.CreateModel]:
    owner = migrations.CreateModel("Owner", [("id", AUTO(primary_key=True))])
    fields = [
        ("id", BIG(primary_key=True)),
        ("owner", models.ForeignKey("shop.owner", models.CASCADE)),
        ("drivers", models.ManyToManyField("shop.owner", related_name="+")),
    ]
    return [owner, migrations.CreateModel("Car", fields)]


def drive(tables: Tables) -> None:
    owner = tables.model("Owner").objects.create()
    car = tables.model("Auto" if ("shop", "auto") in tables.state.models else "Car")
    made = car.objects.create(owner=owner)
    field = car._meta.local_many_to_many[0].name
    getattr(made, field).add(owner)
    assert all(list(getattr(one, field).all()) == [one.owner] for one in car.objects.all())


MOVES = {
    "field": [
        ops.ExpandRenameField("car", "drivers", "users"),
        ops.ContractRenameField("car", "drivers", "users"),
    ],
    "model": [ops.ExpandRenameModel("Car", "Auto"), ops.ContractRenameModel("Car", "Auto")],
}


@pytest.mark.parametrize("done", range(4))
@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_a_table_that_gets_another_name_between_two_steps_keeps_what_they_made(tables, move, done):
    """Apps have their own order, and an old session holds a contract back beyond a release."""
    tables.make(*cars())
    drive(tables)
    begin, end = move
    steps = tables.steps("owner", "id", BIG(primary_key=True))
    for step in [*steps[:done], begin, *steps[done:], end]:
        tables.apply(step)
        drive(tables)
    assert tables.everything() == tables.from_scratch()


@pytest.mark.parametrize("done", range(1, 4))
@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_the_way_back_of_a_type_goes_on_where_its_table_has_its_old_name_again(tables, move, done):
    """What was applied last is another app's, and goes back after this one."""
    tables.make(*cars())
    drive(tables)
    first, before = tables.state, tables.everything()
    steps = tables.steps("owner", "id", BIG(primary_key=True))[:done]
    states = [tables.after(*steps[:number]) for number in range(done + 1)]
    tables.apply(move[0], *steps)
    drive(tables)
    tables.unapply(move[0], states[-1])
    for step, state in reversed(list(zip(steps, states, strict=False))):
        drive(tables)
        tables.unapply(step, state)
    assert tables.state == first
    assert tables.everything() == before
    drive(tables)


@pytest.mark.parametrize(
    "change",
    [
        lambda: ops.AddRenamedField("car", "owner", "holder"),
        lambda: ops.ExpandAlterField("car", "owner", models.BigIntegerField(db_column="owner_id")),
    ],
    ids=["another name", "a number"],
)
def test_a_key_whose_old_type_waits_for_its_contract_says_what_to_wait_for(tables, change):
    """It would find the old column by the key alone, and leave it behind."""
    tables.make(*cars())
    drive(tables)
    *begun, end = tables.steps("owner", "id", BIG(primary_key=True))
    tables.apply(*begun)
    with tables.sent() as sent, pytest.raises(PlanRefused, match="the contract of that change"):
        tables.apply(change())
    assert sent == []
    tables.apply(end, change())


def test_the_view_of_an_old_name_shows_the_column_that_stays_and_keeps_its_rights(tables):
    """The contract of the other name is another app's, and comes after that of the type."""
    tables.make(*cars())
    drive(tables)
    tables.apply(MOVES["field"][0])
    with tables.connection.cursor() as cursor:
        cursor.execute("GRANT SELECT, UPDATE (owner_id) ON shop_car_drivers TO PUBLIC")
    view = """
        SELECT relacl::text, reloptions, obj_description(c.oid), pg_get_userbyid(relowner),
               ARRAY(SELECT attname || coalesce(attacl::text, '') FROM pg_attribute
                     WHERE attrelid = c.oid ORDER BY attnum)
        FROM pg_class c WHERE relname = 'shop_car_drivers'
    """
    before = tables.ask(view)
    tables.apply(*tables.steps("owner", "id", BIG(primary_key=True)))
    assert tables.ask(view) == before
    assert tables.ask("UPDATE shop_car_drivers SET owner_id = owner_id RETURNING owner_id")
