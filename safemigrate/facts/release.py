"""What a release is called, and how a database session tells which release it belongs to."""

from __future__ import annotations

import re
from collections.abc import Mapping

from safemigrate.facts.errors import WrongSettings

PLATFORM_VARIABLES = (
    "HEROKU_SLUG_COMMIT",
    "HEROKU_BUILD_COMMIT",
    "RENDER_GIT_COMMIT",
    "K_REVISION",
    "RAILWAY_GIT_COMMIT_SHA",
    "CONTAINER_APP_REVISION",
    "GAE_VERSION",
    "SOURCE_VERSION",
)
"""Set by hosting platforms to the commit or revision that is running, in the order asked."""

MAX_RELEASE_CHARS = 48
"""PostgreSQL keeps 63 bytes of application_name; this leaves room for the user's own name."""

_APPLICATION_NAME_BYTES = 63
_MARK = "release="
_FORM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+:/-]*")
_LABEL = re.compile(rf"(?:^| ){_MARK}([A-Za-z0-9][A-Za-z0-9._+:/-]*)$")


def check_release(name: str, source: str) -> str:
    """Return ``name`` if it can be carried by a session, else raise WrongSettings."""
    if len(name) > MAX_RELEASE_CHARS:
        raise WrongSettings(
            f"The release from {source} has {len(name)} characters ({name[:24]}...); "
            f"at most {MAX_RELEASE_CHARS} fit into PostgreSQL's application_name.",
            do="Use a shorter one, such as the commit or the tag alone.",
        )
    if not _FORM.fullmatch(name):
        raise WrongSettings(
            f"The release from {source} is {name!r}; letters, digits and . _ + : / - are allowed.",
            do="Use the commit or the image's tag.",
        )
    return name


def release_from(setting: str, environ: Mapping[str, str]) -> str:
    """The name of the running release: the setting, else the platform's variable, else ``""``."""
    if setting:
        return check_release(setting, 'SAFEMIGRATE["RELEASE"]')
    for variable in PLATFORM_VARIABLES:
        if value := environ.get(variable, "").strip():
            return check_release(value[:MAX_RELEASE_CHARS], f"the environment variable {variable}")
    return ""


def label(application_name: str, release: str) -> str:
    """``application_name`` with the release appended, short enough to arrive whole."""
    own = _LABEL.sub("", application_name).encode("ascii", "replace").decode()
    mark = f"{_MARK}{release}"
    room = _APPLICATION_NAME_BYTES - len(mark) - 1
    return f"{own[:room]} {mark}" if own else mark


def release_of(application_name: str) -> str:
    """The release that a session's ``application_name`` carries, or ``""``."""
    found = _LABEL.search(application_name)
    return found[1] if found else ""
