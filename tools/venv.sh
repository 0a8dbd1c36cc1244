#!/bin/sh
# Make a virtual environment with pip in it, on a machine that may lack python3-venv (Debian splits it off).
# usage: tools/venv.sh FOLDER
set -eu
venv=$1

has_pip() { "$venv/bin/python" -m pip --version >/dev/null 2>&1; }
say() { echo "venv: $*" >&2; }

if has_pip; then exit 0; fi

python=
for name in ${PYTHON:-} python3.11 python3.12 python3.13 python3.14 python3; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$name
        break
    fi
done
if [ -z "$python" ]; then
    say "needs Python 3.11 or newer; none of python3.11 ... python3 is (set PYTHON=/path/to/python)"
    exit 3
fi

# 1. The standard library's own way.
if "$python" -m venv "$venv" >/dev/null 2>&1 && has_pip; then exit 0; fi

# 2. The system's pip puts a pip into an environment made without one.
if "$python" -m pip --version >/dev/null 2>&1 \
    && "$python" -m venv --without-pip --clear "$venv" >/dev/null 2>&1 \
    && "$python" -m pip --python "$venv/bin/python" install --quiet pip >/dev/null 2>&1 \
    && has_pip; then exit 0; fi

# 3. As root on Debian and its children: the missing package.
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    say "installing python3-venv with apt-get (this machine's Python came without it)"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv; } >&2
    rm -rf "$venv"
    "$python" -m venv "$venv" >&2 && has_pip && exit 0
fi

say "cannot make a virtual environment: this Python has neither ensurepip nor pip."
say "On Debian or Ubuntu: sudo apt-get install python3-venv"
say "On Fedora or RHEL:   sudo dnf install python3-pip"
exit 3
