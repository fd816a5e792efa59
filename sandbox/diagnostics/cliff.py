"""The loss along its own gradient: how steep the wall is that a plain step would run into."""

import numpy as np

from sandbox.kernels.reductions import norm

__all__ = ["loss_along_gradient"]


def loss_along_gradient(model, task, batch, distances):
    """L(w + s g / ||g||) for every distance s, g = dL/dw; the model's parameters are as before afterwards.

    (Pascanu, Mikolov & Bengio 2013, section 2.3, where the error surface has a wall.)

    Parameters
    ----------
    model : Model
    task : Task
    batch : Batch
    distances : (N,) array

    Returns
    -------
    distances, losses : (N,) arrays
        Losses are NaN where g is zero or not finite.
    """
    target = batch.target if task.loss == "softmax" else batch.target.astype(model.dtype)
    arguments = {"loss": task.loss, "mask": batch.mask, "lengths": batch.lengths}
    x, noise, start = batch.x.astype(model.dtype), model.noise_state(), model.vector.copy()
    model.differentiate(x, target, **arguments)
    size, found = norm(model.gradient), np.full(len(distances), np.nan)
    if 0 < size < np.inf:
        direction = model.gradient / model.dtype.type(size)
        for number, distance in enumerate(distances):
            model.vector[:] = start + model.dtype.type(distance) * direction
            model.set_noise_state(noise)
            found[number] = model.differentiate(x, target, **arguments).loss
    model.vector[:] = start
    model.set_noise_state(noise)
    return np.asarray(distances), found
