#!/usr/bin/env bash
# Makes .venv/bench, the Python environment of the PyTorch peers in bench/peers, NumPy included. Safe to run again: done is done.
#
#   bench/environment.sh            the first route that gives an importable torch
#   bench/environment.sh debian     only that route: lean, full or debian
#
# lean    torch from the package index without what a CPU step never loads (triton, cusolver, nvtx, CUDA's
#         Python bindings). The Linux x86-64 wheel links the other CUDA libraries, so import needs them there.
# full    the same torch with everything it asks for.
# debian  Debian's python3-torch, an older one; needs apt-get and root.
#
# Its last line says which torch and which route.
set -euo pipefail

readonly TORCH=2.15.0        # verified; where the index lacks it for this Python, the newest it has
readonly NUMPY=2.4.6         # the route debian has Debian's, which its torch was built for
readonly NEEDED_GB=7         # free space while installing; 4.1 GB stay
readonly STEP_SECONDS=1200   # no step may take longer

cd "$(dirname "$0")/.."
readonly VENV=.venv/bench
readonly DONE=$VENV/subspan-torch.txt

say() { echo "bench/environment.sh: $*" >&2; }
free_gb() { df -Pk "$1" | awk 'NR == 2 { print int($4 / 1048576) }'; }
pip_install() {
  timeout "$STEP_SECONDS" "$VENV/bin/python" -m pip --disable-pip-version-check install \
    --quiet --no-cache-dir --no-warn-conflicts "$@"
}
add_numpy() {
  "$VENV/bin/python" -c 'import numpy' 2> /dev/null || pip_install "numpy==$NUMPY" ||
    { say "numpy $NUMPY: not to be had, trying the newest"; pip_install numpy; }
}
torch_version() { "$VENV/bin/python" -W ignore -c 'import torch; torch.ones(2).sum(); print(torch.__version__)'; }

# What the installed torch asks for, less what importing it and a CPU step do without.
lean_requirements() {
  "$VENV/bin/python" - <<'PYTHON'
import re
from importlib.metadata import requires
from pip._vendor.packaging.requirements import Requirement

UNUSED = re.compile(r"triton|cuda-bindings|nvidia-(cusolver|nvtx)-cu\d+")
for requirement in map(Requirement, requires("torch")):
    if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
        continue
    if UNUSED.fullmatch(requirement.name):
        continue
    requirement.extras -= {"cusolver", "nvtx"}
    requirement.marker = None
    print(requirement)
PYTHON
}

fresh_venv() { # python, options of venv
  rm -rf "$VENV"
  "$1" -m venv "${@:2}" "$VENV" || { say "python3 has no venv (Debian: apt-get install python3-venv)"; return 1; }
}

enough_space() {
  local folder
  mkdir -p .venv
  for folder in .venv "${TMPDIR:-/tmp}"; do
    if (($(free_gb "$folder") < NEEDED_GB)); then
      say "$folder has $(free_gb "$folder") GB free, $NEEDED_GB are needed"
      return 1
    fi
  done
}

install_torch() { # options of pip
  pip_install "$@" "torch==$TORCH" || { say "torch $TORCH: not to be had, trying the newest"; pip_install "$@" torch; }
}

lean() {
  enough_space && fresh_venv python3 && install_torch --no-deps || return 1
  local requirements
  requirements=$(lean_requirements) || return 1
  pip_install --requirement <(echo "$requirements")
}

full() { enough_space && fresh_venv python3 && install_torch; }

debian() {
  command -v apt-get > /dev/null || { say "no apt-get"; return 1; }
  if ! /usr/bin/python3 -c 'import numpy, torch' 2> /dev/null; then
    [[ $(id -u) == 0 ]] || { say "installing needs root: apt-get install python3-torch python3-numpy"; return 1; }
    timeout "$STEP_SECONDS" apt-get update -qq >&2 || return 1
    DEBIAN_FRONTEND=noninteractive timeout "$STEP_SECONDS" \
      apt-get install -qq --no-install-recommends python3-torch python3-numpy >&2 || return 1
  fi
  fresh_venv /usr/bin/python3 --system-site-packages
}

wanted=${1:-any}
case $wanted in
  any) routes=(lean full debian) ;;
  lean | full | debian) routes=("$wanted") ;;
  *) say "route: expected lean, full or debian, got $wanted"; exit 2 ;;
esac

if [[ -f $DONE && -x $VENV/bin/python && ($wanted == any || $(< "$DONE") == *"route: $wanted") ]]; then
  add_numpy
  cat "$DONE"
  exit 0
fi

for route in "${routes[@]}"; do
  say "route $route ..."
  if "$route" && add_numpy && version=$(torch_version); then
    echo "torch $version, route: $route" | tee "$DONE"
    exit 0
  fi
  say "route $route gave no importable torch"
done
say "no route gave an importable torch (tried: ${routes[*]}); the benchmark's PyTorch side cannot run"
exit 1
