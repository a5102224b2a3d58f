#!/bin/sh
# Makes a Debian package of a release binary, with nothing but dpkg-deb.
#   deploy/debian/build.sh [BINARY] [TARGET_DIRECTORY]       ARCH=arm64 for a binary of another architecture; DEBFULLNAME and DEBEMAIL say who packs
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
binary=${1:-$root/target/release/watchfire}
target=${2:-.}
[ -f "$binary" ] || { echo "cannot package $binary: there is no such file; make build first" >&2; exit 2; }
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$root/Cargo.toml")
[ -n "$version" ] || { echo "cannot tell the version from Cargo.toml" >&2; exit 2; }
arch=${ARCH:-$(dpkg --print-architecture)}
# Times within the package are those of the sources, so that the same sources make the same package.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
maintainer="${DEBFULLNAME:-Watchfire} <${DEBEMAIL:-root@localhost}>"
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 0755 "$tree"
PREFIX=$tree "$here/../install.sh" "$binary" >/dev/null
doc=$tree/usr/share/doc/watchfire
# Documents lie beside each other as here, so that their links work.
(cd "$root" && find README.md CHANGELOG.md ARCHITECTURE.md CONTRIBUTING.md deploy/README.md docs packs/*/README.md clients/python/README.md crates/watchfire-sdk/README.md crates/watchfire-sdk/examples/service.rs examples/alloy -type f) |
  while IFS= read -r file; do install -D -m 0644 "$root/$file" "$doc/$file"; done
date=$(date -R -u -d "@$SOURCE_DATE_EPOCH")
printf 'watchfire (%s) unstable; urgency=medium\n\n  * What changed stands in CHANGELOG.md.\n\n -- %s  %s\n' "$version" "$maintainer" "$date" > "$doc/changelog"
gzip -9n "$doc/changelog"
cat > "$doc/copyright" <<COPYRIGHT
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: watchfire

Files: *
Copyright: $(date -u -d "@$SOURCE_DATE_EPOCH" +%Y) the authors of Watchfire
License: Apache-2.0
 The text of the license is at /usr/share/common-licenses/Apache-2.0.
COPYRIGHT
mkdir -p "$tree/usr/share/man/man1"
gzip -9nc "$here/watchfire.1" > "$tree/usr/share/man/man1/watchfire.1.gz"
chmod 0644 "$doc/copyright" "$doc/changelog.gz" "$tree/usr/share/man/man1/watchfire.1.gz"
find "$tree" -type d -exec chmod 0755 {} +
mkdir -p "$tree/DEBIAN"
cat > "$tree/DEBIAN/control" <<CONTROL
Package: watchfire
Version: $version
Architecture: $arch
Maintainer: $maintainer
Section: admin
Priority: optional
Depends: libc6 (>= 2.36), libgcc-s1, init-system-helpers (>= 1.52)
Suggests: ca-certificates
Installed-Size: $(du -sk "$tree" | cut -f1)
Description: watches a machine, its GPU and the programs on it
 One process that takes the place of a stack of monitoring containers: it
 collects, keeps and shows metrics, logs, traces and profiles, and tells
 people when something is wrong.
CONTROL
echo /etc/watchfire/watchfire.yml > "$tree/DEBIAN/conffiles"
cat > "$tree/DEBIAN/postinst" <<'POSTINST'
#!/bin/sh
set -e
[ "$1" = configure ] || exit 0
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
# As Debian's services do: the first installation starts it, here or with the next start of the machine; an update lets one that runs go on
# as the new version. One that cannot start, such as beside another program at its port, is no reason for half an installation.
if [ -z "$2" ]; then
  deb-systemd-helper enable watchfire.service
  action=start
else
  action=try-restart
fi
if [ -d /run/systemd/system ]; then deb-systemd-invoke "$action" watchfire.service || echo "watchfire does not run: journalctl -u watchfire says why" >&2; fi
POSTINST
cat > "$tree/DEBIAN/prerm" <<'PRERM'
#!/bin/sh
set -e
[ "$1" = remove ] || exit 0
if [ -d /run/systemd/system ]; then deb-systemd-invoke stop watchfire.service || true; fi
deb-systemd-helper disable watchfire.service
PRERM
cat > "$tree/DEBIAN/postrm" <<'POSTRM'
#!/bin/sh
set -e
# Data are deleted by a purge alone. With a dynamic user they lie in the private directory, and a link leads there.
if [ "$1" = purge ]; then
  rm -rf /var/lib/private/watchfire /var/lib/watchfire
  if command -v deb-systemd-helper >/dev/null; then deb-systemd-helper purge watchfire.service; fi
fi
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
POSTRM
chmod 0755 "$tree"/DEBIAN/postinst "$tree"/DEBIAN/prerm "$tree"/DEBIAN/postrm
find "$tree" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
mkdir -p "$target"
dpkg-deb --root-owner-group --build "$tree" "$target/watchfire_${version}_$arch.deb"
