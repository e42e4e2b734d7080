"""Views that stand in for a table under its old name, when a column that they show goes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from safemigrate.backends.postgresql.belongings import STANDS_IN, Belongings

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor


@dataclass(frozen=True)
class StandIn:
    """Shape: owner: quoted, "" for the role that asks. grants: what follows on GRANT."""

    name: str
    query: str
    options: str
    says: str
    owner: str
    grants: Sequence[str]


class StandIns(Belongings):
    def _stand_ins(self, table: str, column: str) -> list[StandIn]:
        rows = self._ask(
            """
            SELECT CASE WHEN pg_table_is_visible(c.oid) THEN c.relname::text
                        ELSE n.nspname || '"."' || c.relname END,
                   pg_get_viewdef(c.oid), coalesce(array_to_string(c.reloptions, ', '), ''),
                   obj_description(c.oid, 'pg_class'),
                   CASE WHEN pg_get_userbyid(c.relowner) = current_user THEN ''
                        ELSE quote_ident(pg_get_userbyid(c.relowner)) END,
                   ARRAY(SELECT format('%%s%%s ON %%s TO %%s%%s', g.privilege_type, g.shown,
                                       c.oid::regclass, coalesce(quote_ident(r.rolname), 'PUBLIC'),
                                       CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' END)
                         FROM (SELECT t.*, '' AS shown FROM aclexplode(c.relacl) t
                               UNION ALL
                               SELECT t.*, format(' (%%I)', v.attname)
                               FROM pg_attribute v, aclexplode(v.attacl) t
                               WHERE v.attrelid = c.oid) g
                         LEFT JOIN pg_roles r ON r.oid = g.grantee
                         WHERE g.grantee <> c.relowner)
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE starts_with(obj_description(c.oid, 'pg_class'), %s) AND c.oid IN (
                SELECT w.ev_class FROM pg_attribute a
                JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass
                    AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum
                    AND d.classid = 'pg_rewrite'::regclass
                JOIN pg_rewrite w ON w.oid = d.objid
                WHERE a.attrelid = to_regclass(%s) AND a.attname = %s)
            ORDER BY 1
            """,
            [STANDS_IN, self._quote(table), self._bare(column)],
        )
        return [StandIn(*row) for row in rows]

    def _show_instead(
        self, editor: BaseDatabaseSchemaEditor, view: StandIn, gone: str, stays: str
    ) -> None:
        """``gone``: a column of ours beside ``stays``, of another type, so no OR REPLACE."""
        name, column = self._quote(view.name), self._quote(stays)
        query = re.sub(rf'(?<![\w"])"?{re.escape(gone)}"?(?![\w"])', lambda _: column, view.query)
        options = f" WITH ({view.options})" if view.options else ""
        editor.execute(f"DROP VIEW {name}", params=None)
        editor.execute(f"CREATE VIEW {name}{options} AS {query}", params=None)
        says = editor.quote_value(view.says)
        editor.execute(f"COMMENT ON VIEW {name} IS {says}", params=None)
        for grant in view.grants:
            editor.execute(f"GRANT {grant}", params=None)
        if view.owner:
            editor.execute(f"ALTER VIEW {name} OWNER TO {view.owner}", params=None)
