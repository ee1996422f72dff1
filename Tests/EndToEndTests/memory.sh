#!/bin/bash
# Measures the memory of the service: that of a worker that trains on a long text beside one that trains on a short
# one, and that of a daemon with nothing to do.
#
#   Tests/EndToEndTests/memory.sh [BIN] [MEGABYTES]      default: .build/release 1000
#
# Ends with 1 where the long text takes 200 MB more anonymous memory than a text of 1 MB, or where the idle daemon has
# 40 MB resident. Takes some minutes and three times the text's size on the disk of $TMPDIR.
set -euo pipefail

here=$(realpath "$(dirname "$0")")
bin=$(realpath "${1:-$here/../../.build/release}")
megabytes=${2:-1000}
folder=$(mktemp -d)
daemon=
trap '[ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true; rm -rf "$folder"' EXIT

# field NAME PID: kilobytes of /proc/PID/status; 0 when the process is gone.
field() { awk -v name="$1:" '$1 == name { print $2; found = 1 } END { if (!found) print 0 }' "/proc/$2/status" 2>/dev/null || echo 0; }

# measure MEGABYTES: prints the peak of RssAnon, kilobytes, until the first checkpoint is written.
measure() {
    local spool=$folder/spool-$1 peak=0 worker now began
    mkdir -p "$spool/corpora" "$spool/incoming"
    awk -v megabytes="$1" 'BEGIN {
        srand(1)
        for (block = 0; block < 500; block++) {
            text[block] = ""
            for (word = 0; word < 200; word++) {
                for (letter = 0; letter < 9; letter++)
                    text[block] = text[block] sprintf("%c", 97 + int(rand() * 26))
                text[block] = text[block] " "
            }
        }
        for (block = 0; block < megabytes * 500; block++) print text[int(rand() * 500)]
    }' > "$spool/corpora/text.txt"
    cat > "$spool/incoming/job.yaml" <<JOB
train:
  corpus: text.txt
  hidden_size: 128
  num_layers: 2
  epochs: 1
  seq_length: 64
  batch_size: 16
  val_max_chars: 20000
  eval_every: 100
  sample_every: 100
  checkpoint_every: 200
JOB
    "$bin/charnnd" --spool "$spool" 2> "$folder/log" &
    daemon=$!
    began=$SECONDS
    while ! ls "$spool"/jobs/job/checkpoints/step-* > /dev/null 2>&1; do
        if ! kill -0 "$daemon" 2> /dev/null || [ -e "$spool/failed/job.yaml" ]; then cat "$folder/log" >&2; exit 1; fi
        worker=$(pgrep -P "$daemon" || true)
        if [ -n "$worker" ]; then
            now=$(field RssAnon "$worker")
            [ "$now" -le "$peak" ] || peak=$now
        fi
        sleep 0.05
    done
    kill "$daemon"
    wait "$daemon"
    daemon=
    echo "a text of $1 MB: peak of the worker's anonymous memory $((peak / 1024)) MB, $((SECONDS - began)) s" >&2
    echo "$peak"
}

"$bin/charnnd" --spool "$folder/idle" 2> "$folder/log" &
daemon=$!
until grep -q Ready "$folder/log"; do sleep 0.05; done
idle=$(field VmRSS "$daemon")
echo "idle daemon: $((idle / 1024)) MB resident, of which $(($(field RssAnon "$daemon") / 1024)) MB anonymous"
kill "$daemon"
wait "$daemon"
daemon=

short=$(measure 1)
rm -rf "$folder"/spool-1
long=$(measure "$megabytes")
echo "the long text takes $(((long - short) / 1024)) MB more"
[ "$((long - short))" -lt $((200 * 1024)) ] || { echo "too much: allowed are 200 MB" >&2; exit 1; }
[ "$idle" -lt $((40 * 1024)) ] || { echo "the idle daemon is too large: allowed are 40 MB" >&2; exit 1; }
