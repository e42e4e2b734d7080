"""
Triggers that keep two columns of a table the same while one release writes each of them.

Which side wins is decided by what changed, never by who asks: behind a pooler a session belongs
to nobody. Source: https://www.postgresql.org/docs/current/plpgsql-trigger.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safemigrate.backends.fields import column_of
from safemigrate.backends.names import LEAD, PREFIX, own_name
from safemigrate.backends.postgresql.locking import Locking
from safemigrate.backends.postgresql.types import cast, unlike
from safemigrate.facts.locks import LockMode, TableLock

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.models import Field, Model


ON_UPDATE = f"{LEAD}{PREFIX}_sync_update_"


@dataclass(frozen=True)
class Pair:
    """
    Two columns of ``table``, their names unquoted, and what each becomes in the other's type.

    ``up`` and ``down`` are SQL over ``NEW``, ``kinds`` both types. ``default``: SQL of the database
    default that the new column has while they are kept the same, a constant that the old one has
    too; NULL for none. PostgreSQL does not tell a trigger which columns an INSERT named.
    """

    table: str
    old: str
    new: str
    up: str
    down: str
    kinds: tuple[str, str]
    default: str = "NULL"

    @property
    def function(self) -> str:
        """Beside its table, whatever schema comes first when somebody connects."""
        schema, dot, _ = self.table.rpartition('"."')
        return schema.removeprefix('"') + dot + self._name("sync")

    @property
    def on_insert(self) -> str:
        return self._name("sync_insert")

    @property
    def on_update(self) -> str:
        return self._name("sync_update")

    def _name(self, kind: str) -> str:
        return own_name(kind, self.table, self.old, self.new, lead=LEAD)


class Syncing(Locking):
    """
    One function, a BEFORE INSERT and a BEFORE UPDATE trigger for each pair of columns.

    They fire only where the two columns differ and one of them was written, in replicas as well
    (ENABLE ALWAYS), and on partitions.

    Locks: SHARE ROW EXCLUSIVE for an instant; ACCESS EXCLUSIVE for an instant to end it.
    """

    def keep_in_sync(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        old: Field[Any, Any],
        new: Field[Any, Any],
    ) -> None:
        pair = self._pair(editor, model, old, new)
        if not editor.collect_sql and self._syncs(pair):
            return
        lock = TableLock(pair.table, LockMode.SHARE_ROW_EXCLUSIVE)
        self._locked(editor, [lock], lambda: self._create_sync(editor, pair))

    def stop_sync(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        old: Field[Any, Any],
        new: Field[Any, Any],
    ) -> None:
        pair = self._pair(editor, model, old, new)
        if editor.collect_sql or self._syncs(pair):
            self._locked(editor, [TableLock(pair.table)], lambda: self._drop_sync(editor, pair))

    def _pair(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        old: Field[Any, Any],
        new: Field[Any, Any],
    ) -> Pair:
        a, b = (self._quote(column_of(field)) for field in (old, new))
        was, becomes = (str(field.db_type(self.connection)) for field in (old, new))
        return Pair(
            model._meta.db_table,
            column_of(old),
            column_of(new),
            cast(f"NEW.{a}", was, becomes),
            cast(f"NEW.{b}", becomes, was),
            (was, becomes),
            self._standing_default(editor, model, new),
        )

    def _standing_default(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> str:
        """The default that the column has now; what sqlmigrate prints has the model's."""
        if not editor.collect_sql:
            found = self._column(model._meta.db_table, column_of(field))
            return found[1] or "NULL" if found else "NULL"
        if not field.has_db_default():
            return "NULL"
        sql, params = editor.db_default_sql(field)
        return self.composed(sql, params or None)

    def _create_sync(self, editor: BaseDatabaseSchemaEditor, pair: Pair) -> None:
        a, b = (f"NEW.{self._quote(column)}" for column in (pair.old, pair.new))
        was_a, was_b = (f"OLD.{self._quote(column)}" for column in (pair.old, pair.new))
        was, becomes = pair.kinds
        apart = unlike(b, pair.up, becomes)
        new_is_written = unlike(b, was_b, becomes)
        written = f"{unlike(a, was_a, was)} OR {new_is_written}"
        body = (
            "DECLARE new_wins boolean; BEGIN "
            f"IF TG_OP = 'INSERT' THEN new_wins := {unlike(b, pair.default, becomes)}; "
            f"ELSE new_wins := {new_is_written}; END IF; "
            f"IF new_wins THEN {a} := {pair.down}; ELSE {b} := {pair.up}; END IF; "
            "RETURN NEW; END"
        )
        says = f"safemigrate: keeps {pair.old} and {pair.new} of {pair.table} the same"
        function = f"{self._quote(pair.function)}()"
        editor.execute(
            f"CREATE OR REPLACE FUNCTION {function} RETURNS trigger LANGUAGE plpgsql "
            f"AS {editor.quote_value(body)}",
            params=None,
        )
        self._comment(editor, f"FUNCTION {function}", says)
        for name, event, when in (
            (pair.on_insert, "INSERT", apart),
            (pair.on_update, "UPDATE", f"({written}) AND {apart}"),
        ):
            on = f"{self._quote(name)} ON {self._quote(pair.table)}"
            editor.execute(
                f"CREATE OR REPLACE TRIGGER {self._quote(name)} BEFORE {event} "
                f"ON {self._quote(pair.table)} FOR EACH ROW WHEN ({when}) "
                f"EXECUTE FUNCTION {function}",
                params=None,
            )
            # Without it a session with session_replication_role = replica would not fire it.
            always = f"ENABLE ALWAYS TRIGGER {self._quote(name)}"
            editor.execute(f"ALTER TABLE {self._quote(pair.table)} {always}", params=None)
            self._comment(editor, f"TRIGGER {on}", says)

    def _comment(self, editor: BaseDatabaseSchemaEditor, thing: str, says: str) -> None:
        editor.execute(f"COMMENT ON {thing} IS {editor.quote_value(says)}", params=None)

    def _drop_sync(self, editor: BaseDatabaseSchemaEditor, pair: Pair) -> None:
        for name in (pair.on_insert, pair.on_update):
            on = f"{self._quote(name)} ON {self._quote(pair.table)}"
            editor.execute(f"DROP TRIGGER IF EXISTS {on}", params=None)
        editor.execute(f"DROP FUNCTION IF EXISTS {self._quote(pair.function)}()", params=None)

    def _syncs(self, pair: Pair) -> bool:
        return bool(
            self._ask(
                "SELECT 1 FROM pg_trigger WHERE tgrelid = to_regclass(%s) AND tgname = %s",
                [self._regclass(pair.table), pair.on_update],
            )
        )
