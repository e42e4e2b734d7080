"""Where a process can die, each place that leaves another database behind once."""

from __future__ import annotations

from typing import Any

# What an application name, a batch or a probe may send without changing anything that stays: to
# die around one of these is the same as to die before the next change.
LOOKS = ("SELECT", "SET LOCAL", "SAVEPOINT", "RELEASE SAVEPOINT", "BEGIN", "PRAGMA")


def looks(sql: object) -> bool:
    return " ".join(str(sql).split()).upper().startswith(LOOKS)


class Life:
    """
    An undisturbed run, as an ``execute_wrapper``: its statements that change something.

    Shape:   blocks: for each statement the outermost ``atomic`` that it is in, or None.
    """

    def __init__(self) -> None:
        self.blocks: list[Any] = []

    def __call__(self, execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        if not looks(sql):
            open_blocks = context["connection"].atomic_blocks
            self.blocks.append(open_blocks[0] if open_blocks else None)
        return execute(sql, params, many, context)

    def deaths(self) -> list[int]:
        """
        Return before which statements to die, counted from one.

        A transaction is rolled back wherever in it the process dies, so it dies before the last
        statement of each; before every other; and to die after one is to die before the next.
        """
        following = [*self.blocks[1:], None]
        return [
            number
            for number, (block, then) in enumerate(zip(self.blocks, following, strict=True), 1)
            if block is None or block is not then
        ]
