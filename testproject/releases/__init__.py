"""
The releases of the shop. Each folder holds only what that release changed.

``shop`` has no ``__init__.py``: Python then looks for each of its modules in every layer, the
newest release first.
"""

import shutil
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAMES = ("r1", "r2", "r3")


def layers(release: str) -> list[Path]:
    """Return the folders that make up a release, newest first."""
    if release not in NAMES:
        raise ValueError(f"SHOP_RELEASE is {release!r}; the shop has {', '.join(NAMES)}.")
    return [HERE / name for name in reversed(NAMES[: NAMES.index(release) + 1])]


def copy(release: str, target: Path) -> None:
    """Write the whole source of a release into one folder, as a checkout of it would be."""
    for layer in reversed(layers(release)):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(layer, target, ignore=ignore, dirs_exist_ok=True)
