"""A row, deployed: every window of ``tests/stories/__init__.py``, one after the other."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from tests.nursery import Nursery, Process
from tests.projects import Project, Ran
from tests.stories.oracle import Oracle, Side
from tests.stories.rows import Row
from tests.stories.schema import Schema, differences, schema

FIRST_WINDOW, NUMBERS_OF_A_WINDOW = 1, 1000
PAUSES = 4  # of one migrate, in which the running release writes
SEEDS = 2  # windows of r1 alone, so that a backfill has more than a batch
GONE_S = 60


class Story:
    """
    One project, in the folders ``r1`` and ``r2``, on one database.

    Each step asserts what must hold at its end; ``check`` reads everything with all code alive.
    """

    def __init__(
        self, row: Row, folder: Path, url: str, address: dict[str, str], nursery: Nursery
    ) -> None:
        self.row, self.nursery = row, nursery
        self.apps = list(row.models("before") | row.models("after"))
        self.old_project = self._project(folder / "r1", "r1", url, address)
        self.new_project = self._project(folder / "r2", "r2", url, address)
        self._write_models(self.old_project, "before")
        self._write_models(self.new_project, "after")
        known: dict[Side, Any] = {
            "old": self._described(self.old_project, "before"),
            "new": self._described(self.new_project, "after"),
        }
        self.oracle = Oracle(row, self.apps, known)
        self.alive: dict[Side, Process] = {}
        self.doomed: dict[str, list[Any]] = {}
        self.windows = FIRST_WINDOW

    def _project(self, folder: Path, release: str, url: str, address: dict[str, str]) -> Project:
        return Project(folder, url, address, release=release, apps=[*self.apps])

    def _write_models(self, project: Project, which: str) -> None:
        if self.row.apps:
            project.setting(f"INSTALLED_APPS += {[*self.row.apps]!r}")
        for app, text in self.row.models(which).items():
            project.models(text, app=app)

    def _described(self, project: Project, which: str) -> Any:
        """From a process without a database; once for all stories of these models."""
        key = (*sorted(self.row.models(which).items()), self.row.apps)
        if key not in self.nursery.described:
            process = self.nursery.process_of(project)
            try:
                self.nursery.described[key] = process.orm("describe")
            finally:
                process.end()
        return self.nursery.described[key]

    # Commands ----------------------------------------------------------------------------------

    def manage(self, project: Project, *words: str, **how: Any) -> Ran:
        """A command that must succeed."""
        ran = self.nursery.manage(project, *words, **how)
        assert ran.code == 0, f"{' '.join(words)} exited {ran.code}:\n{ran.text}"
        return ran

    def install(self) -> None:
        """r1, on a new database."""
        self.manage(self.old_project, "makemigrations", *self.apps)
        self.manage(self.old_project, "migrate")
        if self.row.sql:
            self.old_project.sql(self.row.sql)

    def develop(self) -> Ran:
        """r2's developer has edited the models; now ``makemigrations``, and nothing else."""
        for app in self.apps:
            for name in self.old_project.migrations(app):
                file = f"{app}/migrations/{name}.py"
                shutil.copy(self.old_project.folder / file, self.new_project.folder / file)
        return self.nursery.manage(
            self.new_project,
            "makemigrations",
            renamed=self.oracle.renamed,
            typed=self.row.answers,
        )

    def written(self) -> dict[str, list[str]]:
        """What ``develop`` has written, app by app."""
        old, new = self.old_project, self.new_project
        return {
            app: [m for m in new.migrations(app) if m not in old.migrations(app)]
            for app in self.apps
        }

    def check_written(self, ran: Ran) -> bool:
        """Whether there is something to deploy; a refusal says why and writes nothing."""
        if self.row.refused:
            assert ran.code != 0, f"not refused:\n{ran.text}"
            assert self.row.refused in " ".join(ran.text.split()), ran.text
            assert not any(self.written().values()), self.written()
            return False
        assert ran.code == 0, f"makemigrations exited {ran.code}:\n{ran.text}"
        if self.row.phases is not None:
            found = [name.rpartition("_")[2] for name in self.written()["shop"]]
            assert found == self.row.phases, self.written()
        return True

    def deploy(self, release: str, meanwhile: Side | None = None) -> Ran:
        """``migrate`` at ``release``, while that code goes on wherever it can be interrupted."""
        pauses = iter(range(PAUSES))
        self.new_project.release = release

        def pause(where: str) -> None:
            if meanwhile is not None and next(pauses, None) is not None:
                self.write(meanwhile, f"{release}, {where}", little=True)

        return self.manage(self.new_project, "migrate", pause=pause)

    # Code --------------------------------------------------------------------------------------

    def start(self, side: Side) -> None:
        self.alive[side] = self.nursery.process_of(
            self.old_project if side == "old" else self.new_project
        )
        self.check("just started")

    def end(self, side: Side) -> None:
        """The last process of a release; its sessions are gone when this returns."""
        release = (self.old_project if side == "old" else self.new_project).release
        self.alive.pop(side).end()
        deadline = time.monotonic() + GONE_S
        query = "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE %s"
        while self.old_project.sql(query, [f"%release={release}"]):
            assert time.monotonic() < deadline, f"a session of {release} is left"
            time.sleep(0.01)

    def write(self, side: Side, window: str, little: bool = False) -> None:
        """That release's code does everything it does, and every release reads the result."""
        self.windows += 1
        log, self.doomed = self.alive[side].orm(
            "write",
            window=window,
            base=self.windows * NUMBERS_OF_A_WINDOW,
            doomed=self._labelled(side),
            values=self.oracle.values(side),
            limits=self.oracle.limits(side),
            code=self.row.old_code if side == "old" else self.row.new_code,
            little=little,
        )
        if side == "old":
            self.doomed = {self.oracle.label("old", k): keys for k, keys in self.doomed.items()}
        self.oracle.log(side, log)
        self.check(window)

    def _labelled(self, side: Side) -> dict[str, list[Any]]:
        if side == "new":
            return self.doomed
        back = {self.oracle.label("old", old): old for old in self.oracle.known["old"]}
        return {back.get(label, label): keys for label, keys in self.doomed.items()}

    def check(self, when: str) -> None:
        for side, process in self.alive.items():
            self.oracle.check(side, process.orm("read"), when)

    # The stories -------------------------------------------------------------------------------

    def begin(self, developed: Ran | None = None) -> bool:
        """r1 is in use and r2 is developed; False if it was refused."""
        if developed is None:
            self.install()
            developed = self.develop()
        if not self.check_written(developed):
            return False
        self.start("old")
        for seed in range(SEEDS):
            self.write("old", f"before {seed}")
        return True

    def walk(
        self,
        wanted: Schema,
        new_code_writes: bool = True,
        back: bool = True,
        developed: Ran | None = None,
    ) -> None:
        """
        Every window, to the end.

        ``new_code_writes``: not if what it writes may forbid the way back. ``back``: whether the
        way back is walked on the way. ``developed``: what ``develop`` said, if r1 was installed
        and r2 developed already.
        """
        if not self.begin(developed):
            return
        before = schema(self.old_project)
        self.manage(self.new_project, "makemigrations", "--check")
        self.deploy("r2", meanwhile="old")
        self.write("old", "expanded")
        self.start("new")
        if new_code_writes:
            self.write("new", "rolling")
        self.write("old", "rolling, old code")
        self.end("new")
        if self.row.back:
            self._is_refused_the_way_back()
        elif back:
            self._go_back(before)
        self.write("old", "code rolled back")
        self.start("new")
        self.write("new", "rolling again")
        self.end("old")
        self._finish(wanted)

    def _go_back(self, before: Schema) -> None:
        """Unapplied, and deployed again."""
        self.unapply()
        assert not (left := differences(schema(self.old_project), before)), "\n".join(left)
        self.oracle.forget_new()
        kept = {self.oracle.label("old", label) for label in self.oracle.known["old"]}
        self.doomed = {label: keys for label, keys in self.doomed.items() if label in kept}
        self.write("old", "back")
        self.deploy("r2", meanwhile="old")

    def _finish(self, wanted: Schema) -> None:
        """r3's deploy, with r2's code at work; then the schema is what Django makes."""
        told = self.deploy("r3", meanwhile="new")
        assert "Held back" not in told.out, told.out
        self.write("new", "contracted")
        self.manage(self.new_project, "migrate", "--check")
        assert not (left := differences(schema(self.new_project), wanted)), "\n".join(left)
        if self.row.check:
            self.row.check(self)

    def unapply(self) -> None:
        for app in reversed(self.apps):
            names = self.old_project.migrations(app)
            if self.written()[app]:
                self.manage(self.new_project, "migrate", app, names[-1] if names else "zero")

    def _is_refused_the_way_back(self) -> None:
        target = self.old_project.migrations()[-1]
        ran = self.nursery.manage(self.new_project, "migrate", "shop", target)
        assert ran.code == 1, ran.text
        assert self.row.back in " ".join(ran.text.split()), ran.text
        self.check("the way back was refused")
        self.deploy("r2", meanwhile="old")  # what was undone before it met the rows
