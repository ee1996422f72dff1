#!/bin/sh
# People of whom some mean no good, in one spool: what each may not read, nobody reads for them, and nothing they drop
# keeps the others' jobs from running.
. /src/Tests/EndToEndTests/systemd/common.sh

install_charnnd
for name in mallory eve; do getent passwd $name >/dev/null || useradd -m $name; done
usermod --append --groups charnnd-submit mallory
as_mallory() { runuser -u mallory -- "$@"; }
as_eve() { runuser -u eve -- "$@"; }
give_text

# A text of letters that no other has, so that it can be found in whatever comes of it.
secret() { as_alice sh -c "umask $1; mkdir -p $(dirname "$2"); yes 'ξψϕ θω' | head -300 > $2"; }
leaks() { grep -rlE 'ξ|ψ|ϕ|\\u03be|3be' "$spool/jobs" --include='*' 2>/dev/null | grep -v '/job.yaml$'; }
corpora=$spool/corpora
secret 077 $corpora/secret.txt
secret 022 $corpora/shut/inside.txt
as_alice chmod 700 $corpora/shut
secret 077 /home/alice/secret.txt

# mdrop NAME TEXT: a small job of mallory's.
mdrop() {
    as_mallory sh -c "cat > $spool/incoming/$1.yaml" <<YAML
train: {corpus: $2, hidden_size: 4, num_layers: 1, epochs: 1, seq_length: 8, batch_size: 2, max_chars: 400}
YAML
}
ended() { in_state "done" "$1" || in_state failed "$1" || in_state rejected "$1"; }

# What is not hers to read.
mdrop direct secret.txt
mdrop shut shut/inside.txt
as_mallory sh -c "mkdir $corpora/m; ln -s ../secret.txt $corpora/m/link.txt; ln -s ../shut $corpora/m/shut"
mdrop link m/link.txt
mdrop below m/shut/inside.txt
as_mallory ln $corpora/secret.txt $corpora/m/hard.txt 2>/dev/null && mdrop hard m/hard.txt
mdrop up ../../../../home/alice/secret.txt
mdrop proc /proc/self/root/home/alice/secret.txt
for name in direct shut link below up proc; do
    within 30 in_state failed $name || within 1 in_state rejected $name || fail "$name is not refused"
done
# Alice herself may read it, and whoever may read her job's results by the rights of the spool is her business.
[ -z "$(leaks)" ] || fail "a text that mallory may not read came out in $(leaks)"
pass "texts are read with the rights of who dropped the job"

# The text is swapped while it is looked at.
as_mallory sh -c "cp $corpora/gpl.txt $corpora/m/own.txt
    while [ ! -e /tmp/enough ]; do
        ln -sfn own.txt $corpora/m/race.txt; ln -sfn ../secret.txt $corpora/m/race.txt
        mv -f $corpora/m/race.txt $corpora/m/gone.txt; cp $corpora/m/own.txt $corpora/m/race.txt
        mv -T $corpora/m $corpora/m2 && ln -s shut $corpora/m; rm -f $corpora/m; mv -T $corpora/m2 $corpora/m
    done" 2>/dev/null &
for number in 1 2 3 4 5 6 7 8 9 10 11 12; do mdrop race-$number m/race.txt; done
for number in 1 2 3 4 5 6 7 8 9 10 11 12; do
    within 60 ended race-$number || fail "race-$number does not end"
done
touch /tmp/enough
wait
[ -z "$(leaks)" ] || fail "a text came out through a race: $(leaks)"
pass "twelve jobs whose text was swapped all the time: $(ls $spool/done | grep -c race) read her own, the others were refused"

# A job in alice's name.
drop hers 2000
within 20 at_step hers 60 || fail "hers does not train"
drop waiting 1
within 10 in_state queue waiting || fail "waiting is not queued"
as_mallory sh -c "cd; printf 'train: {corpus: secret.txt, hidden_size: 4, seq_length: 8, batch_size: 2}\n' > evil.yaml; chmod 644 evil.yaml; mv -f evil.yaml $spool/queue/waiting.yaml"
# Her own file moved, so that it would count as the daemon's.
as_mallory cp $spool/active/hers.yaml $spool/incoming/copy.yaml
as_mallory mv $spool/active/hers.yaml $spool/held/ || fail "people of the group hold each other's jobs"
within 20 ended waiting || fail "waiting does not end"
in_state failed waiting || fail "a file that mallory put in the place of alice's reads with alice's rights"
within 20 in_state active copy || fail "the copy of a job is a job of who dropped it"
grep -q "\"submitter\" : $(id -u mallory)" $spool/jobs/copy/status.json || fail "the copy is not mallory's"
as_mallory mv $spool/active/copy.yaml $spool/cancelled/
[ -z "$(leaks)" ] || fail "a text came out in alice's name: $(leaks)"
pass "whoever puts another file in the place of a job's reads with their own rights"

# What is not theirs to change.
for target in accepting jobs jobs/hers accepting/.sequence corpora/gpl.txt index.html; do
    ! as_mallory sh -c "touch $spool/$target/x 2>/dev/null || echo x >> $spool/$target" 2>/dev/null || fail "mallory writes in $target"
done
as_alice sh -c "umask 077; sleep 3 > $spool/incoming/slow.yaml" &
sleep 1
! as_mallory rm -f $spool/incoming/slow.yaml 2>/dev/null || [ -e $spool/incoming/slow.yaml ] || fail "mallory removes alice's drop"
! as_mallory ls $spool/incoming >/dev/null 2>&1 || fail "submitters list incoming/"
wait
for place in incoming queue jobs held; do
    ! as_eve touch $spool/$place/eve.yaml 2>/dev/null || fail "eve writes in $place"
done
! as_eve cat $spool/jobs/hers/status.json 2>/dev/null || fail "eve reads a job"
pass "rights of directories"

# Thousands of things that are no jobs.
as_mallory sh -c "cd /home/mallory; mkdir pile; cd pile
    i=0; while [ \$i -lt 500 ]; do
        mkfifo $spool/incoming/f\$i.yaml; ln -s /etc/shadow $spool/incoming/l\$i.yaml; mkdir $spool/incoming/d\$i.yaml
        : > h\$i; ln h\$i $spool/incoming/h\$i.yaml; printf x > $spool/incoming/n\$i.txt; mkfifo $spool/queue/q\$i.yaml
        mkdir $spool/held/h\$i.yaml $spool/rejected/r\$i.yaml; i=\$((i + 1))
    done"
drop after-all 1
within 30 in_state "done" after-all || fail "the queue does not go on behind 4,000 things that are no jobs"
before=$(daemon)
systemctl restart charnnd
[ "$(systemctl is-active charnnd)" = active ] || fail "no start with 4,000 things that are no jobs"
drop at-last 1
within 30 in_state "done" at-last || fail "the queue does not go on after a restart"
lines=$(journalctl -u charnnd -o cat --no-pager | wc -l)
[ "$lines" -lt 4000 ] || fail "$lines lines in the journal"
pass "4,000 things that are no jobs hold up nobody; $lines lines in the journal"
