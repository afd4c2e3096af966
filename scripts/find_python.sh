# Sourced by the commands beside it: sets $python to an interpreter that is new enough.
python=
for candidate in python3 python3.14 python3.13 python3.12 python3.11 python; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "Tunewright is developed with Python 3.11 or newer, and none is on the PATH: install one." >&2
    exit 1
fi
