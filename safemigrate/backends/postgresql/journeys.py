"""Statements that go to the server together: while a lock is held, each journey is felt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor


class _Journey:
    """A schema editor, Django's or ours, whose statements pile up."""

    def __init__(
        self,
        editor: BaseDatabaseSchemaEditor,
        composed: Callable[[str, Sequence[Any] | None], str],
    ) -> None:
        self._editor = editor
        self._composed = composed
        self.statements: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._editor, name)

    def execute(self, sql: Any, params: Sequence[Any] | None = ()) -> None:
        self.statements.append(self._composed(str(sql), params))


@contextmanager
def in_one_journey(
    editor: BaseDatabaseSchemaEditor, composed: Callable[[str, Sequence[Any] | None], str]
) -> Iterator[BaseDatabaseSchemaEditor]:
    """
    Yield an editor whose statements are sent as one text when the block ends, if it ends well.

    What is asked of the server inside, it answers as of the beginning. sqlmigrate, which prints
    them, has them one by one.
    """
    if editor.collect_sql:
        yield editor
        return
    journey: Any = _Journey(editor, composed)
    yield journey
    if journey.statements:
        editor.execute("; ".join(journey.statements), params=None)
