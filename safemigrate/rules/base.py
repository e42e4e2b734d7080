"""What a rule is asked about, what it answers, and the registry of all rules."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from django.db import migrations
from django.db.migrations.migration import Migration
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState

from safemigrate.facts.assurance import Assurance
from safemigrate.operations import SafeOperation
from safemigrate.operations.reading import has_table
from safemigrate.operations.remedies import Chain

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

Kind = TypeVar("Kind", bound=Operation)
Answer = TypeVar("Answer")
Ancestors = Callable[[], Sequence[Migration]]


@dataclass(frozen=True)
class Finding:
    """
    What happens, why it hurts, and what to do instead.

    ``instead``: a chain over phases, or operations that each stand in a migration of their own.
    ``steps``: the deployments in order, where nothing mechanical exists.
    """

    what: str
    why: str
    instead: Chain | tuple[Operation, ...] | None = None
    steps: tuple[str, ...] = ()
    rule: str = ""
    place: int | None = None
    """Which of the migration's operations it is about, from 0; None: the migration as a whole."""


@dataclass(frozen=True)
class Step:
    """
    One operation about to run.

    ``operation``: out of its wrappers. ``before``: the state it starts from; neither changed nor
    rendered. ``migration``: None while makemigrations asks. ``new_models``: (app label, lower-case
    name) of models created in the same migration or run. ``connection``: for ``db_type()`` alone.
    ``ancestors``: every migration before this one, and this one; None if nobody knows them yet.
    ``after``: this one and every migration that builds on it; None likewise. ``version``: of the
    server; None where nobody has said it.
    """

    app_label: str
    operation: Operation
    before: ProjectState
    migration: Migration | None = None
    vendor: str = "postgresql"
    version: tuple[int, ...] | None = None
    new_models: frozenset[tuple[str, str]] = frozenset()
    connection: BaseDatabaseWrapper | None = None
    ancestors: Ancestors | None = None
    after: Ancestors | None = None
    # Not of the step that this one is replaced from: the answers would be about that.
    _answers: dict[Any, Any] = dataclasses.field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    def once(self, question: Callable[[Step], Answer]) -> Answer:
        """What ``question`` makes of this step; many rules ask the same, and it takes its time."""
        if question not in self._answers:
            self._answers[question] = question(self)
        answer: Answer = self._answers[question]
        return answer

    def of(self, kind: type[Kind]) -> Kind:
        """The operation as one of the ``kind`` that the rule is registered for."""
        return cast("Kind", self.operation)

    @cached_property
    def model_key(self) -> tuple[str, str]:
        return self.app_label, model_name_of(self.operation)

    @property
    def model(self) -> ModelState:
        found: ModelState = self.before.models[self.model_key]
        return found

    @cached_property
    def existed_before(self) -> bool:
        """Whether the operation is about a table that is there, and so may be full and busy."""
        if self.model_key in self.new_models or self.model_key not in self.before.models:
            return False
        operation: Any = self.operation
        if isinstance(operation, migrations.AlterField) and operation.name not in self.model.fields:
            return False  # renamed in the same run; the rename is the finding
        return has_table(self.model)

    @property
    def table(self) -> str:
        return table_of(self.model)


@dataclass(frozen=True)
class Placed:
    """One migration and everything that comes after it. ``state``: what it leads to."""

    migration: Migration
    after: Callable[[], Sequence[Migration]]
    vendor: str
    state: ProjectState


@dataclass(frozen=True)
class Commands:
    """``app_of``: command -> the app it is taken from. ``without_ours``: those without our part."""

    app_of: dict[str, str]
    without_ours: tuple[str, ...]
    vendor: ClassVar[None] = None


@dataclass(frozen=True)
class SettingsRead:
    """What reading ``SAFEMIGRATE`` came to."""

    error: Exception | None
    vendor: ClassVar[None] = None


@dataclass(frozen=True)
class Unreadable:
    """A migration, or the graph of them all, that could not be loaded."""

    name: str
    error: BaseException | str
    vendor: ClassVar[None] = None


@dataclass(frozen=True)
class BaselineRead:
    """What reading the baseline came to; ``gone``: migrations it names that are no more."""

    path: str
    error: str = ""
    gone: tuple[str, ...] = ()
    vendor: ClassVar[None] = None


@dataclass(frozen=True)
class HeldContract:
    """A contract that waits on a database."""

    name: str
    reason: str
    age: timedelta
    limit: timedelta
    alias: str
    vendor: ClassVar[None] = None


@dataclass(frozen=True)
class Vouched:
    """
    Somebody's word that findings do not matter here.

    ``by``: where it stands. ``silenced``: what would be said without it. ``missing``: what it is
    about and cannot be found. ``wrong``: why it cannot be read; then it has no ``assurance``.
    """

    by: str
    assurance: Assurance | None
    today: date
    silenced: tuple[Finding, ...] = ()
    missing: str = ""
    wrong: str = ""
    vendor: str | None = "postgresql"


Subject = (
    Step | Placed | Commands | SettingsRead | Unreadable | BaselineRead | HeldContract | Vouched
)
Judge = Callable[[Any], Iterable[Finding]]


@dataclass(frozen=True)
class Rule:
    """``vendors``: the servers it holds for; empty if it is not about a server."""

    id: str
    slug: str
    judge: Judge
    about: type[Any]
    operations: tuple[type[Operation], ...] = ()
    vendors: tuple[str, ...] = ("postgresql",)

    @property
    def check_id(self) -> str:
        return f"safemigrate.{self.id}"

    @property
    def doc(self) -> str:
        return (self.judge.__doc__ or "").strip()

    def covers(self, about: type[Any], operation: type[Any], vendor: str | None) -> bool:
        """``operation``: the class of the step's; of any other subject nothing is asked."""
        if not issubclass(about, self.about):
            return False
        if vendor is not None and vendor not in self.vendors:
            return False
        if not issubclass(about, Step):
            return True
        if not issubclass(operation, self.operations):
            return False
        # Our own operations are no hazard; a rule about them names them.
        return not issubclass(operation, SafeOperation) or any(
            issubclass(wanted, SafeOperation) for wanted in self.operations
        )


_REGISTRY: dict[str, Rule] = {}


@cache
def registry() -> Mapping[str, Rule]:
    """
    Every rule by its id, in order.

    Each file beside this one is a rule or nothing, and is imported only now: at a project's
    start nothing is judged.
    """
    for module in pkgutil.iter_modules(sys.modules[__package__].__path__, f"{__package__}."):
        importlib.import_module(module.name)
    return dict(sorted(_REGISTRY.items()))


def rule(
    id: str,
    slug: str,
    *,
    operation: type[Operation] | tuple[type[Operation], ...] = (),
    about: type[Any] = Step,
    vendors: tuple[str, ...] = ("postgresql",),
) -> Callable[[Judge], Judge]:
    """Register a rule; the letter of ``id`` is its level and never changes."""

    def register(function: Judge) -> Judge:
        classes = operation if isinstance(operation, tuple) else (operation,)
        _REGISTRY[id] = Rule(id, slug, function, about, classes, vendors)
        return function

    return register


def judge(subject: Subject) -> list[Finding]:
    """Everything the rules have to say about ``subject``; never raises."""
    about: Any = type(subject)
    operation: Any = type(getattr(subject, "operation", None))
    asked = _rules_for(about, operation, subject.vendor)
    return [finding for known in asked for finding in _ask(known, subject)]


@cache
def _rules_for(about: Any, operation: Any, vendor: str | None) -> tuple[Rule, ...]:
    return tuple(r for r in registry().values() if r.covers(about, operation, vendor))


def _ask(known: Rule, subject: Subject) -> Iterator[Finding]:
    try:
        for finding in known.judge(subject) or ():
            yield dataclasses.replace(finding, rule=known.id)
    except Exception as error:  # noqa: BLE001  a custom field or operation may raise anything
        operation = getattr(subject, "operation", None)
        name = type(operation).__name__ if operation is not None else "This"
        yield Finding(
            what=f"{name} cannot be judged: {type(error).__name__} in rule {known.slug}.",
            why=f"What nobody could judge may lock or break a table in use. It said: {error}",
            steps=("Correct the operation, or vouch for it with Assured.",),
            rule=known.id,
        )


def model_name_of(operation: Any) -> str:
    """The lower-case name of the model that an operation is about; ``""`` if it has none."""
    for attribute in ("model_name", "old_name", "name"):
        if isinstance(found := getattr(operation, attribute, None), str):
            return found.lower()
    return ""


def table_of(model: ModelState) -> str:
    return str(model.options.get("db_table") or f"{model.app_label}_{model.name}".lower())
