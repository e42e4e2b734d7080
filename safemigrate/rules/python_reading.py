"""What a RunPython does with the database, as far as its source says."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from types import FunctionType, ModuleType
from typing import Any

from safemigrate.facts.ownership import is_first_party
from safemigrate.rules.base import Step, table_of
from safemigrate.rules.sql.bounds import SMALL

_MAX_FUNCTIONS = 30
_WRITES = frozenset(
    (
        *("save", "delete", "update", "bulk_update", "bulk_create", "create", "get_or_create"),
        *("update_or_create", "asave", "adelete", "aupdate", "acreate"),
    )
)
_OF_MANY = ("add", "set", "remove", "clear")  # of a many-to-many field
_MANAGERS = ("objects", "_default_manager", "_base_manager")
# They give one row, or none.
_ONE = frozenset({"first", "last", "get", "earliest", "latest", "create", "afirst", "aget"})
_CONTAINERS = ("dict", "set", "list", "defaultdict", "Counter", "OrderedDict")
_SMALL = (("auth", "permission"), ("auth", "group"), ("contenttypes", "contenttype"))
_NARROWS = frozenset({"filter", "get", "exclude"})


@dataclass
class Query:
    """
    One call on a manager: ``Order.objects.filter(...).update(...)``.

    ``calls``: method names with their calls, in order. ``model``: key in the state, if known.
    """

    node: ast.expr
    model: tuple[str, str] | None
    calls: list[tuple[str, ast.Call]]
    sliced: bool = False

    @property
    def last(self) -> str:
        return self.calls[-1][0] if self.calls else ""


@dataclass
class Source:
    """
    One function, read.

    ``nodes``: everything in it, walked once for all rules. ``names``: local name -> the
    expressions that it is given, in order.
    """

    function: FunctionType
    nodes: list[ast.AST]
    names: dict[str, list[ast.expr]] = field(default_factory=dict)

    @cached_property
    def calls(self) -> list[ast.Call]:
        return [node for node in self.nodes if isinstance(node, ast.Call)]

    def meant(self, name: ast.Name) -> ast.expr | None:
        """What a name was given last, above the line where it stands."""
        given = self.names.get(name.id, ())
        before = [one for one in given if one.lineno < name.lineno]
        return before[-1] if before else None

    def helper(self, call: ast.Call) -> FunctionType | None:
        """The function of this project that it calls, whatever file it stands in."""
        first, *rest = ast.unparse(call.func).split(".")
        found = self._imported.get(first) or self.function.__globals__.get(first)
        for part in rest:
            found = getattr(found, part, None) if isinstance(found, ModuleType) else None
        found = inspect.unwrap(found) if callable(found) else found
        if not isinstance(found, FunctionType):
            return None
        if found.__module__ == self.function.__module__:
            return found
        foreign = _is_foreign(str(found.__module__).partition(".")[0])
        return None if foreign or not is_first_party(found.__code__.co_filename) else found

    @cached_property
    def _imported(self) -> dict[str, Any]:
        """What it imports by itself."""
        found: dict[str, Any] = {}
        for node in self.nodes:
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                module = _module(node.module)
                for one in node.names:
                    found[one.asname or one.name] = getattr(module, one.name, None)
            elif isinstance(node, ast.Import):
                for one in node.names:
                    if one.asname or "." not in one.name:
                        found[one.asname or one.name] = _module(one.name)
        return found


def _is_foreign(package: str) -> bool:
    return package in sys.stdlib_module_names or package in ("django", "safemigrate")


def _module(name: str) -> ModuleType | None:
    """One of this project's; what others wrote is not followed."""
    package = name.partition(".")[0]
    if _is_foreign(package):
        return None
    try:
        spec = importlib.util.find_spec(package)
        places = (spec.origin, *(spec.submodule_search_locations or ())) if spec else ()
        place = next((one for one in places if one), "")
        return importlib.import_module(name) if place and is_first_party(place) else None
    except Exception:  # noqa: BLE001  whatever stops it stops the migration too, when it runs
        return None


def sources(step: Step) -> list[tuple[Source, bool]]:
    """Each function of a RunPython, those of its file that it calls too; and whether backwards."""
    return step.once(_sources)


def _sources(step: Step) -> list[tuple[Source, bool]]:
    return [(source, back) for code, back in _ways(step) for source in _reachable(code)]


def unreadable(step: Step) -> Iterator[tuple[Any, bool]]:
    """What a RunPython calls and nobody can read: a lambda, an object; and whether backwards."""
    read = {backwards for _, backwards in sources(step)}
    for code, backwards in _ways(step):
        if code is not None and backwards not in read:
            yield code, backwards


def _ways(step: Step) -> tuple[tuple[Any, bool], ...]:
    operation: Any = step.operation
    return (operation.code, False), (operation.reverse_code, True)


def texts(code: Any) -> list[str]:
    """The functions that ``code`` reaches, as Python; none if nobody can read it."""
    return [ast.unparse(source.nodes[0]) for source in _reachable(code)]


def _reachable(code: Callable[..., Any] | None) -> Iterator[Source]:
    waiting: list[Any] = [code]
    seen: set[FunctionType] = set()
    while waiting and len(seen) < _MAX_FUNCTIONS:
        function = waiting.pop(0)
        function = inspect.unwrap(function) if callable(function) else function
        if not isinstance(function, FunctionType) or function in seen:
            continue
        seen.add(function)
        if (source := _read(function)) is None:
            continue
        yield source
        waiting += (found for call in source.calls if (found := source.helper(call)))
        # A decorator keeps what it decorates there.
        cells = (cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell))
        waiting += (found for found in cells if isinstance(found, FunctionType))


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


@lru_cache(maxsize=256)
def _read(function: FunctionType) -> Source | None:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    found = next(
        (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)), None
    )
    if found is None:
        return None
    source = Source(function, list(ast.walk(_Spoken().visit(found))))
    for name, value in (pair for node in source.nodes for pair in _given(node)):
        source.names.setdefault(name, []).append(value)
    for values in source.names.values():
        values.sort(key=lambda value: value.lineno)
    return source


class _Spoken(ast.NodeTransformer):
    """``getattr(rows, "update")`` as ``rows.update``, which is what it does."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        of, name = [*got_from(node), None, None][:2]
        if of is None or not isinstance(name, ast.Constant) or not str(name.value).isidentifier():
            return node
        return ast.copy_location(ast.Attribute(of, str(name.value), ast.Load()), node)


def got_from(node: ast.expr) -> list[ast.expr]:
    """What ``getattr(...)`` is called with; nothing for anything else."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
        return node.args
    return []


def _given(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Names, and what they are given."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield from _pairs(target, node.value)
    elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
        yield from _pairs(node.target, node.value)
    elif isinstance(node, ast.withitem) and node.optional_vars is not None:
        yield from _pairs(node.optional_vars, node.context_expr)


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for one, its in zip(target.elts, value.elts, strict=False):
            yield from _pairs(one, its)


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


# Queries --------------------------------------------------------------------------------------


def query_of(source: Source, node: ast.expr, depth: int = 0) -> Query | None:
    """The query that an expression is, if it starts at a model of ``apps.get_model()``."""
    calls: list[tuple[str, ast.Call]] = []
    sliced, start = False, node
    while depth < 10:
        called = _method(source, node)
        if isinstance(node, ast.Call) and called is not None:
            if called.attr == "get_model":
                return Query(start, _key(node), calls[::-1], sliced)
            calls.append((called.attr, node))
            node = called.value
        elif isinstance(node, ast.Attribute):
            if node.attr in _MANAGERS:
                return Query(start, _model(source, node.value), calls[::-1], sliced)
            node = node.value
        elif isinstance(node, ast.Subscript):
            sliced, node = sliced or isinstance(node.slice, ast.Slice), node.value
        elif isinstance(node, ast.Name) and (value := source.meant(node)) is not None:
            found = query_of(source, value, depth + 1)
            if found is None:
                return None
            return Query(start, found.model, found.calls + calls[::-1], sliced or found.sliced)
        else:
            return None
    return None


def _method(source: Source, node: ast.expr) -> ast.Attribute | None:
    """What a call calls of something, also by a name that it was given."""
    called = node.func if isinstance(node, ast.Call) else None
    if isinstance(called, ast.Name):
        called = source.meant(called)
    return called if isinstance(called, ast.Attribute) else None


def _model(source: Source, node: ast.expr) -> tuple[str, str] | None:
    """The model whose manager it is; None where it comes from elsewhere."""
    found = query_of(source, node)
    return found.model if found else None


def _key(call: ast.Call) -> tuple[str, str] | None:
    words = [arg.value for arg in call.args if isinstance(arg, ast.Constant)]
    words += [k.value.value for k in call.keywords if isinstance(k.value, ast.Constant)]
    parts = ".".join(str(word) for word in words).lower().split(".")
    return (parts[0], parts[1]) if len(parts) == 2 else None


def is_new_or_small(step: Step, query: Query) -> bool:
    if query.model in step.new_models or query.model in _SMALL:
        return True
    model = step.before.models.get(query.model) if query.model else None
    return model is not None and table_of(model) in SMALL


def is_bounded(step: Step, query: Query) -> bool:
    """Whether rows are named by a key, or cut off."""
    if query.sliced or any(name in _ONE for name, _ in query.calls):
        return True
    keys = {"pk", "id"}
    model = step.before.models.get(query.model) if query.model else None
    if model is not None:
        keys |= {n for n, f in model.fields.items() if f.primary_key or f.unique}
    named = {
        keyword.arg
        for name, call in query.calls
        if name in _NARROWS - {"exclude"}
        for keyword in call.keywords
        if keyword.arg
    }
    return bool(
        named & {*keys, *(f"{key}__in" for key in keys), *(f"{key}__range" for key in keys)}
    )


def unbounded_writes(step: Step, source: Source) -> Iterator[tuple[Query, str]]:
    """Shape: (query, what is done: ``update``, ``delete`` or ``save of each row``)."""
    for call in source.calls:
        query = query_of(source, call)
        if query is None:
            continue
        if query.last in ("update", "delete", "_raw_delete", "aupdate", "adelete"):
            if _is_unbounded(step, query):
                yield query, query.last
        elif query.last in ("bulk_update", "bulk_create") and call.args:
            rows = _rows(source, call.args[0])
            if rows is not None and _is_unbounded(step, rows):
                yield rows, query.last
    for query in _locking(source):
        if _is_unbounded(step, query):
            yield query, "select_for_update"
    if step.migration is None or step.migration.atomic:
        yield from _whiles(step, source)
    for over, body, name in _iterations(source):
        query = _rows(source, over)
        if query is not None and _is_unbounded(step, query):
            written = sorted(_written(source, body, name))
            if written:
                yield query, f"{written[0]}() for each row"


def _whiles(step: Step, source: Source) -> Iterator[tuple[Query, str]]:
    """Batches of one transaction: each of them stays locked until the last is done."""
    for loop in (node for node in source.nodes if isinstance(node, ast.While)):
        for call in _calls(loop):
            query = query_of(source, call)
            if query is None or query.last not in ("update", "delete"):
                continue
            if not is_new_or_small(step, query):
                yield query, f"{query.last}() again and again, in one transaction"
                break


def _locking(source: Source) -> Iterator[Query]:
    """Queries with ``select_for_update``, each with all that narrows it."""
    inner = {id(node.value) for node in source.nodes if isinstance(node, ast.Subscript)}
    inner |= {id(call.func.value) for call in source.calls if isinstance(call.func, ast.Attribute)}
    for call in source.calls:
        query = query_of(source, call) if id(call) not in inner else None
        if query and any(name == "select_for_update" for name, _ in query.calls):
            yield query


def _is_unbounded(step: Step, query: Query) -> bool:
    return not is_new_or_small(step, query) and not is_bounded(step, query)


def _rows(source: Source, node: ast.expr, depth: int = 0) -> Query | None:
    """The query whose rows an expression holds, also in a list."""
    if isinstance(node, ast.ListComp | ast.GeneratorExp | ast.SetComp) and depth < 10:
        return _rows(source, node.generators[0].iter, depth + 1)
    if isinstance(node, ast.Call) and node.args and _is_passed_on(node):
        return _rows(source, node.args[0], depth + 1)
    if isinstance(node, ast.Name) and (value := source.meant(node)) is not None and depth < 10:
        return _rows(source, value, depth + 1)
    return query_of(source, node)


def _is_passed_on(call: ast.Call) -> bool:
    return ast.unparse(call.func) in ("list", "tuple", "sorted", "enumerate", "iter", "tqdm")


def _iterations(source: Source) -> Iterator[tuple[ast.expr, list[ast.AST], str]]:
    """Shape: (what it goes through, what it does, the name of one row)."""
    for node in source.nodes:
        if isinstance(node, ast.For | ast.AsyncFor):
            yield node.iter, list(node.body), getattr(node.target, "id", "")
        elif isinstance(node, ast.ListComp | ast.GeneratorExp | ast.SetComp):
            first = node.generators[0]
            yield first.iter, [node.elt], getattr(first.target, "id", "")
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "map" and len(node.args) > 1:
            yield node.args[1], [node.args[0]], ""


def _written(source: Source, body: list[ast.AST], row: str) -> Iterator[str]:
    """The methods that write, in a loop's body or in a function that it calls."""
    for call in (one for statement in body for one in _calls(statement)):
        if isinstance(call.func, ast.Attribute):
            of_row = bool(row) and ast.unparse(call.func.value).startswith(f"{row}.")
            if _writes(source, call) or (of_row and call.func.attr in _OF_MANY):
                yield call.func.attr
        elif (found := source.helper(call)) and (inner := _read(found)):
            for called in inner.calls:
                if isinstance(called.func, ast.Attribute) and _writes(inner, called):
                    yield called.func.attr


def _writes(source: Source, call: ast.Call) -> bool:
    func = call.func
    return (
        isinstance(func, ast.Attribute)
        and func.attr in _WRITES
        and not _is_container(source, func.value)
    )


def _is_container(source: Source, node: ast.expr) -> bool:
    """Whether it is a dict or the like, which has an ``update()`` of its own."""
    value = source.meant(node) if isinstance(node, ast.Name) else node
    if isinstance(value, ast.Call):
        return ast.unparse(value.func).rpartition(".")[2] in _CONTAINERS
    return isinstance(value, ast.Dict | ast.Set | ast.List | ast.DictComp | ast.SetComp)
