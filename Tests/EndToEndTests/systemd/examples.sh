#!/bin/sh
# In the box: the report's three jobs, in small but else as shipped, dropped together into the service's spool. They run
# one after the other, through a stop and a start, and the journal tells each one's story.
. /src/Tests/EndToEndTests/systemd/common.sh

install_charnnd

as_alice cp /corpora/kjv.txt "$spool/corpora/kjv.txt"
as_alice cp /corpora/republic.txt "$spool/corpora/republic.txt"
as_alice cp /corpora/biblia-pt-100k.txt "$spool/corpora/biblia-pt.txt"

# After the stop nobody knows any more that they were closed: then they count as complete when they are 30 s old, and the
# order of the jobs is to be seen.
sleep 31

# Shrunk: fewer characters, units and letters to write. Batching, stride, layers, dropout and the rest are as shipped.
for job in kjv genesis-pt republic; do
    sed -e '/max_chars:/d' -e 's/hidden_size: .*/hidden_size: 24/' -e 's/length: .*/length: 100/' \
        -e 's/epochs: .*/epochs: 1/' -e 's/^train:/train:\n  max_chars: 12000\n  checkpoint_every: 20/' \
        "/src/spool/examples/$job.yaml" | as_alice sh -c "cat > $spool/incoming/$job.yaml"
done

within 30 at_step kjv 30 || fail "kjv does not get on"
systemctl stop charnnd
[ -z "$(worker)" ] || fail "a worker outlived the stop"
in_state queue kjv || in_state done kjv || fail "kjv is nowhere"
systemctl start charnnd

for job in kjv genesis-pt republic; do
    within 120 in_state done "$job" || fail "$job did not end"
    [ -s "$spool/jobs/$job/generated/1.txt" ] || fail "$job wrote nothing"
    for event in accepted jobStarted worker.trainingStarted worker.evaluated jobDone; do
        told "$job" "$event" || fail "the journal does not tell that $job was $event"
    done
    echo "-- journalctl -u charnnd CHARNND_JOB=$job"
    journalctl -u charnnd "CHARNND_JOB=$job" -o cat --no-pager | grep -v 'Saved a checkpoint' | head -n 12
done

# One after the other, in order of arrival: the next began when the one before had ended.
order=$(journalctl -u charnnd CHARNND_EVENT=jobDone -o json --no-pager | sed -n 's/.*"CHARNND_JOB":"\([^"]*\)".*/\1/p')
[ "$(echo $order)" = "kjv genesis-pt republic" ] || fail "the order was $order"
pass "the report's three jobs ran one after the other, through a stop"
