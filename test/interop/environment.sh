#!/usr/bin/env bash
# Makes .venv/NAME, a Python environment that checks of this folder run in. Safe to run again: done is done.
#
#   test/interop/environment.sh [NAME]    interop, ONNX's tools, unless said; clients, of Triton and KServe; spark
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly COMMON="onnxruntime==1.30.0 numpy==2.4.6" FRAMES="pandas==2.3.3 pyarrow==26.0.1"
declare -rA PACKAGES=(
  [interop]="onnx==1.23.2 $COMMON"
  [clients]="tritonclient[grpc,http]==2.73.0 kserve==0.21.0 kubernetes==37.0.1 protobuf==6.33.6 pyyaml==6.0.3 $COMMON $FRAMES"
  [spark]="pyspark==4.0.1 $COMMON $FRAMES"
)
readonly NAME=${1:-interop}
readonly VENV=.venv/$NAME
readonly DONE=$VENV/subspan-packages.txt

if [[ -f $DONE && $(< "$DONE") == "${PACKAGES[$NAME]}" ]]; then exit 0; fi
rm -rf "$VENV"
python3 -m venv "$VENV"
# shellcheck disable=SC2086 # the list is meant to be split
timeout 600 "$VENV/bin/python" -m pip --disable-pip-version-check install --quiet --no-cache-dir ${PACKAGES[$NAME]}
echo "${PACKAGES[$NAME]}" > "$DONE"
