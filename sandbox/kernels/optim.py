"""Update rules on flat vectors, one kernel each: one pass over vector, gradient and state, no allocation.

    vector, gradient, and state arrays  (N,) of one dtype
    lr and settings                     float64; what multiplies an element is rounded to the vector's dtype once

Everything is elementwise and in IEEE 754's own operations, so the bits depend on the inputs alone.
"""

import numpy as np

from sandbox.jit import inline, kernel


@kernel
def sgd(vector, gradient, lr):
    """x <- x - lr g."""
    rate = vector.dtype.type(lr)
    for i in range(vector.size):
        vector[i] = vector[i] - rate * gradient[i]


@kernel
def momentum(vector, gradient, lr, velocity, mu):
    """v <- mu v + g;  x <- x - lr v."""
    rate, keep = vector.dtype.type(lr), vector.dtype.type(mu)
    for i in range(vector.size):
        v = keep * velocity[i] + gradient[i]
        velocity[i] = v
        vector[i] = vector[i] - rate * v


@kernel
def nesterov(vector, gradient, lr, velocity, mu):
    """v <- mu v + g;  x <- x - lr (g + mu v)."""
    rate, keep = vector.dtype.type(lr), vector.dtype.type(mu)
    for i in range(vector.size):
        g = gradient[i]
        v = keep * velocity[i] + g
        velocity[i] = v
        vector[i] = vector[i] - rate * (g + keep * v)


@kernel
def rmsprop(vector, gradient, lr, square, alpha, eps):
    """s <- alpha s + (1 - alpha) g^2;  x <- x - lr g / (sqrt(s) + eps)."""
    real = vector.dtype.type
    rate, keep, take, small = real(lr), real(alpha), real(1.0 - alpha), real(eps)
    for i in range(vector.size):
        g = gradient[i]
        s = keep * square[i] + take * (g * g)
        square[i] = s
        vector[i] = vector[i] - rate * (g / (np.sqrt(s) + small))


@inline
def _advance(powers, beta1, beta2):
    powers[0] *= beta1
    powers[1] *= beta2
    return 1.0 - powers[0], np.sqrt(1.0 - powers[1])


@kernel
def adam(vector, gradient, lr, first, second, powers, beta1, beta2, eps):
    """m <- m + (1 - beta1) (g - m);  s <- beta2 s + (1 - beta2) g^2;  x <- x - lr mhat / (sqrt(shat) + eps).

    mhat = m / (1 - beta1^t), shat = s / (1 - beta2^t), with the powers (2,) float64 multiplied up in place.
    """
    correction, root = _advance(powers, beta1, beta2)
    real = vector.dtype.type
    rate, root, small = real(lr / correction), real(root), real(eps)
    take1, keep2, take2 = real(1.0 - beta1), real(beta2), real(1.0 - beta2)
    for i in range(vector.size):
        g = gradient[i]
        m = first[i] + take1 * (g - first[i])
        s = keep2 * second[i] + take2 * (g * g)
        first[i] = m
        second[i] = s
        vector[i] = vector[i] - rate * (m / (np.sqrt(s) / root + small))


@kernel
def adamw(vector, gradient, lr, first, second, powers, beta1, beta2, eps, weight_decay, decay):
    """x <- x (1 - lr weight_decay) where `decay` (N,) bool is true, then Adam's update."""
    correction, root = _advance(powers, beta1, beta2)
    real = vector.dtype.type
    rate, root, small = real(lr / correction), real(root), real(eps)
    take1, keep2, take2 = real(1.0 - beta1), real(beta2), real(1.0 - beta2)
    one, shrink = real(1.0), real(1.0 - lr * weight_decay)
    for i in range(vector.size):
        g = gradient[i]
        m = first[i] + take1 * (g - first[i])
        s = keep2 * second[i] + take2 * (g * g)
        first[i] = m
        second[i] = s
        vector[i] = vector[i] * (shrink if decay[i] else one) - rate * (m / (np.sqrt(s) / root + small))
