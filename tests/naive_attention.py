"""Attention, layer normalisation and the Transformer in NumPy: complex-safe, a sequence at a time, weights in full."""

import naive
import naive_model
import numpy as np


def softmax(scores, sees):
    """Over the last axis where `sees`, 0 elsewhere; all 0 where it sees nothing."""
    top = np.where(sees, scores.real, -np.inf).max(-1, keepdims=True, initial=-np.inf)
    e = np.where(sees, np.exp(np.where(sees, scores - np.where(np.isfinite(top), top, 0), 0)), 0)
    total = e.sum(-1, keepdims=True)
    return e / np.where(total == 0, 1, total)


def attention(score, parameters, queries, keys, lengths=None):
    """Context (T, B, K) and weights (T, B, S)."""
    if score == "additive":
        q, k = queries @ parameters["query.W"] + parameters["query.b"], keys @ parameters["key.W"]
        scores = (np.tanh(q[:, :, None] + k.swapaxes(0, 1)[None]) @ parameters["score.W"])[..., 0]
    else:
        q = queries @ parameters["query.W"] if score == "general" else queries
        scores = np.einsum("tbk,sbk->tbs", q, keys)
    counts = np.full(keys.shape[1], len(keys)) if lengths is None else np.asarray(lengths)
    weights = softmax(scores, np.arange(len(keys)) < counts[:, None])
    return np.einsum("tbs,sbk->tbk", weights, keys), weights


def multi_head(parameters, x, heads, lengths=None, past=None, causal=False):
    """y (T, B, D), and keys, values and count of all steps so far."""
    T, B, D = x.shape
    qkv = x @ parameters["in.W"] + parameters["in.b"]
    lengths = np.full(B, T) if lengths is None else lengths
    context, after = np.zeros((T, B, D), complex), {"keys": [], "values": [], "count": []}
    for b in range(B):
        q, k, v = np.split(qkv[:, b], 3, -1)
        before = 0 if past is None else past["count"][b]
        if past is not None:
            k, v = (np.concatenate([past[name][b].reshape(-1, D)[:before], new[: lengths[b]]])
                    for name, new in (("keys", k), ("values", v)))  # fmt: skip
        else:
            k, v = k[: lengths[b]], v[: lengths[b]]
        sees = np.arange(len(k)) <= before + np.arange(T)[:, None] if causal else np.ones((T, len(k)), bool)
        parts = []
        for one, two, three in zip(*(np.split(value, heads, -1) for value in (q, k, v))):
            parts.append(softmax(one @ two.T / np.sqrt(D / heads), sees) @ three)
        context[:, b] = np.concatenate(parts, -1)
        for name, value in (("keys", k), ("values", v), ("count", len(k))):
            after[name].append(value)
    S = max(after["count"])
    for name in ("keys", "values"):
        after[name] = np.stack([np.pad(rows, ((0, S - len(rows)), (0, 0))).ravel() for rows in after[name]])
    return context @ parameters["out.W"] + parameters["out.b"], after | {"count": np.array(after["count"])}


def layer_norm(x, g, b):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred * centred).mean(-1, keepdims=True) + 1e-5) * g + b


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x * x * x)))


def sines(count, size):
    angle = np.arange(count)[:, None] / 10000.0 ** (np.arange(size) // 2 * 2 / size)
    return np.where(np.arange(size) % 2, np.cos(angle), np.sin(angle))


def block(parameters, x, heads, pre, lengths=None, past=None, causal=False, hides=(1.0, 1.0)):
    """x_l of x_{l-1}, and what `multi_head` says of the steps so far."""
    own = lambda name: naive_model.own(parameters, name)
    norms = [lambda u, number=number: layer_norm(u, **own(f"norm_{number}")) for number in (1, 2)]
    dense = lambda name, u: u @ own(name)["W"] + own(name)["b"]
    attend = lambda u: multi_head(own("attention"), u, heads, lengths, past, causal)
    after = None
    if pre:
        y, after = attend(norms[0](x))
        x = x + y * hides[0]
        return x + dense("outer", gelu(dense("inner", norms[1](x)))) * hides[1], after
    y, after = attend(x)
    x = norms[0](x + y * hides[0])
    return norms[1](x + dense("outer", gelu(dense("inner", x))) * hides[1]), after


def transformer(model, parameters, x, states=None, lengths=None, hides=None):
    """y (T, B, H), its last rows (B, H), and the states; `model` is read for its shape only."""
    T, B, _ = x.shape
    H, blocks = model.output_size, len(model.layers)
    lengths = np.full(B, T) if lengths is None else np.asarray(lengths)
    starts = np.zeros(B, int) if states is None else states[0]["count"]
    table = parameters.get("positions.W", sines(starts.max() + T, H))
    hides = np.ones(1 + 2 * blocks) if hides is None else hides
    y = x @ parameters["input.W"] + parameters["input.b"] + table[starts + np.arange(T)[:, None]]
    y, after = y * hides[0], []
    for number, layer in enumerate(model.layers):
        y, past = block(naive_model.own(parameters, str(number)), y, layer.attention.heads, layer.pre, lengths,
                        None if states is None else states[number], model.direction == "forward",
                        hides[2 * number + 1 : 2 * number + 3])  # fmt: skip
        after.append(past)
    if model.layers[0].pre:
        y = layer_norm(y, parameters["norm.g"], parameters["norm.b"])
    y = np.where((np.arange(T)[:, None] < lengths)[..., None], y, 0)
    before = np.zeros((B, H)) if states is None else states[-1]["y"]
    last = np.where((lengths > 0)[:, None], y[np.maximum(lengths - 1, 0), np.arange(B)], before)
    after[-1]["y"] = last
    return y, last, after


class Network(naive_model.Network):
    """A model whose body is a Transformer, with masks of its own drawing."""

    def draw(self, number, seed):
        """Of the first block: by what all places multiply."""
        if number or seed is None or not self.model.stack.dropout:
            return None
        sites = np.random.default_rng(seed).spawn(1 + 2 * len(self.model.stack.layers))
        shape, rate = (*self.x.shape[:2], self.model.stack.output_size), self.model.stack.dropout
        return [(site.random(shape) >= rate) / (1 - rate) for site in sites]

    def output(self, flat):
        """(B, O), or (T, B, O) for the head `every`."""
        parameters, model = naive.unpack(flat, self.model.parameters), self.model
        x = self.x if model.embedding is None else parameters["embedding.W"][self.x]
        y, last = self.body(naive_model.own(parameters, "layers"), x)
        W, b = parameters["head.W"], parameters["head.b"]
        if model.head == "every":
            return y @ W + b
        if model.head == "last":
            return last @ W + b
        means = [y[:length, b].sum(0) / max(length, 1) for b, length in enumerate(self.lengths)]
        return np.stack(means) @ W + b

    def body(self, parameters, x):
        """y and its last rows, with derivatives that stop at the windows' edges but in rows that have ended."""
        outputs, states = [], self.states
        for first in range(0, len(x), self.window):
            part = slice(first, first + self.window)
            hides = None if self.masks[0] is None else [mask[part] for mask in self.masks[0]]
            if first:
                ended = (self.lengths <= first)[:, None]
                states = [{name: value if name == "count" else np.where(ended, value, value.real)
                           for name, value in state.items()} for state in states]  # fmt: skip
            y, last, states = transformer(self.model.stack, parameters, x[part], states,
                                          np.clip(self.lengths - first, 0, len(x[part])), hides)  # fmt: skip
            outputs.append(y)
        return np.concatenate(outputs), last
