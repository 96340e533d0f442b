#!/usr/bin/env bash
# Installs camguard on this machine and starts it: Debian 12 or 13, Raspberry Pi OS 64-bit. Running it again updates.
#   in:  the clone it stands in (copied, never linked), the options below
#   out: /opt/camguard, /usr/local/bin/camguard, /etc/camguard, /var/lib/camguard, /var/lib/camguard-deliver, the users
#        camguard and camguard-deliver, three units
# Where systemd is not running it ends by becoming the guard itself, in the foreground.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: sudo systemd/install.sh [--dry-run] [--owner NAME] [--interface NAME]

  --dry-run         say what would be done, and do nothing (needs no sudo)
  --owner NAME      who may read the record without sudo (default: whoever called sudo)
  --interface NAME  where the cameras' traffic is seen (default: the interface with the default route)

Run it again to update. systemd/uninstall.sh takes everything away again.
TEXT
}

readonly place=/opt/camguard etc=/etc/camguard state=/var/lib/camguard runtime=/run/camguard
readonly secrets=$etc/secrets outbox=/var/lib/camguard-deliver
readonly config=$etc/camguard.toml program=$place/bin/camguard python=/usr/bin/python3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly here
dry_run=0
owner=${SUDO_USER:-}
interface=""
work=""

say() { printf '%s\n' "$*"; }
die() { # die SENTENCE [EXIT]: one line, what is wrong and what to do
    printf 'install.sh: %s\n' "$1" >&2
    exit "${2:-1}"
}
act() { # act COMMAND...: do it, or say it
    if ((dry_run)); then
        printf '  would run:'
        printf ' %q' "$@"
        printf '\n'
        return
    fi
    if ! "$@" >>"$work/log" 2>&1 </dev/null; then
        local last
        last=$(grep -v '^[[:space:]]*$' "$work/log" | tail -n 1 || true)
        die "'$1' failed: ${last:-no message}. Mend that and run this again; nothing needs to be undone first."
    fi
}
have() { command -v "$1" >/dev/null; }
clean_up() { [[ -z $work ]] || rm -rf -- "$work"; }
trap clean_up EXIT

read_arguments() {
    while (($#)); do
        case $1 in
            --dry-run) dry_run=1 ;;
            --owner | --interface)
                [[ -n ${2:-} ]] || die "$1 needs a name. Example: sudo systemd/install.sh $1 $([[ $1 == --owner ]] && echo anna || echo br-lan)" 2
                if [[ $1 == --owner ]]; then owner=$2; else interface=$2; fi
                shift
                ;;
            -h | --help)
                usage
                exit 0
                ;;
            *) die "'$1' is not an option. systemd/install.sh --help shows them." 2 ;;
        esac
        shift
    done
}

interfaces() { sed -nE 's/^ *([^: ]+):.*/\1/p' /proc/net/dev; }

check_machine() {
    [[ $(getconf LONG_BIT) == 64 ]] || die "this is a 32-bit system, and camguard needs a 64-bit one (Raspberry Pi OS 64-bit, for example)." 3
    case $(uname -m) in
        x86_64 | aarch64) ;;
        *) die "camguard runs on x86-64 and arm64; this machine is $(uname -m)." 3 ;;
    esac
    have apt-get || die "this installer is for Debian and Raspberry Pi OS (it needs apt-get); docs/architecture.md says what another system would need." 3
    [[ -f $here/pyproject.toml && -d $here/camguard ]] || die "$here is not a clone of camguard. Run systemd/install.sh from the folder you cloned." 2
    ((dry_run)) || ((EUID == 0)) || die "this needs root: sudo systemd/install.sh (or --dry-run to see what it would do)." 2
    [[ $owner != root ]] || owner=""
    [[ -z $owner ]] || id -u "$owner" >/dev/null 2>&1 || die "there is no user '$owner' on this machine. Give a name that can log in: --owner NAME" 2
    [[ -z $interface ]] || interfaces | grep -qxF -- "$interface" ||
        die "there is no interface '$interface'. This machine has: $(interfaces | xargs)" 2
}

missing_packages() {
    local name
    for name in python3 python3-venv libbpf1 acl ca-certificates tzdata; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null || true) == installed ]] || printf '%s\n' "$name"
    done
}

install_packages() {
    local -a missing
    mapfile -t missing < <(missing_packages)
    ((${#missing[@]})) || return 0
    say "Installing from Debian: ${missing[*]}"
    # One dead extra source must not stop this: what is needed is in Debian itself, and its own failure is told below.
    if ((dry_run)); then act apt-get update -q; else apt-get update -q >>"$work/log" 2>&1 </dev/null || true; fi
    act env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
}

check_python() {
    ((dry_run)) && [[ ! -x $python ]] && return
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die "camguard needs Python 3.11 or later, and $("$python" --version) is what this system has. Debian 12 or later has it." 3
}

add_user() { # add_user NAME HOME [OPTION...]
    id -u "$1" >/dev/null 2>&1 ||
        act useradd --system --user-group --home-dir "$2" --shell /usr/sbin/nologin "${@:3}" "$1"
}

make_users_and_folders() {
    say "The users camguard and camguard-deliver, and their folders"
    if have systemd-sysusers; then
        act install -D -m 0644 "$here/systemd/camguard.sysusers" /etc/sysusers.d/camguard.conf
        act systemd-sysusers /etc/sysusers.d/camguard.conf
    else
        add_user camguard "$state"
        add_user camguard-deliver "$outbox" --groups camguard
    fi
    act install -d -o root -g camguard -m 0750 "$etc"
    act install -d -o camguard -g camguard -m 0750 "$state" "$runtime"
    # What the owner asks for is put here by whoever is in the group, who can take back nobody else's (sticky); the guard
    # reads it.
    act install -d -o camguard -g camguard -m 3770 "$state/wishes"
    act install -d -o camguard-deliver -g camguard -m 0750 "$outbox"
    act install -d -o root -g camguard-deliver -m 0750 "$secrets"
    # The owner's reading right, which $etc hands on to what is made in it, ends here.
    ((dry_run)) || setfacl -R -b "$secrets" 2>>"$work/log" || true
}

venv_fits() { # made for the Python that /usr/bin/python3 is today, and whole
    local now
    now=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || return 1
    [[ -d $place/lib/python$now ]] && "$place/bin/python" -m pip --version >/dev/null 2>&1
}

install_program() {
    say "The program, as a copy, in $place"
    venv_fits || act "$python" -m venv --clear "$place"
    # The wheel is built from a copy, so that nothing is left in the clone.
    local source=${work:-/tmp/camguard-install}/source
    act mkdir -p "$source"
    act cp -R "$here/pyproject.toml" "$here/README.md" "$here/LICENSE" "$here/camguard" "$source/"
    local -a pip=(env PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 "$place/bin/python" -m pip)
    act "${pip[@]}" wheel -q --no-deps -w "$source/wheel" "$source"
    local wheel=$source/wheel/camguard.whl
    ((dry_run)) || wheel=$(echo "$source"/wheel/camguard-*.whl)
    act "${pip[@]}" install -q "$wheel"
    # The version number may be the one that is there already, with other contents.
    act "${pip[@]}" install -q --no-deps --force-reinstall "$wheel"
    act mkdir -p "$place/share/doc/camguard"
    act cp -R "$here/README.md" "$here/LICENSE" "$here/CHANGELOG.md" "$here/docs" "$place/share/doc/camguard/"
    act install -m 0755 "$here/systemd/uninstall.sh" "$place/share/uninstall.sh"
    act mkdir -p /usr/local/bin
    act ln -sfn "$program" /usr/local/bin/camguard
}

set_interface() { # in the configuration; comments of the file are kept
    "$place/bin/python" - "$config" "$work/camguard.toml" "$interface" <<'PYTHON'
import sys
from pathlib import Path

import tomlkit

old, new, interface = sys.argv[1:]
document = tomlkit.parse(Path(old).read_text("utf-8"))
document.setdefault("network", tomlkit.table())["interface"] = interface
Path(new).write_text(tomlkit.dumps(document), "utf-8")
PYTHON
    # Into the same file: `install` would take the owner's reading right (an access list) from it.
    act cp -- "$work/camguard.toml" "$config"
}

cameras() { # how many cameras the configuration names; its errors are config.py's own sentences
    "$place/bin/python" -c '
import sys
from pathlib import Path
from camguard.config import load
from camguard.errors import ConfigError
try:
    print(len(load(Path(sys.argv[1])).home.cameras))
except ConfigError as error:
    sys.exit(f"camguard: {error}")
' "$config"
}

write_config() {
    if [[ -e $config ]]; then
        say "Your configuration $config is kept"
        [[ ! -x $program ]] || cameras >/dev/null || die "the configuration above has to be mended first; then run this again." 2
    elif ((dry_run)); then
        say "  would write: $config (root:camguard 0640), every key explained, with the time zone of this machine"
    else
        say "The configuration: $config"
        "$program" options --sample >"$work/sample.toml" || die "'camguard options --sample' failed, so no configuration was written. Please report this."
        act install -o root -g camguard -m 0640 "$work/sample.toml" "$config"
    fi
    [[ -n $interface ]] || return 0
    if ((dry_run)); then say "  would set: interface = \"$interface\" in $config"; else set_interface; fi
}

give_reading_right() {
    if [[ -z $owner ]]; then
        local readers # people of the group; the messenger is in it too, and is nobody to be named here
        readers=$(getent group camguard | cut -d: -f4 | tr ',' '\n' | { grep -vx camguard-deliver || true; } | paste -sd, || true)
        say "${readers:-Only root} can read what camguard records. To let a person read it: sudo systemd/install.sh --owner NAME"
        return
    fi
    say "$owner may read the record without sudo"
    act usermod -a -G camguard "$owner"
    # The group counts from the next login on; until then, and for files to come, an access list does the same.
    if ((dry_run)) || setfacl -m "u:$owner:rX" "$state" 2>/dev/null; then
        act setfacl -R -m "u:$owner:rX,d:u:$owner:rX" "$state" "$runtime" "$outbox"
        act setfacl -m "u:$owner:rwX" "$state/wishes"
        # Not the folder of secrets in it: those are the messenger's alone.
        act setfacl -m "u:$owner:rX,d:u:$owner:rX" "$etc"
        [[ ! -e $config ]] || act setfacl -m "u:$owner:r" "$config"
    else
        say "This file system keeps no access lists: $owner can read after the next login."
    fi
}

owners_desktop() { # the owner's running desktop session: succeeds when there is one that we can reach
    [[ -n $owner ]] && have loginctl && [[ -n $(loginctl show-user "$owner" --property=Display --value 2>/dev/null) ]] &&
        [[ -S /run/user/$(id -u "$owner")/bus ]]
}

show_selftest() {
    say "The self-test: a made-up viewer, through the whole chain"
    local -a as=(runuser -u camguard -- env HOME=/ "$program" selftest --no-desktop)
    if owners_desktop; then
        local run
        run=/run/user/$(id -u "$owner")
        as=(runuser -u "$owner" -- env "XDG_RUNTIME_DIR=$run" "DBUS_SESSION_BUS_ADDRESS=unix:path=$run/bus" "$program" selftest)
    fi
    if ((dry_run)); then
        act "${as[@]}"
    elif ! (cd / && "${as[@]}" </dev/null); then
        say "The self-test found a fault: see above. The guard is started all the same; camguard check says more."
    fi
}

no_camera_yet() {
    show_selftest
    cat <<'TEXT'

No camera is configured yet. camguard has to know which devices are your cameras:
  sudo camguard cameras discover         asks the network, and marks what speaks like a camera
  camguard cameras list                  every device seen so far, with a number
  sudo camguard cameras add 3 porch      takes number 3 of the list as "porch" (a MAC or an address will do as well)
Then: camguard check

TEXT
}

install_units() {
    say "The services"
    act install -m 0644 "$here/systemd/camguard.service" /etc/systemd/system/camguard.service
    act install -m 0644 "$here/systemd/camguard-deliver.service" /etc/systemd/system/camguard-deliver.service
    act install -D -m 0644 "$here/systemd/camguard-desktop.service" /etc/systemd/user/camguard-desktop.service
    act install -D -m 0644 "$here/systemd/camguard-desktop.desktop" /etc/xdg/autostart/camguard-desktop.desktop
}

start_service() {
    act systemctl daemon-reload
    act systemctl --global enable camguard-desktop.service
    act systemctl enable camguard.service camguard-deliver.service
    if ((dry_run)); then
        act systemctl restart camguard.service camguard-deliver.service
        return
    fi
    systemctl restart camguard.service 2>>"$work/log" || {
        journalctl _SYSTEMD_UNIT=camguard.service -n 3 -o cat --no-pager >&2 || true
        die "the guard did not start; its last words are above. After mending it: sudo systemctl restart camguard" 3
    }
    # It ends at once, and well, where no channel is configured.
    systemctl restart camguard-deliver.service 2>>"$work/log" ||
        say "The messenger did not start: journalctl -u camguard-deliver. The guard runs all the same."
    if owners_desktop; then
        if ! { systemctl --user -M "$owner@.host" daemon-reload && systemctl --user -M "$owner@.host" restart camguard-desktop.service; } 2>>"$work/log"; then
            say "Alerts on the desktop of $owner start with the next login."
        fi
    fi
    systemctl show --property=StatusText --value camguard.service
    say "The guard runs, and starts with the machine. Its log: journalctl -u camguard"
    say "Next: camguard check"
}

become_the_guard() {
    say "systemd is not running here, so camguard is not a service: it runs in this terminal until Ctrl-C or SIGTERM."
    if ((dry_run)); then
        act "$program" run
        return
    fi
    cd /
    clean_up # exec runs no trap
    # Replaces this shell, so that a signal to our process reaches the guard, which leaves root by itself.
    exec "$program" run
}

main() {
    read_arguments "$@"
    check_machine
    if ((dry_run)); then
        say "Dry run: nothing is changed."
    else
        umask 022
        work=$(mktemp -d /tmp/camguard-install.XXXXXX)
    fi
    install_packages
    check_python
    make_users_and_folders
    install_program
    write_config
    give_reading_right
    install_units
    local count=0
    [[ ! -e $config || ! -x $program ]] || count=$(cameras)
    ((count > 0)) || no_camera_yet
    if [[ -d /run/systemd/system ]]; then start_service; else become_the_guard; fi
}

main "$@"
