#!/usr/bin/env bash
# Writes every target of a toy bundle and checks them with the engines' own packages, in .venv/targets. Needs a Java runtime
# (17 or later) for Spark. Safe to run again: what is installed is kept.
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly VENV=.venv/targets
readonly PACKAGES="onnxruntime==1.30.0 numpy pandas pyarrow pyyaml pyspark==4.0.1 tritonclient[grpc] kserve"
readonly DONE=$VENV/subspan-packages.txt

if [[ ! -f $DONE || $(< "$DONE") != "$PACKAGES" ]]; then
  rm -rf "$VENV"
  python3 -m venv "$VENV"
  # shellcheck disable=SC2086 # the list is meant to be split
  timeout 600 "$VENV/bin/python" -m pip --disable-pip-version-check install --quiet --no-cache-dir $PACKAGES
  echo "$PACKAGES" > "$DONE"
fi
targets=$(mktemp -d)
trap 'rm -rf "$targets"' EXIT
SUBSPAN_TARGETS="$targets" npx vitest run test/export/targets.test.ts
"$VENV/bin/python" test/interop/check_targets.py "$targets"
