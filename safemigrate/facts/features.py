"""
What a statement may say only since a certain version of PostgreSQL.

Whole statements that came later are in ``statements.py``. tests/facts/test_features.py runs a
sample of each on the servers at hand: one that is older must refuse it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from safemigrate.facts.grammar import Node, Statement, numbers, parts, walk, words


@dataclass(frozen=True)
class Feature:
    """
    ``words``: as people say it. ``since``: the first version that has it. ``function``: if it is
    one, which may be there before that under the same name.
    """

    words: str
    since: int
    function: str = ""


NOT_VALID_PARTED = Feature("NOT VALID foreign key of a partitioned table", 18)
_SAID = {
    "nulls_not_distinct": Feature("NULLS NOT DISTINCT", 15),
    "fk_del_set_cols": Feature("ON DELETE SET NULL (columns)", 15),
    "storage_name": Feature("STORAGE in a column definition", 16),
    "json_is_predicate": Feature("IS JSON", 16),
    "json_object_constructor": Feature("JSON_OBJECT(key: value)", 16),
    "json_array_constructor": Feature("JSON_ARRAY()", 16),
    "json_array_query_constructor": Feature("JSON_ARRAY(SELECT ...)", 16),
    "json_object_agg": Feature("JSON_OBJECTAGG()", 16),
    "json_array_agg": Feature("JSON_ARRAYAGG()", 16),
    "json_table": Feature("JSON_TABLE()", 17),
    "json_func_expr": Feature("JSON_VALUE(), JSON_QUERY(), JSON_EXISTS()", 17),
    "json_scalar_expr": Feature("JSON_SCALAR()", 17),
    "json_serialize_expr": Feature("JSON_SERIALIZE()", 17),
    "merge_support_func": Feature("MERGE_ACTION()", 17),
    "without_overlaps": Feature("WITHOUT OVERLAPS", 18),
    "fk_with_period": Feature("FOREIGN KEY (..., PERIOD ...)", 18),
    "alter_enforceability": Feature("ALTER CONSTRAINT ... ENFORCED", 18),
    "alter_inheritability": Feature("ALTER CONSTRAINT ... INHERIT", 18),
    "returning_option": Feature("RETURNING WITH", 18),
}
"""By the name that the grammar gives it; it is there only where it is said."""

_WITH_VALUE = {
    ("generated_kind", "v"): Feature("GENERATED ... VIRTUAL", 18),
    ("match_kind", "MERGE_WHEN_NOT_MATCHED_BY_SOURCE"): Feature("NOT MATCHED BY SOURCE", 17),
    ("pubobjtype", "PUBLICATIONOBJ_TABLES_IN_SCHEMA"): Feature("FOR TABLES IN SCHEMA", 15),
    ("objtype", "OBJECT_PARAMETER_ACL"): Feature("privileges ON PARAMETER", 15),
    ("priv_name", "maintain"): Feature("MAINTAIN as a privilege", 17),
}
_OPTIONS = {
    "copy_stmt": {
        "default": Feature("COPY ... DEFAULT", 16),
        "on_error": Feature("COPY ... ON_ERROR", 17),
        "log_verbosity": Feature("COPY ... LOG_VERBOSITY", 17),
        "reject_limit": Feature("COPY ... REJECT_LIMIT", 18),
    },
    "explain_stmt": {
        "generic_plan": Feature("EXPLAIN (GENERIC_PLAN)", 16),
        "memory": Feature("EXPLAIN (MEMORY)", 17),
        "serialize": Feature("EXPLAIN (SERIALIZE)", 17),
    },
    "vacuum_stmt": {
        "skip_database_stats": Feature("VACUUM (SKIP_DATABASE_STATS)", 16),
        "only_database_stats": Feature("VACUUM (ONLY_DATABASE_STATS)", 16),
        "process_main": Feature("VACUUM (PROCESS_MAIN)", 16),
        "buffer_usage_limit": Feature("BUFFER_USAGE_LIMIT", 16),
    },
    "grant_role_stmt": {
        "inherit": Feature("GRANT ... WITH INHERIT", 16),
        "set": Feature("GRANT ... WITH SET", 16),
    },
    "view_stmt": {"security_invoker": Feature("security_invoker of a view", 15)},
    "alter_table_stmt": {
        "security_invoker": Feature("security_invoker of a view", 15),
        "autovacuum_vacuum_max_threshold": Feature("autovacuum_vacuum_max_threshold", 18),
    },
    "define_stmt": {"rules": Feature("RULES of a collation", 16)},
    "create_publication_stmt": {
        "publish_generated_columns": Feature("publish_generated_columns", 18),
    },
}
"""By the kind of statement and the name of what stands in brackets."""

_NOT_ENFORCED = Feature("NOT ENFORCED", 18)
_TABLE_NOT_NULL = Feature("NOT NULL as a constraint of the table", 18)
_PUBLISHED = Feature("FOR TABLE ... WHERE or (columns)", 15)
_MERGE_RETURNING = Feature("MERGE ... RETURNING", 17)
_UNIQUE_KEYS = Feature("JSON(... WITH UNIQUE KEYS)", 17)  # without it, an old cast
_OLD_NEW = Feature("RETURNING old or new", 18)
_NO_ALIAS = Feature("a subquery in FROM without a name", 16)
_HEADER_MATCH = Feature("COPY ... HEADER MATCH", 15)
_ALL_COLUMNS = Feature("COPY ... FORCE_NULL *", 17)
_STATISTICS = Feature("CREATE STATISTICS without a name", 16)
_REINDEX = Feature("REINDEX DATABASE or SYSTEM without a name", 16)
_STATISTICS_DEFAULT = Feature("SET STATISTICS DEFAULT", 17)
_ACCESS_METHOD_DEFAULT = Feature("SET ACCESS METHOD DEFAULT", 17)
_ONLY = Feature("VACUUM or ANALYZE ONLY", 18)
_LARGE_OBJECTS = Feature("default privileges ON LARGE OBJECTS", 18)
BUILTIN = Feature("the collation provider builtin", 17)
_FOREIGN_LIKE = Feature("CREATE FOREIGN TABLE ... LIKE", 18)
_NUMBER = Feature("number like 0x1F or 1_000", 16)

# "regexp_replace/5": with that many arguments.
_NEW_FUNCTIONS = {
    15: """
        has_parameter_privilege pg_backup_start pg_backup_stop pg_settings_get_flags
        pg_stat_force_next_flush pg_stat_have_stats regexp_count regexp_instr regexp_like
        regexp_replace/5 regexp_replace/6 regexp_substr
    """,
    16: """
        any_value array_sample array_shuffle date_add date_subtract erf erfc generate_series/4
        json_agg_strict json_object_agg_strict json_object_agg_unique json_object_agg_unique_strict
        jsonb_agg_strict jsonb_object_agg_strict jsonb_object_agg_unique
        jsonb_object_agg_unique_strict pg_input_error_info pg_input_is_valid
        pg_log_standby_snapshot pg_split_walfile_name pg_stat_get_io random_normal
    """,
    17: """
        icu_unicode_version jsonb_populate_record_valid pg_basetype pg_column_toast_chunk_id
        pg_get_wait_events pg_sync_replication_slots random/2 timezone/1 to_bin to_oct to_regtypemod
        unicode_assigned unicode_version uuid_extract_timestamp uuid_extract_version xmltext
    """,
    18: """
        array_reverse array_sort casefold crc32 crc32c gamma has_largeobject_privilege
        json_strip_nulls/2 jsonb_strip_nulls/2 lgamma pg_get_acl pg_get_loaded_modules
        pg_numa_available pg_restore_attribute_stats pg_restore_relation_stats
        pg_clear_attribute_stats pg_clear_relation_stats uuidv4 uuidv7
    """,
}
FUNCTIONS = {name: since for since, names in _NEW_FUNCTIONS.items() for name in names.split()}

_NEW_SETTINGS = {
    15: "recursive_worktable_factor stats_fetch_consistency log_startup_progress_interval",
    16: """
        createrole_self_grant debug_parallel_query enable_presorted_aggregate icu_validation_level
        scram_iterations vacuum_buffer_usage_limit
    """,
    17: "enable_group_by_reordering event_triggers io_combine_limit transaction_timeout",
    18: """
        enable_distinct_reordering enable_self_join_elimination file_copy_method log_lock_failures
        track_cost_delay_timing vacuum_truncate vacuum_max_eager_freeze_failure_rate
    """,
}
SETTINGS = {name: since for since, names in _NEW_SETTINGS.items() for name in names.split()}

ROLES = {
    "pg_checkpoint": 15,
    "pg_create_subscription": 16,
    "pg_use_reserved_connections": 16,
    "pg_maintain": 17,
    "pg_signal_autovacuum_worker": 18,
}


_LIKE_A_NEW_NUMBER = re.compile(r"0[xob]|\d_\d", re.IGNORECASE)


def features(statement: Statement) -> Iterator[Feature]:
    """Everything in a statement that the oldest version does not have."""
    kind, node = statement.kind, statement.node
    yield from _of_statement(kind, node)
    # The whole text is cut into words only where one of them may be such a number.
    maybe = _LIKE_A_NEW_NUMBER.search(statement.text)
    if maybe and any(map(_LIKE_A_NEW_NUMBER.search, numbers(statement.text))):
        yield _NUMBER
    options = _OPTIONS.get(kind, {})
    for name, value in walk(node):
        if found := _SAID.get(name):
            yield found
        elif isinstance(value, str):
            if found := _WITH_VALUE.get((name, value)):
                yield found
            elif name in ("priv_name", "rolename") and value in ROLES:
                yield Feature(f"the role {value}", ROLES[value])
        elif name == "constraint":
            yield from _of_constraint(value)
        elif name == "pubtable" and {"where_clause", "columns"} & set(value):
            yield _PUBLISHED
        elif name == "func_call":
            yield from _of_function(value)
        elif name == "def_elem" and (found := options.get(str(value.get("defname")))):
            yield found
        elif name in ("variable_set_stmt", "setstmt"):
            yield from _of_setting(value.get("name"))
        elif name == "json_parse_expr" and "unique_keys" in value:
            yield _UNIQUE_KEYS
        elif name == "range_subselect" and "alias" not in value:
            yield _NO_ALIAS
        elif name == "returning_clause" and kind != "rule_stmt":
            yield from _of_returning(node, value)


def _of_statement(kind: str, node: Node) -> Iterator[Feature]:
    """What a statement as a whole says, or leaves out."""
    told = {
        "merge_stmt": ("returning_clause" in node, _MERGE_RETURNING),
        "create_stats_stmt": ("defnames" not in node, _STATISTICS),
        "reindex_stmt": ("relation" not in node and "name" not in node, _REINDEX),
        "create_foreign_table_stmt": ("table_like_clause" in dict(walk(node)), _FOREIGN_LIKE),
    }
    said, feature = told.get(kind, (False, None))
    if said and feature:
        yield feature
    if kind == "variable_set_stmt":
        yield from _of_setting(node.get("name"))
    elif kind == "vacuum_stmt" and any(not one.get("inh") for one in parts(node, "relation")):
        yield _ONLY
    elif kind == "alter_default_privileges_stmt":
        if node.get("action", {}).get("objtype") == "OBJECT_LARGEOBJECT":
            yield _LARGE_OBJECTS
    elif kind == "alter_table_stmt":
        yield from _of_actions(node)
    elif kind in ("copy_stmt", "define_stmt"):
        yield from _of_options(node)


def _of_actions(node: Node) -> Iterator[Feature]:
    for command in parts(node.get("cmds"), "alter_table_cmd"):
        if command.get("subtype") == "AT_SetStatistics" and "def" not in command:
            yield _STATISTICS_DEFAULT
        if command.get("subtype") == "AT_SetAccessMethod" and "name" not in command:
            yield _ACCESS_METHOD_DEFAULT


def _of_options(node: Node) -> Iterator[Feature]:
    for option in parts(node, "def_elem"):
        name, value = option.get("defname"), option.get("arg", {})
        if name == "header" and value.get("string", {}).get("sval", "").lower() == "match":
            yield _HEADER_MATCH
        elif name in ("force_null", "force_not_null") and "a_star" in value:
            yield _ALL_COLUMNS
        elif name == "provider" and words(value.get("type_name", {}).get("names", [])) == "builtin":
            yield BUILTIN


def _of_constraint(constraint: Node) -> Iterator[Feature]:
    kind = constraint.get("contype")
    if kind in ("CONSTR_CHECK", "CONSTR_FOREIGN") and "is_enforced" not in constraint:
        yield _NOT_ENFORCED
    if kind == "CONSTR_ATTR_NOT_ENFORCED":  # in a column definition
        yield _NOT_ENFORCED
    if kind == "CONSTR_NOTNULL" and "keys" in constraint:
        yield _TABLE_NOT_NULL


def _of_function(call: Node) -> Iterator[Feature]:
    schema, _, name = words(call.get("funcname", [])).lower().rpartition(".")
    if schema not in ("", "pg_catalog"):
        return
    arguments = call.get("args", [])
    for known in (name, f"{name}/{len(arguments)}"):
        if known in FUNCTIONS:
            yield Feature(
                f"{name}()" if known == name else f"{known} arguments", FUNCTIONS[known], name
            )
    if name == "set_config":
        for value in parts(arguments[:1], "sval"):
            yield from _of_setting(value) if isinstance(value, str) else ()


def _of_setting(name: Any) -> Iterator[Feature]:
    if str(name).lower() in SETTINGS:
        yield Feature(f"the setting {name}", SETTINGS[str(name).lower()])


def _of_returning(node: Node, clause: Node) -> Iterator[Feature]:
    """``old`` and ``new`` that are no names of tables."""
    tables = {one.get("relname") for _, one in walk(node) if isinstance(one, dict)}
    tables |= {one.get("aliasname") for one in parts(node, "alias")}
    for reference in parts(clause, "column_ref"):
        fields = reference.get("fields", [])
        first = fields[0].get("string", {}).get("sval") if len(fields) > 1 else ""
        if first in ("old", "new") and first not in tables:
            yield _OLD_NEW
