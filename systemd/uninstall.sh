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
    local unit
    for unit in camguard-deliver.service camguard.service; do
        [[ ! -e /etc/systemd/system/$unit ]] || act systemctl disable --now --quiet "$unit"
    done
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
remove /etc/systemd/system/camguard.service /etc/systemd/system/camguard-deliver.service /etc/systemd/user/camguard-desktop.service \
    /etc/xdg/autostart/camguard-desktop.desktop /etc/sysusers.d/camguard.conf \
    /usr/local/bin/camguard "$place" /run/camguard
[[ ! -d /run/systemd/system ]] || act systemctl daemon-reload
if ((purge)); then
    remove /var/lib/camguard /var/lib/camguard-deliver /etc/camguard
    # The groups go with the users; members keep no trace of them.
    for user in camguard-deliver camguard; do
        if id -u "$user" >/dev/null 2>&1; then act userdel "$user"; fi
        if getent group "$user" >/dev/null; then act groupdel "$user"; fi
    done
    say "camguard is gone, with its record, its configuration and the secrets of its channels."
else
    say "camguard is gone. Kept: the record in /var/lib/camguard, the outbox in /var/lib/camguard-deliver, and the configuration with its secrets in /etc/camguard (systemd/uninstall.sh --purge removes them)."
fi
say "Debian packages that it used (python3, libbpf1, acl) stay."
