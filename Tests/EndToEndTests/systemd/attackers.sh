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
# What is missing, and what may not be read, is not waited for long here.
echo 'text_grace: 5s' >> /etc/charnnd/charnnd.yaml
systemctl reload charnnd

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
# A text that is swapped whenever it is looked at is waited for; most are not.
within 60 sh -c "[ \$(ls $spool/done $spool/failed | grep -cE 'race|folder') -ge 30 ]" || fail "the race holds up all jobs"
touch /tmp/enough
wait
for number in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    within 60 ended race-$number || fail "race-$number does not end"
    within 60 ended folder-$number || fail "folder-$number does not end"
done
[ -z "$(leaks)" ] || fail "a text came out through a race: $(leaks)"
# Where every one was refused, nothing was tried; what reads her own text shows that the race was one.
ls "$spool/done" | grep -q race || fail "no job of the race read its own text"
pass "forty jobs whose text or folder was swapped all the time: $(ls $spool/done | grep -cE 'race|folder') read her own, the others were refused"

# A job in alice's name.
drop hers 2000
within 20 at_step hers 60 || fail "hers does not train"
drop waiting 1
within 10 in_state queue waiting || fail "waiting is not queued"
! as_mallory sh -c "cd; printf 'train: {corpus: secret.txt, hidden_size: 4, seq_length: 8, batch_size: 2}\n' > evil.yaml; chmod 644 evil.yaml; mv -f evil.yaml $spool/queue/waiting.yaml" 2>/dev/null || fail "mallory replaces alice's job file"
! as_mallory mv $spool/active/hers.yaml $spool/held/ 2>/dev/null || fail "mallory holds alice's job"
! as_mallory mv $spool/queue/waiting.yaml $spool/active/ 2>/dev/null || fail "mallory moves alice's job"
! as_mallory rm -f $spool/queue/waiting.yaml 2>/dev/null || fail "mallory removes alice's job"
# A copy of her file is a job of who dropped it.
as_mallory cp $spool/active/hers.yaml $spool/incoming/copy.yaml
within 10 in_state queue copy || fail "copy is not queued"
as_alice charnn cancel hers >/dev/null || fail "alice may not cancel her job"
within 20 in_state active copy || fail "the copy of a job is a job of who dropped it"
grep -q "\"submitter\" : $(id -u mallory)" $spool/jobs/copy/status.json || fail "the copy is not mallory's"
as_mallory charnn cancel copy >/dev/null || fail "mallory may not cancel her own job"
within 20 ended waiting || fail "waiting does not end"
in_state "done" waiting || fail "waiting is not alice's job any more"
[ -z "$(leaks)" ] || fail "a text came out in alice's name: $(leaks)"
pass "nobody puts anything in the place of another's job, and a copy is its dropper's"

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

# A record of very many texts.
mdrop source gpl.txt
within 30 in_state "done" source || fail "source does not end"
as_mallory sh -c "cat > $spool/incoming/many.yaml" <<YAML
generate: {model: source, prompt: a, length: 1, count: 9000, unknown: skip}
YAML
within 120 in_state "done" many || fail "9,000 texts are not written: $(head -50 $spool/jobs/many/status.json)"
[ "$(wc -l < $spool/jobs/many/manifest.sha256)" -ge 9000 ] || fail "the manifest does not list the texts"
(cd $spool/jobs/many && sha256sum --quiet --check manifest.sha256) || fail "the manifest is wrong"

# A text that is not hers, tried again and again: nothing is written before it is looked at.
as_mallory sh -c "cat > $spool/incoming/reads.yaml" <<YAML
generate: {model: source, prompt: a, length: 1, unknown: skip}
evaluate: {model: source, corpus: secret.txt, unknown: skip}
YAML
within 30 in_state failed reads || fail "reads evaluates a text that mallory may not read"
for again in 1 2; do
    as_mallory charnn retry reads >/dev/null || fail "mallory may not retry her job"
    within 20 sh -c "! [ -e $spool/failed/reads.yaml ]" || true
    within 30 in_state failed reads || fail "tried again, reads evaluates a text that mallory may not read"
done
attempts=$(sed -n 's/^ *"attempts" : \([0-9]*\),*$/\1/p' $spool/jobs/reads/status.json)
[ "$attempts" = 3 ] || fail "reads was started $attempts times"
[ ! -e $spool/jobs/reads/generated/1.txt ] || fail "reads wrote before all that it reads was looked at"
# The same where the status is lost: who it was is not known, and nothing is read for nobody.
echo > $spool/jobs/reads/status.json
! as_mallory charnn retry reads 2>/dev/null || fail "mallory asks for a job that is nobody's any more"
mv $spool/failed/reads.yaml $spool/queue/
within 20 in_state held reads || fail "a job whose status is lost is not held"
mv $spool/held/reads.yaml $spool/queue/
within 60 ended reads || fail "reads does not end without a status"
in_state failed reads || fail "without a submitter reads reads"
[ -z "$(leaks)" ] || fail "a text came out of a job whose status was lost"
pass "9,000 texts are in a record that can be read, and nothing is read for nobody"

# A model in a folder that its owner has shut.
mdrop private gpl.txt alice
within 30 in_state "done" private || fail "private does not end"
chmod 700 $spool/jobs/private
as_mallory sh -c "printf 'generate: {model: private, length: 5}\n' > $spool/incoming/peek.yaml
    printf 'train: {corpus: gpl.txt, from: private, epochs: 1, seq_length: 8, batch_size: 2, max_chars: 400}\n' > $spool/incoming/tune.yaml
    printf 'generate: {model: $spool/jobs/private/model.safetensors, length: 5}\n' > $spool/incoming/path.yaml"
for name in peek tune path; do
    within 30 in_state failed $name || fail "$name uses a model that mallory may not read"
    reason $name | grep -q "may not be read" || fail "$name failed for another reason: $(reason $name)"
done
pass "a model is read with the rights of who dropped the job, whatever it is called by"

# Names that would be lines of their own, or move the cursor.
as_mallory sh -c "printf 'train: {corpus: \"no\\\\n2026-01-01T00:00:00Z error: alice: forged\\\\e[2J\\\\u202Etxt\"}\n' > $spool/incoming/forger.yaml"
within 30 ended forger || fail "forger does not end"
lines() { cat $spool/jobs/forger/log.txt; journalctl -u charnnd -o cat --no-pager; }
! lines | grep -q '^2026-01-01T00:00:00Z error: alice: forged' || fail "a name forges a line"
! lines | grep -qP '\x1b\[2J|\x{202E}' || fail "a name moves the cursor"
lines | grep -q 'forged' || fail "the name is not told at all"
pass "what others wrote stays in its line"

# Texts that are handed over: under names that nobody takes before, and through no other's link.
as_mallory sh -c "touch $corpora/.mine.txt.partial; ln -s /home/alice/open $corpora/sub"
as_alice sh -c "mkdir -p ~/open ~/mine/sub; cd ~/mine; cp $corpora/gpl.txt mine.txt; cp mine.txt sub/other.txt
    printf 'train: {corpus: mine.txt, hidden_size: 4, epochs: 1, seq_length: 8, batch_size: 2, max_chars: 400}\n' > mine.yaml
    sed 's,mine.txt,sub/other.txt,' mine.yaml > linked.yaml"
as_alice sh -c "cd ~/mine; charnn submit mine.yaml" || fail "a file of mallory's keeps alice from handing over a text"
within 30 in_state "done" mine || fail "mine is not done"
! as_alice sh -c "cd ~/mine; charnn submit linked.yaml" 2>/tmp/why || fail "a text went through mallory's link"
grep -q 'leads out of the folder' /tmp/why || fail "no reason is told: $(cat /tmp/why)"
[ -z "$(ls -A /home/alice/open)" ] || fail "a text was put where mallory's link leads"
pass "texts are handed over past whatever another member made in corpora/"

# Jobs by the thousand that wait for each other: a night's work for whoever follows each with each.
as_mallory sh -c 'cd; mkdir graph; cd graph; i=0; names=nobody
    while [ $i -lt 1100 ]; do
        printf "after: [%s]\ngenerate: {model: source, length: 1}\n" "$names" > g$i.yaml
        [ $i -ge 999 ] || names="$names, g$i"; i=$((i + 1))
    done'
as_mallory sh -c "cd ~/graph; cp -p *.yaml $spool/incoming/"
drop beside-graph 1
within 120 in_state "done" beside-graph || fail "1,100 jobs that wait for each other keep alice's from running"
pid=$(daemon)
systemctl restart charnnd
[ "$(systemctl is-active charnnd)" = active ] || fail "no start with 1,100 jobs that wait for each other"
drop after-graph 1
within 60 in_state "done" after-graph || fail "alice's job does not run after a restart"
kilobytes=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' /proc/$(daemon)/status)
[ "$kilobytes" -lt 500000 ] || fail "the daemon has $kilobytes kB"
pass "1,100 jobs that wait for each other hold up nobody; the daemon has $((kilobytes / 1024)) MB"

# What was looked for is there to be found: alice reads her own text.
mdrop own secret.txt alice
within 30 in_state "done" own || fail "alice may not read her own text"
[ -n "$(leaks)" ] || fail "what is read is not seen"
pass "and alice reads her own text"
