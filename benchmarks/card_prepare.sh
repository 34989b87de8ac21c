#!/usr/bin/env bash
# What a card needs, made on a machine with FFmpeg: bash benchmarks/card_prepare.sh DATA
# DATA holds a training pack: train.mp4, val.mp4, manifest.csv. The result lies in .card/, which git
# ignores: clips that may ship with two degraded versions of each, and 33 to validate on.
set -euo pipefail
cd "$(dirname "$0")/.."
data=${1:?which folder holds train.mp4, val.mp4 and manifest.csv?}
python=${PYTHON:-.venv/bin/python}

"$python" -m vsrcli train --prepare .card/pack --shippable --variants 2 --val-count 33 \
    --data "$data/train.mp4" --val "$data/val.mp4"

# a lent machine takes 64 MiB in all: the pack, and the tree that goes with it
pack=$(du -sk .card | cut -f1)
tree=$(git ls-files -z | xargs -0 du -ck | tail -n 1 | cut -f1)
echo "pack $((pack / 1024)) MiB, tree $((tree / 1024)) MiB"
if [ $((pack + tree)) -gt $((64 * 1024)) ]; then
    echo "together they are over 64 MiB: fewer --variants, or a smaller --val-count" >&2
    exit 1
fi
