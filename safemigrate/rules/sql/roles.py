"""Roles, and what they may do."""

from __future__ import annotations

from safemigrate.facts.grammar import Node, parts
from safemigrate.rules.sql.context import Context, name_of, table_name

# Options of a role without which a session that is to come is refused, or sees less.
_TAKEN = {"canlogin", "superuser", "bypassrls", "inherit"}
_LIMITS = {"password", "connectionlimit", "validUntil"}


def alter_role(ctx: Context, node: Node) -> None:
    role = str(node.get("role", {}).get("rolename", ""))
    options = {one["defname"]: one.get("arg", {}) for one in parts(node.get("options"), "def_elem")}
    less = any(
        name in _LIMITS or (name in _TAKEN and "boolval" not in value.get("boolean", {}))
        for name, value in options.items()
    )
    ctx.effect("alter-role" if less else "harmless", "", role, new=role in ctx.made)


# Settings of a role that change what its sessions find, or may do.
_FELT = {"default_transaction_read_only", "role", "row_security", "search_path"}
_FELT |= {"session_authorization", "session_replication_role"}


def alter_role_set(ctx: Context, node: Node) -> None:
    role = str(node.get("role", {}).get("rolename", ""))
    felt = str(node.get("setstmt", {}).get("name", "")).lower() in _FELT
    ctx.effect("alter-role" if felt else "harmless", "", role, new=role in ctx.made)


def grant_role(ctx: Context, node: Node) -> None:
    ctx.effect("harmless" if node.get("is_grant") else "revoke")


def grant(ctx: Context, node: Node) -> None:
    if node.get("is_grant"):
        ctx.effect("grant")
        return
    for relation in parts(node.get("objects"), "range_var"):
        ctx.effect("revoke", table_name(relation))
    if not next(parts(node.get("objects"), "range_var"), None):
        ctx.effect(
            "revoke", "", new=any(name_of(o) in ctx.functions for o in node.get("objects", []))
        )
