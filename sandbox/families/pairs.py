"""What experiments on pairs declare: which corpora there are, where their data come from, and a file of one's own."""

from sandbox import corpora, data
from sandbox.axes import Axis, Setting
from sandbox.errors import UsageError
from sandbox.seq2seq import ATTENTIONS
from sandbox.seq2seq.forcing import schedule

__all__ = ["ATTENTION", "FORCING", "HELD_OUT", "SETTING", "SOURCES", "check", "corpus", "load", "reads"]

SOURCES = {"pronunciation": "cmudict", "transliteration": "transliteration", "naming": "names", "captions": "glyphs"}
SETTING = Setting("tsv", "pairs with a tab between for one corpus; pronunciation: word, and phones with blanks "
                  "between; transliteration: name and name; naming: category and name", metavar="FILE")  # fmt: skip
ATTENTION = Axis(["none", "dot"], kind=str, choices=ATTENTIONS, help="score of attention")
FORCING = Axis(["1"], kind=str, help="share of right decoder inputs: 1, 0.5, linear:N, linear:N:LEAST, sigmoid:K")
HELD_OUT = Axis([2000], kind=int, minimum=1, help="most sequences that are held out")


def corpus(*names: str) -> Axis:
    """The axis of corpora of these names."""
    return Axis(list(names), kind=str, choices=names, help="what is read and written")


def load(name: str, held_out: int, tsv: str | None):
    """The corpus of a point."""
    return corpora.load(name, most=held_out, **({"path": tsv} if tsv else {}))


def reads(grid, settings) -> dict[str, tuple[str, str]]:
    """Label of each source of a grid, and a line where something stands in for it: an experiment's `data`."""
    return data.told((SOURCES[name] for name in grid["corpus"]), settings.get("tsv"))


def check(grid, settings) -> None:
    """Refuse what no point could be run with: an experiment's `check`.

    Raises
    ------
    UsageError
        A file for several corpora, one that cannot be read, or a schedule of forcing that is none.
    """
    for text in grid.get("forcing", ()):
        schedule(text)
    if "tsv" in settings:
        if len(grid["corpus"]) > 1:
            raise UsageError(f"corpus must be one with --tsv, got {', '.join(grid['corpus'])} (--corpus NAME)")
        load(grid["corpus"][0], max(grid.get("held_out", HELD_OUT.default)), settings["tsv"])
