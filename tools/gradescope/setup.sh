#!/usr/bin/env bash
# Gradescope runs this once, when it builds the image: an environment with tinycnn and what it needs.
set -euo pipefail

root=${AUTOGRADER_ROOT:-/autograder}

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

apt-get update
apt-get install -y python3 python3-venv
python=python3
if ! is_new_enough python3; then
    apt-get install -y python3.11 python3.11-venv
    python=python3.11
fi
"$python" -m venv "$root/venv"
"$root/venv/bin/pip" install "$root/source[examples]"
