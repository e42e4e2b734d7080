"""ALTER TABLE: each of its actions by itself, as PostgreSQL does them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from safemigrate.facts.features import NOT_VALID_PARTED
from safemigrate.facts.functions import Kind, kind_of
from safemigrate.facts.grammar import Node, parts, words
from safemigrate.facts.types import is_free
from safemigrate.operations.reading import column_name, db_type
from safemigrate.rules.sql.bounds import functions
from safemigrate.rules.sql.context import Context, table_name

_SIMPLE = {
    "AT_DropColumn": "drop-column",
    "AT_DropNotNull": "drop-not-null",
    "AT_DropExpression": "drop-expression",
    "AT_AddIdentity": "alter-identity",
    "AT_SetIdentity": "alter-identity",
    "AT_DropIdentity": "alter-identity",
    "AT_SetStatistics": "set-statistics",
    "AT_SetOptions": "set-attribute",
    "AT_ResetOptions": "set-attribute",
    "AT_SetStorage": "set-storage",
    "AT_SetCompression": "set-compression",
    "AT_ChangeOwner": "owner",
    "AT_ClusterOn": "cluster-on",
    "AT_DropCluster": "cluster-on",
    "AT_SetLogged": "set-logged",
    "AT_SetUnLogged": "set-logged",
    "AT_SetAccessMethod": "set-access-method",
    "AT_SetTableSpace": "set-tablespace",
    "AT_SetRelOptions": "set-options",
    "AT_ResetRelOptions": "set-options",
    "AT_AddInherit": "inherit",
    "AT_DropInherit": "inherit",
    "AT_ReplicaIdentity": "replica-identity",
    "AT_EnableRowSecurity": "row-security",
    "AT_ForceRowSecurity": "row-security",
    "AT_DisableRowSecurity": "row-security-off",
    "AT_NoForceRowSecurity": "row-security-off",
    **{
        f"AT_{word}{what}": key
        for what, key in (("Trig", "toggle-trigger"), ("Rule", "toggle-rule"))
        for word in ("Enable", "EnableAlways", "EnableReplica", "Disable")
    },
    **{
        f"AT_{word}Trig{which}": "toggle-trigger"
        for word in ("Enable", "Disable")
        for which in ("All", "User")
    },
}
# Of views and sequences nothing waits that matters, and no index is rebuilt in its catalog entry.
_NO_TABLE = {
    "OBJECT_VIEW": "harmless",
    "OBJECT_SEQUENCE": "harmless",
    "OBJECT_INDEX": "alter-index",
}
_SERIAL = {"serial", "bigserial", "smallserial", "serial4", "serial8", "serial2"}


def alter_table(ctx: Context, node: Node) -> None:
    kind = node.get("objtype", "OBJECT_TABLE")
    table = table_name(node["relation"])
    for part in node.get("cmds", []):
        command = part["alter_table_cmd"]
        action = command.get("subtype", "AT_AddColumn")
        if kind == "OBJECT_INDEX" and action == "AT_SetTableSpace":
            ctx.effect("reindex", ctx.index_tables.get(table, ""), table)
        elif kind in _NO_TABLE:
            ctx.effect(_NO_TABLE[kind], "", table)
        elif kind == "OBJECT_TYPE":
            ctx.unjudged("tables may use the type, and it does not say which")
        else:
            _action(ctx, table, action, command)


def _action(ctx: Context, table: str, action: str, command: Node) -> None:
    name = command.get("name", "")
    if action in _SIMPLE:
        if "Trig" in action or "Rule" in action:
            # In replica mode alone: in every ordinary session it is off.
            off = "Disable" in action or "Replica" in action
            name = "DISABLE" if off else "ENABLE"
        ctx.effect(_SIMPLE[action], table, name)
    elif action == "AT_DropConstraint" and command.get("behavior") == "DROP_CASCADE":
        ctx.effect("drop-constraint-cascade", table, name)
    elif action in _HANDLERS:
        _HANDLERS[action](ctx, table, name, command.get("def", {}))
    else:
        ctx.unjudged(f"the action {action.removeprefix('AT_')} is not known here")


# Columns --------------------------------------------------------------------------------------


def _add_column(ctx: Context, table: str, name: str, definition: Node) -> None:
    column = definition["column_def"]
    constraints = [one["constraint"] for one in column.get("constraints", [])]
    kinds = {one.get("contype", "CONSTR_NULL"): one for one in constraints}
    found = [column.get("colname", "")]
    default = kinds.get("CONSTR_DEFAULT")
    ctx.types[table, found[0]] = type_of(column.get("type_name", {})) or "unknown"
    for key in _column_keys(ctx, column, kinds):
        ctx.effect(key, table, found[0])
    foreign = kinds.get("CONSTR_FOREIGN")
    if foreign:
        other = table_name(foreign["pktable"])
        has_value = default is not None and not _is_null(default)
        key = "add-column-fk-default" if has_value else "add-column-fk"
        ctx.effect(key, table, found[0], other=other)
        ctx.foreign_keys.add((table, other))


def _column_keys(ctx: Context, column: Node, kinds: dict[str, Node]) -> list[str]:
    """What the parts of a column definition come to; at least one."""
    keys = []
    type_words = words(column.get("type_name", {}).get("names", [])).lower()
    generated = kinds.get("CONSTR_GENERATED")
    default = kinds.get("CONSTR_DEFAULT")
    has_value = default is not None and not _is_null(default)
    if generated is not None:
        virtual = generated.get("generated_kind") == "v"
        # A NOT NULL of a virtual column is a condition on every row that is there.
        checked = "-checked" if "CONSTR_NOTNULL" in kinds else ""
        keys.append(f"add-column-virtual{checked}" if virtual else "add-column-stored")
        if virtual:
            ctx.virtual.add(column.get("colname", "").lower())
    elif "CONSTR_IDENTITY" in kinds or type_words.split(".")[-1] in _SERIAL:
        keys.append("add-column-identity")
    elif has_value and differs_by_row(default):
        keys.append("add-column-volatile")
    elif f"domain {type_words}" in ctx.made:
        keys.append("add-column-stored")  # each row is checked, so each is written anew
    elif {"CONSTR_NOTNULL", "CONSTR_PRIMARY"} & set(kinds) and not has_value:
        keys.append("add-column-required")
    if {"CONSTR_PRIMARY", "CONSTR_UNIQUE"} & set(kinds):
        keys.append("add-column-unique")
    said = [one["constraint"].get("contype") for one in column.get("constraints", [])]
    # The words stand behind the constraint that they are about.
    if any(
        kind == "CONSTR_CHECK" and after != "CONSTR_ATTR_NOT_ENFORCED"
        for kind, after in zip(said, [*said[1:], ""], strict=False)
    ):
        keys.append("add-column-check")
    return keys or ["add-column"]


def _is_null(default: Node) -> bool:
    return bool(default.get("raw_expr", {}).get("a_const", {}).get("isnull"))


def differs_by_row(node: Node | None) -> bool:
    """Whether a default may give each row another value; a function of one's own may."""
    return any(kind_of(name) is not Kind.STEADY for name, _ in functions(node))


def _column_default(ctx: Context, table: str, name: str, definition: Node) -> None:
    if definition:
        ctx.effect("set-default", table, name)
    else:
        ctx.effect(
            "drop-default-unused" if _code_sets(ctx, table, name) else "drop-default", table, name
        )


def _code_sets(ctx: Context, table: str, column: str) -> bool:
    """Whether every INSERT of the running release names this column, or it may be NULL."""
    field = _field(ctx, table, column)
    return field is not None and (field[1].null or not field[1].has_db_default())


def _field(ctx: Context, table: str, column: str) -> tuple[str, Any] | None:
    model = ctx.model(table)
    for name, found in model.fields.items() if model else ():
        if str(column_name(found, name)).lower() == column.lower():
            return name, found
    return None


def _set_not_null(ctx: Context, table: str, name: str, definition: Node) -> None:
    from safemigrate.rules.sql import checked_before

    known = (table, name) in ctx.valid_not_null or (table, name) in checked_before(ctx.step)
    ctx.effect("set-not-null-checked" if known else "set-not-null", table, name)


def _alter_type(ctx: Context, table: str, name: str, definition: Node) -> None:
    column = definition["column_def"]
    plain = "raw_default" not in column and "coll_clause" not in column
    becomes, known = type_of(column["type_name"]), _field(ctx, table, name)
    was = ctx.types.get((table, name)) or (db_type(ctx.step, known[1], known[0]) if known else None)
    ctx.types[table, name] = becomes or "unknown"
    free = plain and becomes is not None and was is not None and is_free(was, becomes)
    ctx.effect("alter-type-free" if free else "alter-type", table, name)


_NAMES = {
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "bool": "boolean",
    "float8": "double precision",
    "timestamptz": "timestamp with time zone",
}


def type_of(type_name: Node) -> str | None:
    """A type as Django writes it, ``varchar(20)``; None for an array."""
    if "array_bounds" in type_name:
        return None
    name = words(type_name.get("names", [])).removeprefix("pg_catalog.").lower()
    sizes = [
        str(one["a_const"].get("ival", {}).get("ival", 0))
        for one in type_name.get("typmods", [])
        if "a_const" in one
    ]
    if name == "numeric" and len(sizes) == 1:
        sizes.append("0")
    return _NAMES.get(name, name) + (f"({', '.join(sizes)})" if sizes else "")


# Constraints ----------------------------------------------------------------------------------


def _add_constraint(ctx: Context, table: str, name: str, definition: Node) -> None:
    constraint = definition["constraint"]
    kind = constraint.get("contype", "")
    named = constraint.get("conname", "")
    later = bool(constraint.get("skip_validation"))
    how = "-not-valid" if later else ""
    if kind in ("CONSTR_CHECK", "CONSTR_FOREIGN") and "is_enforced" not in constraint:
        how = "-not-enforced"  # nobody looks at a row, now or later
    if kind == "CONSTR_FOREIGN":
        other = table_name(constraint["pktable"])
        ctx.foreign_keys.add((table, named))
        # Rows of a new table refer to nobody yet, but the other table is locked all the same.
        ctx.effect(f"add-fk{how}", table, named, other=other)
        if later and _is_partitioned(ctx, table):
            ctx.newer(NOT_VALID_PARTED)
    elif kind in ("CONSTR_CHECK", "CONSTR_NOTNULL"):
        key = "add-check" if kind == "CONSTR_CHECK" else "add-not-null"
        ctx.effect(f"{key}{how}", table, named)
        _remember_check(ctx, table, named, constraint, later)
    elif kind in ("CONSTR_UNIQUE", "CONSTR_PRIMARY"):
        _add_unique(ctx, table, named, constraint)
    elif kind == "CONSTR_EXCLUSION":
        ctx.effect("add-exclusion", table, named)
    else:
        ctx.unjudged(f"a constraint of the kind {kind.removeprefix('CONSTR_')} is not known here")


def _is_partitioned(ctx: Context, table: str) -> bool:
    """Whether SQL made it so, here or before; asked only where a version may refuse it."""
    from safemigrate.rules.sql import partitioned_before

    if ctx.step.version is None or ctx.step.version >= (NOT_VALID_PARTED.since,):
        return False
    return table in ctx.partitioned or table in partitioned_before(ctx.step)


def _add_unique(ctx: Context, table: str, named: str, constraint: Node) -> None:
    if "indexname" not in constraint:
        ctx.effect("add-unique", table, named)
    elif constraint["contype"] == "CONSTR_UNIQUE":
        ctx.effect("add-unique-using", table, named)
    else:
        ctx.effect("add-primary-using", table, constraint["indexname"])


def _remember_check(ctx: Context, table: str, named: str, constraint: Node, later: bool) -> None:
    """``CHECK (column IS NOT NULL)``, of which SET NOT NULL makes use once it is valid."""
    columns = [one["string"].get("sval", "") for one in constraint.get("keys", [])]
    for test in parts({"x": constraint.get("raw_expr", {})}, "null_test"):
        if test.get("nulltesttype") == "IS_NOT_NULL" and "null_test" in constraint["raw_expr"]:
            columns = [one["string"]["sval"] for one in test["arg"]["column_ref"]["fields"][-1:]]
    for column in columns:
        ctx.not_null_checks[table, named] = column
        if not later:
            ctx.valid_not_null.add((table, column))


def _validate(ctx: Context, table: str, name: str, definition: Node) -> None:
    if (table, name) in ctx.not_null_checks:
        ctx.valid_not_null.add((table, ctx.not_null_checks[table, name]))
    key = "validate-fk" if (table, name) in ctx.foreign_keys else "validate-constraint"
    ctx.effect(key, table, name)


def _alter_constraint(ctx: Context, table: str, name: str, definition: Node) -> None:
    altered = definition.get("atalter_constraint", {})
    key = "alter-constraint"
    if altered.get("alter_enforceability"):
        key += "-enforced" if altered.get("is_enforced") else "-not-enforced"
    ctx.effect(key, table, altered.get("conname", ""))


def _set_expression(ctx: Context, table: str, name: str, definition: Node) -> None:
    known = _field(ctx, table, name)
    virtual = known is not None and known[1].generated and not known[1].db_persist
    virtual = virtual or name.lower() in ctx.virtual
    ctx.effect("set-expression-virtual" if virtual else "set-expression", table, name)


def _drop_constraint(ctx: Context, table: str, name: str, definition: Node) -> None:
    column = ctx.not_null_checks.pop((table, name), None)
    ctx.valid_not_null.discard((table, column or ""))
    ctx.effect("drop-fk" if (table, name) in ctx.foreign_keys else "drop-constraint", table, name)


# Partitions -----------------------------------------------------------------------------------


def _attach(ctx: Context, table: str, name: str, definition: Node) -> None:
    part = table_name(definition["partition_cmd"]["name"])
    ctx.effect("attach-partition-new" if ctx.is_new(part) else "attach-partition", table, part)


def _detach(ctx: Context, table: str, name: str, definition: Node) -> None:
    command = definition["partition_cmd"]
    key = "detach-concurrently" if command.get("concurrent") else "detach-partition"
    ctx.effect(key, table, table_name(command["name"]))


_HANDLERS: dict[str, Callable[[Context, str, str, Node], None]] = {
    "AT_AddColumn": _add_column,
    "AT_ColumnDefault": _column_default,
    "AT_SetNotNull": _set_not_null,
    "AT_AlterColumnType": _alter_type,
    "AT_AddConstraint": _add_constraint,
    "AT_ValidateConstraint": _validate,
    "AT_AlterConstraint": _alter_constraint,
    "AT_SetExpression": _set_expression,
    "AT_DropConstraint": _drop_constraint,
    "AT_AttachPartition": _attach,
    "AT_DetachPartition": _detach,
}
