"""Under which conditions runs were made, and in which of these they differ: settings, versions, machine, variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sandbox.axes import Scalar, show_scalar

if TYPE_CHECKING:
    from sandbox.comparison.matching import Matching
    from sandbox.results import Run

# What `sandbox.provenance` says of where a run was made; code, kernels and commits are put in words below.
_AROUND = ("versions", "platform", "cpu", "simd", "cores", "environment")
_PREFIXES = {"versions": "", "environment": "", "settings": "", "inputs": "content of ", "selection": "--"}
_KERNELS = ("hash", "cpu")  # the rest counts what a process compiled
_COMMIT = "commit of the {}"
ABSENT = "none"

Differences = list[tuple[str, list[str]]]


def configuration(runs: Sequence[Run], matchings: Sequence[Matching]) -> Differences:
    """Return what the runs were asked to do differently: ``(name, one text per run)``."""
    found: Differences = []
    if len({run.info["experiment"] for run in runs}) > 1:
        found.append(("experiment", [run.info["experiment"] for run in runs]))
    for axis in dict.fromkeys(axis for matching in matchings for axis in matching.fixed):
        found.append((axis, [", ".join(map(show_scalar, run.axes.get(axis, [ABSENT]))) for run in runs]))
    asked = [{name: run.info.get(name) or {} for name in ("settings", "inputs", "selection")} for run in runs]
    return found + _differing([_flat(each) for each in asked]) + data(runs)


def data(runs: Sequence[Run]) -> Differences:
    """Return which sources the runs read different data from."""
    return _differing([_flat({"data": run.info.get("data") or {}}) for run in runs])


def environment(runs: Sequence[Run]) -> Differences:
    """Return what differs around the runs: versions, machine, source, kernels and variables of the environment."""
    found = _differing([_facts(run.info) for run in runs])
    source = dict(found).get(_COMMIT.format("source"))
    return [row for row in found if row != (_COMMIT.format("working directory"), source)]  # said once


def lines(differences: Differences, labels: Sequence[str]) -> list[str]:
    """Return a line for each difference.

    Examples
    --------
    >>> lines([("gain", ["1.0", "0.8"])], "AB")
    ['gain: A 1.0, B 0.8']
    """
    return [
        f"{name}: " + ", ".join(f"{label} {text}" for label, text in zip(labels, texts, strict=True))
        for name, texts in differences
    ]


def _facts(info: Mapping[str, object]) -> dict[str, str]:
    """Return the conditions of one run as text by name."""
    facts = _flat({name: value for name, value in info.items() if name in _AROUND})
    facts |= {f"code of the {unit}": str(value) for unit, value in (info.get("code") or {}).items()}
    kernels = info.get("kernels") or {}
    facts |= {f"kernels {name}": str(kernels[name]) for name in _KERNELS if kernels.get(name)}
    git = info.get("git") or {}
    return facts | {_COMMIT.format(place.replace("_", " ")): _commit(state) for place, state in git.items()}


def _flat(values: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            inner = _PREFIXES.get(name, f"{name} ")
            found |= _flat(value, prefix + inner)
        elif value is not None:
            found[prefix + name] = _text(value)
    return found


def _text(value: Scalar | object) -> str:
    return ", ".join(map(_text, value)) if isinstance(value, (list, tuple)) else show_scalar(value)


def _commit(state: Mapping[str, object] | None) -> str:
    """Return a commit, whether files were changed since, and the hash of these changes where it was kept."""
    if not state:
        return ABSENT
    extra = [str(value)[:12] for key, value in state.items() if key not in ("commit", "dirty") and value]
    changed = " with uncommitted changes" if state.get("dirty") else ""
    return f"{str(state.get('commit'))[:12]}{changed}" + (f" ({', '.join(extra)})" if extra else "")


def _differing(facts: Sequence[Mapping[str, str]]) -> Differences:
    names = dict.fromkeys(name for each in facts for name in each)
    rows = [(name, [each.get(name, ABSENT) for each in facts]) for name in names]
    return [(name, texts) for name, texts in rows if len(set(texts)) > 1]
