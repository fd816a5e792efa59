"""Where this project keeps what it can have again, kernels and archives: a folder in the user's cache."""

import os
import sys
from pathlib import Path


def user_cache() -> Path:
    """Return this project's folder in the user's cache; the path is relative where there is no home directory.

    An empty `HOME` names none: for Python it is the root of the file system.
    """
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or os.path.expanduser("~")
        return Path(base) / "rnn-sandbox"
    home = "" if os.environ.get("HOME") == "" else os.path.expanduser("~")
    if sys.platform == "darwin":
        base = os.path.join(home, "Library", "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")
    return Path(base) / "rnn-sandbox"
