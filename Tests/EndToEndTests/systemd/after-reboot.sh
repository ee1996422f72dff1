#!/bin/sh
. /src/Tests/EndToEndTests/systemd/common.sh

within 20 systemctl is-active charnnd || fail "the service does not come back by itself"
within 90 in_state "done" disturbed || fail "the interrupted job is not done"
within 30 in_state "done" waiting || fail "the waiting job is not done"
[ "$(model calm)" = "$(model disturbed)" ] || fail "the model after the reboot differs"
grep -q '"attempts" : 2' "$spool/jobs/disturbed/status.json" || fail "the attempts are not counted"
pass "both jobs ended by themselves; same model"
