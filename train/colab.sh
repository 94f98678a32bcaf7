#!/usr/bin/env bash
# In a Colab cell, from the clone:  !bash train/colab.sh configs/faceswap.py:gpu /content/drive/MyDrive/W [--config.key=value ...]
# With W on a mounted Drive, a runtime that is taken away goes on with the same cell.
set -euo pipefail
config=$1 workdir=$2
shift 2
pip install -q -e "$(dirname "$0")/.."
cd "$(dirname "$0")/.."
python -m train.main --config "$config" --workdir "$workdir" "$@"
