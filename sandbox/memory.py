"""How much memory is free, so that a run which does not fit is refused in one line instead of being killed."""

import os
from pathlib import Path

from sandbox.errors import UsageError

__all__ = ["free", "require"]

CONTROL_GROUPS = Path("/sys/fs/cgroup")
# Of both versions of Linux control groups: folder, limit, what is in use, and how much of that are files' idle pages.
VERSIONS = (("", "memory.max", "memory.current", "inactive_file"),
            ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"))  # fmt: skip


def free() -> int | None:
    """Bytes that can be had without swapping, within a container's limit; None where the system does not say."""
    known = [size for size in (_free_in_system(), _free_in_container()) if size is not None]
    return min(known, default=None)


def _free_in_container() -> int | None:
    """What a control group leaves: Docker's and Kubernetes' limits, which the system's figures do not know."""
    for folder, limit, used, idle in VERSIONS:
        group = CONTROL_GROUPS / folder
        try:
            pages = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            left = int((group / limit).read_text()) - int((group / used).read_text()) + int(pages[idle])
            return max(left, 0)
        except (OSError, ValueError, KeyError):  # no such group, or no limit ("max")
            continue
    return None


def _free_in_system() -> int | None:
    try:
        with open("/proc/meminfo") as file:
            found = {line.split(":")[0]: int(line.split()[1]) for line in file if line.endswith(" kB\n")}
        return found["MemAvailable"] * 1024
    except (OSError, ValueError, KeyError, IndexError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def require(size: int, what: str, hint: str) -> None:
    """Refuse what needs more memory than is free.

    Raises
    ------
    UsageError
        Says how much is needed and how much there is.
    """
    available = free()
    if available is not None and size > available:
        raise UsageError(f"{what} must fit into memory, got {show(size)} needed and {show(available)} free ({hint})")


def show(size: int) -> str:
    """A number of bytes in the unit people read."""
    units = ("B", "kB", "MB", "GB", "TB")
    power = next((n for n in range(4) if size < 999.5 * 1000**n), 4)  # 999.5 would be written 1e+03
    return f"{size / 1000**power:.3g} {units[power]}"
