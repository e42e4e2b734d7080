"""What makemigrations writes is judged by the rules that judge what people write: it is clean."""

from __future__ import annotations

from tests.management.test_many_changes import answering
from tests.projects import Project

MODELS = """
class Customer(models.Model):
    email = models.CharField(max_length=50, db_index=True)

class Tag(models.Model):
    key = models.AutoField(primary_key=True)

class Order(models.Model):
    number = models.CharField(max_length=20, unique=True)
    total = models.IntegerField()
    small = models.IntegerField(db_index=True)
    named = models.IntegerField(null=True)
    legacy = models.TextField()
    maybe = models.IntegerField(null=True)
    buyer_id = models.BigIntegerField(null=True)
    tags = models.ManyToManyField(Tag)
    customer = models.ForeignKey(Customer, models.CASCADE)

class Kept(models.Model):
    note = models.TextField()

class Old(models.Model):
    pass
"""
EDITS = (
    (
        ("total = ", "amount = "),
        ("tags = ", "labels = "),
        ("small = models.IntegerField", "small = models.BigIntegerField"),
        ("    named = models.IntegerField(", '    named = models.IntegerField(db_column="n", '),
        ("    legacy = models.TextField()\n", ""),
    ),
    (
        ("maybe = models.IntegerField(null", "maybe = models.PositiveIntegerField(null"),
        (
            "buyer_id = models.BigIntegerField(null=True)",
            'buyer = models.ForeignKey(Customer, models.CASCADE, null=True, related_name="+")\n'
            "    fresh = models.UUIDField(default=uuid.uuid4, unique=True)",
        ),
        (
            "class Kept",
            "    class Meta:\n"
            '        indexes = [models.Index(fields=["small"], name="by_small")]\n'
            "        constraints = [\n"
            '            models.CheckConstraint(condition=models.Q(small__gt=0), name="plus"),\n'
            '            models.UniqueConstraint(fields=["small", "number"], name="once"),\n'
            "        ]\n\nclass Kept",
        ),
    ),
    (
        ("class Old(models.Model):\n    pass", ""),
        ("key = models.AutoField", "number = models.AutoField"),
        ("note = models.TextField()", 'note = models.TextField()\n    class Meta: db_table = "k"'),
    ),
    (("Customer", "Client"),),
)


def test_every_kind_of_chain_is_clean(project: Project):
    """Renames, new types, keys, constraints and removals, none of them left without its end."""
    models = MODELS
    project.models(models)
    assert project.run("makemigrations").code == 0
    for edits in EDITS:
        for old, new in edits:
            assert old in models
            models = models.replace(old, new)
        project.models(models)
        ran = answering(project, "y\n" * 9, "makemigrations")
        assert ran.code == 0, ran.text
    linted = project.run("safemigrate", "lint", "--all")
    assert linted.out.startswith("Nothing unsafe"), linted.text
