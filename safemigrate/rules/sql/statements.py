"""Every other statement, by the name that PostgreSQL's grammar gives it."""

from __future__ import annotations

from collections.abc import Callable

from safemigrate.facts.grammar import Node, parts
from safemigrate.facts.locks import LockMode
from safemigrate.rules.sql import code, roles, writes
from safemigrate.rules.sql.alter_table import alter_table, type_of
from safemigrate.rules.sql.bounds import constant
from safemigrate.rules.sql.context import Context, dotted, name_of, table_name

# They make or change what no table is locked for, and what running code does not miss.
_HARMLESS = frozenset(
    f"{name}_stmt"
    for name in str.split("""
    create_schema create_seq alter_seq create_enum composite_type create_range define
    create_extension create_cast create_op_class create_op_family alter_op_family create_conversion
    create_role alter_default_privileges notify listen unlisten
    create_fdw create_foreign_server create_user_mapping alter_foreign_server alter_fdw
    alter_user_mapping sec_label variable_show constraints_set alter_function
    alter_object_depends alter_stats create_transform create_plang
    alter_tsconfiguration alter_tsdictionary alter_collation alter_operator alter_type
    """)
)


def read(ctx: Context, kind: str, node: Node) -> None:
    """Say what one statement does; what nobody knows cannot be judged."""
    handler = _HANDLERS.get(kind)
    if handler is not None:
        handler(ctx, node)
    elif kind in _HARMLESS:
        _remember_made(ctx, node)
        ctx.effect("harmless")
    else:
        name = kind.removesuffix("_stmt").replace("_", " ").upper()
        ctx.unjudged(f"a statement of the kind {name} is not known here")


def _remember_made(ctx: Context, node: Node) -> None:
    for key in ("sequence", "typevar"):
        if key in node:
            ctx.made.add(table_name(node[key]))
    for key in ("type_name", "defnames"):
        if isinstance(node.get(key), list):
            ctx.made.add(dotted(node[key]))
    for key in ("schemaname", "extname", "role", "pubname"):
        if isinstance(node.get(key), str):
            ctx.made.add(node[key].lower())


# Tables ---------------------------------------------------------------------------------------


def _create_table(ctx: Context, node: Node) -> None:
    table = table_name(node["relation"])
    parents = [table_name(relation) for relation in parts(node.get("inh_relations"), "range_var")]
    others = [table_name(relation) for relation in parts(node.get("table_elts"), "pktable")]
    if not (node.get("if_not_exists") and ctx.model(table)):  # where there is one, it stays
        ctx.new |= {table, table.removeprefix("pg_temp.")}
    _remember_columns(ctx, table, node)
    if "partspec" in node:
        ctx.partitioned.add(table)
    for parent in parents:
        ctx.effect("create-partition" if "partbound" in node else "create-child", parent, table)
    for other in others:
        ctx.effect("create-table-fk", other, table)
    if not parents and not others:
        ctx.effect("create-table", "", table)


def _remember_columns(ctx: Context, table: str, node: Node) -> None:
    """Unless it takes them from another table, and nobody knows which."""
    definitions = [one for one in node.get("table_elts", []) if "column_def" in one]
    for one in definitions:
        column = one["column_def"]
        kind = type_of(column.get("type_name", {})) or "unknown"
        ctx.types[table, column["colname"].lower()] = kind
    copied = any("table_like_clause" in one for one in node.get("table_elts", []))
    if definitions and not copied and "inh_relations" not in node and "of_typename" not in node:
        ctx.columns[table] = {one["column_def"]["colname"].lower() for one in definitions}


def _create_table_as(ctx: Context, node: Node) -> None:
    table = table_name(node["into"]["rel"])
    if not (node.get("if_not_exists") and ctx.model(table)):
        ctx.new |= {table, table.removeprefix("pg_temp.")}
    query = node.get("query", {})
    sources = [table_name(relation) for relation in parts(query, "range_var")]
    writes.calls(ctx, query)
    view = node.get("objtype") == "OBJECT_MATVIEW"
    key = "create-materialized" if view else "create-table-as"
    old = [source for source in sources if not ctx.is_new(source)]
    ctx.effect(key, old[0] if old else table, table)


def _drop(ctx: Context, node: Node) -> None:
    kind = node.get("remove_type", "")
    for thing in node.get("objects", []):
        name = name_of(thing)
        if kind in ("OBJECT_TABLE", "OBJECT_FOREIGN_TABLE"):
            ctx.effect("drop-table", name, name)
        elif kind == "OBJECT_INDEX":
            key = "drop-index-concurrently" if node.get("concurrent") else "drop-index"
            ctx.effect(key, ctx.index_tables.get(name, ""), name)
        elif kind in ("OBJECT_TRIGGER", "OBJECT_RULE", "OBJECT_POLICY"):
            table, _, own = name.rpartition(".")
            ctx.effect(f"drop-{kind[7:].lower()}", table, own)
        elif kind in ("OBJECT_VIEW", "OBJECT_MATVIEW"):
            ctx.effect("drop-view", name, name, new=name in ctx.made)
        elif kind in ("OBJECT_STATISTIC_EXT", "OBJECT_EVENT_TRIGGER"):
            ctx.effect("harmless", "", name)
        else:
            what = kind.removeprefix("OBJECT_").replace("_", " ").lower()
            made = name in ctx.made or name in ctx.functions or f"domain {name}" in ctx.made
            ctx.effect("drop-other", "", f"{what} {name}", new=made)


def _rename(ctx: Context, node: Node) -> None:
    kind, relation = node.get("rename_type", ""), node.get("relation", {})
    table = table_name(relation) if relation else ""
    old = node.get("subname", "")
    if kind in ("OBJECT_COLUMN", "OBJECT_ATTRIBUTE"):
        ctx.effect("rename-column", table, f"{old} to {node.get('newname', '')}")
    elif kind in ("OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_FOREIGN_TABLE"):
        ctx.effect("rename-table", table, node.get("newname", ""), new=table in ctx.made)
        if ctx.is_new(table):
            ctx.new.add(str(node.get("newname", "")).lower())
    elif kind == "OBJECT_INDEX":
        ctx.effect("alter-index", ctx.index_tables.get(table, ""), table)
    elif kind == "OBJECT_DOMCONSTRAINT":
        ctx.effect("harmless", "", old)
    elif kind in ("OBJECT_TABCONSTRAINT", "OBJECT_TRIGGER", "OBJECT_POLICY", "OBJECT_RULE"):
        key = "rename-constraint" if kind == "OBJECT_TABCONSTRAINT" else "rename-trigger"
        ctx.effect(key, table, old)
    else:
        name = table or name_of(node.get("object", {}))
        what = kind.removeprefix("OBJECT_").replace("_", " ").lower()
        ctx.effect("rename-other", "", f"{what} {name}", new=name in ctx.made)


def _set_schema(ctx: Context, node: Node) -> None:
    if node.get("object_type") == "OBJECT_TABLE":
        ctx.effect("rename-table", table_name(node["relation"]), node.get("newschema", ""))
    else:
        ctx.effect("rename-other", "", "an object to another schema")


def _owner(ctx: Context, node: Node) -> None:
    ctx.effect("harmless")


def _truncate(ctx: Context, node: Node) -> None:
    for relation in parts(node.get("relations"), "range_var"):
        ctx.effect("truncate", table_name(relation))


_LOCK_MODES = dict(enumerate(LockMode, 1))


def _lock(ctx: Context, node: Node) -> None:
    mode = _LOCK_MODES[node.get("mode", 8)]
    for relation in parts(node.get("relations"), "range_var"):
        # A weak mode stops nobody, so it counts as a look.
        strong = LockMode.ROW_EXCLUSIVE in mode.conflicts()
        ctx.effect("lock-table" if strong else "select", table_name(relation))


def _comment(ctx: Context, node: Node) -> None:
    name = name_of(node.get("object", {}))
    kind = node.get("objtype", "")
    if kind in ("OBJECT_COLUMN", "OBJECT_TABCONSTRAINT", "OBJECT_TRIGGER"):
        ctx.effect("comment", name.rpartition(".")[0])
    else:
        ctx.effect("comment" if kind == "OBJECT_TABLE" else "harmless", name)


def _view(ctx: Context, node: Node) -> None:
    ctx.made.add(table_name(node["view"]))
    ctx.effect("create-view", "", table_name(node["view"]), new=True)


def _trigger(ctx: Context, node: Node) -> None:
    table = table_name(node["relation"])
    ctx.made.add(f"{table}.{node.get('trigname', '')}")
    ctx.effect("create-trigger", table, node.get("trigname", ""))


def _on_table(key: str, *, relation: str = "relation", name: str = "") -> Handler:
    def handle(ctx: Context, node: Node) -> None:
        table = table_name(node.get(relation, {}))
        ctx.made.add(f"{table}.{node.get(name, '')}")
        ctx.effect(key, table, str(node.get(name, "")))

    return handle


def _statistics(ctx: Context, node: Node) -> None:
    for relation in parts(node.get("relations"), "range_var"):
        ctx.effect("create-statistics", table_name(relation))


def _publication(ctx: Context, node: Node) -> None:
    for relation in parts(node.get("pubobjects"), "relation"):
        ctx.effect("create-publication", table_name(relation))
    ctx.effect("harmless")


# Indexes and upkeep ---------------------------------------------------------------------------


def _index(ctx: Context, node: Node) -> None:
    table, name = table_name(node["relation"]), str(node.get("idxname", ""))
    ctx.index_tables[name.lower()] = table
    if node.get("concurrent"):
        ctx.effect("create-index-concurrently", table, name)
    else:
        ctx.effect(
            "create-index" if node["relation"].get("inh") else "create-index-only", table, name
        )


def _options(node: Node, key: str = "options") -> set[str]:
    return {
        option["defname"]
        for option in parts(node.get(key), "def_elem")
        if constant({"a_const": option.get("arg", {})}) not in ("false", "off", "0")
        and option.get("arg", {}).get("string", {}).get("sval") not in ("false", "off")
        and not ("integer" in option.get("arg", {}) and not option["arg"]["integer"].get("ival"))
        and not ("boolean" in option.get("arg", {}) and not option["arg"]["boolean"].get("boolval"))
    }


def _reindex(ctx: Context, node: Node) -> None:
    concurrent = "concurrently" in _options(node, "params")
    table = table_name(node["relation"]) if "relation" in node else ""
    if node.get("kind") == "REINDEX_OBJECT_INDEX":
        table = ctx.index_tables.get(table, "")
    ctx.effect("reindex-concurrently" if concurrent else "reindex", table)


def _vacuum(ctx: Context, node: Node) -> None:
    tables = [table_name(relation) for relation in parts(node.get("rels"), "relation")]
    key = "vacuum" if node.get("is_vacuumcmd") else "analyze"
    if key == "vacuum" and "full" in _options(node):
        key = "vacuum-full"
    for table in tables or [""]:
        ctx.effect(key, table)


def _refresh(ctx: Context, node: Node) -> None:
    view = table_name(node["relation"])
    ctx.effect("refresh-concurrently" if node.get("concurrent") else "refresh", view)


# The session ------------------------------------------------------------------------------------


def _set(ctx: Context, node: Node) -> None:
    kind, name = node.get("kind", ""), str(node.get("name", "")).lower()
    local = bool(node.get("is_local"))
    if kind == "VAR_RESET_ALL":
        ctx.setting("all", None, False)
    elif kind in ("VAR_RESET", "VAR_SET_DEFAULT"):
        ctx.setting(name, None, local)
    elif kind == "VAR_SET_MULTI":
        session = "SESSION" in name.upper()
        ctx.setting(name, "", not session)
    else:
        values = [constant(arg) or "" for arg in node.get("args", [])]
        ctx.setting(name, ", ".join(values), local)


def _transaction(ctx: Context, node: Node) -> None:
    kind = node.get("kind", "")
    if kind in ("TRANS_STMT_BEGIN", "TRANS_STMT_START"):
        ctx.transaction("begin")
    elif kind in ("TRANS_STMT_COMMIT", "TRANS_STMT_ROLLBACK"):
        ctx.transaction("end")
    elif "SAVEPOINT" in kind or kind in ("TRANS_STMT_RELEASE", "TRANS_STMT_ROLLBACK_TO"):
        ctx.effect("harmless")
    else:
        ctx.unjudged("a transaction prepared for later holds its locks until somebody ends it")


# Domains ----------------------------------------------------------------------------------------


def _create_domain(ctx: Context, node: Node) -> None:
    name = dotted(node.get("domainname", []))
    # Without a constraint it is its base type by another name.
    if node.get("constraints"):
        ctx.made.add(f"domain {name}")
    ctx.made.add(name)
    ctx.effect("harmless")


def _alter_domain(ctx: Context, node: Node) -> None:
    """Constraints that come without NOT VALID are checked in every table that uses it."""
    constraint = node.get("def", {}).get("constraint", {})
    later = bool(constraint.get("skip_validation"))
    key = {"O": "alter-domain", "C": "alter-domain", "V": "validate-domain"}.get(
        node.get("subtype", ""), "harmless"
    )
    if node.get("subtype") == "X":
        key = "drop-domain-constraint"
    domain = dotted(node.get("type_name", []))
    named = constraint.get("conname") or node.get("name", "")
    name = f"{named} of {domain}" if named else domain
    ctx.effect("alter-domain-not-valid" if later else key, "", name, new=domain in ctx.made)


def _create_policy(ctx: Context, node: Node) -> None:
    key = "create-policy" if node.get("permissive") else "create-policy-restrictive"
    _on_table(key, relation="table", name="policy_name")(ctx, node)


def _create_foreign_table(ctx: Context, node: Node) -> None:
    ctx.new.add(table_name(node.get("base_stmt", {}).get("relation", {})))
    ctx.effect("harmless")


def _alter_extension(ctx: Context, node: Node) -> None:
    ctx.unjudged("the extension's own script runs, and what that does is not known here")


def _alter_enum(ctx: Context, node: Node) -> None:
    name = dotted(node.get("type_name", []))
    if "old_val" in node:
        ctx.effect("rename-other", "", f"value of {name}", new=name in ctx.made)
    else:
        ctx.effect("harmless", "", name)


def _explain(ctx: Context, node: Node) -> None:
    if "analyze" in _options(node):
        ((kind, inner),) = node["query"].items()
        read(ctx, kind, inner)
    else:
        ctx.effect("harmless")


def _copy(ctx: Context, node: Node) -> None:
    if node.get("is_program"):
        ctx.unjudged("COPY runs a program on the server")
    elif node.get("is_from"):
        ctx.effect("copy-from", table_name(node["relation"]))
    elif "query" in node:
        ((kind, inner),) = node["query"].items()
        read(ctx, kind, inner)
    else:
        ctx.effect("copy-to", table_name(node["relation"]))


def _cluster(ctx: Context, node: Node) -> None:
    ctx.effect("cluster", table_name(node["relation"]) if "relation" in node else "")


def _just(key: str) -> Handler:
    return lambda ctx, node: ctx.effect(key)


Handler = Callable[[Context, Node], None]
_HANDLERS: dict[str, Handler] = {
    "alter_table_stmt": alter_table,
    "alter_domain_stmt": _alter_domain,
    "alter_extension_stmt": _alter_extension,
    "alter_role_stmt": roles.alter_role,
    "alter_role_set_stmt": roles.alter_role_set,
    "alter_enum_stmt": _alter_enum,
    "alter_object_schema_stmt": _set_schema,
    "alter_owner_stmt": _owner,
    "alter_policy_stmt": _on_table("alter-policy", relation="table", name="policy_name"),
    "alter_system_stmt": _just("alter-system"),
    "call_stmt": code.call,
    "cluster_stmt": _cluster,
    "comment_stmt": _comment,
    "copy_stmt": _copy,
    "create_domain_stmt": _create_domain,
    "create_function_stmt": code.create_function,
    "create_foreign_table_stmt": _create_foreign_table,
    "create_policy_stmt": _create_policy,
    "create_publication_stmt": _publication,
    "create_stats_stmt": _statistics,
    "create_stmt": _create_table,
    "create_table_as_stmt": _create_table_as,
    "create_table_space_stmt": _just("create-database"),
    "create_trig_stmt": _trigger,
    "createdb_stmt": _just("create-database"),
    "delete_stmt": writes.delete,
    "do_stmt": code.do,
    "drop_stmt": _drop,
    "drop_table_space_stmt": _just("create-database"),
    "dropdb_stmt": _just("create-database"),
    "explain_stmt": _explain,
    "grant_role_stmt": roles.grant_role,
    "grant_stmt": roles.grant,
    "index_stmt": _index,
    "insert_stmt": writes.insert,
    "lock_stmt": _lock,
    "merge_stmt": writes.merge,
    "refresh_mat_view_stmt": _refresh,
    "reindex_stmt": _reindex,
    "rename_stmt": _rename,
    "rule_stmt": _on_table("create-rule", name="rulename"),
    "select_stmt": writes.select,
    "transaction_stmt": _transaction,
    "truncate_stmt": _truncate,
    "update_stmt": writes.update,
    "vacuum_stmt": _vacuum,
    "variable_set_stmt": _set,
    "view_stmt": _view,
}
