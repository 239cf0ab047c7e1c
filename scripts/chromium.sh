#!/bin/sh
# The browser that the console's tests look through: whatever Chromium is on this machine, else Debian's, by apt-get.
# Prints where it is. A browser of your own: CHROMIUM=/path/to/it.
set -eu

found() {
    command -v "${CHROMIUM:-chromium}" || command -v chromium-browser || command -v google-chrome
}

if found; then
    exit 0
fi
if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
    echo "No Chromium here. Install it (Debian: apt-get install chromium), or name yours with CHROMIUM=/path." >&2
    exit 1
fi
echo "Installing Debian's chromium (about 100 MB)" >&2
packages="chromium fonts-dejavu-core"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086  # two packages
apt-get install -y --no-install-recommends $packages >/dev/null 2>&1 || {
    apt-get update >/dev/null
    apt-get install -y --no-install-recommends $packages >/dev/null
}
found
