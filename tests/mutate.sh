#!/usr/bin/env bash
# Which changes to editing/ no test notices: tests/mutate.sh FOLDER [arguments of "mutmut run"]
# FOLDER takes a copy of what is needed and the results; mutmut and the package's test requirements have to be installed.
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
folder="$1"
shift
mkdir -p "$folder/edit_assumption"
for part in __init__.py editing pictures pocket; do
    rm -rf "$folder/edit_assumption/$part"
    cp -rp "$root/$part" "$folder/edit_assumption/"
done
rm -rf "$folder/tests"
cp -rp "$root/tests" "$folder/"
cp "$root/tests/mutmut.toml" "$folder/pyproject.toml"
cd "$folder"
folder="$PWD"
PYTHONPATH="$folder/mutants" OMP_NUM_THREADS=1 HYPOTHESIS_EXAMPLES=10 mutmut run "$@"
mutmut results
