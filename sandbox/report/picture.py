"""Draws pictures of runs with Matplotlib, which is imported here alone and only when something is drawn.

The same data gives the same bytes: nothing is read from a user's matplotlibrc, and no date, version or random name is
written. Colours are those of Okabe & Ito 2008 (*Color Universal Design*), without yellow, and the wine red of Tol 2021
(*Colour schemes*, "muted"): people with any colour vision can tell them apart. Markers say the same without colour.
"""

from __future__ import annotations

import io
import itertools
import logging
import math
import os
import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from sandbox.errors import UsageError, shorten
from sandbox.report.choice import picture_of
from sandbox.report.matrices import Matrices, heat_maps, matrices
from sandbox.report.panels import Facet, Line, NothingToDraw, Plan, Scale, plan
from sandbox.report.sheet import GREY, in_lines, lay_out, wrapped
from sandbox.report.spec import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

    from sandbox.results import Run

SUFFIXES = (".png", ".svg")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#882255")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", (0, (5, 1.2, 1, 1.2)), (0, (1, 1)), (0, (3, 1, 1, 1, 1, 1)))
EXTRAS = {  # kind of line: its look, and its name in the legend
    "theory": (dict(color="black", linestyle=(0, (4, 2.5)), linewidth=1.1, zorder=4), "theory"),
    "baseline": (dict(color=GREY, linestyle=(0, (9, 3)), linewidth=1.1, zorder=1.8), "baseline"),
    "reference": (dict(color="black", linestyle=(0, (3, 1.5)), linewidth=1.3, zorder=4), ""),
}
STYLE = {
    "font.family": ["DejaVu Sans"], "font.size": 9.0, "axes.titlesize": 9.0, "axes.labelsize": 9.0,
    "legend.fontsize": 8.5, "xtick.labelsize": 8.5, "ytick.labelsize": 8.5, "mathtext.fontset": "dejavusans",
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.8, "axes.edgecolor": GREY,
    "xtick.color": GREY, "ytick.color": GREY, "xtick.labelcolor": "black", "ytick.labelcolor": "black",
    "axes.grid": True, "grid.color": "#E4E4E4", "grid.linewidth": 0.6, "axes.axisbelow": True,
    "lines.linewidth": 1.7, "lines.markersize": 5.0, "legend.frameon": False, "legend.handlelength": 2.4,
    "svg.hashsalt": "rnn-sandbox", "svg.fonttype": "path", "axes.unicode_minus": True, "text.usetex": False,
}  # fmt: skip
DPI = 150
STEPS = [1, 2, 2.5, 5, 10]  # between ticks
LABEL_WIDTH = 30  # characters of a line of the legend
TICK_ROW = 0.035  # height of a row of event ticks, as a share of the panel


def default_path(run: Run) -> Path:
    """Return where the picture of a run belongs: ``<run>/<experiment>.png``."""
    return run.path / f"{Path(run.info['experiment']).name or 'picture'}.png"


def save(run: Run, path: Path | str | None = None, picture: Picture | None = None) -> Path:
    """Draw a run into a PNG or SVG file, whole or not at all; return its path.

    Parameters
    ----------
    path
        The file, by default `default_path`.
    picture
        What to draw, by default what the run's experiment declared or else what suits the run.

    Raises
    ------
    UsageError
        For another suffix, a folder that cannot be written, or a run that holds nothing to draw (`NothingToDraw`).
    ImportError
        Without Matplotlib.
    """
    path = default_path(run) if path is None else Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--out must be a file ending in {' or '.join(SUFFIXES)}, got {shorten(str(path), 200)}")
    if path.is_dir() or not path.parent.is_dir():
        reason = "a directory" if path.is_dir() else f"no folder {shorten(str(path.parent), 200)}"
        raise UsageError(f"--out must be a file that can be written, got {shorten(str(path), 200)} ({reason})")
    picture = picture or picture_of(run)
    if picture is None:
        raise NothingToDraw(f"{run.path} holds nothing to draw (no curve, and no metric along an axis)")
    content = render((matrices if picture.matrix else plan)(run, picture), path.suffix.lower()[1:])
    scratch = path.with_name(f".{path.name}.new")
    try:
        scratch.write_bytes(content)
        os.replace(scratch, path)
    except OSError as error:
        raise UsageError(f"cannot write {shorten(str(path), 200)}: {error.strerror or error}") from error
    finally:
        if scratch.exists():
            scratch.unlink()
    return path


def save_quietly(run: Run, err: TextIO) -> Path | None:
    """Draw the picture that every run gets; what goes wrong costs a line on `err` and never the run."""
    try:
        return save(run)
    except NothingToDraw as error:
        if run.info.get("picture") and any(row["status"] == "ok" for row in run.rows):
            err.write(f"no picture: {shorten(str(error), 300)}\n")
    except ImportError:
        err.write("no picture: Matplotlib is missing (pip install rnn-sandbox[plot], or --no-plot)\n")
    except Exception as error:  # the results are there already, whatever this is
        kind = "" if isinstance(error, UsageError) else f"{type(error).__name__}: "
        err.write(f"no picture: {kind}{shorten(str(error), 300)}\n")
    return None


def render(content: Plan | Matrices, format: str) -> bytes:
    """Return a picture as the bytes of a ``png`` or ``svg`` file."""
    buffer = io.BytesIO()
    with _matplotlib():
        metadata = {"Software": None} if format == "png" else dict.fromkeys(("Date", "Creator", "Format", "Type"))
        drawing = heat_maps(content) if isinstance(content, Matrices) else figure(content)
        drawing.savefig(buffer, format=format, dpi=DPI, metadata=metadata)
    return buffer.getvalue()


@contextmanager
def _matplotlib():
    """Matplotlib as it comes from the package with `STYLE` on top, silent, whatever a user's matplotlibrc says."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a character that the font has not, a panel that is too small for its label
        try:
            import matplotlib
        except ValueError as error:  # of its settings it reads MPLBACKEND as early as this
            raise UsageError(f"Matplotlib cannot be imported: {shorten(str(error), 100)}") from error

        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(STYLE)
            yield


# ------------------------------------------------------------------------------------------------- the figure


def figure(content: Plan) -> Figure:
    """Return the Matplotlib figure of a plan, not yet rendered."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows, facets = len(content.scales), len(content.facets)
    columns = facets if rows > 1 else {4: 2}.get(facets, min(facets, 4 if facets > 6 else 3))
    blocks = 1 if rows > 1 else math.ceil(facets / columns)
    drawing = Figure(figsize=(8, 6), layout="constrained")
    FigureCanvasAgg(drawing)
    key = _add_legend(drawing, content)
    beside, least = (key.get_window_extent().size / drawing.dpi + 0.1) if key else (0.1, 0.0)
    across = 6.0 if columns == 1 else 3.3 * columns if columns < 4 else 2.75 * columns
    tall = max(4.0 if blocks * rows == 1 else 2.4 * blocks * rows + 0.4, least)
    corner = lay_out(drawing, content, across, beside, tall)
    if key:
        key.set_bbox_to_anchor(corner)

    grid = drawing.subplots(blocks * rows, columns, squeeze=False, sharex=True)
    for at in range(facets, blocks * columns):
        grid[at // columns, at % columns].remove()
    for at, facet in enumerate(content.facets):
        for row, scale in enumerate(content.scales):
            place = (row, at) if rows > 1 else (at // columns, at % columns)
            axes = grid[place]
            sharing = [facet] if content.apart else content.facets
            _draw(axes, content, facet, row, _span([each.panels[row] for each in sharing], scale))
            last = row == rows - 1 and at + columns >= facets
            axes.tick_params(labelbottom=last, labelleft=place[1] == 0 or content.apart)
            axes.set_xlabel(content.x if last else "", parse_math=False)
            axes.set_ylabel(wrapped(scale.label, 34) if place[1] == 0 else "", parse_math=False)
            if row == 0:
                letters = 64 if columns == 1 else 38 if columns < 4 else 34
                axes.set_title(in_lines(facet.title, letters), loc="left", parse_math=False)
    return drawing


def _draw(axes: Axes, content: Plan, facet: Facet, row: int, span: tuple[float, float]) -> None:
    """Draw one panel."""
    scale, events = content.scales[row], facet.events if row == len(content.scales) - 1 else {}
    low, high = span
    depth = TICK_ROW * len(events) + 0.03 if events else 0.0
    axes.set_ylim(low - (high - low) * depth / (1 - depth), high)
    if content.log_x:
        axes.set_xscale("log")
    reach = [x for each in content.facets for panel in each.panels for line in panel for x in line.x]
    axes.set_xlim(*_widened(min(reach), max(reach), content))
    drawn = len({line.place for line in facet.panels[row] if line.kind == "data"})
    for line in facet.panels[row]:
        if line.kind != "data":
            axes.plot(line.x, line.y, **EXTRAS[line.kind][0], gid=line.kind)
        elif content.ticks:
            _draw_points(axes, line, drawn, content.connected, scale.limits)
        else:
            _draw_curve(axes, line, 0.2 if drawn < 4 else 0.13)
    for at, (place, shares) in enumerate(sorted(events.items())):
        _draw_events(axes, place if content.keys and drawn > 1 else None, shares, 0.008 + TICK_ROW * at)
    _set_ticks(axes, content, scale, (low, high))


def _draw_curve(axes: Axes, line: Line, alpha: float) -> None:
    colour, partial = COLOURS[line.place], line.partial or [False] * len(line.x)
    if any(map(math.isfinite, line.low)):
        ends = ([math.nan if some else end for some, end in zip(partial, each)] for each in (line.low, line.high))
        axes.fill_between(line.x, *ends, color=colour, alpha=alpha, linewidth=0, zorder=1.5, gid="interval")
    seen = [at for at, value in enumerate(line.y) if math.isfinite(value)]
    turns = sum((b - a) * (c - b) < 0 for a, b, c in zip(line.y, line.y[1:], line.y[2:]))
    look = dict(color=colour, zorder=2.5, linewidth=1.0 if turns > max(len(seen) / 4, 15) else 1.7)
    whole = [math.nan if some else value for some, value in zip(partial, line.y)]
    axes.plot(line.x, whole, linestyle=DASHES[line.style % len(DASHES)], gid="line", **look)
    if any(partial):
        joined = [some or after for some, after in zip(partial, [*partial[1:], False])]
        rest = [value if some else math.nan for some, value in zip(joined, line.y)]
        axes.plot(line.x, rest, linestyle=(0, (1, 1.5)), gid="partial", **look)
    step = max(len(seen) / 6, 1)
    marked = sorted({seen[int((at + (line.place + 0.5) / len(COLOURS)) * step)] for at in range(min(6, len(seen)))})
    axes.plot(
        line.x, line.y, linestyle="none", color=colour, marker=MARKERS[line.place], markevery=marked,
        markeredgecolor="white", markeredgewidth=0.5, zorder=2.6, gid="markers",
    )  # fmt: skip
    if line.stop is not None:
        axes.plot(line.x[line.stop], line.y[line.stop], "x", color=colour, markersize=8, markeredgewidth=2, zorder=5,
                  clip_on=False, gid="stop")  # fmt: skip


def _draw_points(axes: Axes, line: Line, count: int, connected: bool, reach: tuple[float, float] | None) -> None:
    """Draw means with their intervals, each line a little beside the others so that equal values stay visible."""
    from matplotlib.transforms import ScaledTranslation

    apart = 3.0 if connected else 7.0
    beside = apart * (line.place - (count - 1) / 2) / 72
    moved = axes.transData + ScaledTranslation(beside, 0, axes.figure.dpi_scale_trans)
    look = dict(color=COLOURS[line.place], transform=moved)
    for x, low, high in zip(line.x, line.low, line.high, strict=True):
        if math.isfinite(low) and math.isfinite(high):
            ends = [low, high] if reach is None else [max(low, reach[0]), min(high, reach[1])]
            axes.plot([x, x], ends, linewidth=1.2, marker="_", markersize=6, zorder=2, gid="interval", **look)
    axes.plot(
        line.x, line.y, linestyle="-" if connected else "none", marker=MARKERS[line.place], markersize=6,
        markeredgecolor="white", markeredgewidth=0.5, zorder=2.5, gid="line", **look,
    )  # fmt: skip


def _draw_events(axes: Axes, place: int | None, shares: Sequence[tuple[float, float]], bottom: float) -> None:
    """Draw a row of ticks at the foot of a panel, the paler the fewer seeds or updates had an event there."""
    from matplotlib.colors import to_rgba

    xs, alphas = [x for x, _ in shares], [0.3 + 0.7 * share for _, share in shares]
    colours = [to_rgba(GREY if place is None else COLOURS[place], alpha) for alpha in alphas]
    axes.vlines(xs, bottom, bottom + TICK_ROW * 0.8, colors=colours, linewidth=0.9, gid="events",
                transform=axes.get_xaxis_transform())  # fmt: skip


def _add_legend(drawing: Figure, content: Plan) -> Legend | None:
    """Add the legend: lines, dashes of series, and what else there is to see. None where there is nothing to tell."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    lines = [line for facet in content.facets for panel in facet.panels for line in panel]
    entries = []
    for label, place in content.keys:
        look = dict(color=COLOURS[place], marker=MARKERS[place], linestyle="-" if content.connected else "none")
        entries.append((Line2D([], [], markeredgecolor="white", markeredgewidth=0.5, **look), label))
    for at, name in enumerate(content.styles):
        entries.append((Line2D([], [], color=GREY, linestyle=DASHES[at % len(DASHES)]), name))
    for kind, (look, name) in EXTRAS.items():
        if any(line.kind == kind for line in lines):
            entries.append((Line2D([], [], **look), name or content.reference))
    if any(math.isfinite(low) for line in lines for low in line.low):
        bar = Line2D([], [], marker="|", markersize=9, linestyle="none", color=GREY)
        entries.append((bar if content.ticks else Patch(color=GREY, alpha=0.25, linewidth=0), "95 % interval"))
    if not entries:
        return None
    names = [in_lines(label, LABEL_WIDTH) or "(none)" for _, label in entries]
    names = [f" {name}" if name.startswith("_") else name for name in names]  # which Matplotlib would leave out
    key = drawing.legend([handle for handle, _ in entries], names, loc="upper left", bbox_to_anchor=(0.0, 1.0),
                         title=content.key_title or None, title_fontsize=8.5, alignment="left")  # fmt: skip
    for text in [*key.get_texts(), key.get_title()]:
        text.set_parse_math(False)
    key.set_in_layout(False)
    return key


# ------------------------------------------------------------------------------------------------- scales


def _span(panels: Sequence[Sequence[Line]], scale: Scale) -> tuple[float, float]:
    """Return the range of y that panels share: of the lines, and of intervals up to half as much again."""
    if scale.limits is not None:
        low, high = scale.limits
        return low - 0.04 * (high - low), high + 0.04 * (high - low)
    kinds = ("data", "reference", "baseline")
    lines = [line for line in itertools.chain(*panels) if line.kind in kinds]
    means = [value for line in lines for value in line.y if math.isfinite(value)]
    ends = [value for line in lines for value in (*line.low, *line.high) if math.isfinite(value)]
    low, high = min(means, default=0.0), max(means, default=1.0)
    reach = (high - low) / 2 if high > low else math.inf
    low, high = (
        min([low, *(max(end, low - reach) for end in ends)]),
        max([high, *(min(end, high + reach) for end in ends)]),
    )
    least = 0.2 if scale.log else abs(high) * 0.02 if abs(high) > 1e-290 else 1.0
    if high - low < least:
        low, high = (low + high) / 2 - least / 2, (low + high) / 2 + least / 2
    return low - 0.05 * (high - low), high + 0.05 * (high - low)


def _widened(low: float, high: float, content: Plan) -> tuple[float, float]:
    """Return the range of x: as it is for curves, with room on both sides for points."""
    if not content.ticks:
        return (low, high) if high > low else (low - 0.5, high + 0.5)
    if content.categories is not None:
        return low - 0.6, high + 0.6
    if content.log_x:
        factor = (high / low) ** 0.06
        return low / factor, high * factor
    room = 0.07 * (high - low) or max(abs(high) * 0.5, 0.5)
    return low - room, high + room


def _set_ticks(axes: Axes, content: Plan, scale: Scale, span: tuple[float, float]) -> None:
    from matplotlib.ticker import MaxNLocator, NullLocator

    narrow = len(content.facets) > 3
    if scale.log:
        places, labels = decade_ticks(*span, 5 if narrow or len(content.scales) > 1 else 8)
        axes.set_yticks(places, labels)
    elif scale.limits is None:
        axes.yaxis.set_major_locator(MaxNLocator(5 if narrow or len(content.scales) > 1 else 7, steps=STEPS))
    if content.categories is not None:
        axes.set_xticks(content.ticks, [in_lines(name, LABEL_WIDTH) for name in content.categories], parse_math=False)
        if sum(map(len, content.categories)) > 60 / (1 + narrow):
            axes.tick_params(axis="x", labelrotation=40)
            for label in axes.get_xticklabels():
                label.set(ha="right", rotation_mode="anchor")
    elif content.ticks:
        places = _apart(content.ticks, content.log_x, 0.09 if not narrow else 0.16)
        axes.set_xticks(places, [f"{place:g}" for place in places])
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4 if narrow else 6, steps=STEPS))


def _apart(values: Sequence[float], log: bool, least: float) -> list[float]:
    """Return the values whose labels have room, a share `least` of the axis between neighbours."""
    levels = [math.log10(value) if log else value for value in values]
    room = least * (levels[-1] - levels[0])
    kept = [0]
    for at, level in enumerate(levels):
        if level - levels[kept[-1]] >= room and at:
            kept.append(at)
    return [values[at] for at in kept]


def decade_ticks(low: float, high: float, most: int) -> tuple[list[float], list[str]]:
    """Return places and labels of ticks from `low` to `high`, both log10: powers of ten, or numbers within a few.

    Examples
    --------
    >>> decade_ticks(-6.2, 0.3, 8)[1][:2]
    ['$10^{-6}$', '$10^{-5}$']
    >>> decade_ticks(-0.1, 0.9, 8)[1]
    ['1', '2', '5']
    """
    first, last = math.ceil(low), math.floor(high)
    if last - first >= 2:
        steps = itertools.chain.from_iterable((1 * 10**k, 2 * 10**k, 5 * 10**k) for k in itertools.count())
        step = next(step for step in steps if (last - first) // step + 1 <= most)
        places = [place for place in range(first, last + 1) if place % step == 0]
        return [float(place) for place in places], [f"$10^{{{place}}}$" for place in places]
    if not -290 < low <= high < 290:
        places = [low + (high - low) * at / 4 for at in range(1, 4)]
        return places, [f"$10^{{{place:.7g}}}$" for place in places]
    numbers = [m * 10.0**e for e in range(math.floor(low), last + 1) for m in (1, 2, 5)]
    inside = [number for number in numbers if low <= math.log10(number) <= high]
    if len(inside) < 3:
        from matplotlib.ticker import MaxNLocator

        even = MaxNLocator(5, steps=STEPS).tick_values(10.0**low, 10.0**high)
        inside = [number for number in even if number > 0 and low <= math.log10(number) <= high]
    return [math.log10(number) for number in inside], [f"{number:.6g}" for number in inside]
