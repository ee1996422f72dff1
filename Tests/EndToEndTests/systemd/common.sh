# What the scripts in the box share; sourced.
set -eu

spool=/var/spool/charnnd

fail() {
    echo "FAILED: $*" >&2
    systemctl status charnnd --no-pager >&2 || true
    journalctl -u charnnd --no-pager -n 60 >&2 || true
    find "$spool" -path '*/jobs/*/*' -prune -o -type f -print >&2 || true
    exit 1
}

pass() { echo "ok: $*"; }

# Waits until a command succeeds, at most SECONDS of an idle machine; one that runs all tests at once gets four times that.
within() {
    # Its own, for what it tries may wait too.
    local tries=$(($1 * 40))
    shift
    while [ "$tries" -gt 0 ]; do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.1
        tries=$((tries - 1))
    done
    return 1
}

install_charnnd() {
    CHARNND_BIN=/programs /src/systemd/install --no-build
    getent passwd alice >/dev/null || useradd -m alice
    usermod --append --groups charnnd-submit alice
}

as_alice() { runuser -u alice -- "$@"; }

in_state() { [ -e "$spool/$1/$2.yaml" ]; }

# Whether the journal has, or gets within moments, an entry of that kind for a job: what it tells of is done before.
told() { within 10 tells "$1" "$2"; }
tells() { journalctl -u charnnd "CHARNND_JOB=$1" "CHARNND_EVENT=$2" -o cat --no-pager | grep -q .; }

step_of() { sed -n 's/^ *"step" : \([0-9]*\),*$/\1/p' "$spool/jobs/$1/status.json"; }

at_step() { [ "$(step_of "$1")" -ge "$2" ]; }

worker() { pgrep -f '^/proc/self/exe worker|charnnd worker' | head -1; }

daemon() { systemctl show -p MainPID --value charnnd; }

model() { sha256sum < "$spool/jobs/$1/model.safetensors"; }

# drop NAME EPOCHS: a small job, some ten milliseconds of work an epoch.
drop() {
    as_alice sh -c "cat > $spool/incoming/$1.yaml" <<YAML
train:
  corpus: gpl.txt
  max_chars: 20000
  hidden_size: 24
  num_layers: 1
  dropout: 0.2
  epochs: $2
  seq_length: 20
  batch_size: 8
  checkpoint_every: 50
generate:
  length: 80
YAML
}

give_text() { as_alice cp /usr/share/common-licenses/GPL-3 "$spool/corpora/gpl.txt"; }
