#!/bin/sh
. /src/Tests/EndToEndTests/systemd/common.sh

install_charnnd
[ "$(systemctl is-active charnnd)" = active ] || fail "not active after the installation"
pass "installed and ready"

score=$(systemd-analyze security --offline=true /src/systemd/charnnd.service --no-pager | sed -n 's/.*level for [^:]*: \([0-9.]*\).*/\1/p')
awk "BEGIN { exit !($score <= 1.0) }" || fail "exposure $score"
systemd-analyze verify /etc/systemd/system/charnnd.service || fail "the unit is not clean"
pass "exposure $score, the unit verifies"

rss=$(sed -n 's/VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$(daemon)/status")
[ "$rss" -lt 40960 ] || fail "the idle daemon takes $rss kB"
pass "the idle daemon takes $rss kB"

# Jobs one after the other, from an ordinary user, and their stories.
give_text
for name in one two three; do drop $name 3; done
for name in one two three; do
    within 60 in_state "done" $name || fail "$name is not done"
    for event in accepted jobStarted worker.trainingStarted worker.evaluated worker.checkpointSaved jobDone; do
        told $name $event || fail "the journal does not tell $event of $name"
    done
    [ -s "$spool/jobs/$name/model.safetensors" ] || fail "$name has no model"
    [ -s "$spool/jobs/$name/generated/1.txt" ] || fail "$name has no text"
    as_alice cat "$spool/jobs/$name/log.txt" >/dev/null || fail "alice cannot read the log of $name"
done
journalctl -u charnnd CHARNND_JOB=one CHARNND_EVENT=jobDone -o json --no-pager | grep -q '"MESSAGE_ID"' || fail "no MESSAGE_ID"
journalctl -u charnnd CHARNND_EVENT=jobDone -x --no-pager | grep -q 'A job has succeeded' || fail "the catalog does not explain"
stat -c %U "$spool/jobs/one/model.safetensors" | grep -qx charnnd || fail "results are not the daemon's"
grep -q "\"submitter\" : $(id -u alice)" "$spool/jobs/one/status.json" || fail "the submitter is not recorded"
pass "three jobs, one after the other, each with its story"

# The pages show no more than the job folders do.
within 30 grep -q 'jobs/three/report.html' "$spool/index.html" || fail "the morning report does not show the jobs"
[ "$(stat -c '%a %U %G' "$spool/index.html")" = "640 charnnd charnnd-submit" ] || fail "the morning report has other rights"
as_alice cat "$spool/index.html" "$spool/jobs/three/report.html" >/dev/null || fail "alice cannot read the pages"
! runuser -u nobody -- cat "$spool/index.html" 2>/dev/null || fail "everybody can read the morning report"
pass "the pages are there for those who may read the jobs"

# What can be wrong.
as_alice sh -c "printf 'train: {corpus: gpl.txt, hiden_size: 3}' > $spool/incoming/typo.yaml"
as_alice sh -c "head -c 2097152 /dev/zero > $spool/incoming/big.yaml"
as_alice sh -c ": > $spool/incoming/empty.yaml"
as_alice mkfifo "$spool/incoming/pipe.yaml"
as_alice ln -s /etc/shadow "$spool/incoming/link.yaml"
as_alice mkdir "$spool/incoming/folder.yaml"
as_alice sh -c "cp $spool/done/one.yaml \"$spool/incoming/new
line.yaml\""
as_alice sh -c "umask 077; cp $spool/done/one.yaml $spool/incoming/secret.yaml"
as_alice sh -c "printf 'train: {corpus: /etc/passwd}' > $spool/incoming/thief.yaml"
for name in typo big empty new_line; do
    within 20 in_state rejected $name || fail "$name is not rejected"
    [ -s "$spool/rejected/$name.yaml.reason.txt" ] || fail "$name has no reason"
done
grep -q hidden_size "$spool/rejected/typo.yaml.reason.txt" || fail "the nearest spelling is not told"
within 20 in_state failed thief || within 1 in_state rejected thief || fail "a text outside the roots is not refused"
for name in pipe link folder secret; do
    within 5 sh -c "journalctl -u charnnd CHARNND_EVENT=ignored -o cat --no-pager | grep -q '$name.yaml'" ||
        fail "$name is not told of"
done
drop after-all 2
within 30 in_state "done" after-all || fail "the queue does not go on"
pass "bad drops are refused with reasons, and the queue goes on"

# People.
drop long 2000
within 20 at_step long 60 || fail "long does not train"
within 5 sh -c "systemctl status charnnd --no-pager | grep -q 'Status: \"long: .*step'" || fail "no status line"
as_alice charnn hold long
within 15 told long held || fail "the hold is not seen"
[ -z "$(worker)" ] || fail "the worker of a held job lives"
as_alice charnn release long
within 15 in_state active long || fail "long is not run again"
within 15 told long worker.resumed || fail "long does not go on from its checkpoint"
rm $spool/active/long.yaml
within 20 in_state cancelled long || fail "a removed job is not restored into cancelled/"
pass "hold, release and rm of a running job"

# Reload.
echo 'nonsense: 1' > /etc/charnnd/charnnd.yaml
systemctl reload charnnd
within 10 sh -c "journalctl -u charnnd CHARNND_EVENT=reloadFailed -o cat --no-pager | grep -q ." || fail "a bad configuration is not told"
cp /src/systemd/charnnd.yaml /etc/charnnd/charnnd.yaml
systemctl reload charnnd
within 10 sh -c "journalctl -u charnnd CHARNND_EVENT=reloaded -o cat --no-pager | grep -q ." || fail "no reload"
[ "$(systemctl is-active charnnd)" = active ] || fail "not active after reloads"
pass "reload keeps the old configuration when the new one is bad"

# The undisturbed run, against which the disturbed ones are measured.
drop calm 300
within 120 in_state "done" calm || fail "calm is not done"

# Stop in the middle.
drop stopped 300
within 30 at_step stopped 60 || fail "stopped does not train"
begin=$(date +%s)
systemctl stop charnnd
[ $(($(date +%s) - begin)) -le 15 ] || fail "the stop takes too long"
in_state queue stopped || fail "the job is not back in the queue"
[ "$(systemctl show -p Result --value charnnd)" = success ] || fail "the stop was no success"
systemctl start charnnd
within 60 in_state "done" stopped || fail "stopped is not done"
told stopped worker.resumed || fail "stopped did not go on from its checkpoint"
[ "$(model calm)" = "$(model stopped)" ] || fail "the model of a stopped run differs"
pass "systemctl stop and start in the middle; same model"

# kill -9 of worker and daemon.
for victim in worker daemon; do
    drop "kill-$victim" 300
    within 30 at_step "kill-$victim" 110 || fail "kill-$victim does not train"
    kill -9 "$($victim)"
    within 90 in_state "done" "kill-$victim" || fail "kill-$victim is not done"
    [ "$(model calm)" = "$(model "kill-$victim")" ] || fail "the model after kill -9 of the $victim differs"
    pass "kill -9 of the $victim in the middle; same model"
done
told kill-worker workerCrashed || fail "the crash is not told"
grep -q '"attempts" : 2' "$spool/jobs/kill-worker/status.json" || fail "the attempts are not counted"

# A daemon that hangs is found by the watchdog and started again.
mkdir -p /run/systemd/system/charnnd.service.d
printf '[Service]\nWatchdogSec=3\nTimeoutAbortSec=3\nTimeoutStopSec=3\n' > /run/systemd/system/charnnd.service.d/quick.conf
systemctl daemon-reload
systemctl restart charnnd
before=$(daemon)
sleep 5
[ "$(daemon)" = "$before" ] || fail "a healthy daemon loses to its watchdog"
kill -STOP "$before"
within 30 sh -c "[ \"\$(systemctl show -p MainPID --value charnnd)\" != $before ] && [ \"\$(systemctl is-active charnnd)\" = active ]" ||
    fail "a hung daemon is not started again"
rm -r /run/systemd/system/charnnd.service.d
systemctl daemon-reload
pass "the watchdog"

# Nothing but charnnd's own words stands in the journal, and what its members of no other group see of it.
journalctl -u charnnd --no-pager | grep "thread priority" && fail "the library below complains of priorities"
as_alice charnn doctor | grep -A1 "you may not read what the service writes there" | grep -q "adduser" ||
    fail "doctor does not tell who reads the journal"
usermod --append --groups systemd-journal alice
as_alice charnn doctor | grep -q "you may not read what the service writes there" &&
    fail "doctor tells a member of systemd-journal that they may not read the journal"
pass "the journal"

# Out of memory ends the worker, not the daemon.
mkdir -p /run/systemd/system/charnnd.service.d
printf '[Service]\nMemoryMax=300M\nMemorySwapMax=0\n' > /run/systemd/system/charnnd.service.d/small.conf
systemctl daemon-reload
systemctl restart charnnd
before=$(daemon)
as_alice sh -c "sed 's/hidden_size: 24/hidden_size: 1024/; s/batch_size: 8/batch_size: 64/' $spool/done/calm.yaml > /tmp/large.yaml; mv /tmp/large.yaml $spool/incoming/"
within 60 in_state failed large || fail "a job that needs more memory than the service may have is not refused"
grep '"reason"' $spool/jobs/large/status.json | grep -q "would need .* of memory, and there are 314.6 MB (.*charnnd.service" ||
    fail "need and limit of memory are not told"
# Something else in the service takes what a job that would fit needs.
group=$(find /sys/fs/cgroup -path '*/system.slice/charnnd.service/memory.max' -o -path '*/system.slice/charnnd.service/memory.limit_in_bytes' | head -1)
setsid sh -c "echo \$\$ > ${group%/*}/cgroup.procs; { head -c 270M /dev/zero; sleep 300; } | tail -c 270M" >/dev/null 2>&1 &
hog=$!
within 30 sh -c '[ "$(ps -C tail -o rss= | sort -n | tail -1)" -gt 270000 ]' || fail "the memory is not taken"
as_alice sh -c "sed 's/hidden_size: 24/hidden_size: 256/; s/epochs: [0-9]*/epochs: 9999/; s/batch_size: 8/batch_size: 64/' $spool/done/calm.yaml > /tmp/greedy.yaml; mv /tmp/greedy.yaml $spool/incoming/"
within 60 sh -c "journalctl -u charnnd CHARNND_JOB=greedy -o cat --no-pager | grep -q 'memory ran out: the job needs about .*, and all that runs there shares 314.6 MB'" ||
    fail "a kill for memory is not told with need and limit"
as_alice charnn cancel greedy || true
[ "$(daemon)" = "$before" ] || fail "running out of memory ended the daemon"
kill -- "-$hog" || true
pass "memory that runs out ends the worker only, and is told"
rm -r /run/systemd/system/charnnd.service.d
systemctl daemon-reload
systemctl restart charnnd

# Many restarts.
drop restarts 300
for _ in 1 2 3 4 5 6 7 8 9 10; do systemctl restart charnnd; done
within 90 in_state "done" restarts || fail "ten restarts lose a job"
[ "$(model calm)" = "$(model restarts)" ] || fail "the model after ten restarts differs"
pass "ten restarts in a row; same model"

/src/systemd/uninstall
[ -e $spool/done/calm.yaml ] || fail "uninstall takes the jobs away"
[ ! -e /usr/local/bin/charnnd ] && [ ! -e /etc/systemd/system/charnnd.service ] || fail "uninstall leaves something"
pass "uninstall"
