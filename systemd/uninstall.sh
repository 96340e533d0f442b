#!/usr/bin/env bash
# Takes camguard off this machine. The record and the configuration stay, unless --purge.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: sudo systemd/uninstall.sh [--purge] [--dry-run]

  --purge     also removes the record, the configuration and the user camguard
  --dry-run   say what would be done, and do nothing (needs no sudo)
TEXT
}

readonly place=/opt/camguard
dry_run=0
purge=0

say() { printf '%s\n' "$*"; }
die() {
    printf 'uninstall.sh: %s\n' "$1" >&2
    exit "${2:-1}"
}
act() { # act COMMAND...: do it, or say it; what is gone already is no fault
    if ((dry_run)); then
        printf '  would run:'
        printf ' %q' "$@"
        printf '\n'
    else
        "$@" </dev/null || die "'$1' failed; its message is above. After mending it, run this again."
    fi
}

for argument in "$@"; do
    case $argument in
        --purge) purge=1 ;;
        --dry-run) dry_run=1 ;;
        -h | --help)
            usage
            exit 0
            ;;
        *) die "'$argument' is not an option. systemd/uninstall.sh --help shows them." 2 ;;
    esac
done
((dry_run)) || ((EUID == 0)) || die "this needs root: sudo systemd/uninstall.sh (or --dry-run to see what it would do)." 2

stop_service() {
    [[ -d /run/systemd/system ]] || return 0
    [[ ! -e /etc/systemd/system/camguard.service ]] || act systemctl disable --now --quiet camguard.service
    [[ ! -e /etc/systemd/user/camguard-desktop.service ]] || act systemctl --global --quiet disable camguard-desktop.service
}

still_running() { # the ids of what was started from our folder: a guard in a terminal, companions in desktop sessions
    local folder id
    local -a words
    for folder in /proc/[0-9]*; do
        id=${folder#/proc/}
        # The kernel thread's list is empty; a process may end while we look.
        mapfile -d '' -t words <"$folder/cmdline" 2>/dev/null || continue
        [[ ${words[0]:-} == "$place"/bin/* || ${words[1]:-} == "$place"/bin/* ]] || continue
        ((id == $$)) || printf '%s\n' "$id"
    done
}

stop_the_rest() {
    local -a ids
    mapfile -t ids < <(still_running)
    ((${#ids[@]})) || return 0
    if ((dry_run)); then
        act kill -TERM "${ids[@]}"
        return 0
    fi
    kill -TERM "${ids[@]}" 2>/dev/null || true # one may have ended by itself
    for _ in {1..100}; do
        mapfile -t ids < <(still_running)
        ((${#ids[@]})) || return 0
        sleep 0.1
    done
    die "process ${ids[*]} does not end. End it (kill ${ids[*]}), then run this again."
}

remove() { # remove PATH...: what is there of it
    local path
    for path in "$@"; do
        [[ ! -e $path && ! -L $path ]] || act rm -rf -- "$path"
    done
}

stop_service
stop_the_rest
remove /etc/systemd/system/camguard.service /etc/systemd/user/camguard-desktop.service \
    /etc/xdg/autostart/camguard-desktop.desktop /etc/sysusers.d/camguard.conf \
    /usr/local/bin/camguard "$place" /run/camguard
[[ ! -d /run/systemd/system ]] || act systemctl daemon-reload
if ((purge)); then
    remove /var/lib/camguard /etc/camguard
    # The group goes with the user; members keep no trace of it.
    id -u camguard >/dev/null 2>&1 && act userdel camguard
    if getent group camguard >/dev/null; then act groupdel camguard; fi
    say "camguard is gone, with its record and configuration."
else
    say "camguard is gone. Kept: the record in /var/lib/camguard and the configuration in /etc/camguard (systemd/uninstall.sh --purge removes them)."
fi
say "Debian packages that it used (python3, libbpf1, acl) stay."
