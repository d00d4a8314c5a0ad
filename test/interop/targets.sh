#!/usr/bin/env bash
# Writes every target of a toy bundle and checks them with the engines' own packages. What cannot be had is said and left out: the
# packages where PyPI cannot be reached, Spark where there is no Java runtime (17 or later). What is there has to pass.
set -uo pipefail
cd "$(dirname "$0")/../.."
targets=$(mktemp -d)
trap 'rm -rf "$targets"' EXIT
SUBSPAN_TARGETS="$targets" npx vitest run test/export/targets.test.ts || exit 1
status=0

# check ENVIRONMENT ENGINE...
check() {
  if log=$(test/interop/environment.sh "$1" 2>&1); then
    timeout 300 ".venv/$1/bin/python" test/interop/check_targets.py "$targets" "${@:2}" || status=1
  else
    echo "targets: ${*:2} skipped, their packages could not be installed: ${log##*$'\n'}"
  fi
}

has_java() {
  local version
  version=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p')
  ((${version:-0} >= 17))
}

check clients triton kserve ray
if ! has_java && [[ ${CI:-} && $(id -u) == 0 ]] && command -v apt-get > /dev/null; then
  timeout 120 apt-get update -qq > /dev/null 2>&1
  DEBIAN_FRONTEND=noninteractive timeout 300 apt-get install -qq --no-install-recommends default-jre-headless > /dev/null 2>&1
fi
if has_java; then
  check spark spark
else
  echo "targets: spark skipped, there is no Java runtime from 17 on (Debian: apt-get install default-jre-headless)"
fi
exit $status
