"""
A table under its new name, and a view under the old one for code that knows no other.

The view is simple, so PostgreSQL itself passes INSERT (with RETURNING, ON CONFLICT, identity and
defaults), UPDATE, DELETE and SELECT FOR UPDATE on to the table.
Source: https://www.postgresql.org/docs/current/sql-createview.html#SQL-CREATEVIEW-UPDATABLE-VIEWS
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db.backends.utils import split_identifier

from safemigrate.backends.moving import Move
from safemigrate.backends.names import PREFIX
from safemigrate.backends.postgresql.belongings import STANDS_IN, Belongings
from safemigrate.backends.postgresql.printed import Part
from safemigrate.backends.statements import standard_names
from safemigrate.facts.errors import UnsupportedDatabase, WrongOperation
from safemigrate.facts.locks import TableLock

if TYPE_CHECKING:
    from django.db.backends.base.features import BaseDatabaseFeatures
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.models import Model

NOT_GROUPABLE = frozenset(
    ("json", "xml", "point", "line", "lseg", "box", "path", "polygon", "circle")
)
TABLES = ("r", "p")
VIEW = "v"


def _only_if_needed(features: BaseDatabaseFeatures, model: type[Model]) -> bool:
    """For ``allows_group_by_selected_pks_on_model``: True where there is no other way."""
    return bool(model._meta.managed) and any(
        (field.db_type(features.connection) or "").lower() in NOT_GROUPABLE
        for field in model._meta.concrete_fields
    )


def _is_to_be_done(move: Move) -> bool:
    """
    Whether anything changes its name.

    Raises: WrongOperation for names that Django takes as they stand, in quotes.
    """
    if not move.is_needed:
        return False
    for table in (move.old_table, move.new_table):
        if '"' in table:
            raise WrongOperation(
                f"{table} cannot be renamed for both releases: its name is written in quotes, "
                "perhaps with a schema.",
                do="Keep the table: state its present name as db_table of the renamed model.",
            )
    return True


class Views(Belongings):
    """
    Locks: ACCESS EXCLUSIVE, had without queueing, for statements that touch the catalogue alone.

    Table and view change places in one transaction: no statement ever finds neither.
    """

    def move_table(self, editor: BaseDatabaseSchemaEditor, move: Move) -> None:
        if not _is_to_be_done(move):
            return
        if editor.collect_sql or self._kind(move.old_table) in TABLES:
            for name in move.columns if not editor.collect_sql else ():
                self.refuse_old_type(move.old_table, name)
            self._locked(editor, [TableLock(move.old_table)], partial(self._move, editor, move))
        self._rename_parts(editor, move.aside, move)

    def move_back(self, editor: BaseDatabaseSchemaEditor, move: Move) -> None:
        if not _is_to_be_done(move):
            return
        if not editor.collect_sql and self._is_ended(move):
            # By a contract that was killed, or stopped by rows, and so is not recorded.
            self.resume_move(editor, move)
        if editor.collect_sql or self.has_table(move.aside):
            self._locked(editor, [TableLock(move.aside)], partial(self._move_back, editor, move))
        self._rename_parts(editor, move.old_table, move.back)

    def end_move(self, editor: BaseDatabaseSchemaEditor, move: Move) -> None:
        if not _is_to_be_done(move):
            return
        if editor.collect_sql or self._kind(move.old_table) == VIEW:
            locks = [TableLock(move.aside)] if move.keeps_table else []
            self._locked(editor, locks, partial(self._end, editor, move))

    def resume_move(self, editor: BaseDatabaseSchemaEditor, move: Move) -> None:
        if not _is_to_be_done(move):
            return
        if editor.collect_sql or self._kind(move.old_table) != VIEW:
            locks = [TableLock(move.old_table)] if move.keeps_table else []
            self._locked(editor, locks, partial(self._resume, editor, move))

    def _is_ended(self, move: Move) -> bool:
        """Whether the table has its name again, and the new columns."""
        if not move.keeps_table or self.has_table(move.aside):
            return False
        return all(self.has_column(move.old_table, new) for new in move.columns.values())

    def _move(self, editor: BaseDatabaseSchemaEditor, move: Move) -> None:
        # What the models do not know stays readable: a column whose removal is still held back.
        # One that is beside another of ours nobody reads, and it goes before the view may.
        columns = [c for c in self._columns_of(editor, move) if not c.startswith(PREFIX)]
        for name in move.columns:
            self._rename_column(editor, move.old_table, name, move.columns[name])
        self._rename_table(editor, move.old_table, move.aside)
        self._stand_in(editor, move, [move.columns.get(name, name) for name in columns])

    def _move_back(self, editor: BaseDatabaseSchemaEditor, move: Move) -> None:
        self._drop_view(editor, move.old_table)
        for name in move.columns:
            self._rename_column(editor, move.aside, move.columns[name], name)
        self._rename_table(editor, move.aside, move.old_table)

    def _end(self, editor: BaseDatabaseSchemaEditor, move: Move) -> None:
        self._drop_view(editor, move.old_table)
        if move.keeps_table:
            self._rename_table(editor, move.aside, move.new_table)

    def _resume(self, editor: BaseDatabaseSchemaEditor, move: Move) -> None:
        # One that came with the new name goes on the way back, where no view may hang on it.
        columns: Sequence[str] = [
            name for name in self._columns_of(editor, move.back) if name not in move.unknown
        ]
        if move.keeps_table:
            self._rename_table(editor, move.old_table, move.aside)
        elif not editor.collect_sql:
            move, columns = self._for_older_code(move, columns)
        self._stand_in(editor, move, columns)

    def _for_older_code(self, move: Move, columns: Sequence[str]) -> tuple[Move, Sequence[str]]:
        """Of two columns that are one, that which contracts undone before have made again."""
        known, twins = move.back.known, self._twins(move.new_table)
        again = {c: twin for c in known for twin in twins.get(c, ()) if twin not in known}
        set_aside = {c: twin for c, twin in again.items() if twin.startswith(PREFIX)}
        older = replace(move, columns={**move.columns, **set_aside})
        return older, [name for name in columns if name not in again]

    def _rename_table(self, editor: BaseDatabaseSchemaEditor, old: str, new: str) -> None:
        _, bare = split_identifier(new)
        editor.execute(f"ALTER TABLE {self._quote(old)} RENAME TO {self._quote(bare)}", params=None)
        if editor.collect_sql:
            self._printed.rename_table(old, new)
        for statement in editor.deferred_sql:
            if hasattr(statement, "rename_table_references"):
                statement.rename_table_references(old, new)

    def _rename_column(
        self, editor: BaseDatabaseSchemaEditor, table: str, old: str, new: str
    ) -> None:
        change = f"RENAME COLUMN {self._quote(old)} TO {self._quote(new)}"
        editor.execute(f"ALTER TABLE {self._quote(table)} {change}", params=None)
        if editor.collect_sql:
            self._printed.rename_column(table, old, new)
        for statement in editor.deferred_sql:
            if hasattr(statement, "rename_column_references"):
                statement.rename_column_references(table, old, new)

    def _drop_view(self, editor: BaseDatabaseSchemaEditor, name: str) -> None:
        editor.execute(f"DROP VIEW IF EXISTS {self._quote(name)}", params=None)

    # The view ------------------------------------------------------------------------------

    def _stand_in(
        self, editor: BaseDatabaseSchemaEditor, move: Move, columns: Sequence[str]
    ) -> None:
        view = self._quote(move.old_table)
        # With the rights and the row security of whoever asks, as on the table itself.
        options = "" if self._is_14(move) else " WITH (security_invoker = true)"
        editor.execute(
            f"CREATE VIEW {view}{options} AS SELECT {', '.join(self._selected(move, columns))} "
            f"FROM {self._quote(move.aside)}",
            params=None,
        )
        said = f"{STANDS_IN}{move.aside} that the release before knows"
        editor.execute(f"COMMENT ON VIEW {view} IS {editor.quote_value(said)}", params=None)
        for grant in self._grants(editor, move, columns):
            editor.execute(grant, params=None)

    def _selected(self, move: Move, columns: Sequence[str]) -> Iterator[str]:
        olds = move.back.columns
        for name in columns:
            if move.keeps_table or name not in olds:
                yield self._quote(name)
            if name in olds:
                yield f"{self._quote(name)} AS {self._quote(olds[name])}"

    def _columns_of(self, editor: BaseDatabaseSchemaEditor, move: Move) -> Sequence[str]:
        there = self._printed.catalogued(move.old_table)
        rows = self._ask(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass(%s) "
            "AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            [self._quote(there)],
        )
        if editor.collect_sql and not rows:
            return move.known
        found = [self._printed.column(there, name) for (name,) in rows]
        if editor.collect_sql:  # some came in the same file
            found += [name for name in move.known if self._bare(name) not in found]
        return found

    def _is_14(self, move: Move) -> bool:
        is_14 = self.connection.get_database_version() < (15,)
        protected = "SELECT 1 FROM pg_class WHERE oid = to_regclass(%s) AND relrowsecurity"
        if is_14 and self._ask(protected, [self._regclass(move.aside)]):
            raise UnsupportedDatabase(
                f"{move.old_table} has row level security, which a view obeys for its owner only "
                "on a server older than PostgreSQL 15: old code would see every row.",
                do=f'Keep the table: db_table = "{move.old_table}"; or upgrade the server first.',
            )
        return is_14

    def _grants(
        self, editor: BaseDatabaseSchemaEditor, move: Move, columns: Sequence[str]
    ) -> Iterator[str]:
        """Its owner, and what roles may do with the table; nothing of it comes by itself."""
        printed = self._printed
        there = printed.catalogued(move.aside)
        view, table = self._quote(move.old_table), self._quote(there)
        owned = self._ask(
            "SELECT pg_get_userbyid(relowner)::text, "
            "pg_get_userbyid(relowner) = current_user FROM pg_class WHERE oid = to_regclass(%s)",
            [table],
        )
        if not owned:
            self._left_open(editor, f"the owner of {move.old_table}, and who may use it.")
            return
        ((owner, own),) = owned
        rows = self._ask(
            """
            SELECT g.privilege_type, r.rolname::text, g.is_grantable, NULL
            FROM pg_class c, aclexplode(c.relacl) g LEFT JOIN pg_roles r ON r.oid = g.grantee
            WHERE c.oid = to_regclass(%(table)s) AND g.grantee <> c.relowner
              AND g.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
            UNION ALL
            SELECT g.privilege_type, r.rolname::text, g.is_grantable, a.attname::text
            FROM pg_attribute a, aclexplode(a.attacl) g LEFT JOIN pg_roles r ON r.oid = g.grantee
            WHERE a.attrelid = to_regclass(%(table)s) AND NOT a.attisdropped
              AND g.privilege_type IN ('SELECT', 'INSERT', 'UPDATE')
            """,
            {"table": table},
        )
        olds = move.back.columns
        for privilege, role, grantable, found in rows:
            column = found and printed.column(there, found)
            if column and column not in columns:
                continue
            names = [column, olds.get(column)] if move.keeps_table else [olds.get(column, column)]
            of = f" ({', '.join(self._quote(n) for n in names if n)})" if column else ""
            to = self._quote(role) if role else "PUBLIC"
            more = " WITH GRANT OPTION" if grantable else ""
            yield f"GRANT {privilege}{of} ON {view} TO {to}{more}"
        if not own:
            yield f"ALTER VIEW {view} OWNER TO {self._quote(owner)}"

    def expect_stand_ins(self) -> None:
        """
        Group by all selected columns, not by the primary key alone.

        That a table's columns follow from its primary key is known of tables, not of views; of a
        table the planner leaves out the needless columns again, so the plan is the same.
        Source: remove_useless_groupby_columns() in src/backend/optimizer/plan/planner.c
        """
        features: Any = type(self.connection.features)
        features.allows_group_by_selected_pks_on_model = _only_if_needed

    def _kind(self, name: str) -> str | None:
        rows = self._ask(
            "SELECT relkind::text FROM pg_class WHERE oid = to_regclass(%s)", [self._regclass(name)]
        )
        return rows[0][0] if rows else None

    # The names of what hangs on the table ---------------------------------------------------

    def _rename_parts(self, editor: BaseDatabaseSchemaEditor, table: str, move: Move) -> None:
        """
        Indexes, constraints and sequences that Django or the server named by the old names.

        ``table``: what it is called at this moment. Names that somebody chose stay.
        """
        own: list[Callable[[], None]] = []
        for part in self._parts_now(editor, table):
            name = self._name_after(editor, table, part, move)
            if name is None:
                continue
            rename = partial(self._rename_part, editor, part, name)
            if part.of_another:
                self._locked(editor, [TableLock(part.table)], rename)
            else:
                own.append(rename)
        if own:
            self._locked(editor, [TableLock(table)], lambda: _each(own))

    def _parts_now(self, editor: BaseDatabaseSchemaEditor, table: str) -> list[Part]:
        """What hangs on the table, under the names that it has by now."""
        printed = self._printed
        there = printed.catalogued(table)
        if editor.collect_sql and self._kind(table) not in TABLES:
            said = f"which indexes, constraints and sequences of {table} get other names."
            self._left_open(editor, said)
            return []
        parts = self._parts(there)
        if editor.collect_sql:
            parts += printed.made_of(there, self._schema_of(table))
            parts = [part for part in parts if not self._is_dropped(editor, part)]
        return [
            replace(
                part,
                table=printed.table(part.table),
                name=printed.name(part.name),
                columns=[printed.column(part.table, column) for column in part.columns],
                target=part.target and printed.table(part.target),
                target_columns=[
                    printed.column(part.target or "", column)
                    for column in part.target_columns or []
                ],
            )
            for part in parts
        ]

    def _name_after(
        self, editor: BaseDatabaseSchemaEditor, table: str, part: Part, move: Move
    ) -> str | None:
        """The name as it would be from scratch; None if it is that, or was somebody's choice."""
        olds = move.back.columns

        def names(of: str, column: Callable[[str], str]) -> list[str]:
            child = part.table if part.of_another else of
            columns = part.columns if part.of_another else [column(c) for c in part.columns]
            target, targets = part.target, part.target_columns or []
            if target == table:
                target, targets = of, [column(c) for c in targets]
            return standard_names(editor, child, columns, target, targets)

        before = names(move.old_table, lambda name: olds.get(name, name))
        after = names(move.new_table, lambda name: name)
        found = dict(zip(before, after, strict=True)).get(part.name)
        if found is None or found == part.name:
            return None
        given_up = found in self._printed.names
        if part.kind != "CONSTRAINT" and not given_up and self._is_taken(part.schema, found):
            return None
        return found

    def _rename_part(self, editor: BaseDatabaseSchemaEditor, part: Part, name: str) -> None:
        editor.execute(self._renaming(part, name), params=None)
        if editor.collect_sql:
            self._printed.rename(part.name, name)

    def _is_dropped(self, editor: BaseDatabaseSchemaEditor, part: Part) -> bool:
        """Whether that is printed already: of the part, or of a column of it."""
        alter = f"ALTER TABLE {self._quote(part.table)} DROP"
        where = self._beside(editor, part.table, part.name)
        ways = [
            f"{alter} CONSTRAINT {self._quote(part.name)}",
            f"DROP INDEX {where}",
            f"DROP INDEX CONCURRENTLY IF EXISTS {where}",
            *(f"{alter} COLUMN {self._quote(column)}" for column in part.columns),
        ]
        return any(self._is_printed(editor, words) for words in ways)

    def _renaming(self, part: Part, name: str) -> str:
        if part.kind == "CONSTRAINT":
            which = f"RENAME CONSTRAINT {self._quote(part.name)}"
            return f"ALTER TABLE {self._quote(part.table)} {which} TO {self._quote(name)}"
        which = f"{self._quote(part.schema)}.{self._quote(part.name)}"
        return f"ALTER {part.kind} {which} RENAME TO {self._quote(name)}"

    def _is_taken(self, schema: str, name: str) -> bool:
        query = "SELECT 1 FROM pg_class WHERE relnamespace = %s::regnamespace AND relname = %s"
        return bool(self._ask(query, [self._quote(schema), name]))

    def _parts(self, table: str) -> list[Part]:
        columns = """ARRAY(
            SELECT a.attname::text FROM unnest({numbers}) WITH ORDINALITY k (n, place)
            JOIN pg_attribute a ON a.attrelid = {of} AND a.attnum = k.n ORDER BY place)"""
        name = """(
            SELECT CASE WHEN pg_table_is_visible(r.oid) THEN r.relname::text
                        ELSE n.nspname || '"."' || r.relname END
            FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace WHERE r.oid = {of})"""
        rows = self._ask(
            f"""
            SELECT 'INDEX', c.relnamespace::regnamespace::text, %(table)s, c.relname::text,
                   {columns.format(numbers="i.indkey", of="i.indrelid")}, NULL, NULL, false
            FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
            WHERE i.indrelid = to_regclass(%(quoted)s)
            UNION ALL
            SELECT 'CONSTRAINT', '', {name.format(of="o.conrelid")}, o.conname::text,
                   {columns.format(numbers="o.conkey", of="o.conrelid")},
                   {name.format(of="o.confrelid")},
                   {columns.format(numbers="o.confkey", of="o.confrelid")},
                   o.conrelid <> to_regclass(%(quoted)s)
            FROM pg_constraint o
            WHERE o.contype IN ('c', 'f') AND o.conparentid = 0
              AND to_regclass(%(quoted)s) IN (o.conrelid, o.confrelid)
            UNION ALL
            SELECT 'SEQUENCE', s.relnamespace::regnamespace::text, %(table)s, s.relname::text,
                   ARRAY[a.attname::text], NULL, NULL, false
            FROM pg_class s
            JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid
             AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
            JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
            WHERE s.relkind = 'S' AND d.refobjid = to_regclass(%(quoted)s)
            ORDER BY 1, 3, 4
            """,
            {"table": table, "quoted": self._quote(table)},
        )
        return [Part(*row) for row in rows]


def _each(works: Sequence[Callable[[], None]]) -> None:
    for work in works:
        work()
