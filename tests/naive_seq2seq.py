"""An encoder-decoder in NumPy, complex-safe and a step at a time, at the parameters in one flat vector."""

import naive
import numpy as np


def own(parameters, name):
    """The parameters of one part."""
    return {key.removeprefix(f"{name}."): value for key, value in parameters.items() if key.startswith(f"{name}.")}


def backwards(x, lengths):
    x = x.copy()
    for b, length in enumerate(lengths):
        x[:length, b] = x[:length, b][::-1]
    return x


def stack(modules, parameters, x, starts, lengths):
    """Outputs of a stack of recurrent layers, and all last states by layer and name."""
    ends = []
    for number, layer in enumerate(modules.layers):
        both = hasattr(layer, "halves")
        outputs, states = [], {}
        for half, prefix in (("forth", "forth."), ("back", "back.")) if both else ((None, ""),):
            part = getattr(layer, half) if both else layer
            seen = backwards(x, lengths) if half == "back" else x
            start = [starts[number][name] if starts else np.zeros((x.shape[1], part.hidden_size))
                     for name in part.cell.states]  # fmt: skip
            trail = naive.run(part.cell, part.options, own(parameters, f"{number}.{half}" if both else str(number)),
                              seen, start, lengths)  # fmt: skip
            y = np.concatenate(trail[: part.cell.outputs, 1:], -1)
            outputs.append(backwards(y, lengths) if half == "back" else y)
            states |= {f"{prefix}{name}": trail[n, -1] for n, name in enumerate(part.cell.states)}
        ends.append(states)
        y = sum(outputs) if both and layer.merge == "sum" else np.concatenate(outputs, -1)
        x = x + y if modules.residual and number else y
    return x, ends


def weights_of(score, parameters, queries, keys, lengths):
    """Attention's weights (T, B, S)."""
    if score == "dot":
        found = np.einsum("tbk,sbk->tbs", queries, keys)
    elif score == "general":
        found = np.einsum("tbk,sbk->tbs", queries @ parameters["query.W"], keys)
    else:
        q, k = queries @ parameters["query.W"] + parameters["query.b"], keys @ parameters["key.W"]
        found = (np.tanh(q[:, None] + k[None]) @ parameters["score.W"])[..., 0].transpose(0, 2, 1)
    out = np.zeros_like(found)
    for b, length in enumerate(lengths):
        if length:
            e = np.exp(found[:, b, :length])
            out[:, b, :length] = e / e.sum(-1, keepdims=True)
    return out


def output(model, flat, x, inputs, lengths=None):
    """Logits (T, B, O) after what the decoder is given, and attention's weights or None."""
    parameters = naive.unpack(flat, model.parameters)
    B = inputs.shape[1]
    if model.kind == "vector":
        x = x.reshape(B, -1) if model.encoder.symbols is None else x.reshape(B)
        W = parameters["encoder.embedding.W" if model.encoder.symbols else "encoder.dense.W"]
        v = W[x] if model.encoder.symbols else np.tanh(x @ W + parameters["encoder.dense.b"])
        keys, ends = None, [{"v": v}]
    else:
        lengths = np.full(B, len(x)) if lengths is None else lengths
        seen = parameters["encoder.embedding.W"][x] if model.encoder.embedding else x
        keys, ends = stack(model.encoder.stack, own(parameters, "encoder.layers"), seen, None, lengths)
    starts = ends
    if model.bridge is not None:
        joined = np.concatenate([value for states in ends for value in states.values()], -1)
        starts = [{name: np.tanh(joined @ parameters[f"bridge.{n}.{name}.W"] + parameters[f"bridge.{n}.{name}.b"])
                   for name in layer.cell.states} for n, layer in enumerate(model.decoder.stack.layers)]  # fmt: skip
    full = np.full(B, len(inputs))
    h, _ = stack(model.decoder.stack, own(parameters, "decoder.layers"), parameters["decoder.embedding.W"][inputs],
                 starts, full)  # fmt: skip
    weights = None
    if model.decoder.attention is not None:
        score = model.decoder.attention.score
        weights = weights_of(score, own(parameters, "decoder.attention"), h, keys, lengths)
        context = np.einsum("tbs,sbk->tbk", weights, keys)
        h = np.tanh(np.concatenate([context, h], -1) @ parameters["decoder.combine.W"])
    return h @ parameters["decoder.head.W"] + parameters["decoder.head.b"], weights
