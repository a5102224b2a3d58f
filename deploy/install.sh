#!/bin/sh
# Puts a built binary, its unit and an empty configuration in place, or a newer binary over an older one. It downloads nothing, and says each step.
#   deploy/install.sh [--dry-run] [BINARY]     PREFIX=/tmp/try for another root
#   deploy/install.sh [--dry-run] --uninstall  keeps configuration and data, and says where they are
# Where BINARY.sha256 lies beside the binary, the two have to agree.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=${PREFIX:-}
dry='' uninstall='' binary=''
for argument; do
  case $argument in
    --dry-run) dry=yes ;;
    --uninstall) uninstall=yes ;;
    -*) echo "cannot install with $argument: there is no such option" >&2; exit 2 ;;
    *) [ -z "$binary" ] || { echo "cannot install $binary and $argument: one binary is wanted" >&2; exit 2; }; binary=$argument ;;
  esac
done
program=$root/usr/bin/watchfire
unit=$root/usr/lib/systemd/system/watchfire.service
config=$root/etc/watchfire/watchfire.yml
# The machine's own systemd is told of changes to the machine's own files only.
systemd=''
if [ -z "$root" ] && [ -d /run/systemd/system ]; then systemd=yes; fi
step() { echo "$*"; if [ -z "$dry" ]; then "$@"; fi; }
fail() { echo "cannot install $binary: $1" >&2; exit 2; }

if [ "$uninstall" ]; then
  [ -z "$binary" ] || { echo "cannot uninstall $binary: what goes is what was installed, so no binary is named" >&2; exit 2; }
  if [ "$systemd" ] && [ -e "$unit" ]; then step systemctl disable --now watchfire; fi
  for file in "$program" "$unit"; do
    if [ -e "$file" ]; then step rm "$file"; else echo "$file is not there"; fi
  done
  if [ "$systemd" ]; then step systemctl daemon-reload; fi
  echo "$root/etc/watchfire and $root/var/lib/watchfire (with systemd $root/var/lib/private/watchfire) stay; delete them to forget everything"
  exit 0
fi

binary=${binary:-$here/../target/release/watchfire}
{ [ -f "$binary" ] && [ -x "$binary" ]; } || fail "there is no such program; make build first"
if [ -e "$binary.sha256" ]; then
  wanted=$(cut -d' ' -f1 "$binary.sha256")
  found=$(sha256sum "$binary" | cut -d' ' -f1)
  [ "$wanted" = "$found" ] || fail "its checksum is $found and $binary.sha256 says $wanted"
  echo "$binary has the checksum that $binary.sha256 says"
fi
# What is packed for another machine need not run on this one.
if [ -z "$root" ]; then
  new=$("$binary" version 2>/dev/null) || fail "it does not run here ($(uname -m)); it may be built for another architecture or a newer C library"
  if [ -x "$program" ]; then echo "installed: $("$program" version 2>/dev/null || echo "something that does not run"); new: $new"; fi
fi
# A file of its own, then a rename: whoever starts it meanwhile gets the old one or the new one.
step install -D -m 0755 "$binary" "$program.new"
step mv -f "$program.new" "$program"
step install -D -m 0644 "$here/watchfire.service" "$unit"
if [ -e "$config" ]; then
  echo "$config stays as it is"
else
  step install -D -m 0644 "$here/debian/watchfire.yml" "$config"
fi
if [ "$systemd" ]; then
  step systemctl daemon-reload
  # One that runs goes on as the new version; one that never ran is started by whoever installed it.
  step systemctl try-restart watchfire
  echo "start it with: systemctl enable --now watchfire"
fi
