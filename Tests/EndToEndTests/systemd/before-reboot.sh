#!/bin/sh
. /src/Tests/EndToEndTests/systemd/common.sh

install_charnnd
give_text
drop calm 300
within 120 in_state "done" calm || fail "calm is not done"
drop disturbed 300
drop waiting 2
within 30 at_step disturbed 110 || fail "disturbed does not train"
# What the box writes goes to memory that the next boot sees; a sync is the least that a disk would have done.
sync
pass "a job is running"
