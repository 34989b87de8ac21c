#!/usr/bin/env bash
# Fifteen minutes of a card, in two commands, each under ten minutes:
#   bash benchmarks/card_day.sh check OUT     is it right, how fast (150 s)
#   bash benchmarks/card_day.sh train OUT     what ships, trained (SECONDS_OF_TRAINING, 530)
# A third word `--cpu` rehearses either on a processor, tiny. Needs .card/ (card_prepare.sh),
# PyTorch, OpenCV and pytest; no FFmpeg, no PyAV. What is to be kept comes to OUT as it is made.
set -uo pipefail
cd "$(dirname "$0")/.."
part=${1:?check or train?}
out=${2:?a folder for the results?}
rehearsal=${3:-}
python=${PYTHON:-python3}
mkdir -p "$out"
export PYTHONPATH=$PWD PYTHONUNBUFFERED=1

case $part in
check)
    data=$(mktemp -d)
    trap 'rm -rf "$data"' EXIT
    mkdir "$data/data"
    ln -s "$PWD/.card/pack/val.mp4" "$PWD/.card/pack/manifest.csv" "$data/data/"
    export VSR_TEST_DATA=$data
    status=0
    if [ "$rehearsal" = --cpu ]; then
        "$python" -W ignore benchmarks/card_checks.py --cpu --json "$out/checks.json" |
            tee "$out/checks.log" || status=1
        "$python" -m pytest tests/test_gpu.py -q -p no:cacheprovider || status=1
        exit $status
    fi
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv
    export VSR_FAIL_WITHOUT_CUDA=1
    timeout 100 "$python" -m pytest tests/test_gpu.py -m gpu -q --tb=short --durations=5 \
        -o filterwarnings=default -p no:cacheprovider 2>&1 | tee "$out/pytest.log" || status=1
    timeout 90 "$python" -W ignore benchmarks/card_checks.py --seconds 75 \
        --json "$out/checks.json" 2>&1 | tee "$out/checks.log" || status=1
    exit $status
    ;;
train)
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    tiny=()
    seconds=${SECONDS_OF_TRAINING:-530}
    if [ "$rehearsal" = --cpu ]; then
        tiny=(--device cpu --tiny)
        seconds=${SECONDS_OF_TRAINING:-30}
    fi
    # the states to resume from stay behind: only what is to be judged comes back
    "$python" -W ignore benchmarks/card_train.py .card/pack "$work" --results "$out" \
        --seconds "$seconds" "${tiny[@]}"
    ;;
*)
    echo "check or train, not $part" >&2
    exit 2
    ;;
esac
