#!/usr/bin/env bash
# Figures against a peer in one run: memory and CPU of watching this machine, and of one scrape job on us and on Prometheus.
# usage: bench/stack.sh BINARY [MINUTES]   prints a table; asserts nothing. Absolute times on shared machines mean little: read the ratios.
set -euo pipefail
binary=$(readlink -f "$1"); minutes=${2:-10}
work=$(mktemp -d); pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
ticks=$(getconf CLK_TCK)
rss_kb() { awk '/^VmRSS/{print $2}' "/proc/$1/status"; }
cpu_ms() { awk -v t="$ticks" '{print int(($14+$15)*1000/t)}' "/proc/$1/stat"; }
wait_for() { for _ in $(seq 200); do curl -fs -o /dev/null "$1" && return 0; sleep 0.05; done; echo "bench: $1 does not answer" >&2; exit 1; }
start() { "$@" >"$work/log.${#pids[@]}" 2>&1 & pids+=($!); last=$!; }

echo "binary: $(( $(stat -c %s "$binary") / 1024 )) KiB"

# 1. Watching this machine, alone.
start "$binary" serve --listen 127.0.0.1:18801 --data-dir "$work/alone"; alone=$last
wait_for http://127.0.0.1:18801/health

# 2. Three node exporters, scraped every 10 s by both. Ours leaves the host alone here, so that both do the same work.
targets=""
if command -v prometheus-node-exporter >/dev/null && command -v prometheus >/dev/null; then
  for i in 1 2 3; do start prometheus-node-exporter --web.listen-address=127.0.0.1:1881$i; targets+="'127.0.0.1:1881$i',"; done
  printf "global: {scrape_interval: 10s, scrape_timeout: 5s}\nscrape_configs:\n- job_name: node\n  static_configs: [{targets: [%s]}]\n" "${targets%,}" >"$work/prometheus.yml"
  printf "prometheus: %s/prometheus.yml\nhost: {interval: 1h}\n" "$work" >"$work/watchfire.yml"
  start "$binary" serve --config "$work/watchfire.yml" --listen 127.0.0.1:18802 --data-dir "$work/ours"; ours=$last
  start prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/theirs" --web.listen-address=127.0.0.1:18803; theirs=$last
  wait_for http://127.0.0.1:18802/health; wait_for http://127.0.0.1:18803/-/ready
else
  echo "SKIPPED: prometheus and prometheus-node-exporter are needed for the comparison" >&2
fi

sleep 30 # start-up is not what is compared
a0=$(cpu_ms "$alone"); [ -n "$targets" ] && { o0=$(cpu_ms "$ours"); t0=$(cpu_ms "$theirs"); }
echo "minute  alone_rss_kb${targets:+  ours_rss_kb  prometheus_rss_kb}"
for m in $(seq "$minutes"); do
  sleep 60
  printf '%6d  %12d' "$m" "$(rss_kb "$alone")"; [ -n "$targets" ] && printf '  %11d  %17d' "$(rss_kb "$ours")" "$(rss_kb "$theirs")"; echo
done
echo "CPU while watching this machine: $(( $(cpu_ms "$alone") - a0 )) ms in $minutes min"
if [ -n "$targets" ]; then
  o=$(( $(cpu_ms "$ours") - o0 )); t=$(( $(cpu_ms "$theirs") - t0 ))
  awk -v o="$o" -v t="$t" -v or="$(rss_kb "$ours")" -v tr="$(rss_kb "$theirs")" 'BEGIN {
    printf "%-28s %12s %12s %8s\n", "same scrape job", "watchfire", "prometheus", "ratio";
    printf "%-28s %12d %12d %8.2f\n", "CPU ms", o, t, (t ? o / t : 0);
    printf "%-28s %12d %12d %8.2f\n", "RSS kB", or, tr, or / tr }'
fi

# 3. Ready again after a kill, with what has been collected meanwhile.
kill -9 "$alone"; wait "$alone" 2>/dev/null || true
t1=$(date +%s%N); start "$binary" serve --listen 127.0.0.1:18801 --data-dir "$work/alone"
until curl -fs -o /dev/null http://127.0.0.1:18801/-/ready; do sleep 0.005; done
echo "ready after kill -9 with $minutes min of data: $(( ($(date +%s%N) - t1) / 1000000 )) ms"
