#!/bin/sh
# Two members, an administrator and a stranger in one spool: whose job it is, who may do what with it, whose turn it is,
# and what of a text that is one person's alone the others see.
. /src/Tests/EndToEndTests/systemd/common.sh

install_charnnd
for name in bob carol eve; do getent passwd $name >/dev/null || useradd -m $name; done
for name in bob carol; do usermod --append --groups charnnd-submit $name; done
usermod --append --groups charnnd-admin carol
chmod 700 /home/alice /home/bob
as() { name=$1; shift; runuser -u "$name" -- "$@"; }
give_text

# job NAME USER [EPOCHS]
job() {
    as "$2" sh -c "cat > $spool/incoming/$1.yaml" <<YAML
train: {corpus: gpl.txt, max_chars: 4000, hidden_size: 8, num_layers: 1, epochs: ${3:-1}, seq_length: 20, batch_size: 4}
judge: false
YAML
}
says() { journalctl -u charnnd -o cat --no-pager | grep -q "$1"; }

# Each verb on one's own job and on another's, with nothing running.
as carol charnn pause >/dev/null || fail "an administrator may not pause"
within 5 says 'paused by carol' || fail "the pause is not told"
! as alice charnn pause 2>/tmp/why || fail "a member pauses the queue"
grep -q charnnd-admin /tmp/why || fail "no reason is told: $(cat /tmp/why)"
job hers alice
within 10 in_state queue hers || fail "hers is not queued"
sleep 1
in_state queue hers || fail "a paused queue starts a job"
as bob charnn why hers | grep -q 'paused by carol' || fail "why does not tell of the pause"
as bob charnn list | grep -q 'hers *alice' || fail "list does not name the owner: $(as bob charnn list)"
cp $spool/queue/hers.yaml /tmp/other.yaml
for user in bob eve; do
    for verb in hold cancel; do
        ! as $user charnn $verb hers 2>/tmp/why || fail "$user may $verb alice's job"
    done
    ! as $user charnn edit hers /tmp/other.yaml 2>/dev/null || fail "$user may edit alice's job"
done
# The same without the tool: a file of one's own that names another's job.
number=$(sed -n 's/^ *"sequence" : \([0-9]*\),*$/\1/p' $spool/jobs/hers/status.json)
request() { printf 'charnnd-request 1\nverb: %s\njob: %s\nsequence: %s\n\n' "$1" "$2" "$3"; }
request cancel hers $number > /tmp/request
for user in bob; do
    as $user cp /tmp/request $spool/requests/x.request
    within 5 says "$user asked to cancel hers; that was not done" || fail "a request of $user for alice's job is not refused"
done
# A request of alice's is not bob's to make: no link, no name of hers, no file that he swaps.
as alice cp /tmp/request /home/alice/kept
as bob ln -s /home/alice/kept $spool/requests/link.request
as bob mkdir $spool/requests/folder.request
as bob mkfifo $spool/requests/pipe.request
as bob ln $spool/corpora/gpl.txt $spool/requests/hard.request 2>/dev/null || true
as bob sh -c "cd $spool/requests; i=0; while [ \$i -lt 200 ]; do
    cp /tmp/request swap.tmp; ln -sf /home/alice/kept swapped.request; mv -f swap.tmp swapped.request 2>/dev/null; i=\$((i + 1)); done" || true
sleep 2
in_state queue hers || fail "bob made a request of alice's"
! as bob ls $spool/requests >/dev/null 2>&1 || fail "members list requests/"
# An old number, twice, and what is not there.
# Of bob's many refusals the journal has told the sum by then.
sleep 12
request cancel hers 999999 > /tmp/old
as alice cp /tmp/old $spool/requests/old.request
within 5 says 'number 999999, is gone' || fail "an old number is not told"
in_state queue hers || fail "a request with an old number was done"
# mv and rm are the administrators'.
for user in alice bob; do
    ! as $user mv $spool/queue/hers.yaml $spool/held/ 2>/dev/null || fail "$user moves files"
    ! as $user rm -f $spool/queue/hers.yaml 2>/dev/null || fail "$user removes files"
    ! as $user touch $spool/queue/new.yaml 2>/dev/null || fail "$user puts files into queue/"
done
# Her own.
as alice charnn hold hers >/dev/null && in_state held hers || fail "alice may not hold her job"
as alice charnn release hers >/dev/null && in_state queue hers || fail "alice may not release her job"
as alice sh -c "sed 's/epochs: 1/epochs: 2/' $spool/queue/hers.yaml > ~/new.yaml; charnn edit hers ~/new.yaml" >/dev/null || fail "alice may not edit"
grep -q 'epochs: 2' $spool/queue/hers.yaml || fail "the edit is not there"
as alice charnn cancel hers >/dev/null && in_state cancelled hers || fail "alice may not cancel her job"
as alice charnn retry hers >/dev/null && in_state queue hers || fail "alice may not retry her job"
for words in 'Held by alice' 'Released by alice' 'changed by alice' 'Cancelled by alice' 'alice wants it so'; do
    says "$words" || fail "the journal does not say: $words"
done
# A stranger is told that it is another spool, and why.
as eve sh -c "cd; cp /usr/share/common-licenses/GPL-3 gpl.txt; printf 'train: {corpus: gpl.txt}\n' > mine.yaml; charnn submit mine.yaml" > /tmp/said 2>&1 || fail "eve may not use a spool of her own: $(cat /tmp/said)"
grep -q 'may not use /var/spool/charnnd.*charnnd-submit.*/home/eve' /tmp/said || fail "which spool is used is not told: $(cat /tmp/said)"
# An administrator, by asking and by hand.
as carol charnn hold hers >/dev/null && in_state held hers || fail "carol may not hold"
as carol mv $spool/held/hers.yaml $spool/queue/ || fail "carol may not move files"
within 5 says 'Released by an administrator' || fail "a move by hand is not told"
as carol sh -c "sed 's/epochs: 2/epochs: 3/' $spool/queue/hers.yaml > ~/new.yaml; chmod 644 ~/new.yaml; charnn edit hers ~/new.yaml" >/dev/null
as carol charnn resume >/dev/null || fail "carol may not resume"
within 30 in_state "done" hers || fail "hers does not run"
grep -q "\"submitter\" : $(id -u alice)" $spool/jobs/hers/status.json || fail "an administrator's edit made the job theirs"
grep -q '"owner" : "alice"' $spool/jobs/hers/status.json || fail "the status does not name the owner"
grep -q 'epochs: 3' $spool/jobs/hers/job.yaml || fail "carol's edit does not count"
pass "each verb on one's own job and on another's, for members, an administrator and a stranger"

# With the daemon down a request waits.
as carol charnn pause >/dev/null
job later alice
within 10 in_state queue later || fail "later is not queued"
systemctl stop charnnd
as alice charnn hold later | grep -q 'waits until a daemon' || fail "it is not told that a request waits"
in_state queue later || fail "held without a daemon"
systemctl start charnnd
within 10 in_state held later || fail "what was asked meanwhile is not done"
as bob charnn list | grep -q 'paused by carol' || fail "the pause does not outlive the daemon"
as carol charnn resume >/dev/null
as alice charnn cancel later >/dev/null
pass "requests and the pause outlive the daemon"

# Turns: fifty jobs each, alice's all before bob's.
as carol charnn pause >/dev/null
for number in $(seq 50); do job a$number alice 2; done
within 30 sh -c "[ \$(ls $spool/queue | grep -c '^a') -ge 50 ]" || fail "alice's fifty are not queued"
for number in $(seq 50); do job b$number bob 2; done
within 30 sh -c "[ \$(ls $spool/queue | grep -c '^b') -ge 50 ]" || fail "bob's fifty are not queued"
as carol charnn resume >/dev/null
within 240 sh -c "[ \$(ls $spool/done | grep -c '^[ab][0-9]') -ge 100 ]" || fail "not all are done: $(ls $spool/done | wc -l)"
# Seconds that each had while both waited.
journalctl -u charnnd CHARNND_EVENT=jobStarted -o json --no-pager | sed -n 's/.*"CHARNND_JOB":"\([ab]\)[0-9]*".*/\1/p' > /tmp/order
tail -100 /tmp/order > /tmp/hundred
shares() { head -"$1" /tmp/hundred | grep -c "$2" || true; }
seconds() {
    for file in $spool/jobs/$1[0-9]*/status.json; do sed -n 's/^ *"seconds" : \([0-9.]*\),*$/\1/p' "$file"; done | awk '{ s += $1 } END { printf "%.3f", s }'
}
a=$(seconds a); b=$(seconds b)
awk "BEGIN { exit !($a > 0 && $b > 0 && $a / $b < 1.1 && $b / $a < 1.1) }" || fail "worker time: alice $a s, bob $b s"
# Bob's came last and do not wait for alice's: of the first forty each has about half.
early=$(shares 40 b)
[ "$early" -ge 12 ] || fail "of the first forty starts $early were bob's"
pass "two owners with fifty jobs each take turns: $a s and $b s of work, $early of the first forty bob's"

# A text of one person's alone.
as alice sh -c "mkdir -p ~/night; cd ~/night; head -c 6000 /usr/share/common-licenses/GPL-3 | tr a-z n-za-m > diary.txt
    printf 'train: {corpus: diary.txt, hidden_size: 8, num_layers: 1, epochs: 2, seq_length: 20, batch_size: 4, sample_every: 10}\ngenerate: {length: 40, prompt: gur}\n' > diary.yaml
    charnn submit diary.yaml" > /tmp/said || fail "alice may not submit"
grep -q 'only you and the service read it' /tmp/said || fail "it is not told that the copy is hers alone: $(cat /tmp/said)"
within 30 in_state "done" diary || fail "diary is not done: $(cat $spool/jobs/diary/log.txt)"
for path in corpora/diary.txt done/diary.yaml jobs/diary/corpus.bin jobs/diary/log.txt jobs/diary/status.json \
    jobs/diary/model.safetensors jobs/diary/generated/1.txt jobs/diary/report.html jobs/diary/metrics.csv; do
    [ -e $spool/$path ] || fail "$path is not there"
    for user in bob carol eve; do
        ! as $user cat $spool/$path >/dev/null 2>&1 || fail "$user reads $path"
    done
    as alice cat $spool/$path >/dev/null || fail "alice may not read $path"
done
! as bob ls $spool/jobs/diary/samples >/dev/null 2>&1 || fail "bob lists the samples"
as bob charnn list | grep -q 'diary *alice *done' || fail "list does not say name, owner and state: $(as bob charnn list)"
! as bob charnn list --json | grep -A12 '"name" : "diary"' | grep -q '_loss\|"step"' || fail "list tells more than that"
as alice charnn show diary | grep -q 'generat\|loss' || fail "alice may not see her own job"
as bob sh -c "printf 'generate: {model: diary, length: 5}\n' > $spool/incoming/peek.yaml"
within 20 in_state failed peek || fail "bob's job uses alice's model"
# The page of a hundred jobs is written anew after fifty times as long as it took.
within 150 grep -q diary $spool/index.html || fail "the page does not name the job"
! grep -q 'jobs/diary/report.html' $spool/index.html || fail "the shared page shows the job"
told diary jobDone || fail "the journal does not tell that it is done"
journalctl -u charnnd CHARNND_JOB=diary -o cat --no-pager > /tmp/told
grep -q 'diary (of alice): Done' /tmp/told || fail "the journal does not say how it stands"
! grep -qi 'loss\|epoch\|corpora\|character' /tmp/told || fail "the journal says more: $(cat /tmp/told)"
pass "a text of one person's alone, and all that is made of it, stays theirs"

# Caps.
cat > /etc/charnnd/charnnd.yaml <<YAML
caps:
  all: {priority: [-5, 0], text_length: 5000}
  users:
    bob: {time: 3s, queued: 60}
YAML
systemctl reload charnnd
within 10 says 'configuration was read again' || fail "no reload"
as alice sh -c "printf 'priority: 1\ntrain: {corpus: gpl.txt}\n' > $spool/incoming/greedy.yaml"
as alice sh -c "printf 'generate: {model: hers, length: 9223372036854775807}\n' > $spool/incoming/endless.yaml"
within 10 in_state rejected greedy || fail "greedy is accepted"
within 10 in_state rejected endless || fail "endless is accepted"
grep -q 'caps.all.priority' $spool/rejected/greedy.yaml.reason.txt || fail "the cap is not named"
grep -q 'caps.all.text_length' $spool/rejected/endless.yaml.reason.txt || fail "the cap is not named"
job slow bob 100000
within 60 in_state failed slow || fail "a cap on time does not end a job"
grep -q 'caps.users.bob.time' $spool/jobs/slow/status.json || fail "the cap is not named: $(grep reason $spool/jobs/slow/status.json)"
rm /etc/charnnd/charnnd.yaml
cp /src/systemd/charnnd.yaml /etc/charnnd/charnnd.yaml
systemctl reload charnnd
pass "caps refuse and end jobs, and say which"

# What a member runs is the member's own, and no job of the spool.
as bob sh -c "cd; cp /usr/share/common-licenses/GPL-3 gpl.txt
    printf 'train: {corpus: gpl.txt, max_chars: 4000, hidden_size: 8, num_layers: 1, epochs: 1000000, seq_length: 20, batch_size: 4}\n' > hers.yaml
    charnn run hers.yaml > said 2>&1 &"
home=/home/bob/.local/state/charnnd/runs/hers
within 30 sh -c "step=\$(sed -n 's/^ *\"step\" : \([0-9]*\),*$/\1/p' $home/status.json); [ \"\$step\" -gt 5 ]" ||
    fail "a member cannot run a job: $(cat /home/bob/said)"
as bob charnn list --runs | grep -q 'runs/hers *active' || fail "list --runs does not show it: $(as bob charnn list --runs)"
as bob charnn show hers | grep -q 'owner *alice' || fail "hers is not the job any more"
! as alice charnn show runs/hers 2>/dev/null || fail "alice sees bob's run"
! as alice charnn end hers 2>/dev/null || fail "alice may end something called hers"
as bob charnn end hers | grep -q 'is stopped at step' || fail "bob cannot end his run"
as bob charnn clean --runs --older-than 1d | grep -q 'No run ended' || fail "clean does not know runs"
[ ! -e $spool/runs ] || fail "the shared spool has runs"
pass "what a member runs lies in a spool of their own, beside a job of the same name"

# A flood of requests holds nobody up.
as bob sh -c "cd ~; i=0; while [ \$i -lt 10000 ]; do cp /tmp/request $spool/requests/f\$i.request; i=\$((i + 1)); done"
begin=$(date +%s%N)
job quick alice
within 30 in_state "done" quick || fail "a flood of requests holds a job up"
job held-quickly alice 5000
within 20 in_state active held-quickly || fail "a flood of requests holds a job up"
as alice charnn cancel held-quickly >/dev/null
within 20 in_state cancelled held-quickly || fail "a flood holds up another's request"
within 60 sh -c "[ \$(ls $spool/requests | grep -c '^f') = 0 ]" || fail "the flood is not worked off: $(ls $spool/requests | wc -l)"
lines=$(journalctl -u charnnd CHARNND_EVENT=refused -o cat --no-pager | wc -l)
[ "$lines" -lt 1000 ] || fail "$lines lines in the journal"
pass "ten thousand requests hold nobody up; $lines lines in the journal"
