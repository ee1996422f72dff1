#!/bin/sh
# Boots a real systemd, installs charnnd as its README says, and sees that everything holds that the service promises.
#
# usage: run.sh [BIN]     BIN: the folder of the built programs (default: .build/release)
#
# CHARNND_SYSTEMD_BOX names a program that boots systemd from this machine's own tree and runs a script in it:
#   box [--bind-ro SRC:DEST]... [--timeout SECONDS] [--crash] --script FILE [--script FILE]...
# Several scripts are several boots of one disk; with --crash the power fails between them.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
bin=$(cd "${1:-$root/.build/release}" && pwd)
box=${CHARNND_SYSTEMD_BOX:?names the program that boots a systemd}

box() {
    "$box" --quiet --timeout 600 --bind-ro "$root:/src" --bind-ro "$bin:/programs" "$@"
}

echo "== the service: jobs, people, reload, stop, kills, hardening"
box --script "$here/service.sh"
if [ -n "${CHARNND_CORPORA:-}" ]; then
    echo "== the report's three jobs"
    box --bind-ro "$CHARNND_CORPORA:/corpora" --script "$here/examples.sh"
else
    echo "== skipped: the report's three jobs, whose texts CHARNND_CORPORA would name"
fi
echo "== people who mean no good"
box --script "$here/attackers.sh"
echo "== whose job it is: members, an administrator, a stranger"
box --script "$here/owners.sh"
echo "== texts that come late, or slowly"
box --script "$here/texts.sh"
echo "== those who only look, and configurations that go bad"
box --script "$here/tools.sh"
echo "== one user's own service"
box --script "$here/user.sh"
echo "== reboot in the middle of a job"
box --script "$here/before-reboot.sh" --script "$here/after-reboot.sh"
echo "== power failure in the middle of a job"
box --crash --script "$here/before-reboot.sh" --script "$here/after-reboot.sh"
echo "== all passed"
