#!/usr/bin/env bash
# Makes .venv/interop, the Python environment that `check_graphs.py` runs in. Safe to run again: done is done.
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly VENV=.venv/interop
readonly PACKAGES="onnx==1.23.2 onnxruntime==1.30.0 numpy==2.4.6"
readonly DONE=$VENV/subspan-packages.txt

if [[ -f $DONE && $(< "$DONE") == "$PACKAGES" ]]; then exit 0; fi
rm -rf "$VENV"
python3 -m venv "$VENV"
# shellcheck disable=SC2086 # the list is meant to be split
timeout 600 "$VENV/bin/python" -m pip --disable-pip-version-check install --quiet --no-cache-dir $PACKAGES
echo "$PACKAGES" > "$DONE"
