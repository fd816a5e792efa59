"""Linear recurrent unit: a complex diagonal recurrence, stable by construction.

    h_t = lambda h_{t-1} + gamma B x_t
    lambda = exp(-exp(nu) + i exp(theta)),   gamma = exp(log_gamma)

Complex numbers are pairs of real arrays: states h and h_im, gates re and im (which hold B x_t), and both states side by
side as output. The paper's C, D and non-linearity come behind that: they are the head's job. |lambda| is uniform over
the ring's area, r_min <= |lambda| <= r_max, and the phase over (0, max_phase]; gamma starts as sqrt(1 - |lambda|^2), so
that white input of unit power makes states of unit power. No bias.

Backward, with g = dL/dh_t: dB x = gamma g, dL/dh_{t-1} = conj(lambda) g, dlambda = g conj(h_{t-1}), dgamma = Re(g
conj(B x)); dnu = -exp(nu) Re(dlambda conj(lambda)), dtheta = exp(theta) Im(dlambda conj(lambda)), dlog_gamma = dgamma
gamma.
"""

import numpy as np

from sandbox.cells import Cell, Derived, Option
from sandbox.errors import UsageError
from sandbox.kernels.activations import exp_array, log_array, sinpi_array
from sandbox.streams import uniform


def step_forward(t, first, last, z, states, weights, flags):
    """z[t] (B, 2, H) stays B x."""
    a, w, gamma = weights[0], weights[1], weights[2]
    for b in range(first, last):
        re, im, p, q = z[t, b, 0], z[t, b, 1], states[0, t, b], states[1, t, b]
        h, h_im = states[0, t + 1, b], states[1, t + 1, b]
        for j in range(z.shape[3]):
            h[j] = a[j] * p[j] - w[j] * q[j] + gamma[j] * re[j]
            h_im[j] = w[j] * p[j] + a[j] * q[j] + gamma[j] * im[j]


def step_backward(t, first, last, dz, states, weights, flags, ds, dweights):
    """dz[t]: B x to its dL/dz; ds: g to conj(lambda) g, all of dL/dh_{t-1}, since no product follows."""
    a, w, gamma, da, dw, dgamma = weights[0], weights[1], weights[2], dweights[0], dweights[1], dweights[2]
    for b in range(first, last):
        re, im, p, q, dh, dh_im = dz[t, b, 0], dz[t, b, 1], states[0, t, b], states[1, t, b], ds[0, b], ds[1, b]
        for j in range(dz.shape[3]):
            g, g_im = dh[j], dh_im[j]
            da[j] += g * p[j] + g_im * q[j]
            dw[j] += g_im * p[j] - g * q[j]
            dgamma[j] += g * re[j] + g_im * im[j]
            re[j] = gamma[j] * g
            im[j] = gamma[j] * g_im
            dh[j] = a[j] * g + w[j] * g_im
            dh_im[j] = a[j] * g_im - w[j] * g


def reference(x, h, h_im, W_ih, nu, theta, log_gamma, r_min=0.9, r_max=0.999, max_phase=6.283):
    """One step in NumPy."""
    re, im = np.split(np.exp(np.concatenate([log_gamma] * 2)) * (x @ W_ih), 2, axis=-1)
    a, w = np.exp(-np.exp(nu)) * np.cos(np.exp(theta)), np.exp(-np.exp(nu)) * np.sin(np.exp(theta))
    return a * h - w * h_im + re, w * h + a * h_im + im


def make(parameters, options):
    """lambda and gamma, in float64."""
    nu, theta, log_gamma = (parameters[name].astype(np.float64) for name in ("nu", "theta", "log_gamma"))
    radius, phase = exp_array(-exp_array(nu)), exp_array(theta) / np.pi
    return {"lambda_re": radius * sinpi_array(phase + 0.5), "lambda_im": radius * sinpi_array(phase),
            "gamma": exp_array(log_gamma)}  # fmt: skip


def pull_back(parameters, weights, gradients, options):
    """dL/d(nu, theta, log_gamma) from dL/d(lambda, gamma)."""
    a, w, da, dw = weights["lambda_re"], weights["lambda_im"], gradients["lambda_re"], gradients["lambda_im"]
    return {"nu": -(a * da + w * dw) * exp_array(parameters["nu"]),
            "theta": (a * dw - w * da) * exp_array(parameters["theta"]),
            "log_gamma": gradients["gamma"] * weights["gamma"]}  # fmt: skip


def initial(parameters, rng, options):
    """|lambda|^2 ~ U(r_min^2, r_max^2], the phase ~ U(0, max_phase]."""
    if options["r_min"] > options["r_max"]:
        raise UsageError(f"r_min must be at most r_max={options['r_max']:g}, got {options['r_min']:g}")
    low, high, H = options["r_min"] ** 2, options["r_max"] ** 2, len(parameters["nu"])
    square = low + (high - low) * (1 - uniform(rng, H))
    parameters["nu"][:] = log_array(-0.5 * log_array(square))
    parameters["theta"][:] = log_array(options["max_phase"] * (1 - uniform(rng, H)))
    parameters["log_gamma"][:] = 0.5 * log_array(1 - square)


def decay(gates, weights, options):
    """lambda, the same at every step."""
    return tuple(np.zeros_like(gates["re"]) + weights[name] for name in ("lambda_re", "lambda_im"))


CELL = Cell(
    paper="Orvieto, Smith, Gu, Fernando, Gulcehre, Pascanu & De 2023 (LRU), section 3",
    gates=("re", "im"),
    states=("h", "h_im"),
    outputs=2,
    products=(),
    biases={},
    per_unit=("lambda_re", "lambda_im", "gamma"),
    options={
        "r_min": Option(0.9, help="smallest initial |lambda|", minimum=0, below=1),
        "r_max": Option(0.999, help="largest initial |lambda|", above=0, below=1),
        "max_phase": Option(6.283, help="largest initial phase", above=0),
    },
    derived=Derived(
        ("lambda_re", "lambda_im", "gamma"),
        lambda D, H, options: dict.fromkeys(("nu", "theta", "log_gamma"), (H,)),
        make,
        pull_back,
    ),
    initial=initial,
    decay=decay,
    step_forward=step_forward,
    step_backward=step_backward,
    reference=reference,
)
