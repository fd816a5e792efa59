#!/bin/sh
# Find a Python that suits and let it make the virtual environment: setup_venv.sh STAMP EXTRAS FILE...
# $PYTHON, where set, is the only candidate. Candidates are run, not just looked up: a version manager's shim may exist and fail.
unset PYTHONPATH PYTHONHOME

suits='
import platform, sys, sysconfig
free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
version = platform.python_version() + (" without the GIL" if free_threaded else "")
print(version)
if not (3, 11) <= sys.version_info[:2] < (3, 14) or platform.python_implementation() != "CPython" or free_threaded:
    sys.exit(3)
try:
    import venv
    from ensurepip import version
except ImportError:
    sys.exit(4)
'

if [ -n "$PYTHON" ]; then
    chosen=$PYTHON
    set -- "$PYTHON" -- "$@"
else
    chosen=
    set -- python3 python3.13 python3.12 python3.11 python -- "$@"
fi

no_venv=
while [ "$1" != -- ]; do
    if version=$("$1" -c "$suits" 2>/dev/null); then
        python=$1
        while [ "$1" != -- ]; do shift; done
        shift
        exec "$python" tools/setup_venv.py "$python" "$@"
    elif [ $? -eq 4 ] && [ -z "$no_venv" ]; then
        no_venv="$1 $version"
    fi
    shift
done

if [ -n "$no_venv" ]; then
    minor=${no_venv#* 3.}
    echo "set-up stopped: $no_venv has no venv module; install it (Debian, Ubuntu: apt install python3.${minor%%.*}-venv)" >&2
elif [ -n "$chosen" ]; then
    echo "set-up stopped: Python 3.11, 3.12 or 3.13 is needed, PYTHON=$chosen is ${version:-no working Python}" >&2
else
    echo "set-up stopped: no Python 3.11, 3.12 or 3.13 found; install one, or name it: make PYTHON=/path/to/python3.12" >&2
fi
exit 1
