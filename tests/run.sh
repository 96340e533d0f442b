#!/usr/bin/env bash
# Installs what the tests need and runs all of them; arguments go to pytest (tests/run.sh -k rtsp).
#   in:  a clone; root installs Debian packages and runs the lab and a real systemd
#   out: exit 0 when every check and every test passed; pytest's summary is the last thing printed
# As an ordinary user: nothing is installed on the machine, and the tests that need root are left out, by name.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly python=/usr/bin/python3

# One line per purpose. a|b: the first that this Debian has.
packages() {
    cat <<'TEXT'
python3 python3-venv ca-certificates tzdata git
libbpf1 acl libcap2-bin iproute2 procps util-linux
clang-14|clang llvm-14|llvm libbpf-dev gcc libc6-dev linux-libc-dev
tcpdump tshark ethtool nftables dnsmasq-base iputils-ping
ffmpeg curl hydra nmap openssl stunnel4 socat faketime
nginx-light libnginx-mod-rtmp coturn openvpn srt-tools wireguard-go wireguard-tools openssh-server openssh-client
inetutils-telnetd inetutils-telnet busybox-static vsftpd
python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good
gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly
xvfb dbus dbus-x11 dunst libnotify-bin imagemagick x11-apps xdotool fonts-dejavu-core
mosquitto mosquitto-clients
miniupnpd-nftables miniupnpc
systemd systemd-container debootstrap shellcheck
TEXT
}

began=$SECONDS
step() { printf '\n== %s (%d s)\n' "$*" $((SECONDS - began)); }
stop() {
    printf 'tests/run.sh: %s\n' "$1" >&2
    exit "${2:-1}"
}
is_installed() { [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null || true) == installed ]]; }

missing=()
find_missing() { # fills `missing` with one name for each package that is not there under any of its names
    local entry name
    missing=()
    for entry in $(packages); do
        for name in ${entry//|/ }; do
            if is_installed "$name"; then continue 2; fi
        done
        missing+=("$entry")
    done
}

install_packages() {
    find_missing
    ((${#missing[@]})) || return 0
    if ((EUID != 0)); then
        printf 'Not installed, so their tests are skipped or fail: %s\n' "${missing[*]}"
        printf 'As root, tests/run.sh installs them.\n'
        return 0
    fi
    # Services that come along are not started: what a test needs running it starts itself.
    local policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 0755 "$policy"
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    local log
    log=$(mktemp)
    apt-get update -q >"$log" 2>&1 </dev/null || true
    local entry name
    local -a names=()
    for entry in "${missing[@]}"; do
        for name in ${entry//|/ }; do
            if [[ -n $(apt-cache madison "$name" 2>/dev/null) ]]; then
                names+=("$name")
                continue 2
            fi
        done
        stop "Debian has no package ${entry//|/ or } here. See $log."
    done
    printf 'Installing %d Debian packages: %s\n' "${#names[@]}" "${names[*]}"
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${names[@]}" >>"$log" 2>&1 </dev/null ||
        stop "apt-get install failed: $(tail -n 1 "$log"). See $log."
    rm -f "$log"
    if [[ $(trap -p EXIT) ]]; then
        rm -f "$policy"
        trap - EXIT
    fi
}

make_venv() {
    [[ -x $python ]] || stop "$python is missing. As root, tests/run.sh installs it."
    local stamp
    stamp="$("$python" --version) $PWD $(sha256sum <pyproject.toml)"
    [[ -x .venv/bin/pytest && $(cat .venv/made-for 2>/dev/null) == "$stamp" ]] && return
    [[ -x .venv/bin/python && $(.venv/bin/python --version 2>/dev/null) == "$("$python" --version)" ]] ||
        "$python" -m venv --clear .venv
    .venv/bin/python -m pip install -qq --disable-pip-version-check --root-user-action=ignore -e '.[dev]' </dev/null
    printf '%s\n' "$stamp" >.venv/made-for
}

check_code() {
    .venv/bin/ruff format --check .
    .venv/bin/ruff check .
    .venv/bin/mypy
    if command -v shellcheck >/dev/null; then
        local -a scripts
        mapfile -t scripts < <(grep -rlE '^#!.*\b(ba)?sh\b' systemd tests .ci --include='*' --exclude-dir=__pycache__)
        shellcheck "${scripts[@]}"
        printf 'shellcheck: %d scripts fine\n' "${#scripts[@]}"
    fi
    if command -v systemd-analyze >/dev/null; then
        systemd-analyze security --no-pager --offline=true --threshold=17 systemd/camguard.service 2>/dev/null | tail -n 1
        systemd-analyze security --no-pager --offline=true --threshold=15 systemd/camguard-deliver.service 2>/dev/null | tail -n 1
    fi
}

step "What the tests need"
install_packages
make_venv
step "Format, lint, types, scripts, units"
check_code
left_out=()
if ((EUID != 0)); then
    printf '\nNot root, so these are left out: the lab (real cameras and viewers in network namespaces) and the real systemd.\n'
    left_out=(-m "not lab and not nspawn")
fi
step "Tests"
# The session's own desktop and pip settings are no part of the tests.
exec env -u DBUS_SESSION_BUS_ADDRESS -u DISPLAY -u WAYLAND_DISPLAY .venv/bin/pytest --durations=10 "${left_out[@]}" "$@" </dev/null
