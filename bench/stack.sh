#!/usr/bin/env bash
# Figures of the whole program in one run: binary size, start on a day of data, memory and CPU of watching this machine, and one
# scrape job on us and on Debian's Prometheus.
# usage: bench/stack.sh BINARY [MINUTES=10]   prints tables; asserts nothing. On shared machines absolute times mean little: read
# the ratios. INTERVAL=250ms and EXPORTERS=9 change the scrape job (10s, 3). FILL names the data generator when it does not lie at
# examples/fill beside BINARY; SERIES=2500 is the size of its day.
set -euo pipefail
binary=$(readlink -f "${1:?usage: bench/stack.sh BINARY [MINUTES]}"); minutes=${2:-10}
interval=${INTERVAL:-10s}; exporters=${EXPORTERS:-3}
fill=${FILL:-$(dirname "$binary")/examples/fill}; series=${SERIES:-2500}
work=$(mktemp -d); pids=(); last=
stop_all() { for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done; wait 2>/dev/null || true; rm -rf "$work"; }
trap stop_all EXIT; trap 'exit 130' INT; trap 'exit 143' TERM HUP
ulimit -c 0
mkfifo "$work/never"; exec {never}<>"$work/never" # nothing ever comes from it: a sleep without a process

# What we start dies with us, even when we are killed ourselves.
tie=(); if command -v setpriv >/dev/null; then tie=(setpriv --pdeathsig KILL); fi
start() { "${tie[@]}" "$@" >"$work/log.${#pids[@]}" 2>&1 & last=$!; pids+=("$last"); }
stop() { kill "-$2" "$1" 2>/dev/null || true; wait "$1" 2>/dev/null || true; }

# One request without a process of its own, because starting curl costs as much as what is measured.
get() { # PORT PATH
  { printf 'GET %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nConnection: close\r\n\r\n' "$2" "$1" >&3 && read_all <&3; } 3<>"/dev/tcp/127.0.0.1/$1"
} 2>/dev/null
read_all() { local line; while IFS= read -r -t 10 line || [ -n "$line" ]; do printf '%s\n' "$line"; done; }
now_ms() { local t=${EPOCHREALTIME/[.,]/}; echo $((t / 1000)); }
wait_for() { # PORT PATH [TEXT]: until it answers 200, with TEXT in the body
  local began text=${3:-}; began=$(now_ms)
  until case "$(get "$1" "$2" || true)" in "HTTP/1.1 200"*"$text"*) true ;; *) false ;; esac; do
    if [ $(($(now_ms) - began)) -gt 30000 ]; then echo "bench: 127.0.0.1:$1$2 does not answer${text:+ with $text}" >&2; tail -n 3 "$work"/log.* >&2; exit 1; fi
    read -r -t 0.002 -u "$never" || true
  done
}
free_port() { local p; for _ in $(seq 100); do p=$((20000 + RANDOM % 12000)); (: <>"/dev/tcp/127.0.0.1/$p") 2>/dev/null || { echo "$p"; return; }; done; exit 1; }
field() { awk -v n="$2:" '$1 == n {print $2}' "/proc/$1/status"; }
cpu_ms() { awk -v t="$(getconf CLK_TCK)" '{sub(/.*\) /, ""); print int(($12 + $13) * 1000 / t)}' "/proc/$1/stat"; }
median() { printf '%s\n' "$@" | sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
# Kilobytes per minute by least squares, over minutes 2 and later: the first minute is still start-up.
slope() { awk 'NR > 1 {n++; sx += NR; sy += $1; sxx += NR * NR; sxy += NR * $1} END {if (n > 1) printf "%+.1f", (n * sxy - sx * sy) / (n * sxx - sx * sx); else printf "n/a"}' "$1"; }

echo "$(date -u +%Y-%m-%dT%H:%MZ), $(nproc) cores, load $(cut -d' ' -f1-3 /proc/loadavg), $("$binary" version)"
echo; echo "| binary | value |"; echo "|---|---|"
echo "| size, MiB | $(awk -v b="$(stat -c %s "$binary")" 'BEGIN {printf "%.1f", b / 1048576}') |"

# 1. How soon it is ready with a day of data: after a clean stop, and after kill -9 with two hours in the log.
value_of() { awk -F= -v n="$1" '$1 == n {print $2}' "$2"; }
starts() { # NAME: three starts on copies of $work/NAME
  local ready=() correct=() read_back=() rss=() port began end steps
  end=$(value_of end_s "$work/$1.said"); steps=$(value_of steps "$work/$1.said")
  for _ in 1 2 3; do
    rm -rf "$work/copy"; cp -a "$work/$1" "$work/copy"; port=$(free_port)
    began=$(now_ms); start "$binary" serve --config "$work/quiet.yml" --listen "127.0.0.1:$port" --data-dir "$work/copy"
    wait_for "$port" /-/ready; ready+=($(($(now_ms) - began)))
    # Every series at the newest time, and one series over the whole day.
    wait_for "$port" "/api/v1/query?query=count(%7Benvironment=%22production%22%7D)&time=$end" ",\"$series\"]"
    wait_for "$port" "/api/v1/query?query=count_over_time(node_metric_0_total%7Bdevice=%22device3%22,instance=%22host-00.example.net:9100%22%7D%5B1d%5D)&time=$end" ",\"$steps\"]"
    correct+=($(($(now_ms) - began)))
    read_back+=("$(grep -ho '"samples":[0-9]*' "$work/log.$((${#pids[@]} - 1))" | head -n 1 | cut -d: -f2)"); rss+=("$(field "$last" VmRSS)")
    stop "$last" TERM
  done
  echo "| $2 | $(median "${ready[@]}") (${ready[*]}) | $(median "${correct[@]}") | ${read_back[0]:-?} | $(median "${rss[@]}") |"
}
printf 'host: {interval: 1h}\n' >"$work/quiet.yml"
if [ -x "$fill" ]; then
  "$fill" "$work/clean" --series "$series" >"$work/clean.said"
  { "$fill" "$work/killed" --series "$series" --kill >"$work/killed.said" || true; } 2>/dev/null
  echo; echo "| start on a day of $series series at 15 s, $(value_of samples "$work/clean.said") samples, $(du -sm "$work/clean" | cut -f1) MB | ready, ms: median (all) | first correct answers, ms | samples read from the log | RSS then, kB |"; echo "|---|---|---|---|---|"
  starts clean "after a clean stop"; starts killed "after kill -9, two hours in the log"
else
  echo "SKIPPED: start on a day of data needs the generator: cargo build --release -p watchfire-store --example fill" >&2
fi
rm -rf "$work/clean" "$work/killed" "$work/copy"

# 2. Watching this machine, alone, with everything as it comes.
alone_port=$(free_port); start "$binary" serve --listen "127.0.0.1:$alone_port" --data-dir "$work/alone"; alone=$last
wait_for "$alone_port" /-/ready

# 3. Node exporters, scraped by both. Ours leaves the host alone here, so that both do the same work.
peers=
if command -v prometheus-node-exporter >/dev/null && command -v prometheus >/dev/null; then
  peers=yes; targets=
  for _ in $(seq "$exporters"); do port=$(free_port); start prometheus-node-exporter --web.listen-address="127.0.0.1:$port"; targets+="'127.0.0.1:$port',"; wait_for "$port" /; done
  printf "global: {scrape_interval: %s, scrape_timeout: %s}\nscrape_configs:\n- job_name: node\n  static_configs: [{targets: [%s]}]\n" "$interval" "$interval" "${targets%,}" >"$work/prometheus.yml"
  printf "prometheus: %s/prometheus.yml\nhost: {interval: 1h}\n" "$work" >"$work/watchfire.yml"
  ours_port=$(free_port); start "$binary" serve --config "$work/watchfire.yml" --listen "127.0.0.1:$ours_port" --data-dir "$work/ours"; ours=$last
  wait_for "$ours_port" /-/ready
  theirs_port=$(free_port); start prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/theirs" --web.listen-address="127.0.0.1:$theirs_port"; theirs=$last
  wait_for "$theirs_port" /-/ready
  for port in "$ours_port" "$theirs_port"; do wait_for "$port" "/api/v1/query?query=sum(up%7Bjob=%22node%22%7D)" ",\"$exporters\"]"; done
else
  echo "SKIPPED: the same scrape job on both needs prometheus and prometheus-node-exporter" >&2
fi

sleep 30 # start-up is not what is compared
by_thread() { for t in /proc/"$1"/task/*; do echo "${t##*/} $(cat "$t/comm") $(cut -d' ' -f1 "$t/schedstat")"; done; }
a0=$(cpu_ms "$alone"); if [ "$peers" ]; then by_thread "$ours" >"$work/threads"; o0=$(cpu_ms "$ours"); t0=$(cpu_ms "$theirs"); fi
echo; echo "| minute | watching, RSS kB | of that anonymous |${peers:+ scraping, RSS kB | Prometheus, RSS kB |}"; echo "|---|---|---|${peers:+---|---|}"
for m in $(seq "$minutes"); do
  sleep 60
  field "$alone" VmRSS >>"$work/alone.rss"; field "$alone" RssAnon >>"$work/alone.anon"; row="| $m | $(tail -n 1 "$work/alone.rss") | $(tail -n 1 "$work/alone.anon") |"
  if [ "$peers" ]; then field "$ours" VmRSS >>"$work/ours.rss"; row+=" $(tail -n 1 "$work/ours.rss") | $(field "$theirs" VmRSS) |"; fi
  echo "$row"
done
echo; echo "| watching this machine at 15 s, $minutes min | value |"; echo "|---|---|"
echo "| RSS / at most / anonymous, kB | $(field "$alone" VmRSS) / $(field "$alone" VmHWM) / $(field "$alone" RssAnon) |"
echo "| slope of RSS / of anonymous, kB per minute | $(slope "$work/alone.rss") / $(slope "$work/alone.anon") |"
echo "| CPU, ms per minute | $((($(cpu_ms "$alone") - a0) / minutes)) |"
if [ "$peers" ]; then
  o=$(($(cpu_ms "$ours") - o0)); t=$(($(cpu_ms "$theirs") - t0))
  echo; echo "| same scrape job, $exporters node exporters at $interval | watchfire | $(prometheus --version 2>&1 | awk 'NR == 1 {print $1, $3}') | ratio |"; echo "|---|---|---|---|"
  ratio() { awk -v n="$1" -v a="$2" -v b="$3" 'BEGIN {printf "| %s | %d | %d | %.2f |\n", n, a, b, (b ? a / b : 0)}'; }
  ratio "CPU, ms in $minutes min" "$o" "$t"
  for f in VmRSS RssAnon; do ratio "$f, kB" "$(field "$ours" "$f")" "$(field "$theirs" "$f")"; done
  echo "| slope of RSS, kB per minute | $(slope "$work/ours.rss") | | |"
  echo; echo "| CPU of watchfire's threads that are still there | ms in $minutes min |"; echo "|---|---|"
  { cat "$work/threads"; echo; by_thread "$ours"; } | awk 'NF < 3 {later = 1; next} later {sum[$2] += $3 - before[$1]; next} {before[$1] = $3} END {for (name in sum) printf "| %s | %d |\n", name, sum[name] / 1e6}'
fi
