#!/bin/sh
# Gets the clients that the compatibility tests try and the project does not need: LangChain's and LlamaIndex's, into an
# environment of their own, CROSSOVER_HOME (else .crossover)/clients. Does nothing when they are there already.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
folder=${CROSSOVER_HOME:-$root/.crossover}/clients
bin=$root/.venv/bin
lock=$root/requirements/clients.txt

mkdir -p "$folder" || { echo "$folder cannot be made: choose another folder with CROSSOVER_HOME" >&2; exit 1; }
if command -v flock >/dev/null; then
    exec 9>"$folder/lock"
    flock 9 # two test runs may ask at the same moment
fi
if cmp -s "$lock" "$folder/installed.txt"; then
    echo "LangChain's and LlamaIndex's clients are in $folder"
    exit 0
fi
test -x "$bin/uv" || { echo "run make setup first: $bin/uv is missing" >&2; exit 1; }
echo "Getting LangChain's and LlamaIndex's clients into $folder"
rm -f "$folder/installed.txt"
"$bin/uv" venv --quiet --clear --python "$bin/python" "$folder/venv"
"$bin/uv" pip sync --quiet --compile-bytecode --python "$folder/venv/bin/python" --require-hashes "$lock"
cp "$lock" "$folder/installed.txt"
