"""``python -m sandbox``: the same as the command ``sandbox``."""

from sandbox.cli import main

if __name__ == "__main__":
    try:
        main()
    finally:
        # CPython remembers an interrupt that passed through the exec of a text, which compilers use, and with -m it
        # would then die of SIGINT instead of exiting with our code. Another exec makes it forget.
        exec("")
