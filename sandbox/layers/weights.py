"""The weights of a cell: what is learned, what is derived from it, how it starts, and how products are laid out."""

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
        self._plan_products()
        self._initialise(rng, init, _finite("gain", gain), input_init, chrono)

    def _plan_products(self):
        """Where every recurrent product reads and writes, and room for its packed weights."""
        cell, H, states = self.cell, self.hidden_size, self.cell.states + self.cell.auxiliary
        self._input_runs = runs(cell.gates, cell.tape)
        self.product_runs, plans, sizes = [], ([], []), [0, 0]
        panel = gemm.width(self.dtype)
        for product in cell.products:
            for source, target, count in runs(product.columns, cell.tape):
                self.product_runs.append((product, source, target, count))
                row = product.stage, states.index(product.source), target * H, count * H
                for way, (depth, wide) in enumerate(((H, count * H), (count * H, H))):
                    plans[way].append((*row, sizes[way], cell.sees_h(product)))
                    sizes[way] += -(-wide // panel) * depth * panel
        self._plans = [np.array(plan, np.int64).reshape(len(plan), 6) for plan in plans]
        self._panels = [np.empty(size, self.dtype) for size in sizes]
        self._sums = np.zeros(len(cell.tape) * H)
        self._row_sums = np.zeros((len(cell.per_unit) + len(cell.constants), H))

    def _point_to(self, vector, gradient):
        super()._point_to(vector, gradient)
        shapes = self.cell.weight_shapes(self.input_size, self.hidden_size)
        made = self.cell.derived.names if self.cell.derived else ()
        self.weights = {name: np.zeros(shape, self.dtype) if name in made else self.parameters[name]
                        for name, shape in shapes.items()}  # fmt: skip
        self.weight_gradients = {name: np.zeros(shape, self.dtype) if name in made else self.gradients[name]
                          for name, shape in shapes.items()}  # fmt: skip

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

    def _bias_row(self):
        """All biases in the order of the tape: (G * H,)."""
        H, row = self.hidden_size, np.zeros(len(self.cell.tape) * self.hidden_size, self.dtype)
        for name, columns in self.cell.biases.items():
            for source, target, count in runs(columns, self.cell.tape):
                row[target * H : (target + count) * H] = self.weights[name][source * H : (source + count) * H]
        return row

    def _rows(self):
        """Weights of one number per unit, and constants, as rows: (P, H)."""
        rows = [self.weights[name] for name in self.cell.per_unit]
        rows += [np.full(self.hidden_size, self.options[name], self.dtype) for name in self.cell.constants]
        return np.stack(rows) if rows else np.empty((0, self.hidden_size), self.dtype)

    def _pack(self, transpose):
        """The recurrent weights as panels, one product after the other."""
        H, panels, plan = self.hidden_size, self._panels[transpose], self._plans[transpose]
        for (product, source, _, count), row in zip(self.product_runs, plan, strict=True):
            depth, wide = (count * H, H) if transpose else (H, count * H)
            shape = -(-wide // gemm.width(self.dtype)), depth, gemm.width(self.dtype)
            part = panels[row[4] : row[4] + math.prod(shape)].reshape(shape)
            gemm.pack_into(self.weights[product.weight], source * H, wide, part, transpose)
        return panels


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
