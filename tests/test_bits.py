"""A results table has the same bytes in any order of the sweep, in any process, and on any CPU.

Other machines are emulated: `NUMBA_CPU_NAME` compiles kernels for a named CPU with that CPU's own features,
`NPY_DISABLE_CPU_FEATURES` takes AVX-512 from NumPy, `OPENBLAS_CORETYPE` gives OpenBLAS the kernels of a Haswell.
"""

import hashlib
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow

# Sizes below, at and across the edges of register tiles, both dtypes, every source.
SMALL = ["--hidden", "5,33", "--seq-len", "40", "--seed", "0,3", "--source", "all", "--dtype", "all"]
GRIDS = {
    "vanishing": [*SMALL, "--gain", "0.8,1.25", "--cell", "rnn,lstm,gru,rnn:relu", "--init", "orthogonal,radius"],
    "exploding": [*SMALL, "--gain", "1.5,4", "--cell", "rnn,lstm,gru,rnn:identity", "--init", "gaussian,sigma"],
}
TRAIN = ["--hidden", "5,17", "--seq-len", "32", "--batch", "9", "--updates", "12", "--seed", "0,3"]
MIXED = ["rnn", "lstm:full", "gru:before", "orthogonal", "lru", "lem", "minlstm"]
SERIES = ["adding", "embedded_reber:continual", "mackey_glass", "counting:anbncn"]
CLIPS = ["none", "global", "tensor", "value", "omega"]
GRIDS |= {
    "length": [*TRAIN, "--cell", ",".join(MIXED), "--task", ",".join(SERIES), "--chrono", "true"],
    "clipping": [*TRAIN, "--clip", ",".join(CLIPS), "--init", "pascanu_smart_tanh,saxe", "--dtype", "all"],
}
ATTENDING = ["transformer", "transformer:post:heads=2", "mlp:3"]
GRIDS |= {
    "memory": ["--quick", "--seed", "0,3", "--model", ",".join(ATTENDING), "--dtype", "all"],
    "attention": ["--quick", "--seed", "0,3", "--attention", "dot,additive"],
}
REORDERED = {
    "vanishing": [*SMALL, "--gain", "1.25,0.8", "--cell", "rnn:relu,gru,lstm,rnn", "--init", "radius,orthogonal"],
    "exploding": [*SMALL, "--gain", "4,1.5", "--cell", "gru,rnn:identity,rnn,lstm", "--init", "sigma,gaussian"],
}
REORDERED |= {
    "length": [*TRAIN, "--cell", ",".join(MIXED[::-1]), "--task", ",".join(SERIES[::-1]), "--chrono", "true"],
    "clipping": [*TRAIN, "--clip", ",".join(CLIPS[::-1]), "--init", "saxe,pascanu_smart_tanh", "--dtype", "all"],
}
REORDERED |= {
    "memory": ["--quick", "--seed", "3,0", "--model", ",".join(ATTENDING[::-1]), "--dtype", "all"],
    "attention": ["--quick", "--seed", "3,0", "--attention", "additive,dot"],
}


def without_avx512():
    """What NumPy calls its AVX-512 code paths here, to switch them off."""
    dispatched = np._core._multiarray_umath.__cpu_dispatch__
    return " ".join(name for name in dispatched if name.startswith("AVX512") or name == "X86_V4")


def digests(name, flags, folder, **environment):
    """SHA-256 of the two CSV files which a run of an experiment writes under an environment."""
    command = [
        sys.executable,
        "-m",
        "sandbox",
        "run",
        name,
        *flags,
        "--out",
        str(folder),
        "--format",
        "csv",
        "--no-plot",
    ]
    env = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CPU_NAME", "OPENBLAS_CORETYPE")} | environment
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (run,) = Path(folder, name).iterdir()
    files = [run / "table.csv", run / "curves.csv"]
    assert min(file.stat().st_size for file in files) > 1_000
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


@pytest.fixture(scope="module", params=sorted(GRIDS))
def reference(request, tmp_path_factory):
    return request.param, digests(request.param, GRIDS[request.param], tmp_path_factory.mktemp("reference"))


def test_same_bytes_in_another_process_and_another_order(reference, tmp_path):
    name, expected = reference
    assert digests(name, GRIDS[name], tmp_path / "again") == expected
    assert digests(name, REORDERED[name], tmp_path / "reordered") == expected


@pytest.mark.parametrize("cpu", ["host", "haswell", "skylake-avx512", "generic"])
def test_same_bytes_on_another_cpu(reference, cpu, tmp_path):
    name, expected = reference
    other = {"NUMBA_CPU_NAME": cpu, "NPY_DISABLE_CPU_FEATURES": without_avx512(), "OPENBLAS_CORETYPE": "Haswell"}
    if cpu in ("haswell", "skylake-avx512") and platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip(f"{cpu} is an x86-64 CPU, this machine is {platform.machine()}")
    assert digests(name, GRIDS[name], tmp_path, **other) == expected


def test_the_comparison_sees_a_changed_number(reference, tmp_path):
    name, expected = reference
    changed = digests(name, [*GRIDS[name], "--seed", "0,4"], tmp_path)
    assert changed[0] != expected[0] and changed[1] != expected[1]
