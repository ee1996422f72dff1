#!/bin/sh
# In the box, on a tree that has never seen charnnd.
. /src/Tests/EndToEndTests/systemd/common.sh

export DEBIAN_FRONTEND=noninteractive
install_package() { apt-get install -y --no-install-recommends /packages/charnnd_*-"$1"_*.deb >/tmp/apt.log 2>&1 || { cat /tmp/apt.log >&2; fail "apt cannot install revision $1"; }; }

[ ! -e /usr/bin/charnnd ] || fail "the tree is not fresh"
install_package 1
within 20 systemctl is-active charnnd || fail "the service does not run"
systemctl is-enabled charnnd >/dev/null || fail "the service is not enabled"
[ "$(stat -c '%U %a' $spool/incoming)" = "charnnd 3730" ] || fail "the spool has other rights"
pass "installed: the user, the spool and the service are there"

for page in charnn.1 charnnd.8 charnnd.job.5; do
    man -w "${page##*.}" "${page%.*}" >/dev/null || fail "there is no manual page $page"
done
[ -s /usr/share/bash-completion/completions/charnn ] || fail "no completions"
journalctl --list-catalog 2>/dev/null | grep -q 'A job has succeeded' || fail "the catalog is not in force"
charnn --version >/dev/null || fail "charnn does not start"
charnn doctor || pass "doctor finds something to mend in this box"

useradd -m alice
usermod --append --groups charnnd-submit alice
give_text
drop calm 300
within 120 in_state "done" calm || fail "calm is not done"
[ -s "$spool/jobs/calm/generated/1.txt" ] || fail "calm wrote nothing"
pass "a job dropped by a submitter is done"

# What follows the queue.
printf '[Service]\nType=oneshot\nExecStart=/bin/sh -c "echo done >> /tmp/morning"\n[Install]\nWantedBy=charnnd-idle.target\n' \
    > /etc/systemd/system/morning.service
systemctl daemon-reload
systemctl enable morning 2>/dev/null
printf 'notify: echo "$CHARNND_NOTICE $CHARNND_JOB $CHARNND_STATE $CHARNND_DONE" >> /var/spool/charnnd/notices.txt\n' \
    > /etc/charnnd/charnnd.yaml
systemctl reload charnnd
within 10 systemctl is-active charnnd-idle.target || { systemctl status charnnd-idle.service --no-pager >&2 || true; cat /run/charnnd/state >&2; fail "the target is not reached while nothing is to do"; }
drop told 400
within 30 in_state active told || fail "told does not run"
within 10 sh -c '! systemctl is-active charnnd-idle.target' || fail "the target is not left while a job runs"
within 120 in_state "done" told || fail "told is not done"
within 10 systemctl is-active charnnd-idle.target || fail "the target is not reached again"
within 10 grep -q "^done" /tmp/morning || fail "what follows the target was not started"
within 10 grep -q "^idle" $spool/notices.txt || fail "no notice of an empty queue"
grep -qx "job told done " $spool/notices.txt || fail "no notice of the job"
pass "the notify command in its sandbox, and charnnd-idle.target"

# An upgrade in the middle of a job.
drop disturbed 300
within 60 at_step disturbed 110 || fail "disturbed does not train"
before=$(daemon)
install_package 2
within 30 systemctl is-active charnnd || fail "the service does not run after the upgrade"
[ "$(daemon)" != "$before" ] || fail "the old daemon still runs"
grep -q '^notify' /etc/charnnd/charnnd.yaml || fail "the administrator's configuration is gone"
within 120 in_state "done" disturbed || fail "disturbed is not done"
told disturbed worker.resumed || fail "disturbed did not go on from its checkpoint"
[ "$(model calm)" = "$(model disturbed)" ] || fail "the model after the upgrade differs"
pass "an upgrade in the middle of a job; same model"

dpkg -L charnnd > /tmp/files
apt-get remove -y charnnd >/dev/null 2>&1 || fail "apt cannot remove it"
[ "$(systemctl is-active charnnd)" != active ] || fail "the service runs on"
[ -e $spool/done/calm.yaml ] || fail "the removal takes jobs away"
install_package 2
within 20 systemctl is-active charnnd || fail "the service does not run after it was installed again"
pass "removed and installed again"

apt-get purge -y charnnd >/tmp/apt.log 2>&1 || fail "apt cannot purge it"
while read -r path; do
    if [ -f "$path" ]; then fail "the purge leaves $path"; fi
done < /tmp/files
for path in /etc/charnnd /var/cache/charnnd /run/charnnd /etc/systemd/system/multi-user.target.wants/charnnd.service; do
    if [ -e "$path" ] || [ -L "$path" ]; then fail "the purge leaves $path"; fi
done
[ -s "$spool/jobs/calm/model.safetensors" ] || fail "the purge takes models away"
passwd --status charnnd | grep -q '^charnnd L' || fail "the user is not locked"
pass "purged: the spool and the locked user are all that is left"
