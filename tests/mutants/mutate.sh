#!/usr/bin/env bash
# Which changes to editing/ no test notices: tests/mutants/mutate.sh GROUP FOLDER [arguments of "mutmut run"]
# GROUP names a file in tests/mutants/. FOLDER takes a copy of what is needed and the results, another one for each group; mutmut
# and the package's test requirements have to be installed.
set -euo pipefail
root="$(cd "$(dirname "$0")/../.." && pwd)"
group="$1"
folder="$2"
shift 2
mkdir -p "$folder/edit_assumption" "$folder/mutants" # Python looks once for what PYTHONPATH names
for part in __init__.py benchmarks editing pictures pipelines pocket; do
    rm -rf "$folder/edit_assumption/$part"
    cp -rp "$root/$part" "$folder/edit_assumption/"
done
rm -rf "$folder/tests"
cp -rp "$root/tests" "$folder/"
cat "$root/tests/mutants/all.toml" "$root/tests/mutants/$group.toml" >"$folder/pyproject.toml"
cd "$folder"
folder="$PWD"
PYTHONPATH="$folder/mutants" OMP_NUM_THREADS=1 HYPOTHESIS_EXAMPLES=10 mutmut run "$@"
mutmut results
