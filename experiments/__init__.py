"""Named experiments, one plain Python file each; installed as `sandbox.experiments`."""
