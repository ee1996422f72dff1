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

# A text of letters that no other has, so that it is seen in whatever comes of it: as itself, or in a vocabulary.
leaks() { grep -rlE 'ξψϕ|[[,]958[],]' "$spool/jobs" "$spool/index.html"; }
corpora=$spool/corpora
as_alice mkdir $corpora/shut
for text in $corpora/secret.txt $corpora/shut/inside.txt; do
    as_alice sh -c "yes 'ξψϕ θω' | head -300 > $text"
done
# The daemon may read both, and pass the folder; mallory may not.
chgrp charnnd $corpora/secret.txt $corpora/shut
chmod 640 $corpora/secret.txt
chmod 710 $corpora/shut

# mdrop NAME TEXT [USER]: a small job of mallory's, or of another.
mdrop() {
    runuser -u "${3:-mallory}" -- sh -c "cat > $spool/incoming/$1.yaml" <<YAML
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
mdrop below-none m/shut/nothing.txt
mdrop shut-none shut/nothing.txt
as_mallory ln $corpora/secret.txt $corpora/m/hard.txt 2>/dev/null && mdrop hard m/hard.txt
mdrop up ../../../../etc/passwd
mdrop proc /proc/self/root$corpora/secret.txt
for name in direct shut shut-none link below below-none up proc; do
    within 30 in_state failed $name || within 1 in_state rejected $name || fail "$name is not refused"
done
reason() { sed -n 's/^ *"reason" : //p' "$spool/jobs/$1/status.json" | sed 's/inside/nothing/g'; }
[ -n "$(reason shut)" ] || fail "no reason is told"
for name in shut below; do
    [ "$(reason $name)" = "$(reason $name-none)" ] || fail "the reason tells whether a file is there: $(reason $name-none)"
done
[ -z "$(leaks)" ] || fail "a text that mallory may not read came out in $(leaks)"
pass "texts are read with the rights of who dropped the job"

# The text is swapped while it is looked at.
as_mallory sh -c "cd $corpora; mkdir n; cp gpl.txt m/own.txt; cp gpl.txt m/race.txt; cp gpl.txt n/secret.txt
    while [ ! -e /tmp/enough ]; do
        sleep 0.02
        ln -s ../secret.txt m/new; mv -T m/new m/race.txt
        mv -T n o; ln -s . n
        cp m/own.txt m/new; mv -T m/new m/race.txt
        rm n; mv -T o n
    done" &
for number in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    mdrop race-$number m/race.txt
    mdrop folder-$number n/secret.txt
done
for number in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    within 60 ended race-$number || fail "race-$number does not end"
    within 60 ended folder-$number || fail "folder-$number does not end"
done
touch /tmp/enough
wait
[ -z "$(leaks)" ] || fail "a text came out through a race: $(leaks)"
# Where every one was refused, nothing was tried; what reads her own text shows that the race was one.
ls "$spool/done" | grep -q race || fail "no job of the race read its own text"
ls "$spool/failed" | grep -q race || fail "no job of the race was refused"
pass "forty jobs whose text or folder was swapped all the time: $(ls $spool/done | grep -cE 'race|folder') read her own, the others were refused"

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

# What was looked for is there to be found: alice reads her own text.
mdrop own secret.txt alice
within 30 in_state "done" own || fail "alice may not read her own text"
[ -n "$(leaks)" ] || fail "what is read is not seen"
pass "and alice reads her own text"
