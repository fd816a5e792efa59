"""The weights of a cell: what is learned, what is derived from it, how it starts, and how products are laid out."""

import itertools
import math
from numbers import Real

import numpy as np

from sandbox import cells, inits
from sandbox.errors import UsageError
from sandbox.kernels import gemm
from sandbox.kernels.activations import log_array
from sandbox.layers.module import Module, check_generator, check_size
from sandbox.streams import uniform

__all__ = ["CellWeights", "runs"]


class CellWeights(Module):
    """A cell with its parameters; `Layer` runs it.

    Attributes
    ----------
    cell, options, input_size, hidden_size, output_size
        The cell as its options make it.
    weights : dict of arrays
        What the loop works with: the parameters, and what is derived from them (`W_hh` of an orthogonal cell).
    weight_gradients : dict of arrays
        dL/dweight of the last backward pass.
    product_runs : list of (Product, first block of its weight, first tape column, number of columns)
        The recurrent products, cut where their columns are no neighbours in the tape.
    """

    def __init__(self, cell, input_size, hidden_size, *, rng, dtype, init, gain, input_init, chrono, **options):
        declared, variant = cells.parse(cell)
        for name in variant.keys() & options.keys():
            got = f"{variant[name]} and {options[name]}"
            raise UsageError(f"{name} of cell {declared.name} must be given once, got {got}")
        self.options = declared.resolve(variant | options)
        self.cell = declared.specialised(self.options)
        self.input_size = check_size("input_size", input_size)
        self.hidden_size = check_size("hidden_size", hidden_size)
        self.output_size = self.cell.outputs * self.hidden_size
        sizes = f" (input_size={input_size} and hidden_size={hidden_size})"
        self.allocate(self.cell.shapes(input_size, hidden_size, self.options), dtype, sizes)
        init, usual = inits.scheme(init)
        input_init = usual if input_init is None else input_init
        if not (rng is None and init == input_init == "zeros"):
            check_generator("rng", rng, "init")
        self._plan()
        self._initialise(rng, init, _finite("gain", gain), input_init, chrono)

    def _plan(self):
        """Where every product reads and writes, for the kernels; see `kernels.scan` and `kernels.weights`."""
        cell, H, D, tape = self.cell, self.hidden_size, self.input_size, self.cell.tape
        states, wide = cell.states + cell.auxiliary, len(tape) * self.hidden_size
        self.product_runs = [(product, *run) for product in cell.products for run in runs(product.columns, tape)]
        inputs, recurrent, packed, sizes = ([], []), ([], []), ([], []), [0, 0]
        for product, source, target, count in [(None, *run) for run in runs(cell.gates, tape)] + self.product_runs:
            kind, at, stride = self._place("W_ih" if product is None else product.weight)
            deep = D if product is None else H
            for way, (depth, columns) in enumerate(((deep, count * H), (count * H, deep))):
                packed[way].append((kind, at + source * H, stride, depth, columns, way, sizes[way]))
                if product is None:
                    inputs[way].append((target * H, count * H, sizes[way]))
                else:
                    row = product.stage, states.index(product.source), target * H, count * H, sizes[way]
                    recurrent[way].append((*row, cell.sees_h(product)))
                sizes[way] += math.prod(gemm.panel_shape(depth, columns, self.dtype))
        tables = (inputs, 3), (recurrent, 6), (packed, 7)
        self._inputs, self._recurrent, self._packed = ([_table(way, n) for way in ways] for ways, n in tables)
        self._panels = [np.empty(size, self.dtype) for size in sizes]
        places = [(name, *run) for name, columns in cell.biases.items() for run in runs(columns, tape)]
        self._biases = _table([(*self._place(name, source * H), count * H, target * H)
                               for name, source, target, count in places], 4)  # fmt: skip
        self._units = _table([self._place(name, 0) for name in cell.per_unit], 2)
        self._bias, self._sums = np.zeros(wide, self.dtype), np.zeros(wide)
        self._rows = np.zeros((len(cell.per_unit) + len(cell.constants), H), self.dtype)
        self._row_sums = np.zeros((0, *self._rows.shape))

    def _place(self, name, offset=None):
        """Which array a weight is in (0: the parameters, 1: what is derived), its first element, and the distance
        between its rows; or with an offset the first two, so many elements on."""
        made = name in self._made_blocks
        at = (self._made_blocks if made else self.blocks)[name][0]
        return (int(made), at, self.weights[name].shape[-1]) if offset is None else (int(made), at + offset)

    def plan_gradients(self, T, B):
        """Tables for the products source^T dz: see `kernels.weights`."""
        cell, H, D, tape = self.cell, self.hidden_size, self.input_size, self.cell.tape
        states = cell.states + cell.auxiliary
        sources, found = [(0, 0, D, 0)], [(0, "W_ih", *run) for run in runs(cell.gates, tape)]
        for product, *run in self.product_runs:
            first = (states.index(product.source) * (T + 1) + product.stage) * B * H
            source = 1, first, H, int(cell.sees_h(product))
            if source not in sources:
                sources.append(source)
            found.append((sources.index(source), product.weight, *run))

        def takers_of(column):
            return tuple(n for n, (_, _, _, target, count) in enumerate(found) if target <= column < target + count)

        segments, table = [], []
        for takers, columns in itertools.groupby(range(len(tape)), key=takers_of):
            columns = list(columns)
            segments.append((columns[0] * H, len(columns) * H, len(table), len(table) + len(takers)))
            for source, name, block, target, _ in (found[n] for n in sorted(takers, key=lambda n: found[n][0])):
                kind, at, stride = self._place(name)
                table.append((source, kind, at + (block + columns[0] - target) * H, stride))
        return _table(segments, 4), _table(sources, 4), _table(table, 4)

    def _point_to(self, vector, gradient):
        super()._point_to(vector, gradient)
        shapes = self.cell.weight_shapes(self.input_size, self.hidden_size)
        made = self.cell.derived.names if self.cell.derived else ()
        sizes = [math.prod(shapes[name]) for name in made]
        ends = list(itertools.accumulate(sizes))
        self._made_blocks = {name: (end - size, end) for name, size, end in zip(made, sizes, ends, strict=True)}
        self._made, self._made_gradient = (np.zeros(sum(sizes), self.dtype) for _ in range(2))
        self.weights, self.weight_gradients = (
            {name: part[slice(*self._made_blocks[name])].reshape(shape) if name in made else own[name]
             for name, shape in shapes.items()}
            for part, own in ((self._made, self.parameters), (self._made_gradient, self.gradients)))  # fmt: skip

    def bind(self, vector, gradient):
        """Keep parameters and gradient in these arrays from now on, with the values they have."""
        super().bind(vector, gradient)
        self.refresh()

    def _initialise(self, rng, init, gain, input_init, chrono):
        D, H = self.input_size, self.hidden_size
        shapes = self.cell.weight_shapes(D, H)
        own = {name for name, value in self.parameters.items() if value.shape == shapes.get(name)}
        for gate in self.cell.gates if "W_ih" in own else ():
            self._learned_block("W_ih", gate)[:] = inits.initialise(input_init, rng, D, H)
        for product in self.cell.products:
            for column in product.columns if product.weight in own else ():
                self._learned_block(product.weight, column)[:] = inits.initialise(init, rng, H, H, gain)
        for column, option in self.cell.initial_bias.items():
            self._set_bias(column, self.options[option])
        if rng is not None and self.cell.initial is not None:
            self.cell.initial(self.parameters, rng, self.options)
        if chrono is not None:
            self._spread_memory(rng, chrono)
        self.refresh()

    def _spread_memory(self, rng, chrono):
        if not self.cell.memory:
            raise UsageError(
                f"chrono must be None for cell {self.cell.name}, which has no gate with a bias, got {chrono}"
            )
        if check_size("chrono", chrono) < 3:
            raise UsageError(f"chrono must be at least 3 steps, got {chrono}")
        times = log_array(uniform(rng, self.hidden_size, 1.0, chrono - 1.0))
        for column, sign in self.cell.memory.items():
            self._set_bias(column, sign * times)

    def _set_bias(self, column, value):
        for name, columns in self.cell.biases.items():
            if column in columns:
                at = columns.index(column) * self.hidden_size
                self.parameters[name][at : at + self.hidden_size] = value

    def refresh(self):
        """Make the derived weights anew from the parameters, as every forward pass does."""
        for number, name in enumerate(self.cell.constants, len(self.cell.per_unit)):
            self._rows[number] = self.options[name]
        if self.cell.derived is not None:
            made = self.cell.derived.make(self.parameters, self.options)
            for name, value in made.items():
                self.weights[name][:] = value

    def block(self, name, column):
        """View of one column block of a weight matrix: (D, H) of W_ih by gate, (H, H) of a product by tape column.

        Parameters are meant where they are no other than the weights; what is derived is read only.
        """
        return self.weights[name][..., self._columns_of(name, column)]

    def _learned_block(self, name, column):
        """The block of the parameter, where a weight derived from it has its name."""
        return self.parameters[name][..., self._columns_of(name, column)]

    def _columns_of(self, name, column):
        columns = self.cell.gates if name == "W_ih" else next(p.columns for p in self.cell.products if p.weight == name)
        at = columns.index(column) * self.hidden_size
        return slice(at, at + self.hidden_size)

    def recurrent_blocks(self):
        """Views of all (H, H) blocks that act on h, by weight and tape column."""
        return {(product.weight, column): self.block(product.weight, column)
                for product in self.cell.products if product.source == self.cell.states[0]
                for column in product.columns}  # fmt: skip


def _table(rows, columns):
    return np.array(rows, np.int64).reshape(len(rows), columns)


def runs(names, tape):
    """Where neighbouring blocks stay neighbours: (first block, first tape column, number of blocks) per run."""
    runs = []
    for source, name in enumerate(names):
        target = tape.index(name)
        if runs and runs[-1][1] + runs[-1][2] == target:
            runs[-1][2] += 1
        else:
            runs.append([source, target, 1])
    return [tuple(run) for run in runs]


def _finite(name, value):
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise UsageError(f"{name} must be a finite number, got {value}")
    return float(value)
