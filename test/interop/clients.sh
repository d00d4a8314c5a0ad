#!/usr/bin/env bash
# Holds our server to the clients of Triton and KServe, in .venv/clients. Where they cannot be installed it says so and ends well.
# Safe to run again: what is installed is kept.
#
#   test/interop/clients.sh [BUNDLE]    a toy unless said
set -uo pipefail
cd "$(dirname "$0")/../.."
readonly VENV=.venv/clients
readonly PACKAGES="tritonclient[http]==2.73.0 kserve==0.21.0"
readonly DONE=$VENV/subspan-packages.txt

if [[ ! -f $DONE || $(< "$DONE") != "$PACKAGES" ]]; then
  rm -rf "$VENV"
  # shellcheck disable=SC2086 # the list is meant to be split
  if ! log=$(python3 -m venv "$VENV" && timeout 600 "$VENV/bin/python" -m pip --disable-pip-version-check install --quiet \
    --no-cache-dir $PACKAGES 2>&1); then
    echo "clients: skipped, they could not be installed: ${log##*$'\n'}"
    exit 0
  fi
  echo "$PACKAGES" > "$DONE"
fi
SUBSPAN_CLIENTS="$VENV/bin/python" npx vitest run test/interop/clients.test.ts
