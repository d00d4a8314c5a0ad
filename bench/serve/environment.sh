#!/usr/bin/env bash
# Makes the Python environments of the peers of `npm run bench:serve`: .venv/fastapi and .venv/mlserver, two, as MLServer wants an
# old FastAPI. Safe to run again: done is done.
#
#   bench/serve/environment.sh [fastapi] [mlserver]    both unless said
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly ONNXRUNTIME="onnxruntime==1.30.0"
declare -rA PACKAGES=(
  [fastapi]="fastapi==0.165.0 uvicorn[standard]==0.54.0 orjson==3.13.0 pillow==13.0.0 numpy==2.4.6 $ONNXRUNTIME"
  [mlserver]="mlserver==1.7.1 uvloop==0.21.0 $ONNXRUNTIME"
)
(($# > 0)) || set -- fastapi mlserver
for name in "$@"; do
  venv=.venv/$name
  packages=${PACKAGES[$name]}
  if [[ -f $venv/subspan-packages.txt && $(< "$venv/subspan-packages.txt") == "$packages" ]]; then continue; fi
  rm -rf "$venv"
  python3 -m venv "$venv"
  # shellcheck disable=SC2086 # the list is meant to be split
  timeout 1200 "$venv/bin/python" -m pip --disable-pip-version-check install --quiet --no-cache-dir $packages
  echo "$packages" > "$venv/subspan-packages.txt"
done
