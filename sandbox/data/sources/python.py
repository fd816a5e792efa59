"""Python's own sources: one text of some 5 million characters, always there.

The top-level modules of the standard library, in the order of their names. The label has the version and a digest.

Records: str.
"""

import functools
import platform
import sys
import sysconfig
from pathlib import Path

from sandbox.data import Source
from sandbox.files import digest, read_corpus


@functools.cache
def files():
    """Return name and bytes of the standard library's top-level modules, sorted; what others put beside is left out."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    own = sys.stdlib_module_names
    return [(path.name, path.read_bytes()) for path in sorted(folder.glob("*.py")) if path.stem in own]


@functools.cache
def version():
    """Return the label of these sources; None for a Python that comes without them."""
    found = files()
    return (
        f"python-{platform.python_version()} sources@{digest(b''.join(text for _, text in found))}" if found else None
    )


def texts():
    """Return the text of each module."""
    return [text.decode("utf-8").replace("\r\n", "\n") for _, text in files()]


def read():
    """Read all modules."""
    return "\n".join(texts())


def generate():
    """Return Python's documentation topics."""
    from sandbox.sources import topics

    return topics()[0]


SOURCE = Source(
    holds="4.7 million characters of 3.11",
    licence="PSF",
    beat="5-gram 2.400 bits/char, first 1 115 394",
    read=read,
    generate=generate,
    stand_in="documentation topics",
    present=version,
    missing="is a Python without its sources",
    option="text",
    own=read_corpus,
)
