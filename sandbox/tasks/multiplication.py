"""Multiplication problem: two numbers of a long sequence are marked; give their product at its end.

Numbers from U[0, 1), target x1 x2, markers as in `adding:hs97`: t1 in [1, 11), t2 in [1, T//2) but t1, first and last
step marked -1. Not solved by an integrator of the inputs, as the adding problem is. Loss: squared error, 7/144 = 0.0486
for the mean as answer. Score: share of answers off by more than 0.04; the paper stops at 140 (or 13) of 2000.

Hochreiter & Schmidhuber 1997, experiment 5.
"""

from sandbox.tasks import score_below
from sandbox.tasks.adding import problem

TASK = problem(
    "Hochreiter & Schmidhuber 1997, experiment 5",
    "hs97",
    lambda a, b: a * b,
    7 / 144,
    "less than 7 % off by more than 0.04",
    score_below(0.07),
    minimum=6,
)
