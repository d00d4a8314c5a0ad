#!/usr/bin/env bash
# Holds our server to the clients of Triton and KServe, in .venv/clients. Where they cannot be installed it says so and ends well.
set -uo pipefail
cd "$(dirname "$0")/../.."
if ! log=$(test/interop/environment.sh clients 2>&1); then
  echo "clients: skipped, they could not be installed: ${log##*$'\n'}"
  exit 0
fi
SUBSPAN_CLIENTS=.venv/clients/bin/python npx vitest run test/interop/clients.test.ts
