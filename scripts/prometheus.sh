#!/bin/sh
# Gets the Prometheus that the tests and the dashboards are tried on: Debian's own package, unpacked and not installed.
# No root is needed, no service is started, nothing outside CROSSOVER_HOME (else .crossover) is written.
# Leaves prometheus/prometheus and prometheus/promtool there. Does nothing when they are there already.
set -eu

major=2 # the rules' tests hold for this one: range selectors of Prometheus 3 leave out their left end
home=${CROSSOVER_HOME:-$(cd "$(dirname "$0")/.." && pwd)/.crossover}
folder=$home/prometheus

# "2.42.0+ds" when both programs in folder $1 run and are of the right major version.
version_in() {
    "$1/promtool" --version >/dev/null 2>&1 || return 1
    "$1/prometheus" --version 2>&1 | sed -n "s/^prometheus, version \($major\.[^ ]*\).*/\1/p;q" | grep .
}

mkdir -p "$folder" || { echo "$folder cannot be made: choose another folder with CROSSOVER_HOME" >&2; exit 1; }
if command -v flock >/dev/null; then
    exec 9>"$folder/lock"
    flock 9 # two test runs may ask at the same moment
fi
if version=$(version_in "$folder"); then
    echo "Prometheus $version is in $folder"
    exit 0
fi

work=$(mktemp -d "$folder/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
said=$work/said

# Package lists and downloads of our own where the machine has no lists: `apt-get update` without root.
own_lists() {
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
    apt-get -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User="$(id -un)" "$@"
}

download() {
    cd "$work"
    apt-get -o APT::Sandbox::User="$(id -un)" download prometheus && return
    echo "No package lists here, or old ones: reading Debian's into $work"
    own_lists update && own_lists download prometheus
}

if command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then
    echo "Getting Debian's prometheus package (19 MB) into $folder"
    if (download) >"$said" 2>&1 && dpkg-deb --extract "$work"/prometheus_*.deb "$work/package" >>"$said" 2>&1; then
        if version=$(version_in "$work/package/usr/bin"); then
            mv "$work/package/usr/bin/prometheus" "$work/package/usr/bin/promtool" "$folder/"
            echo "Prometheus $version is in $folder"
            exit 0
        fi
        echo "The package is not of Prometheus $major, or does not run on this machine." >>"$said"
    fi
else
    echo "This machine has no apt-get and dpkg-deb." >"$said"
fi

if program=$(command -v prometheus) && version=$(version_in "$(dirname "$program")"); then
    ln -sf "$program" "$(dirname "$program")/promtool" "$folder/"
    echo "Debian's package could not be had; the Prometheus $version of this machine stands in $folder"
    exit 0
fi

{
    cat "$said"
    echo "Prometheus $major could not be had: put prometheus and promtool of version $major on PATH, or make Debian's"
    echo "package \`prometheus\` reachable for apt-get, and run $0 again."
} >&2
exit 1
