#!/bin/sh
# In the box: the same service for one user, without root's help once it is installed.
. /src/Tests/EndToEndTests/systemd/common.sh

CHARNND_BIN=/programs /src/systemd/install --no-build --no-start
getent passwd bob >/dev/null || useradd -m bob
uid=$(id -u bob)
mkdir -p "/run/user/$uid"
chown bob "/run/user/$uid"
chmod 700 "/run/user/$uid"
systemctl start "user@$uid.service" || fail "bob has no user manager"

as_bob() { runuser -u bob -- env "XDG_RUNTIME_DIR=/run/user/$uid" HOME=/home/bob "$@"; }
own=/home/bob/.local/state/charnnd

within 10 as_bob systemctl --user daemon-reload || fail "bob's manager does not answer"
as_bob systemctl --user start charnnd || fail "the user's unit does not start"
as_bob cp /usr/share/common-licenses/GPL-3 "$own/corpora/gpl.txt"
as_bob sh -c "printf 'train: {corpus: gpl.txt, max_chars: 20000, hidden_size: 16, epochs: 1, batch_size: 8, seq_length: 20}' \
    > $own/incoming/mine.yaml"
within 60 test -e "$own/done/mine.yaml" || fail "bob's job did not end"
as_bob charnn list | grep -q '^mine *done' || fail "charnn does not find bob's own spool"
as_bob systemctl --user reload charnnd || fail "the user's unit does not reload"
as_bob systemctl --user stop charnnd || fail "the user's unit does not stop"
pass "systemctl --user runs it for one user"
