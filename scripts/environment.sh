# shellcheck shell=bash
#
# What the entry points share; source it. It gives $root (the checkout), takes another
# Airflow's or Python's settings out of the environment, and offers `run_in_venv`.

root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

shed_environment() {
    # Another Airflow's home, connections and settings must not leak in, nor a PYTHONPATH
    # or pip's target; PYTHONDONTWRITEBYTECODE would double the cost of every import.
    local name
    for name in $(compgen -e); do
        case $name in
            AIRFLOW_* | _AIRFLOW_* | PYTHON* | VIRTUAL_ENV | __PYVENV_LAUNCHER__) unset "$name" ;;
            PIP_TARGET | PIP_PREFIX | PIP_ROOT | PIP_USER | PIP_CONSTRAINT | PIP_REQUIREMENT) unset "$name" ;;
            UV_PYTHON | UV_SYSTEM_PYTHON | UV_CONSTRAINT | UV_TARGET | UV_PREFIX) unset "$name" ;;
        esac
    done
}

find_python() {
    # Every hit on PATH is tried: a pyenv shim may exist and yet refuse to run.
    local fits='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'
    local candidates candidate
    candidates=$(type -ap python3.11 python3.12 python3.13 python3 python)
    for candidate in $candidates; do
        if "$candidate" -c "import ensurepip; $fits" >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    # Debian ships Python without ensurepip; uv does without it, and can bring a Python.
    if uv --version >/dev/null 2>&1; then
        uv python find --quiet '>=3.11,<3.14' 2>/dev/null && return
        uv python install --quiet 3.11 && uv python find 3.11 && return
    fi
    cat >&2 <<'END'
No usable Python found. This needs Python 3.11, 3.12 or 3.13 with its venv module:
  Debian, Ubuntu   apt install python3-venv
  macOS            brew install python@3.12
  anywhere         install uv (https://docs.astral.sh/uv), which brings its own Python
END
    return 1
}

run_in_venv() {
    # run_in_venv EXTRAS ARGUMENTS: install the package with these extras (comma-separated)
    # into .venv, then become .venv's python with the arguments. One process from here on:
    # a signal to the entry point reaches the one that has something to clean up.
    local found
    found=$(find_python) || exit 1
    exec "$found" "$root/scripts/install.py" "$@"
}

shed_environment
