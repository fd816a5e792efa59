"""The command `generate`: a language model that a run has kept goes on with a text."""

from __future__ import annotations

import math
import os
from pathlib import Path

import click

from sandbox.axes import Scalar, show_scalar
from sandbox.cli.frame import out_option
from sandbox.errors import UsageError, shorten, unknown

MOST = 1_000_000  # symbols


@click.command("generate", short_help="Let a model of a run go on with a text.", params=[out_option()])
@click.argument("run")
@click.option("--prompt", metavar="TEXT", help="what to go on from  [default: the start of a line or sentence]")
@click.option("--length", metavar="N", type=click.IntRange(1, MOST), default=400, show_default=True,
              help="characters or words to write")  # fmt: skip
@click.option("--temperature", metavar="T", type=click.FloatRange(0, min_open=True), default=0.8, show_default=True,
              help="below 1 likelier symbols, above 1 rarer ones")  # fmt: skip
@click.option("--top-k", metavar="K", type=click.IntRange(1), help="draw among the K likeliest symbols; 1 is greedy")
@click.option("--beam", metavar="W", type=click.IntRange(1, 1000), help="look for the likeliest text, W at a time")
@click.option("--seed", metavar="S", type=click.IntRange(0), default=0, show_default=True, help="of the draws")
@click.option(
    "--point", metavar="AXIS=VALUE,...", help="which model of the run: hidden=128,seed=0  [default: the best]"
)
@click.pass_context
def generate_command(ctx, run, prompt, length, temperature, top_k, beam, seed, point, out):
    """Print how a language model goes on with a text: one that a run has kept as model.npz, or such a file.

    RUN is a path, an experiment (its newest run), or part of a run's name. Of several points the best one writes, by
    its loss or the first metric with a better side. The same seed writes the same text.
    """
    for name in ("temperature", "top_k", "seed") if beam is not None else ():
        if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise UsageError(f"--{name.replace('_', '-')} must be left out with --beam, which draws nothing")
    if not math.isfinite(temperature):  # a range of click lets these through
        raise UsageError(f"--temperature must be a finite number above 0, got {temperature}")
    from sandbox import saved

    path, which = _chosen(run, out, point, saved.NAME)
    model = saved.load_model(path)
    try:
        numbers, strange = model.encode(prompt or model.usual_start())
        rare = f"read as rare, not seen by the model: {shorten(', '.join(strange), 200)}" if strange else ""
        for line in filter(None, (which, rare)):
            click.echo(line, err=True)
        found = saved.written(model, numbers, length, temperature=temperature, top_k=top_k, width=beam, seed=seed)
    except KeyboardInterrupt as interrupt:
        raise type(interrupt)("nothing was written") from None
    text = model.spell(found)
    click.echo(f"{prompt}{text}" if prompt else text.removeprefix(" "))


def _chosen(name: str, out: str, point: str | None, file: str) -> tuple[Path, str]:
    """Return the file of the model that is meant, and which of several it is."""
    from sandbox.results import find, load

    if os.path.isfile(name):
        if point is not None:
            raise UsageError(f"--point must be given with a run, got it with the file {shorten(name, 200)}")
        return Path(name), ""
    run = load(find(name, out))
    keys = [key for key, files in run.files.items() if file in files]
    if not keys:
        raise UsageError(f"{run.path} must hold a model to go on with a text, got no {file} among its files")
    keys = keys if point is None else _fitting(run, keys, point)
    key, why = _best(run, keys) if len(keys) > 1 else (keys[0], "")
    if run.spoiled([key]):
        raise UsageError(f"{run.folder(key) / file} must be as it was written, got another content or none")
    facts = ", ".join(f"{axis} {show_scalar(value)}" for axis, value in _named(run, key).items())
    return run.folder(key) / file, f"model of {facts}: {why} of {len(keys)} (--point chooses another)" if why else ""


def _named(run, key: tuple) -> dict[str, Scalar]:
    """Return the axes that vary in a run, and the seed, of a point."""
    values = dict(zip([*run.axes, "seed"], key, strict=True))
    return {name: value for name, value in values.items() if name == "seed" or len(run.axes[name]) > 1}


def _fitting(run, keys: list[tuple], point: str) -> list[tuple]:
    """Return the points that have the values asked for."""
    for part in point.split(","):
        name, equals, text = (piece.strip() for piece in part.partition("="))
        if not (name and equals and text):
            raise UsageError(f"--point must be AXIS=VALUE with commas between, got {shorten(point) or 'nothing'}")
        if name not in run.key:
            raise unknown("axis", name, run.key)
        at = run.key.index(name)
        found = [key for key in keys if _is(key[at], text)]
        if not found:
            there = ", ".join(dict.fromkeys(show_scalar(key[at]) for key in keys))
            raise UsageError(f"--point must fit a point that kept a model, got {part.strip()} (there: {name} {there})")
        keys = found
    return keys


def _is(value: Scalar, text: str) -> bool:
    """Whether a text means a value: 1, 1.0 and 1e0 are one number."""
    try:
        return show_scalar(value) == text or (type(value) in (int, float) and float(text) == value)
    except ValueError:
        return False


def _best(run, keys: list[tuple]) -> tuple[tuple, str]:
    """Return the point with the best loss, or the best of the first metric with a better side, and that in words."""
    from sandbox.report.build import table_of

    sides = {"loss": "lower", **{column.metric: column.side for column in table_of(run).columns if column.side}}
    metric = next((name for name in sides if name in run.metrics), None)
    if metric is None:
        return keys[0], "the first"
    rows = dict(zip(run.keys, run.rows, strict=True))
    values = {key: rows[key][metric] for key in keys}
    numbers = {key: value for key, value in values.items() if isinstance(value, (int, float)) and math.isfinite(value)}
    if not numbers:
        return keys[0], f"no {metric}, the first"
    key = (min if sides[metric] == "lower" else max)(numbers, key=numbers.__getitem__)
    return key, f"{metric} {numbers[key]:.4g}, the best"


COMMANDS = (generate_command,)
