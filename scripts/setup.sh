#!/usr/bin/env bash
# Installs the system packages that a target needs, and nothing when they are there already.
# usage: scripts/setup.sh build|test|bench|demo    Debian and its relatives; elsewhere it says what is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

need_build=(cc:gcc make:make)
need_test=(ffmpeg:ffmpeg chromium:chromium prometheus:prometheus redis-server:redis-server redis-cli:redis-tools prometheus-alertmanager:prometheus-alertmanager prometheus-node-exporter:prometheus-node-exporter prometheus-blackbox-exporter:prometheus-blackbox-exporter prometheus-redis-exporter:prometheus-redis-exporter prometheus-postgres-exporter:prometheus-postgres-exporter victoria-metrics:victoria-metrics amtool:prometheus-alertmanager strace:strace kill:procps setpriv:util-linux mkfs.ext4:e2fsprogs perl:perl-base rsyslogd:rsyslog logger:bsdutils openssl:openssl)
need_demo=(ffmpeg:ffmpeg)
need_bench=(prometheus:prometheus victoria-metrics:victoria-metrics setpriv:util-linux)

missing=()
want() { for pair in "$@"; do command -v "${pair%%:*}" >/dev/null 2>&1 || missing+=("${pair##*:}"); done; }
want "${need_build[@]}"
# A compiler that comes without what it only recommends has nothing to link with.
[ -e /usr/include/stdio.h ] || missing+=(libc6-dev)
if [ "${1:-build}" = test ]; then
  want "${need_test[@]}"
  [ -n "$(ls -d /usr/lib/*/rsyslog/omelasticsearch.so 2>/dev/null)" ] || missing+=(rsyslog-elasticsearch)
  [ -n "$(ls -d /usr/lib/*/rsyslog/lmnsd_ossl.so 2>/dev/null)" ] || missing+=(rsyslog-openssl)
  [ -n "$(ls /usr/lib/*/girepository-1.0/GstRtspServer-1.0.typelib 2>/dev/null)" ] || missing+=(gir1.2-gst-rtsp-server-1.0)
  [ -n "$(ls -d /usr/lib/python3/dist-packages/gi 2>/dev/null)" ] || missing+=(python3-gi)
  [ -n "$(ls /usr/lib/*/gstreamer-1.0/libgstx264.so 2>/dev/null)" ] || missing+=(gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly)
  [ -n "$(ls -d /usr/lib/postgresql/*/bin/postgres 2>/dev/null)" ] || missing+=(postgresql)
fi
if [ "${1:-build}" = bench ]; then want "${need_bench[@]}"; fi
if [ "${1:-build}" = demo ]; then want "${need_demo[@]}"; fi
for tool in cargo node npm; do
  command -v "$tool" >/dev/null 2>&1 || { echo "setup: $tool is not installed. Watchfire needs Rust (rustup.rs) and Node 20 or newer." >&2; [ "$tool" = cargo ] && exit 1; }
done
[ ${#missing[@]} -eq 0 ] && exit 0

echo "setup: installing ${missing[*]}"
sudo=""; [ "$(id -u)" = 0 ] || sudo="sudo -n"
if command -v apt-get >/dev/null 2>&1 && { [ -z "$sudo" ] || $sudo true 2>/dev/null; }; then
  export DEBIAN_FRONTEND=noninteractive
  $sudo apt-get update -qq
  # One package that cannot be had must not keep the others away: tests of absent peers skip and say so.
  for package in "${missing[@]}"; do
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null || echo "setup: cannot install $package; tests that need it will be skipped" >&2
  done
else
  echo "setup: please install: ${missing[*]} (tests that need them are skipped until then)" >&2
fi
command -v cc >/dev/null 2>&1 || { echo "setup: a C compiler is needed" >&2; exit 1; }
