"""What happens to gradients and gates: measurements on a layer, each a small dataclass or a dictionary of columns."""
