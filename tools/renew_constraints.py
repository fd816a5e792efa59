"""Write constraints.txt: the newest release of everything that any extra installs.

Resolved on the oldest Python supported, so that one version of each package serves them all; on the newer ones check
that nothing is left unpinned: `make test VENV=.venv313 PYTHON=python3.13`.
"""

import configparser
import json
import subprocess
import sys

HEADER = """\
# One version of every package that setup.cfg and its extras bring in, for Python 3.11, 3.12 and 3.13.
# Used by the Makefile; renewed by: make constraints PYTHON=python3.11
"""


def main():
    if sys.version_info[:2] != (3, 11):
        sys.exit("resolve on the oldest Python supported: make constraints PYTHON=python3.11")
    config = configparser.ConfigParser()
    config.read("setup.cfg")
    options, extras = config["options"]["install_requires"], config["options.extras_require"].values()
    wanted = [line for block in (options, *extras) for line in block.split("\n") if line]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-"]
    done = subprocess.run([*pip, *wanted], stdout=subprocess.PIPE)
    if done.returncode:
        sys.exit("constraints.txt is left as it was: pip failed (see above)")
    found = json.loads(done.stdout)["install"]
    names = sorted((p["metadata"]["name"].lower().replace("_", "-"), p["metadata"]["version"]) for p in found)
    with open("constraints.txt", "w") as file:
        file.write(HEADER + "".join(f"{name}=={version}\n" for name, version in names))


if __name__ == "__main__":
    main()
