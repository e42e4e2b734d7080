"""When a contract is due: decided from facts that somebody else has gathered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from safemigrate.facts.release import release_of

Key = tuple[str, str]
OWN_SESSIONS = "safemigrate"


@dataclass(frozen=True)
class Seen:
    """A session on the database, as far as the gate needs it."""

    pid: int
    application_name: str
    user: str


@dataclass(frozen=True)
class Facts:
    """
    What is known when ``migrate`` starts.

    ``releases``: oldest first, as first seen by ``migrate`` on this database; the running one
    included. ``applied_under``: migration -> release; ``""``: before the first known one.
    ``brought_by``: migration that drops something -> the release that first came with it; the
    releases before that one use what it drops. ``asked``: ``--phase`` names this phase: somebody
    says that the rollout is complete.
    """

    release: str
    releases: Sequence[str]
    applied_under: Mapping[Key, str]
    sessions: Sequence[Seen] = field(default=())
    user: str = ""
    ignored: Sequence[str] = field(default=())
    asked: bool = False
    brought_by: Mapping[Key, str] = field(default_factory=dict)

    def under(self, key: Key) -> str:
        """The release that ``key`` belongs to."""
        return self.applied_under.get(key, self.brought_by.get(key, self.release))

    def is_there(self, key: Key) -> bool:
        return key in self.applied_under or key in self.brought_by


@dataclass(frozen=True)
class Hold:
    """Why a migration waits and what would release it; ``may_pass``: waiting a little may help."""

    reason: str
    may_pass: bool = False


def why_held(completes: Sequence[Key], facts: Facts) -> Hold | None:
    """
    Why a migration that completes ``completes`` must wait, or None if it is due.

    A migration that drops something is among them itself, and ``facts.brought_by`` knows it.
    """
    if reason := _release_reason(completes, facts):
        return Hold(reason)
    if reason := _older_session(completes, facts):
        return Hold(reason, may_pass=True)
    return None


def _release_reason(completes: Sequence[Key], facts: Facts) -> str | None:
    unapplied = [key for key in completes if not facts.is_there(key)]
    if unapplied:
        return _not_an_earlier_release(unapplied[0], facts)
    if not facts.asked:
        if not facts.release:
            return (
                "no release is set, so nobody can tell whether older code is running; "
                "run migrate --phase contract when the rollout is complete"
            )
        for key in completes:
            if _age(facts.under(key), facts) >= _age(facts.release, facts):
                return _not_an_earlier_release(key, facts)
    return None


def _not_an_earlier_release(key: Key, facts: Facts) -> str:
    name = ".".join(key)
    if facts.asked:
        return f"{name} is not applied yet; run migrate first"
    if not facts.release:
        return (
            f"{name} comes first, and no release is set; "
            "run migrate --phase contract when the rollout is complete"
        )
    came = "it came" if key in facts.brought_by else f"{name} came"
    return (
        f"{came} with release {facts.under(key)}, and code of the release before may be running; "
        "the next release applies it, or migrate --phase contract when the rollout is complete"
    )


def _older_session(completes: Sequence[Key], facts: Facts) -> str | None:
    """A session that may run code from before the newest of ``completes``."""
    needed = max((_age(facts.under(key), facts) for key in completes), default=-1)
    newest = facts.releases[needed] if needed >= 0 else "the first known one"
    for session in facts.sessions:
        if session.application_name.startswith(OWN_SESSIONS):
            continue
        carried = release_of(session.application_name)
        if carried:
            if carried != facts.release and _age(carried, facts) < needed:
                known = carried in facts.releases
                older = "is older than" if known else "was never seen here, so may be older than"
                return (
                    f"process {session.pid} ({session.application_name}) still runs release "
                    f"{carried}, which {older} {newest}; wait until it has ended"
                )
        elif facts.release and session.user == facts.user and not _is_ignored(session, facts):
            name = session.application_name or "no application_name"
            return (
                f"process {session.pid} ({name}) carries no release and so may run older code; "
                'wait until it has ended, or name it in SAFEMIGRATE["IGNORE_SESSIONS"]'
            )
    return None


def _age(release: str, facts: Facts) -> int:
    """The place in the order of releases; -1 for one from before, or never seen."""
    return facts.releases.index(release) if release in facts.releases else -1


def _is_ignored(session: Seen, facts: Facts) -> bool:
    return any(session.application_name.startswith(name) for name in facts.ignored if name)
