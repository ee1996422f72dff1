#!/bin/sh
# Texts that come after their jobs, or slowly, of people whose files the daemon does not own.
. /src/Tests/EndToEndTests/systemd/common.sh

install_charnnd
corpora=$spool/corpora
gpl=/usr/share/common-licenses/GPL-3
whole=$(wc -m < $gpl)

# A small job of alice's: tdrop NAME TEXT
tdrop() {
    as_alice sh -c "cat > $spool/incoming/$1.yaml" <<YAML
train: {corpus: $2, hidden_size: 16, num_layers: 1, epochs: 1, seq_length: 50, batch_size: 16}
YAML
}
characters() { sed -n 's/.*The text has \([0-9,]*\) characters.*/\1/p' "$spool/jobs/$1/log.txt" | tr -d ,; }
waits() { as_alice charnn why "$1" | grep -q "waits for the text $2"; }

# Half of it is there, and the rest comes when the test says so.
as_alice sh -c "{ head -c 12000 $gpl; while [ ! -e /tmp/go ]; do sleep 0.1; done; tail -c +12001 $gpl; } > $corpora/slow.txt" &
within 20 test -s $corpora/slow.txt || fail "the copy did not begin"
tdrop slow slow.txt
give_text
tdrop other gpl.txt
within 30 waits slow slow.txt || fail "nobody says that the text is waited for: $(as_alice charnn why slow)"
within 60 in_state "done" other || fail "another job does not go first"
in_state queue slow || fail "a job was started on half of its text"
listed() { as_alice charnn list | grep -q "$1"; }
within 30 listed slow.txt || fail "list does not say what is waited for"
touch /tmp/go
wait
within 60 in_state "done" slow || fail "the job did not go on when its text was whole"
[ "$(characters slow)" = "$whole" ] || fail "it learned $(characters slow) of $whole characters"
pass "a text that is copied slowly is waited for, and others go first"

# The job comes first, and its text in a folder that is not there yet.
tdrop early m/early.txt
within 30 waits early m/early.txt || fail "a missing text is not waited for"
told early waits || fail "the journal does not say so"
as_alice mkdir $corpora/m
as_alice cp $gpl $corpora/m/early.txt
# Where the copy is faster than the watch of the new folder, the text counts as complete when it is 30 s old.
within 60 in_state "done" early || fail "the job did not find its text"
pass "a text that comes after its job is waited for"

# It never comes.
echo 'text_grace: 3s' >> /etc/charnnd/charnnd.yaml
systemctl reload charnnd
tdrop never never.txt
within 30 in_state failed never || fail "a text that never comes is waited for for ever"
grep -q 'never.txt' $spool/jobs/never/status.json || fail "the reason does not name the text"
pass "a text that stays away fails its job after text_grace"

# The name in the other form of Unicode.
name=$(printf 'cafe\314\201.txt')
as_alice cp $gpl "$corpora/$name"
tdrop accent "$(printf 'caf\303\251.txt')"
within 60 in_state "done" accent || fail "the text is not found under its name in another form"
pass "a text is found in either form of its name"
