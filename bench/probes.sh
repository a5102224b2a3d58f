#!/usr/bin/env bash
# Many probe targets at once: Watchfire, which probes and keeps what it finds, beside Debian's blackbox_exporter, which only probes, and the Prometheus
# that has to ask it and keeps. The targets are answered by a small server on this machine.
# usage: bench/probes.sh BINARY [MINUTES=5]   prints a table; asserts nothing. TARGETS=1000 and INTERVAL=15s say how many and how often.
# On shared machines absolute times mean little: read the ratios.
set -euo pipefail
binary=$(readlink -f "${1:?usage: bench/probes.sh BINARY [MINUTES]}"); minutes=${2:-5}
targets=${TARGETS:-1000}; interval=${INTERVAL:-15s}
work=$(mktemp -d); pids=(); last=
stop_all() { for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done; wait 2>/dev/null || true; rm -rf "$work"; }
trap stop_all EXIT; trap 'exit 130' INT; trap 'exit 143' TERM HUP
ulimit -c 0

# What we start dies with us, even when we are killed ourselves.
tie=(); if command -v setpriv >/dev/null; then tie=(setpriv --pdeathsig KILL); fi
start() { "${tie[@]}" "$@" >"$work/log.${#pids[@]}" 2>&1 & last=$!; pids+=("$last"); }
free_port() { local p; for _ in $(seq 100); do p=$((20000 + RANDOM % 12000)); (: <>"/dev/tcp/127.0.0.1/$p") 2>/dev/null || { echo "$p"; return; }; done; exit 1; }
get() { # PORT PATH
  { printf 'GET %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nConnection: close\r\n\r\n' "$2" "$1" >&3 && cat <&3; } 3<>"/dev/tcp/127.0.0.1/$1"
} 2>/dev/null
wait_for() { # PORT PATH TEXT SECONDS: until the answer has the text
  for _ in $(seq $(($4 * 2))); do case "$(get "$1" "$2" || true)" in *"$3"*) return ;; esac; sleep 0.5; done
  echo "bench: 127.0.0.1:$1$2 does not answer with $3" >&2; tail -n 3 "$work"/log.* >&2; exit 1
}
field() { awk -v n="$2:" '$1 == n {print $2}' "/proc/$1/status"; }
kept() { get "$1" "/api/v1/query?query=count(%7Bjob=%22web%22%7D)" | sed -n 's/.*,"\([0-9]*\)"\].*/\1/p'; } # PORT: series that it has of the targets now
cpu_ms() { awk -v t="$(getconf CLK_TCK)" '{sub(/.*\) /, ""); print int(($12 + $13) * 1000 / t)}' "/proc/$1/stat"; }

for program in python3 prometheus prometheus-blackbox-exporter; do
  command -v "$program" >/dev/null || { echo "SKIPPED: probes beside blackbox_exporter need $program" >&2; exit 0; }
done
served=$(free_port)
start python3 -c '
import http.server, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "3"); self.end_headers(); self.wfile.write(b"ok\n")
    def log_message(self, *rest): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 1024
Server(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()' "$served"
wait_for "$served" / ok 30

list=$(for i in $(seq "$targets"); do printf "'http://127.0.0.1:%s/%s'," "$served" "$i"; done)
modules="modules: {http_2xx: {prober: http, timeout: 5s, http: {preferred_ip_protocol: ip4}}}"
printf '%s\n' "$modules" >"$work/blackbox.yml"
printf 'host: {interval: 1h}\nblackbox: %s/blackbox.yml\nprobes:\n- {name: web, module: http_2xx, interval: %s, targets: [%s]}\n' "$work" "$interval" "${list%,}" >"$work/watchfire.yml"
ours_port=$(free_port); start "$binary" serve --config "$work/watchfire.yml" --listen "127.0.0.1:$ours_port" --data-dir "$work/ours"; ours=$last
black_port=$(free_port); start prometheus-blackbox-exporter --config.file="$work/blackbox.yml" --web.listen-address="127.0.0.1:$black_port"; black=$last
cat >"$work/prometheus.yml" <<YAML
global: {scrape_interval: $interval, scrape_timeout: 10s}
scrape_configs:
- job_name: web
  metrics_path: /probe
  params: {module: [http_2xx]}
  static_configs: [{targets: [${list%,}]}]
  relabel_configs:
  - {source_labels: [__address__], target_label: __param_target}
  - {source_labels: [__param_target], target_label: instance}
  - {target_label: __address__, replacement: '127.0.0.1:$black_port'}
YAML
theirs_port=$(free_port); start prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/theirs" --web.listen-address="127.0.0.1:$theirs_port"; theirs=$last
# Both have every target, and every target is well.
for port in "$ours_port" "$theirs_port"; do wait_for "$port" "/api/v1/query?query=sum(probe_success)" ",\"$targets\"]" 120; done

sleep 30 # start-up is not what is compared
o0=$(cpu_ms "$ours"); b0=$(cpu_ms "$black"); t0=$(cpu_ms "$theirs")
sleep $((minutes * 60))
o=$(($(cpu_ms "$ours") - o0)); b=$(($(cpu_ms "$black") - b0)); t=$(($(cpu_ms "$theirs") - t0))
for port in "$ours_port" "$theirs_port"; do wait_for "$port" "/api/v1/query?query=sum(probe_success)" ",\"$targets\"]" 30; done

echo "$(date -u +%Y-%m-%dT%H:%MZ), $(nproc) cores, load $(cut -d' ' -f1-3 /proc/loadavg), $("$binary" version)"
row() { awk -v n="$1" -v o="$2" -v b="$3" -v t="$4" 'BEGIN {printf "| %s | %d | %d | %d | %.2f | %.2f |\n", n, o, b, t, (b ? o / b : 0), (b + t ? o / (b + t) : 0)}'; }
echo; echo "| $targets HTTP targets at $interval, $minutes min | Watchfire: probes and keeps | blackbox_exporter: probes | Prometheus: asks it and keeps | ratio to blackbox_exporter | ratio to both |"
echo "|---|---|---|---|---|---|"
row "CPU, ms per minute" $((o / minutes)) $((b / minutes)) $((t / minutes))
for f in VmRSS RssAnon; do row "$f, kB" "$(field "$ours" "$f")" "$(field "$black" "$f")" "$(field "$theirs" "$f")"; done
row "series kept of the targets" "$(kept "$ours_port")" 0 "$(kept "$theirs_port")"
