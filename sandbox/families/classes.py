"""What experiments on classes declare: which corpora there are, files of one's own, and what a result is made of."""

import numpy as np

from sandbox import corpora, data
from sandbox.axes import Axis, Setting
from sandbox.errors import UsageError
from sandbox.report import Column

__all__ = ["EMBEDDING", "FIRST", "REST", "SETTINGS", "accuracy_of_all", "check", "columns", "corpus", "load", "reads"]

# The format of a file of one's own in the place of a corpus' source; None where there is none.
FORMATS = {"names": "tsv", "sentiment": "tsv", "digits": "mnist", "vowels": None, "roles": "conll", "chunks": "conll"}
SETTINGS = {
    "tsv": Setting("tsv", "names: category and name in each line, a tab between; sentiment: text and rating",
                   metavar="FILE"),
    "mnist": Setting("mnist", "digits: a folder with MNIST's files", metavar="DIR"),
    "conll": Setting("conll", "roles or chunks: a token and its tag (chunks: part of speech and chunk) in each line",
                     metavar="FILE"),
}  # fmt: skip
# Columns of a table: what it is about, and the rest.
FIRST = [Column("accuracy", oracle="rival", verdict=True), Column("method", "rival's method")]
REST = [Column("majority", interval=False), Column("loss", oracle="baseline", interval=False),
        Column("parameters", interval=False), Column("data")]  # fmt: skip
EMBEDDING = Axis([64], kind=int, minimum=1, maximum=16_384, help="width of a symbol's vector; vectors have their own")


def corpus(default: list[str], *more: str) -> Axis:
    """The axis of corpora: those that run by default, and further ones."""
    return Axis(default, kind=str, choices=(*default, *more), help="what is read and told")


def load(name: str, path: str | None = None, **options) -> corpora.Corpus:
    """The corpus of a point, from a file of one's own if there is one."""
    return corpora.load(name, **options, **({} if path is None else {"path": path}))


def _source(name):
    """The data source of a corpus: parts of chunks are columns of one."""
    return name.partition(":")[0] if name.startswith("chunks") else name


def _own(settings):
    """Option and path of a file of one's own; None and None."""
    given = [(option, settings[option]) for option in SETTINGS if settings.get(option) is not None]
    if len(given) > 1:
        raise UsageError(f"--{given[0][0]} must be left out with --{given[1][0]}: one corpus is of one file")
    return given[0] if given else (None, None)


def reads(grid, settings) -> dict[str, tuple[str, str]]:
    """Label of each source of a grid, and a line where something stands in for it: an experiment's `data`."""
    _, own = _own(settings)
    sources = {_source(name) for name in grid["corpus"]}
    return data.told(sorted(sources), own)


def check(grid, settings) -> None:
    """Refuse what no point could be run with: an experiment's `check`.

    Raises
    ------
    UsageError
        A file for several corpora, for one of another format, or that cannot be read; a model without a second
        direction.
    """
    option, own = _own(settings)
    if own is not None:
        names = grid["corpus"]
        if len(names) > 1 or FORMATS[names[0].partition(":")[0]] != option:
            fitting = [name for name, form in FORMATS.items() if form == option]
            raise UsageError(f"corpus must be {' or '.join(fitting)} with --{option}, got {', '.join(names)} "
                             "(--corpus NAME)")  # fmt: skip
        load(names[0], own)
    for name in grid["model"] if "both" in grid.get("direction", ()) else ():
        if name.partition(":")[0] == "mlp":
            raise UsageError(f"direction must be forward for model {name}, whose window ends at the present, got both")


def columns(fit, chosen: corpora.Corpus, model) -> dict[str, object]:
    """What a training run of a corpus came to, beside its rival."""
    return {"accuracy": fit.score, "rival": chosen.rival_score, "majority": chosen.facts["majority"],
            "method": chosen.rival, "loss": fit.loss, "baseline": fit.baseline, "updates_done": fit.updates,
            "parameters": model.vector.size, "data": chosen.label, **fit.ending()}  # fmt: skip


def accuracy_of_all(model, batches) -> float | None:
    """Share of right answers at all steps of some batches, those that are not scored included; None if all are."""
    if batches[0].scored is None or all(np.array_equal(batch.scored, batch.mask) for batch in batches):
        return None
    right = count = 0
    for batch in batches:
        output, _ = model.predict(batch.x, lengths=batch.lengths)
        right += int(np.count_nonzero((output.argmax(axis=-1) == batch.target) & batch.mask))
        count += int(np.count_nonzero(batch.mask))
    return right / count
