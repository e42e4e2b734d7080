"""
Whatever is edited is refused with a finding, or carried through as the rows of the table are.

Models are made up, then edited: fields added, removed, renamed, of another type, in another
column, with other options; foreign keys pointed elsewhere; indexes, constraints and
``unique_together`` over them, added, removed and renamed; the model or its table renamed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, event, given, note, settings
from hypothesis import strategies as st

from tests.stories.rows import Row

HEAD = """
from datetime import date
from django.db.models import Deferrable, F, Q
from django.db.models.functions import Lower
class Customer(models.Model):
    name = models.CharField(max_length=20)
class Firm(models.Model):
    name = models.CharField(max_length=20)
"""
NAMES = ["alpha", "beta", "gamma", "delta", "epsilon"]
NEW_NAMES = ["omega", "psi", "chi"]

KINDS = {  # a kind -> its arguments, and a constant that it may have
    "IntegerField": ("", "3"),
    "BigIntegerField": ("", "3"),
    "SmallIntegerField": ("", "3"),
    "PositiveIntegerField": ("", "3"),
    "CharField": ("max_length=20", "'x'"),
    "TextField": ("", "'x'"),
    "DecimalField": ("max_digits=9, decimal_places=2", "3"),
    "FloatField": ("", "3.0"),
    "BooleanField": ("", "True"),
    "DateField": ("", "date(2020, 1, 1)"),
    "DateTimeField": ("", "timezone.now"),
    "UUIDField": ("", "uuid.uuid4"),
    "JSONField": ("", "dict"),
    "ForeignKey": ("Customer, models.CASCADE, related_name='+'", ""),
    "OneToOneField": ("Customer, models.CASCADE, related_name='+'", ""),
}
KEYS = {"ForeignKey", "OneToOneField"}
NO_CONSTANT = {"DateTimeField", "UUIDField", "JSONField", *KEYS}
NEVER_UNIQUE = {"BooleanField", "JSONField", "FloatField"}
NUMBERS = ["IntegerField", "BigIntegerField", "SmallIntegerField", "PositiveIntegerField"]
FAMILIES = [
    [*NUMBERS, "DecimalField"],
    ["CharField", "TextField"],
    ["DateField", "DateTimeField"],
    sorted(KEYS),
]


@dataclass(frozen=True)
class Made:
    """A field of a model that was made up."""

    name: str
    kind: str
    null: bool = False
    default: bool = False
    db_default: bool = False
    db_index: bool = False
    unique: bool = False
    length: int = 20
    db_column: str = ""
    db_comment: str = ""
    target: str = "Customer"
    db_constraint: bool = True

    def line(self) -> str:
        arguments, value = KINDS[self.kind]
        arguments = arguments.replace("20", str(self.length)).replace("Customer", self.target)
        words = [arguments] if arguments else []
        words += [
            f'{name}="{v}"' for name in ("db_column", "db_comment") if (v := getattr(self, name))
        ]
        words += [] if self.db_constraint else ["db_constraint=False"]
        words += [f"default={value}"] if self.default else []
        words += [f"db_default={value}"] if self.db_default else []
        words += [f"{name}=True" for name in ("null", "db_index", "unique") if getattr(self, name)]
        return f"    {self.name} = models.{self.kind}({', '.join(words)})\n"


@dataclass(frozen=True)
class Meta:
    """An index or a constraint; ``number`` keeps names apart."""

    kind: str
    names: tuple[str, ...]
    called: str

    def text(self) -> str:
        _, line = METAS[self.kind]
        fields = ", ".join(f'"{name}"' for name in self.names)
        return line.format(fields=fields, first=self.names[0], name=self.called)

    @property
    def what(self) -> tuple[str, tuple[str, ...]]:
        return self.kind, self.names


@dataclass(frozen=True)
class Model:
    fields: tuple[Made, ...]
    metas: tuple[Meta, ...] = ()
    name: str = "Order"
    db_table: str = ""

    def text(self) -> str:
        lines: dict[str, list[str]] = {"indexes": [], "constraints": [], "unique_together": []}
        for one in self.metas:
            lines[METAS[one.kind][0]].append(one.text())
        meta = "".join(f"        {k} = [{', '.join(v)}]\n" for k, v in lines.items() if v)
        meta += f'        db_table = "{self.db_table}"\n' if self.db_table else ""
        return (
            f"{HEAD}class {self.name}(models.Model):\n"
            "    number = models.IntegerField(default=0)\n"
            + "".join(field.line() for field in self.fields)
            + (f"    class Meta:\n{meta}" if meta else "")
        )


METAS = {
    "index": ("indexes", 'models.Index(fields=[{fields}], name="{name}")'),
    "down": ("indexes", 'models.Index(F("{first}").desc(nulls_last=True), name="{name}")'),
    "covering": ("indexes", 'models.Index("number", include=[{fields}], name="{name}")'),
    "partial": (
        "indexes",
        'models.Index(fields=[{fields}], condition=Q(number__gt=5), name="{name}")',
    ),
    "unique": ("constraints", 'models.UniqueConstraint(fields=[{fields}], name="{name}")'),
    "with": (
        "constraints",
        'models.UniqueConstraint(fields=[{fields}], include=["number"], name="{name}")',
    ),
    "late": (
        "constraints",
        'models.UniqueConstraint(fields=[{fields}], deferrable=Deferrable.DEFERRED, name="{name}")',
    ),
    "some": (
        "constraints",
        'models.UniqueConstraint(fields=[{fields}], condition=Q(number__gt=5), name="{name}")',
    ),
    "lower": ("constraints", 'models.UniqueConstraint(Lower("{first}"), name="{name}")'),
    "check": (
        "constraints",
        "models.CheckConstraint(condition=Q({first}__isnull=True) | Q({first}__gte=0), "
        'name="{name}")',
    ),
    "together": ("unique_together", "({fields}, )"),
}
UNIQUE = {"unique", "with", "late", "some", "together"}


@st.composite
def made(draw: Any, name: str, *, new: bool) -> Made:
    """``new``: one that Django can add without a question."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    some = st.booleans()
    has_value = kind not in KEYS
    null = draw(some)
    default = has_value and draw(some)
    db_default = kind not in NO_CONSTANT and not default and draw(st.integers(0, 4)) == 0
    if new and not (null or default or db_default):
        null, default = (True, False) if not has_value else (False, True)
    return Made(
        name,
        kind,
        null=null,
        default=default,
        db_default=db_default,
        db_index=kind not in ("JSONField", *KEYS) and draw(st.integers(0, 3)) == 0,
        unique=kind not in {*NEVER_UNIQUE, "OneToOneField"} and draw(st.integers(0, 4)) == 0,
        db_column=draw(st.sampled_from(["", "", "", f"The {name}"])),
    )


@st.composite
def metas(draw: Any, fields: tuple[Made, ...], mark: str = "") -> Meta | None:
    kind = draw(st.sampled_from(sorted(METAS)))
    may = [f.name for f in fields if f.kind != "JSONField"]
    if kind == "check":
        may = [f.name for f in fields if f.kind in NUMBERS]
    if kind == "lower":
        may = [f.name for f in fields if f.kind in ("CharField", "TextField")]
    if kind in UNIQUE:
        may = [f.name for f in fields if f.kind not in NEVER_UNIQUE]
    if not may:
        return None
    names = draw(st.lists(st.sampled_from(may), min_size=1, max_size=2, unique=True))
    if kind == "together" and len(names) < 2:
        names = [*names, "number"]
    names = names[:1] if kind in ("check", "lower", "down") else names
    return Meta(kind, tuple(names), f"{kind}_{'_'.join(name[:2] for name in names)}{mark}")


@st.composite
def models(draw: Any) -> Model:
    count = draw(st.integers(1, 3))
    fields = tuple(draw(made(name, new=False)) for name in NAMES[:count])
    found = [draw(metas(fields)) for _ in range(draw(st.integers(0, 2)))]
    return Model(fields, tuple(dict.fromkeys(meta for meta in found if meta)))


def without(model: Model, gone: str) -> tuple[Meta, ...]:
    return tuple(meta for meta in model.metas if gone not in meta.names)


@st.composite
def edits(draw: Any) -> tuple[Model, Model, dict[str, str]]:
    """Before, after, and what was renamed."""
    before = after = draw(models())
    renamed: dict[str, str] = {}
    names = iter(NEW_NAMES)
    for _ in range(draw(st.integers(1, 2))):
        edit = draw(st.sampled_from(EDITS))
        after = edit(draw, after, next(names), renamed)
    return before, after, renamed


def _add(draw: Any, model: Model, name: str, renamed: dict[str, str]) -> Model:
    return replace(model, fields=(*model.fields, draw(made(name, new=True))))


def _remove(draw: Any, model: Model, name: str, renamed: dict[str, str]) -> Model:
    gone = draw(st.sampled_from(model.fields)).name
    if gone in renamed.values() or len(model.fields) < 2:
        return model
    left = tuple(field for field in model.fields if field.name != gone)
    return replace(model, fields=left, metas=without(model, gone))


def _rename(draw: Any, model: Model, name: str, renamed: dict[str, str]) -> Model:
    old = draw(st.sampled_from(model.fields)).name
    if old in NEW_NAMES:
        return model
    renamed[old] = name
    fields = tuple(replace(f, name=name) if f.name == old else f for f in model.fields)
    named = tuple(
        replace(meta, names=tuple(name if n == old else n for n in meta.names))
        for meta in model.metas
    )
    return replace(model, fields=fields, metas=named)


def _changed(model: Model, field: Made, **changes: Any) -> Model:
    fields = tuple(replace(f, **changes) if f is field else f for f in model.fields)
    return replace(model, fields=fields)


def _retype(draw: Any, model: Model, name: str, renamed: dict[str, str]) -> Model:
    field = draw(st.sampled_from(model.fields))
    family = next((kinds for kinds in FAMILIES if field.kind in kinds), [field.kind])
    kind = draw(st.sampled_from(family))
    if kind == field.kind == "CharField":
        return _changed(model, field, length=draw(st.sampled_from([10, 40])))
    changes: dict[str, Any] = {"kind": kind}
    if kind in NO_CONSTANT:
        changes |= {"default": False, "db_default": False}
    if kind == "OneToOneField":
        changes["unique"] = False
    return _changed(model, field, **changes)


def _options(draw: Any, model: Model, name: str, renamed: dict[str, str]) -> Model:
    field = draw(st.sampled_from(model.fields))
    may = ["null", "db_column", "db_comment"]
    may += ["db_constraint", "target"] if field.kind in KEYS else ["default"]
    may += ["db_default"] if field.kind not in NO_CONSTANT else []
    may += ["db_index"] if field.kind not in ("JSONField", *KEYS) else []
    may += ["unique"] if field.kind not in {*NEVER_UNIQUE, "OneToOneField"} else []
    what = draw(st.sampled_from(may))
    words = {"db_column": f"its {field.name}", "db_comment": "it's his", "target": "Firm"}
    changes = {what: words.get(what, not getattr(field, what))}
    if what == "null" and field.null and not field.db_default:
        changes["default"] = field.kind not in KEYS
    return _changed(model, field, **changes)


def _add_meta(draw: Any, model: Model, name: str, renamed: dict[str, str]) -> Model:
    meta = draw(metas(model.fields, mark=f"_{name}"))
    if meta is None or meta.what in [one.what for one in model.metas]:
        return model
    return replace(model, metas=(*model.metas, meta))


def _remove_meta(draw: Any, model: Model, name: str, renamed: dict[str, str]) -> Model:
    return replace(model, metas=model.metas[1:])


def _rename_meta(draw: Any, model: Model, name: str, renamed: dict[str, str]) -> Model:
    first = tuple(replace(meta, called=f"{meta.kind}_{name}") for meta in model.metas[:1])
    return replace(model, metas=(*first, *model.metas[1:]))


def _rename_model(draw: Any, model: Model, name: str, renamed: dict[str, str]) -> Model:
    return replace(model, name="Purchase")


def _move(draw: Any, model: Model, name: str, renamed: dict[str, str]) -> Model:
    return replace(model, db_table=draw(st.sampled_from(["moved", "The moved"])))


EDITS = [
    _add,
    _remove,
    _rename,
    _retype,
    _options,
    _add_meta,
    _remove_meta,
    _rename_meta,
    _rename_model,
    _move,
]


def as_row(before: Model, after: Model, renamed: dict[str, str]) -> Row:
    """What becomes of NULLs where the new field forbids them: its default."""
    # Django takes for a rename, and asks about, what differs in its name alone.
    same = {(f.name, replace(f, name="")) for f in after.fields}
    renamed = {
        f.name: renamed[f.name]
        for f in before.fields
        if f.name in renamed and (renamed[f.name], replace(f, name="")) in same
    }
    olds = {renamed.get(f.name, f.name): f for f in before.fields}
    fills: dict[str, Any] = {}
    values: dict[str, str] = {}
    for field in after.fields:
        old = olds.get(field.name)
        if old and old.null and not field.null and (field.default or field.db_default):
            fills[f"{after.name}.{field.name}"] = FILLS.get(field.kind, [])
        if old and old.kind in KEYS and field.kind in KEYS and old.target != field.target:
            values[f"{after.name}.{field.name}_id"] = f"key('{old.target}', '{field.target}')"
    # PostgreSQL takes two equal UNIQUEs of one CREATE TABLE for one.
    assume(not any(_is_said_twice(model) for model in (before, after)))
    names = {f"{before.name}.{old}": f"{after.name}.{new}" for old, new in renamed.items()}
    if before.name != after.name:
        names[before.name] = after.name
    return Row(
        "random",
        before.text(),
        after.text(),
        renamed=names,
        fills={name: value for name, value in fills.items() if value != []},
        values=values,
        answers=("2",) * 4,
    )


def _is_said_twice(model: Model) -> bool:
    unique = {f.name for f in model.fields if f.unique or f.kind == "OneToOneField"}
    said = [{*meta.names} for meta in model.metas if meta.kind in ("unique", "together")]
    return any(names <= unique or said.count(names) > 1 for names in said)


FILLS = {
    **dict.fromkeys([*NUMBERS, "DecimalField", "FloatField"], 3),
    "CharField": "x",
    "TextField": "x",
    "BooleanField": True,
}


def carried_through(row: Row, story: Any, from_scratch: Any, back: bool) -> None:
    note(f"--- before\n{row.before}\n--- after\n{row.after}\n--- {row.renamed}")
    with story(row) as told:
        if row.before == row.after:
            event("nothing")
            return
        told.install()
        ran = told.develop()
        if ran.code != 0:
            # Or Django has asked for a default, and was answered that there is none.
            why = ("safemigrate.E", "Nothing was written", "manually define a default value")
            assert any(words in ran.text for words in why), ran.text
            assert "Traceback" not in ran.text, ran.text
            assert not any(told.written().values()), told.written()
            event("refused")
            return
        event("carried through")
        wanted = from_scratch(row.models("after"))
        told.walk(wanted, new_code_writes=not back, back=back, developed=ran)


bounded = settings(
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.slow
@pytest.mark.once
@settings(bounded, max_examples=12)
@given(edit=edits())
def test_a_random_edit_is_refused_or_carried_through(edit, story, from_scratch):
    carried_through(as_row(*edit), story, from_scratch, back=False)


@pytest.mark.slow
@pytest.mark.once
@settings(bounded, max_examples=12)
@given(edit=edits())
def test_a_random_edit_can_be_taken_back_and_made_again(edit, story, from_scratch):
    carried_through(as_row(*edit), story, from_scratch, back=True)
