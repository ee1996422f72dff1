#!/bin/bash
# Trains one network on one text in PyTorch and here, and prints both curves.
#
#   CHARNND_PYTHON=.venv/bin/python Tests/Benchmarks/learning.sh TEXT [--epochs 25] [--cell lstm] [--seed 1]
#
# TEXT is tinyshakespeare.txt (1,115,394 characters). Without $CHARNND_PYTHON only ours is run. 25 epochs are 3,900
# steps: PyTorch takes some hours for them on two cores. The release build must be there: swift build -c release
set -euo pipefail

text=$(realpath "$1")
shift
epochs=25 cell=lstm seed=1
while [ $# -gt 1 ]; do
    case $1 in
    --epochs) epochs=$2 ;;
    --cell) cell=$2 ;;
    --seed) seed=$2 ;;
    *) echo "$0: $1 is not known" >&2; exit 64 ;;
    esac
    shift 2
done
here=$(realpath "$(dirname "$0")")
charnn=$here/../../.build/release/charnn
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cat > "$folder/learning.yaml" <<JOB
seed: $seed
train:
  corpus: "$text"
  cell: $cell
  hidden_size: 256
  num_layers: 2
  dropout: 0.2
  epochs: $epochs
  seq_length: 100
  batch_size: 64
  batching: stream
  lr: 0.002
  lr_schedule: cosine
JOB

echo "charnn:"
"$charnn" run "$folder/learning.yaml" --spool "$folder/spool" --output "$folder/run" | grep -E '^(Training|Validation)'
ours=$(awk -F, 'NR > 1 && $4 != "" && (best == "" || $4 < best) { best = $4 } END { printf "%.4f", best }' \
    "$folder/run/metrics.csv")
theirs="not run"
if [ -n "${CHARNND_PYTHON:-}" ]; then
    echo "PyTorch:"
    "$CHARNND_PYTHON" "$here/learning.py" "$text" --epochs "$epochs" --cell "$cell" --seed "$seed" \
        | tee "$folder/theirs"
    theirs=$(awk '/^best/ { print $NF }' "$folder/theirs")
fi
echo "best validation loss, nats a character: charnn $ours, PyTorch $theirs"
