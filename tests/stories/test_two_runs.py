"""
makemigrations twice before anything is deployed, and then one migrate.

Either it carries both through, or it refuses them before anything is done and says what helps.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.projects import Ran
from tests.stories.rows import Row
from tests.stories.schema import differences, schema
from tests.stories.story import Story

pytestmark = pytest.mark.slow

CHECK = 'constraints = [models.CheckConstraint(condition=models.Q(a__gte=-5), name="ok")]'
ORDER = """
class Customer(models.Model):
    name = models.CharField(max_length=9)
class {model}(models.Model):
    email = models.CharField(max_length=50)
    {fields}
"""


def order(*fields: str, model: str = "Order") -> str:
    return ORDER.format(model=model, fields="\n    ".join(fields))


A, B, C = (f"{name} = models.IntegerField(db_index=True)" for name in ("a", "b", "c"))
BIG = A.replace("Integer", "BigInteger")
NOTE = "note = models.CharField(max_length=9, null=True)"
KEY = "customer = models.ForeignKey(Customer, models.CASCADE, null=True)"
TWO_RUNS = [  # name, the models in their order, what was renamed all in all, and in each run
    (
        "a field renamed twice",
        [order(A), order(B), order(C)],
        [{"Order.a": "Order.b"}, {"Order.b": "Order.c"}],
        {"Order.a": "Order.c"},
    ),
    (
        "a field renamed and given back its name",
        [order(A), order(B), order(A)],
        [{"Order.a": "Order.b"}, {"Order.b": "Order.a"}],
        {},
    ),
    (
        "a field that gets another type and then another name",
        [order(A), order(BIG), order(BIG.replace("a =", "b ="))],
        [{}, {"Order.a": "Order.b"}],
        {"Order.a": "Order.b"},
    ),
    (
        "a field that gets another name and then another type",
        [order(A), order(B), order(BIG.replace("a =", "b ="))],
        [{"Order.a": "Order.b"}, {}],
        {"Order.a": "Order.b"},
    ),
    (
        "a new field that gets another name",
        [order(), order(NOTE), order(NOTE.replace("note", "n"))],
        [{}, {"Order.note": "Order.n"}],
        {},
    ),
    ("a new field that goes again", [order(), order(NOTE, KEY), order(KEY)], [{}, {}], {}),
    (
        "a new field that is required then",
        [order(), order(NOTE), order(NOTE.replace("null=True", "default='x'"))],
        [{}, {}],
        {},
    ),
    ("a field that goes and comes again", [order(NOTE), order(), order(NOTE)], [{}, {}], {}),
    (
        "a model renamed twice",
        [order(A), order(A, model="Purchase"), order(A, model="Sale")],
        [{"Order": "Purchase"}, {"Purchase": "Sale"}],
        {"Order": "Sale"},
    ),
    (
        "a model renamed, then a field of it",
        [order(A), order(A, model="Sale"), order(B, model="Sale")],
        [{"Order": "Sale"}, {"Sale.a": "Sale.b"}],
        {"Order": "Sale", "Order.a": "Sale.b"},
    ),
    (
        "a field renamed, then its model",
        [order(A), order(B), order(B, model="Sale")],
        [{"Order.a": "Order.b"}, {"Order": "Sale"}],
        {"Order": "Sale", "Order.a": "Sale.b"},
    ),
    (
        "a type twice",
        [
            order("a = models.SmallIntegerField()"),
            order("a = models.IntegerField()"),
            order("a = models.BigIntegerField()"),
        ],
        [{}, {}],
        {},
    ),
    (
        "a new key whose model is renamed",
        [order(), order(KEY), order(KEY).replace("Customer", "Client")],
        [{}, {"Customer": "Client"}],
        {"Customer": "Client"},
    ),
    (
        "a check that comes and goes",
        [
            order(A),
            order(
                A,
                "class Meta:",
                f"    {CHECK}",
            ),
            order(A),
        ],
        [{}, {}],
        {},
    ),
    (
        "unique, then NOT NULL",
        [
            order(NOTE),
            order(NOTE.replace("null=", "unique=True, null=")),
            order(NOTE.replace("null=True", "unique=True")),
        ],
        [{}, {}],
        {},
    ),
]


TOO_EARLY = {
    "a field renamed twice",
    "a field renamed and given back its name",
    "a field that gets another type and then another name",
    "a field that gets another name and then another type",
    "a field that goes and comes again",
    "a model renamed twice",
    "a field renamed, then its model",
    "a type twice",
    "a check that comes and goes",
}
TWO_CHANGES = {
    "a field that gets another type and then another name",
    "a field that gets another name and then another type",
}
"""Which no single run of makemigrations makes one."""


class InTwoRuns(Story):
    """``stages``: the models before, between and after; ``each``: what is renamed in each run."""

    stages: Sequence[str]
    each: Sequence[dict[str, str]]

    def develop(self) -> Ran:
        """Both runs; what the second one said."""
        self.copy_files()
        self.makemigrations(1)
        self.of_the_first = self.new_project.migrations()
        return self.makemigrations(2)

    def makemigrations(self, number: int, renamed: dict[str, str] | None = None) -> Ran:
        self.new_project.models(self.stages[number])
        renamed = self.each[number - 1] if renamed is None else renamed
        full = {self.oracle.full(old): self.oracle.full(new) for old, new in renamed.items()}
        return self.nursery.manage(
            self.new_project, "makemigrations", renamed=full, typed=["2", "2"]
        )

    def copy_files(self) -> None:
        for name in self.old_project.migrations():
            self.new_project.write(f"shop/migrations/{name}.py", self.old_project.read(name))

    def without(self, names: Sequence[str]) -> dict[str, str]:
        """Delete these files; what stood in them."""
        texts = {name: self.new_project.read(name) for name in names}
        for name in names:
            (self.new_project.folder / f"shop/migrations/{name}.py").unlink()
        return texts

    def refused(self) -> bool:
        """Whether ``migrate`` refuses; if so it changes nothing, and looking says the same."""
        looked = self.nursery.manage(self.new_project, "migrate", "--plan")
        if looked.code == 0:
            return False
        before, applied = schema(self.old_project), self.old_project.applied()
        for words in ([], ["--check"]):
            ran = self.nursery.manage(self.new_project, "migrate", *words)
            assert ran.code == 1
            assert ran.err == looked.err
        assert "comes too early: it cannot run before shop.0" in looked.err
        assert "Nothing was changed." in looked.err
        assert (schema(self.old_project), self.old_project.applied()) == (before, applied)
        return True

    def one_after_the_other(self, wanted: dict[str, list[str]]) -> None:
        """As the refusal says: the first is a release of its own."""
        second = self.without(
            [one for one in self.new_project.migrations() if one not in self.of_the_first]
        )
        self.new_project.models(self.stages[1])
        assert "Held back" in self.deploy("r2").out
        for name, text in second.items():
            self.new_project.write(f"shop/migrations/{name}.py", text)
        self.new_project.models(self.stages[2])
        self.deploy("r3")
        assert "Held back" not in self.deploy("r4").out
        assert not (left := differences(schema(self.new_project), wanted)), "\n".join(left)


@pytest.mark.parametrize(
    ("stages", "each", "renamed"), [pytest.param(*case[1:], id=case[0]) for case in TWO_RUNS]
)
def test_two_runs_that_come_with_one_release(stages, each, renamed, story, from_scratch, request):
    row = Row("two runs", stages[0], stages[2], renamed=renamed)
    wanted = from_scratch(stages[2])
    with story(row) as told:
        told.__class__ = InTwoRuns
        told.stages, told.each = stages, each
        told.install()
        developed = told.develop()
        assert developed.code == 0, developed.text
        refused = told.refused()
        assert refused is (request.node.callspec.id in TOO_EARLY)
        assert ("Note:" in developed.out) is refused, developed.out
        if refused:
            files = told.without(told.written()["shop"])
            developed = told.makemigrations(2, {**row.renamed})
            if developed.code:
                assert request.node.callspec.id in TWO_CHANGES
                for name, text in files.items():
                    told.new_project.write(f"shop/migrations/{name}.py", text)
                told.one_after_the_other(wanted)
                return
        told.walk(wanted, developed=developed)


KEYED = """
class Customer(models.Model):
    id = models.{}(primary_key=True)
class Order(models.Model):
    {}
"""
TO_CUSTOMER = "{} = models.ForeignKey(Customer, models.CASCADE)"


@pytest.mark.parametrize(
    ("becomes", "renamed"),
    [
        (TO_CUSTOMER.format("client"), {"shop.Order.customer": "shop.Order.client"}),
        ("customer_id = models.BigIntegerField()", {}),
    ],
    ids=["another name", "a number"],
)
def test_a_key_whose_type_an_old_session_holds_back_waits_for_it_and_leaves_nothing(
    project, nursery, from_scratch, becomes, renamed
):
    """By the release after, r1 is still at work; the old column is found by the key alone."""
    project.models(KEYED.format("AutoField", TO_CUSTOMER.format("customer")))
    project.run("makemigrations", "shop")
    project.deploy("r1")
    project.models(KEYED.format("BigAutoField", TO_CUSTOMER.format("customer")))
    project.run("makemigrations", "shop")
    project.deploy("r2")
    project.models(KEYED.format("BigAutoField", becomes))
    ran = nursery.manage(project, "makemigrations", "shop", renamed=renamed, typed=["y"])
    assert ran.code == 0, ran.text
    before, applied = schema(project), project.applied()
    with project.connect("web release=r1"):
        held = project.manage("migrate", RELEASE="r3")
    assert held.code == 1
    assert "the contract of that change waits" in held.err
    assert "Nothing was changed." in held.err
    assert (schema(project), project.applied()) == (before, applied)
    project.deploy("r3")
    project.deploy("r4")
    project.run("migrate", "--check")
    left = differences(schema(project), from_scratch(KEYED.format("BigAutoField", becomes)))
    assert not left, "\n".join(left)
