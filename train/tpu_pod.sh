#!/usr/bin/env bash
# On all hosts of a TPU pod, from a machine with gcloud:
#   NAME=my-pod ZONE=us-central2-b train/tpu_pod.sh configs/faceswap.py:tpu gs://bucket/W [--config.key=value ...]
# Every host needs this clone in ~/dfjax and the same view of the face sets (a mounted bucket or disk). W is in a bucket
# (`pip install gcsfs` for that), or likewise in a folder that all see.
set -euo pipefail
: "${NAME:?name of the TPU}" "${ZONE:?its zone}"
config=$1 workdir=$2
shift 2
words=$(printf ' %q' --config "$config" --workdir "$workdir" "$@")
gcloud compute tpus tpu-vm ssh "$NAME" --zone "$ZONE" --worker all \
    --command "cd ~/dfjax && pip install -q -e '.[tpu]' && python -m train.main$words"
