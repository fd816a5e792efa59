"""Mutants of the backward passes: what is broken, in which ways, and what has to notice; see `mutate_cells.py`."""
