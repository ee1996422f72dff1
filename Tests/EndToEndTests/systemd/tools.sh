#!/bin/sh
# Each tool that only looks, run by root, the daemon's user, a member and a stranger, in a spool that was never used, that
# is in use, and whose service is stopped: none makes or changes anything, none keeps the service from starting, and none
# says what is not so.
. /src/Tests/EndToEndTests/systemd/common.sh

CHARNND_BIN=/programs /src/systemd/install --no-build --no-start
for name in alice eve; do getent passwd $name >/dev/null || useradd -m $name; done
usermod --append --groups charnnd-submit alice
as() { user=$1; shift; runuser -u "$user" -- env HOME=/tmp/home-"$user" "$@"; }
for user in root charnnd alice eve; do install -d -o $user -m 700 /tmp/home-$user; done

# All that lies in the spool, with owner, rights and time of each.
tree() { find "$spool" -printf '%p %u:%g %m %s %T@ %C@\n' | sort; }

# look USER STATE: every tool that only looks, at a job that there is and at one that there is not.
look() {
    before=$(tree)
    for tool in list "list --json" "show a" "show a --json" "why a" "why none" doctor fsck "report --stdout" \
        "compare a a" "plot a" "clean --dry-run" "follow none" "check /tmp/a.yaml"; do
        out=$(as "$1" timeout 60 charnn $tool --spool $spool 2>&1 || [ $? -lt 124 ]) || fail "$1: charnn $tool is ended"
        case $2 in
        running)
            ! echo "$out" | grep -qi 'no daemon works' || fail "$1: charnn $tool says that no daemon works: $out"
            ;;
        fresh | stopped)
            [ "$1" = eve ] || ! echo "$out" | grep -qi 'takes it within seconds' ||
                fail "$1: charnn $tool says that a daemon takes it: $out"
            ;;
        esac
        after=$(tree)
        [ "$before" = "$after" ] || {
            echo "$before" > /tmp/before
            echo "$after" | diff /tmp/before - >&2 || true
            fail "$1, $2: charnn $tool changes the spool"
        }
    done
}

printf 'train: {corpus: gpl.txt, hidden_size: 4, num_layers: 1, epochs: 1, seq_length: 8, batch_size: 2, max_chars: 400}\n' > /tmp/a.yaml
chmod 644 /tmp/a.yaml
for user in root charnnd alice eve; do look $user fresh; done
[ ! -e $spool/accepting/.lock ] || fail "a tool made the daemon's lock"
pass "in a spool that was never used no tool makes anything"
systemctl start charnnd
[ "$(systemctl is-active charnnd)" = active ] || fail "the service does not start after root has looked"

give_text
as_alice cp /tmp/a.yaml $spool/incoming/a.yaml
within 30 in_state "done" a || fail "a is not done"
# The page of the whole spool is written a little later.
within 30 test -e $spool/index.html || true
sleep 3
for user in root charnnd alice eve; do look $user running; done
pass "in a spool that is in use no tool changes anything, or says that no daemon works"

# Looking takes no lock: a daemon that starts in the same moment finds the spool free.
systemctl stop charnnd
for user in root charnnd alice eve; do look $user stopped; done
as alice charnn why a --spool $spool >/dev/null || fail "a member may not ask why"
as_alice cp /tmp/a.yaml $spool/incoming/later.yaml
for tool in list report "why later" doctor; do
    as alice charnn $tool --spool $spool | grep -q "systemctl start charnnd" || fail "charnn $tool does not say that the service is stopped"
done
as alice charnn doctor --spool $spool | grep -q "^ok *Service" && fail "doctor takes a stopped service for sound"
rm -f $spool/incoming/later.yaml
as_alice sh -c "cp /tmp/a.yaml $spool/incoming/b.yaml"
as alice charnn why b --spool $spool 2>&1 | grep -q 'no daemon works' || fail "a member is not told that the service is stopped"
(while [ ! -e /tmp/enough ]; do
    charnn list --spool $spool >/dev/null 2>&1 || true
    charnn doctor --spool $spool >/dev/null 2>&1 || true
done) &
for number in 1 2 3 4 5 6; do
    systemctl start charnnd || fail "the service does not start while somebody looks"
    [ "$(systemctl is-active charnnd)" = active ] || fail "the service does not start while somebody looks"
    systemctl stop charnnd
done
touch /tmp/enough
wait
! journalctl -u charnnd -o cat --no-pager | grep -q 'another charnnd' || fail "looking counted as another daemon"
pass "with the service stopped no tool changes anything, and looking keeps no daemon from starting"

# The configuration goes bad under a running service: what is in force stays in force, for workers, too.
systemctl start charnnd
mkdir -p /srv/texts
cp /usr/share/common-licenses/GPL-3 /srv/texts/far.txt
chmod -R a+rX /srv/texts
config=/etc/charnnd/charnnd.yaml
cp $config /tmp/config
far() {
    as_alice sh -c "sed 's,gpl.txt,/srv/texts/far.txt,' /tmp/a.yaml > $spool/incoming/$1.yaml"
    within 30 in_state "$2" "$1" || fail "$1 is not $2: $3"
}
far far-0 failed "outside the roots it was read"
printf 'corpus_roots: /srv/texts\n' > $config
systemctl reload charnnd
within 10 sh -c "journalctl -u charnnd -o cat --no-pager | grep -q 'was read again'"
far far-1 "done" "the reload took no effect"
for bad in 'corpus_roots: /srv/texts\nthraeds: 2\n' 'corpus_roots: [/srv/te' '' '\000\377\n'; do
    printf "$bad" > $config
    [ -n "$bad" ] || chmod 000 $config
    systemctl reload charnnd || true
    sleep 1
    number=$((${number:-1} + 1))
    far far-$number "done" "a configuration that was refused is in force for workers: $bad"
    chmod 644 $config
    far far-$number-b "done" "a bad file counts for workers"
done
cp /tmp/config $config
systemctl reload charnnd
sleep 1
far far-last failed "the old configuration is still in force"
# At a start a bad one is refused, and says so.
printf 'thraeds: 2\n' > $config
! systemctl restart charnnd || fail "a bad configuration is taken at a start"
journalctl -u charnnd -o cat --no-pager | grep -q 'thraeds' || fail "the journal does not say what is wrong"
cp /tmp/config $config
systemctl reset-failed charnnd
systemctl start charnnd || fail "no start with the configuration mended"
pass "a configuration that is refused is in force for nobody"
