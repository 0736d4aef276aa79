#!/bin/sh
# fetch_newer_package.sh DIRECTORY PACKAGE...: unpacks packages of a newer Debian under DIRECTORY, without installing
# them and without touching this machine's own package lists. For what the tests need and bookworm has not or has too old.
set -eu
suite=trixie
target=$(mkdir -p "$1" && cd "$1" && pwd)
shift
mirror=$(sed -n 's/^URIs: *\([^ ]*\).*/\1/p' /etc/apt/sources.list.d/debian.sources 2> /dev/null | head -n 1)
[ -n "$mirror" ] || mirror=$(sed -n 's/^deb \(\[[^]]*\] \)\{0,1\}\(http[^ ]*\) .*/\2/p' /etc/apt/sources.list | head -n 1)
[ -n "$mirror" ] || { echo "no Debian mirror is configured in /etc/apt" >&2; exit 1; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch/lists/partial" "$scratch/cache/archives/partial" "$scratch/debs"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" > "$scratch/sources.list"
cat > "$scratch/apt.conf" << CONF
Dir::Etc::sourcelist "$scratch/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$scratch/lists";
Dir::Cache "$scratch/cache";
APT::Sandbox::User "root";
CONF
export APT_CONFIG="$scratch/apt.conf"
apt-get update -q > /dev/null
cd "$scratch/debs"
for package in "$@"; do
    # With the suite named: the machine's status file may know another version of the same name.
    apt-get download -q "$package/$suite" > /dev/null
done
for archive in *.deb; do
    dpkg -x "$archive" "$target"
done
