"""The LSTM's variants, the memory blocks of 1997, and the networks with fewer gates: what they must have in common."""

from dataclasses import replace

import naive
import numpy as np
import pytest
import test_cells as common

from sandbox import cells
from sandbox.cells import Option
from sandbox.cells.lstm import VARIANTS
from sandbox.diagnostics.exact import exact_rates
from sandbox.diagnostics.gates import gate_means
from sandbox.errors import UsageError
from sandbox.layers import Layer
from sandbox.streams import stream

T, B, D, H = 5, 3, 2, 4
PEEPHOLES = ("none", "full")
ZEROS = dict(rng=None, init="zeros", input_init="zeros")
pytestmark = pytest.mark.plain_python


def draw(*shape):
    return np.random.default_rng(shape).standard_normal(shape)


def network(variant, peepholes, seed=0):
    """A layer with random numbers in all its parameters."""
    layer = Layer("lstm", D, H, **ZEROS, variant=variant, peepholes=peepholes)
    layer.vector[:] = np.random.default_rng(seed).standard_normal(layer.vector.size)
    return layer


def columns(layer, name):
    """Views of a parameter's blocks by gate."""
    value = layer.parameters[name]
    gates = layer.cell.gates if name != "R" else "ifo"
    return dict(zip(gates, np.split(value, len(gates), -1), strict=True))


def as_standard(layer):
    """The standard network with this variant's parameters, where there is no such gate those that make it 1."""
    variant, peepholes = layer.options["variant"], layer.options["peepholes"]
    standard = network("standard", peepholes)
    for name, value in standard.parameters.items():
        if name in ("W_ih", "W_hh", "b"):
            own = columns(layer, name)
            for gate, block in columns(standard, name).items():
                absent = -own["f"] if variant == "cifg" else 1e3 if name == "b" else 0
                block[:] = own.get(gate, absent)
        else:
            value[:] = layer.parameters.get(name, -layer.parameters["p_f"] if variant == "cifg" else 0)
    return standard


# Variants of Greff et al. ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("peepholes", PEEPHOLES)
@pytest.mark.parametrize("variant", ["nig", "nfg", "nog", "cifg", "fgr"])
def test_a_variant_is_the_standard_network_with_gates_held_open_or_coupled(variant, peepholes):
    """With R = 0 for fgr; its gradients by R are then those of the same network."""
    layer = network(variant, peepholes)
    for name in ("R_i", "R_f", "R_o") if variant == "fgr" else ():
        layer.parameters[name][:] = 0
    standard, x, dy = as_standard(layer), draw(T, B, D), draw(T, B, H)
    start = {"h": draw(B, H), "c": draw(H, B).T.copy()}
    run, expected = layer.forward(x, start), standard.forward(x, start)
    for state in ("h", "c"):
        np.testing.assert_allclose(run.states[state], expected.states[state], rtol=1e-14, atol=1e-15)
    for gate in "ifgo":
        np.testing.assert_allclose(run.gates[gate], expected.gates[gate], rtol=1e-14)
    if variant in ("nig", "nfg", "nog"):
        assert (run.gates[VARIANTS[variant]] == 1).all()
    if variant == "cifg":
        np.testing.assert_allclose(run.gates["i"] + run.gates["f"], 1, rtol=1e-15)
    if variant == "fgr":
        for gate in "ifo":
            np.testing.assert_array_equal(run.states[gate][1:], run.gates[gate])
    found, wanted = layer.backward(dy), standard.backward(dy)
    np.testing.assert_allclose(found.x, wanted.x, rtol=1e-12, atol=1e-14)
    for name in ("W_ih", "W_hh", "b"):
        own, of_standard = ({gate: block.copy() for gate, block in columns_of(each, name).items()}
                            for each in (layer, standard))  # fmt: skip
        for gate, value in own.items():
            coupled = of_standard["i"] if variant == "cifg" and gate == "f" else 0
            np.testing.assert_allclose(value, of_standard[gate] - coupled, rtol=1e-12, atol=1e-13)


def columns_of(layer, name):
    """Blocks of a gradient by gate."""
    return dict(zip(layer.cell.gates, np.split(layer.gradients[name], len(layer.cell.gates), -1), strict=True))


@pytest.mark.parametrize("variant", VARIANTS)
def test_peepholes_of_zero_are_none(variant):
    plain, layer = network(variant, "none"), network(variant, "full")
    for name, value in layer.parameters.items():
        value[:] = plain.parameters.get(name, 0)
    x, dy = draw(T, B, D), draw(T, B, H)
    np.testing.assert_array_equal(layer.forward(x).y, plain.forward(x).y)
    np.testing.assert_array_equal(layer.backward(dy).x, plain.backward(dy).x)
    for name, value in plain.gradients.items():
        np.testing.assert_array_equal(layer.gradients[name], value)
    assert all(layer.gradients[name].any() for name in layer.cell.per_unit)


@pytest.mark.parametrize("peepholes", PEEPHOLES)
@pytest.mark.parametrize(
    "variant, blocks, peeping",
    [("standard", 4, 3), ("nig", 3, 2), ("nfg", 3, 2), ("nog", 3, 2), ("niaf", 4, 3), ("noaf", 4, 3), ("cifg", 3, 2),
     ("fgr", 4, 3)],
)  # fmt: skip
def test_a_gate_that_is_left_out_has_no_parameters(variant, peepholes, blocks, peeping):
    layer = network(variant, peepholes)
    count = blocks * (D * H + H * H + H) + peeping * H * (peepholes == "full") + 9 * H * H * (variant == "fgr")
    assert layer.vector.size == count
    missing = VARIANTS[variant]
    assert not missing or missing not in layer.cell.gates and f"p_{missing}" not in layer.parameters
    assert layer.cell.tape == ("i", "f", "g", "o")
    means = gate_means(layer, layer.forward(draw(T, B, D)))
    assert list(means) == [f"mean_{gate}" for gate in "ifgo" if gate != missing]


def test_one_step_by_hand():
    """All weights 0, so that z = b: every activation and peephole once, in numbers."""
    b, p, c0 = dict(i=0.3, f=-0.2, g=0.7, o=0.1), dict(i=0.5, f=-1.0, o=2.0), 0.4
    sigmoid = lambda z: 1 / (1 + np.exp(-z))
    for variant in VARIANTS:
        layer = Layer("lstm", 1, 1, **ZEROS, variant=variant, peepholes="full")
        layer.parameters["b"][:] = [b[gate] for gate in layer.cell.gates]
        for name in layer.cell.per_unit:
            layer.parameters[name][:] = p[name[2:]]
        i, f, g, o = sigmoid(0.3 + 0.5 * c0), sigmoid(-0.2 - c0), np.tanh(0.7), None
        i, f = (1.0, f) if variant == "nig" else (i, 1.0) if variant == "nfg" else (i, f)
        i = 1 - f if variant == "cifg" else i
        g = 0.7 if variant == "niaf" else g
        c = f * c0 + i * g
        o = 1.0 if variant == "nog" else sigmoid(0.1 + 2 * c)
        h = o * (c if variant == "noaf" else np.tanh(c))
        run = layer.forward(np.zeros((1, 1, 1)), {"c": np.full((1, 1), c0)})
        found = [run.states["h"][1, 0, 0], run.states["c"][1, 0, 0]]
        np.testing.assert_allclose(found, [h, c], rtol=1e-15, err_msg=variant)


def test_full_gate_recurrence_goes_from_each_gate_to_each_gate_but_not_to_g():
    """A step in which only the gate values before it differ, one matrix after the other."""
    for source in "ifo":
        layer = Layer("lstm", D, H, **ZEROS, variant="fgr")
        R = layer.parameters[f"R_{source}"]
        R[:] = draw(*R.shape)
        before = draw(B, H)
        run = layer.forward(np.zeros((1, B, D)), {source: before})
        forget = np.repeat([0.0, layer.options["forget_bias"], 0.0], H)
        gates = 1 / (1 + np.exp(-(before @ R + forget)))
        for gate, expected in zip("ifo", np.split(gates, 3, -1), strict=True):
            np.testing.assert_allclose(run.gates[gate][0], expected, rtol=1e-14)
        assert not run.gates["g"].any()


def test_zoneout_acts_on_gates_that_recur():
    """Gradients of fgr with zoneout, against central differences at the same masks."""
    layer = Layer("lstm", D, H, rng=stream("init", 0), variant="fgr", peepholes="full", zoneout=0.4,
                  noise=stream("dropout", 0))  # fmt: skip
    for name in layer.cell.per_unit:
        layer.parameters[name][:] = draw(H)
    x, dy = draw(T, B, D), draw(T, B, H)

    def loss():
        layer.noise = stream("dropout", 0)
        return (layer.forward(x, training=True).y * dy).sum()

    loss()
    held = layer.last.states["i"][1:] != layer.last.gates["i"]
    assert 0.2 < held.mean() < 0.6
    layer.backward(dy)
    gradient, direction = layer.gradient.copy(), draw(layer.vector.size)
    ends = []
    for step in (1e-6, -1e-6):
        layer.vector += step * direction
        ends.append(loss())
        layer.vector -= step * direction
    assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(gradient @ direction, rel=1e-7)


@pytest.mark.parametrize("peepholes", PEEPHOLES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_d_a_network_of_zeros_forgets_at_the_rate_of_its_gate(variant, peepholes):
    """dL/dc by f a step, by 1 without a forget gate: what exact_rates says, and what the backward pass does."""
    layer = Layer("lstm", D, H, **ZEROS, variant=variant, peepholes=peepholes, forget_bias=2.0)
    rate = 1.0 if variant == "nfg" else 1 / (1 + np.exp(-2.0))
    exact = exact_rates(layer)
    assert exact.pop("c") == pytest.approx(rate, rel=1e-15)
    assert exact == dict.fromkeys(set(layer.cell.states) - {"c"}, 0.0)
    layer.forward(draw(T, B, D), {"c": draw(B, H)})
    found = layer.backward(dstates={"c": draw(B, H)}, every_state=True).states
    np.testing.assert_allclose(found["c"][:-1], rate * found["c"][1:], rtol=1e-14)
    assert not any(found[state][:-1].any() for state in found if state != "c")
    for name in (*layer.cell.per_unit, *(f"R_{gate}" for gate in "ifo" if variant == "fgr")):
        layer.parameters[name].flat[-1] = 1e-9
        assert exact_rates(layer) == {}
        layer.parameters[name][:] = 0


def test_chrono_sets_the_gates_that_are_there():
    for variant in VARIANTS:
        layer = Layer("lstm", D, H, rng=stream("init", 0), variant=variant, chrono=50)
        b = columns(layer, "b")
        assert "f" not in b or ((b["f"] >= 0) & (b["f"] <= np.log(49))).all()
        assert not {"i", "f"} <= b.keys() or (b["i"] == -b["f"]).all()


def test_names_of_variants():
    assert cells.canonical("lstm:full:cifg") == "lstm:cifg:full"
    assert cells.canonical("lstm:standard:none:forget_bias=1") == "lstm"
    with pytest.raises(UsageError, match="^unknown variant of cell lstm 'cfig'; did you mean 'cifg'"):
        cells.parse("lstm:cfig")
    for text, got in (("lstm:nig:variant=nfg", "nig and nfg"), ("lstm:nig:nig", "nig and nig")):
        with pytest.raises(UsageError, match=f"^variant of cell lstm must be given once, got {got}$"):
            cells.parse(text)
    with pytest.raises(UsageError, match="^forget_bias of cell lstm must be given once, got 1.0 and 2$"):
        cells.parse("lstm:forget_bias=1:forget_bias=2")


def test_a_choice_that_several_options_have_is_given_with_its_option(monkeypatch):
    shared = {
        "inner": Option("tanh", choices=("tanh", "relu")),
        "outer": Option("relu", choices=("relu", "tanh", "id")),
    }
    monkeypatch.setattr(cells, "load", lambda name: replace(naive.DIAGONAL, options=shared, name=name))
    message = r"^variant of cell x must be inner=relu or outer=relu, got relu \(several options have it\)$"
    with pytest.raises(UsageError, match=message):
        cells.parse("x:relu")
    assert cells.parse("x:inner=relu:id")[1] == {"inner": "relu", "outer": "id"}
    assert cells.canonical("x:id:inner=relu") == "x:inner=relu:id"
    assert cells.canonical("x:outer=tanh") == "x:outer=tanh"


# Memory blocks of 1997 -------------------------------------------------------------------------------------------

# Oracle l: inputs, cells, block, biases of units, outputs, biases of outputs, parameters of the whole network.
COUNTS = {
    "adding": (2, 4, 2, "all", 1, 1, 93),
    "temporal order, 2 symbols": (8, 4, 2, "all", 4, 1, 156),
    "temporal order, 3 symbols": (8, 6, 2, "all", 8, 1, 308),
    "two sequences": (1, 3, 1, "all", 1, 0, 102),
    "Reber, 4 blocks of 1": (7, 4, 1, "gates", 7, 0, 264),
    "Reber, 3 blocks of 2": (7, 6, 2, "gates", 7, 0, 276),
}


@pytest.mark.parametrize("name", COUNTS)
def test_l_memory_blocks_have_the_papers_number_of_weights(name):
    I, n, block, bias, O, b_o, count = COUNTS[name]
    layer = Layer("lstm1997", I, n, rng=stream("init", 0), block=block, bias=bias)
    assert layer.vector.size + O * (n + b_o) == count
    U = n + 2 * n // block
    assert layer.parameters["W_ih"].shape == (I, U) and layer.parameters["W_hh"].shape == (U, U)


@pytest.mark.parametrize("bias", ["all", "gates", "none"])
@pytest.mark.parametrize("block, size", [(2, (4, 3, 2, 4)), (3, (3, 2, 1, 3)), (2, (6, 2, 3, 6))])
def test_blocks_of_several_cells_pass_the_common_checks(block, size, bias):
    case = common.Case(cells.load("lstm1997"), (("block", block), ("bias", bias)))
    common.check_forward(case, size, "float64")
    common.check_gradient_by_number(common.Problem(case, size))
    common.check_single(case, size)
    common.check_every_state(case, size)
    common.check_rows(case, size, "float32")
    common.check_padding(case, size, [size[0], 0, 2][: size[1]], "float64")
    common.check_halves(common.Problem(case, size), 1)


def test_cells_of_a_block_share_their_gates_and_gates_see_gates():
    layer = Layer("lstm1997", D, H, rng=stream("init", 0), block=2)
    run, before = layer.forward(draw(T, B, D)), {}
    for gate in "io":
        before[gate] = run.gates[gate].copy()
        np.testing.assert_array_equal(before[gate][..., ::2], before[gate][..., 1::2])
        np.testing.assert_array_equal(run.states[gate][1:], before[gate])
        assert (before[gate][..., 0] != before[gate][..., 2]).all()
    layer.parameters["W_hh"][H:, H:] += 1  # from gates to gates
    run = layer.forward(draw(T, B, D))
    for gate in "io":
        np.testing.assert_array_equal(run.gates[gate][0], before[gate][0])
        assert (run.gates[gate][1:] > before[gate][1:]).all()


def test_the_error_carousel_keeps_all_of_the_gradient():
    layer, dc = Layer("lstm1997", D, H, **ZEROS, block=2), draw(B, H)
    layer.forward(draw(50, B, D))
    found = layer.backward(dstates={"c": dc}, every_state=True).states["c"]
    assert (found == dc).all()


def test_weights_and_biases_of_1997_start_as_in_the_paper():
    b = Layer("lstm1997", 2, 6, rng=stream("init", 0), block=2, input_bias=-3, output_bias=-1).parameters["b"]
    np.testing.assert_array_equal(b[6:], [-3, -6, -9, -1, -2, -3])
    b = Layer("lstm1997", 2, 6, rng=stream("init", 0), block=2, input_bias=-2, bias="gates").parameters["b"]
    np.testing.assert_array_equal(b[:3], [-2, -4, -6])
    assert (0 < abs(b[3:])).all() and (abs(b[3:]) < 0.1).all()
    values = Layer("lstm1997", 20, 20, rng=stream("init", 0), scale=0.2).vector
    assert 0.19 < values.max() < 0.2 and -0.2 < values.min() < -0.19 and abs(values.mean()) < 0.01
    assert Layer("lstm1997", 2, 6, rng=stream("init", 0), bias="none").parameters.keys() == {"W_ih", "W_hh"}


@pytest.mark.parametrize("block", [2, 1.5, 0, -1, 6])
def test_blocks_must_be_full(block):
    with pytest.raises(UsageError, match=f"^hidden_size must be a multiple of block={block}, .*, got 3$"):
        Layer("lstm1997", 2, 3, rng=stream("init", 0), block=block)


# Fewer gates -----------------------------------------------------------------------------------------------------


def zeros_with_bias(cell, b, **options):
    """All weights zero, every unit's biases b."""
    layer = Layer(cell, D, H, **ZEROS, **options)
    layer.parameters["b"][:] = np.repeat(b, H)
    return layer


@pytest.mark.parametrize(
    "cell, b, options, rate",
    [
        ("janet", [2.0, 0.3], {}, 1 / (1 + np.exp(-2.0))),
        ("janet", [2.0, 0.3], {"beta": 0.0}, 1 / (1 + np.exp(-2.0))),
        ("mgu", [2.0, 0.3], {}, 1 / (1 + np.exp(2.0))),
        ("mingru", [-2.0, 0.3], {}, 1 / (1 + np.exp(-2.0))),
        ("minlstm", [np.log(3.0), -np.log(3.0), 0.3], {}, 0.75),
    ],
)
def test_networks_of_zeros_keep_what_their_gate_says(cell, b, options, rate):
    """h_t = rate h_{t-1} + what is let in, which does not depend on h."""
    layer = zeros_with_bias(cell, b, **options)
    layer.forward(draw(T, B, D), {"h": draw(B, H)})
    found = layer.backward(dstates={"h": draw(B, H)}, every_state=True).states["h"]
    np.testing.assert_allclose(found[:-1], rate * found[1:], rtol=1e-14)


@pytest.mark.parametrize("cell, extra", [("janet", 0), ("mgu", 0), ("mingru", None), ("minlstm", None)])
def test_parameters_of_cells_with_few_gates(cell, extra):
    """Two blocks, three for the minLSTM; recurrent matrices in as many, or none."""
    blocks = 3 if cell == "minlstm" else 2
    recurrent = 0 if extra is None else 2 * H * H
    assert Layer(cell, D, H, **ZEROS).vector.size == blocks * (D * H + H) + recurrent


def test_janet_lets_in_more_than_it_forgets_by_beta():
    for beta in (0.0, 1.0, 2.5):
        run = zeros_with_bias("janet", [0.4, 0.3], beta=beta).forward(draw(T, B, D))
        np.testing.assert_allclose(run.gates["i"], 1 - 1 / (1 + np.exp(beta - 0.4)), rtol=1e-14)
    b = Layer("janet", D, H, rng=stream("init", 0)).parameters["b"]
    np.testing.assert_array_equal(b, np.repeat([1.0, 0.0], H))
    assert Layer("janet", D, H, rng=stream("init", 0)).options == {"beta": 1.0, "forget_bias": 1.0}


@pytest.mark.parametrize("cell, keeps", [("janet", {"f": 1}), ("mgu", {"f": -1}), ("mingru", {"u": -1}),
                                         ("minlstm", {"f": 1, "i": -1})])  # fmt: skip
def test_chrono_gives_memory_times_up_to_its_limit(cell, keeps):
    """What is kept of h is 1 - 1/u with u in [1, T - 1], as the gate's bias says."""
    layer = Layer(cell, 1, 200, rng=stream("init", 0), init="zeros", input_init="zeros", chrono=100)
    b = np.split(layer.parameters["b"], len(layer.cell.gates))
    for gate, bias in zip(layer.cell.gates, b, strict=True):
        assert bias.any() == (gate in keeps)
    layer.forward(np.zeros((1, 1, 1)))
    kept = layer.backward(dstates={"h": np.ones((1, 200))}).start["h"]
    u = kept / (1 - kept)  # of a gate u / (1 + u)
    assert 1 <= u.min() < 3 and 95 < u.max() <= 99 and abs(np.median(u) - 50) < 10


@pytest.mark.parametrize("cell", ["mingru", "minlstm"])
def test_decay_is_what_h_and_its_gradient_are_multiplied_by(cell):
    """h_t = a_t h_{t-1} + b_t: two runs differ by the product of a, and dL/dh_{t-1} = a_t dL/dh_t."""
    layer = Layer(cell, D, H, rng=stream("init", 0))
    x, start = draw(T, B, D), draw(B, H)
    run = layer.forward(x, {"h": start})
    (a,), h = layer.cell.decay(run.gates, layer.weights, layer.options), run.states["h"].copy()
    a = a.copy()
    assert a.shape == (T, B, H) and (a > 0).all() and (a < 1).all()
    found = layer.backward(dstates={"h": draw(B, H)}, every_state=True).states["h"]
    np.testing.assert_array_equal(found[:-1], a * found[1:])
    difference = h - layer.forward(x).states["h"]
    np.testing.assert_allclose(difference[1:], start * np.cumprod(a, 0), rtol=1e-10, atol=1e-14)


def test_gates_of_the_minlstm_share_what_there_is_even_if_both_are_closed():
    """sigmoid(-800) = 0: f / (f + i) would be 0 / 0, the share of their logarithms is not."""
    for f, i in ((0.3, -0.4), (-800.0, -801.0), (-3000.0, -3000.0), (800.0, 900.0)):
        a = zeros_with_bias("minlstm", [f, i, 0.0]).forward(draw(1, 1, D)).gates["a"]
        expected = 1 / (1 + np.exp(f * 0 + np.logaddexp(0, -f) - np.logaddexp(0, -i)))
        np.testing.assert_allclose(a, expected, rtol=1e-13)


def test_the_minimal_gated_unit_resets_before_the_product():
    layer = Layer("mgu", D, H, rng=stream("init", 0))
    x, h = draw(1, B, D), draw(B, H)
    run = layer.forward(x, {"h": h})
    W_f, W_n = np.split(layer.parameters["W_ih"], 2, -1)
    f = 1 / (1 + np.exp(-(x[0] @ W_f + h @ layer.parameters["W_hh"])))
    n = np.tanh(x[0] @ W_n + (f * h) @ layer.parameters["W_pn"])
    np.testing.assert_allclose(run.y[0], (1 - f) * h + f * n, rtol=1e-14)


def test_reference_of_the_memory_blocks_is_the_papers_formula():
    """g(x) = 4 sigmoid(x) - 2 and h(x) = 2 sigmoid(x) - 1, in one step of one block of one cell."""
    s = lambda z: 1 / (1 + np.exp(-z))
    layer = Layer("lstm1997", 1, 1, rng=stream("init", 0), scale=1.0)
    x, h, c, i, o = 0.7, 0.2, 0.5, 0.3, 0.6
    z = (x * layer.parameters["W_ih"] + np.array([[h, i, o]]) @ layer.parameters["W_hh"] + layer.parameters["b"])[0]
    c_new = c + s(z[1]) * (4 * s(z[0]) - 2)
    run = layer.forward(np.full((1, 1, 1), x), {name: np.full((1, 1), value) for name, value in
                                                (("h", h), ("c", c), ("i", i), ("o", o))})  # fmt: skip
    np.testing.assert_allclose(run.states["c"][1, 0, 0], c_new, rtol=1e-14)
    np.testing.assert_allclose(run.y[0, 0, 0], s(z[2]) * (2 * s(c_new) - 1), rtol=1e-14)
