#!/usr/bin/env python3
"""Two whole jobs of monitoring, measured: an assistant on a small computer, on us and on Debian's programs side by side; and a security
pipeline with metrics, logs, traces and profiles, on us alone. Prints tables and asserts nothing.

usage: bench/jobs.py BINARY [MINUTES=10] [assistant|pipeline]

A third word chooses one of the two jobs.

Needs prometheus, prometheus-alertmanager, prometheus-node-exporter, prometheus-redis-exporter, prometheus-blackbox-exporter and redis-server
for the first job and ffmpeg for the second; what is missing is said and left out. The standard ports of what we
replace have to be free. Absolute times and memory depend on the machine: read the ratios.
"""
import http.server, json, os, random, shutil, signal, socket, subprocess, sys, tempfile, threading, time, urllib.parse, urllib.request

BINARY = os.path.realpath(sys.argv[1]) if len(sys.argv) > 1 else sys.exit(__doc__)
MINUTES = float(sys.argv[2]) if len(sys.argv) > 2 else 10
JOBS = sys.argv[3:] or ["assistant", "pipeline"]
if len(sys.argv) > 4 or not set(JOBS) <= {"assistant", "pipeline"}:
    sys.exit(__doc__)
ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
WORK = tempfile.mkdtemp(prefix="jobs-")
STARTED = []


def start(name, *command, env=None):
    """A program whose output lies in WORK; it is ended with us."""
    with open(os.path.join(WORK, name + ".log"), "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=WORK, env={**os.environ, **(env or {})})
    STARTED.append(process)
    return process


def stop(process):
    process.terminate()
    process.wait(60)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def taken(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def get(url, timeout=10):
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return answer.read().decode()


def value(base, query):
    """The value of an instant query that has one series, or nothing."""
    result = json.loads(get(f"{base}/api/v1/query?query={urllib.parse.quote(query)}"))["data"]["result"]
    return float(result[0]["value"][1]) if result else None


def wait_for(what, probe, seconds=60):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if probe():
                return
        except OSError:
            pass
        time.sleep(0.2)
    sys.exit(f"bench: {what} did not come within {seconds} s; see {WORK}")


def memory(pid, field="VmRSS"):
    """Bytes, by the kernel's name; its kB have 1,024."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field + ":"))


def cpu_ms(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1000 // os.sysconf("SC_CLK_TCK")


def size(directory):
    """Bytes that the files of a directory take on the disk."""
    return sum(os.stat(os.path.join(folder, f)).st_blocks * 512 for folder, _, files in os.walk(directory) for f in files)


def write(name, text):
    path = os.path.join(WORK, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
    return path


class Assistant:
    """A small program that answers requests, counts what it did and writes a line about each step: what is watched in the first job."""

    STEPS = ("http::request", "security::prompt", "cache::lookup", "inference::engine", "http::response")

    def __init__(self, log):
        self.log, self.lock, self.cache, self.times = log, threading.Lock(), {}, []
        self.counts = dict.fromkeys(
            ["http_requests_total", "http_requests_success_total", "inference_requests_total", "inference_requests_success_total",
             "inference_tokens_total", "cache_hits_total", "cache_misses_total", "security_prompt_analyses_total"], 0)
        assistant = self

        class Answer(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                body = assistant.exposition() if self.path.startswith("/metrics") else assistant.answer(self.path)
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *rest):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        threading.Thread(target=self.ask_once_a_second, daemon=True).start()

    def ask_once_a_second(self):
        while True:
            get(f"http://127.0.0.1:{self.port}/ask/{random.randrange(40)}")
            time.sleep(1)

    def answer(self, question):
        began, request = time.perf_counter(), "%032x" % random.getrandbits(128)
        with self.lock:
            hit = question in self.cache
            self.counts["cache_hits_total" if hit else "cache_misses_total"] += 1
            answer = self.cache.setdefault(question, " ".join(sorted(random.choices("abcdefgh", k=random.randrange(20, 200)))))
            if len(self.cache) > 30:
                self.cache.pop(next(iter(self.cache)))
            for name in ("http_requests_total", "http_requests_success_total", "inference_requests_total", "inference_requests_success_total", "security_prompt_analyses_total"):
                self.counts[name] += 1
            self.counts["inference_tokens_total"] += len(answer.split())
            took = (time.perf_counter() - began) * 1000
            self.times = self.times[-999:] + [took]
        with open(self.log, "a") as log:
            for step in self.STEPS:
                log.write(self.line(time.time(), step, request, took, len(answer.split())))
        return answer

    @staticmethod
    def line(at, step, request, took, tokens):
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + ".%06dZ" % (at % 1 * 1e6)
        text = {"http::request": "request received", "security::prompt": "prompt judged safe", "cache::lookup": "answer looked up",
                "inference::engine": f"generated {tokens} tokens", "http::response": f"answered in {took:.3f} ms"}[step]
        return json.dumps({"timestamp": stamp, "level": "INFO", "message": text, "target": "pisovereign::" + step, "request_id": request, "duration_ms": round(took, 3)}) + "\n"

    def exposition(self):
        with self.lock:
            times = sorted(self.times) or [0]
            lines = [f"# TYPE {name} counter\n{name} {count}" for name, count in self.counts.items()]
            gauges = {"cache_size": len(self.cache), "inference_healthy": 1, "http_requests_active": 1, "http_response_time_avg_ms": sum(times) / len(times),
                      "inference_time_avg_ms": sum(times) / len(times)}
            for share in (50, 90, 99):
                gauges[f"http_response_time_p{share}_ms"] = times[min(len(times) - 1, len(times) * share // 100)]
            lines += [f"# TYPE {name} gauge\n{name} {number}" for name, number in gauges.items()]
            lines.append("# TYPE http_response_time_ms histogram")
            for edge in (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 50, 100):
                lines.append(f'http_response_time_ms_bucket{{le="{edge}"}} {sum(t <= edge for t in times)}')
            lines += [f'http_response_time_ms_bucket{{le="+Inf"}} {len(times)}', f"http_response_time_ms_sum {sum(times)}", f"http_response_time_ms_count {len(times)}"]
        return "\n".join(lines) + "\n"


def prometheus_yml(app, itself, node, redis, redis_at, blackbox, manager, rules):
    return f"""global: {{scrape_interval: 15s, evaluation_interval: 15s}}
rule_files: ['{rules}']
scrape_configs:
- {{job_name: pisovereign, static_configs: [{{targets: ['127.0.0.1:{app}']}}], metrics_path: /metrics/prometheus, scrape_interval: 10s}}
- {{job_name: prometheus, static_configs: [{{targets: ['localhost:{itself}']}}]}}
- {{job_name: node-exporter, static_configs: [{{targets: ['localhost:{node}']}}]}}
- job_name: redis
  metrics_path: /scrape
  static_configs: [{{targets: ['redis://127.0.0.1:{redis_at}']}}]
  relabel_configs:
  - {{source_labels: [__address__], target_label: __param_target}}
  - {{source_labels: [__param_target], target_label: instance}}
  - {{target_label: __address__, replacement: 'localhost:{redis}'}}
- job_name: blackbox
  metrics_path: /probe
  params: {{module: [http_2xx]}}
  static_configs: [{{targets: ['http://127.0.0.1:{app}/ask/0']}}]
  relabel_configs:
  - {{source_labels: [__address__], target_label: __param_target}}
  - {{source_labels: [__param_target], target_label: instance}}
  - {{target_label: __address__, replacement: 'localhost:{blackbox}'}}
alerting: {{alertmanagers: [{{static_configs: [{{targets: ['localhost:{manager}']}}]}}]}}
"""


MANAGER = "route: {group_by: [alertname, severity], group_wait: 30s, group_interval: 5m, repeat_interval: 4h, receiver: default}\nreceivers: [{name: default}]\n"
BLACKBOX = "modules: {http_2xx: {prober: http, timeout: 5s, http: {preferred_ip_protocol: ip4}}}\n"


def promtail_yml(pattern):
    return f"""clients: [{{url: 'http://loki:3100/loki/api/v1/push'}}]
scrape_configs:
- job_name: pisovereign
  static_configs: [{{targets: [localhost], labels: {{job: pisovereign, __path__: '{pattern}'}}}}]
  pipeline_stages:
  - json: {{expressions: {{level: level, message: message, target: target, request_id: request_id, timestamp: timestamp}}}}
  - labels: {{level: , target: }}
  - timestamp: {{source: timestamp, format: RFC3339}}
"""


def watch(groups, minutes):
    """Memory (now, at most and at each look, bytes) and CPU (ms) of each group of processes over some minutes, after one of start-up."""
    time.sleep(60)
    before = {p.pid: cpu_ms(p.pid) for group in groups.values() for p in group}
    looks = {name: [] for name in groups}
    until = time.monotonic() + minutes * 60
    while time.monotonic() < until:
        time.sleep(5)
        for name, group in groups.items():
            looks[name].append(sum(memory(p.pid) for p in group))
    return {name: (looks[name][-1], max(looks[name]), sum(cpu_ms(p.pid) - before[p.pid] for p in group), looks[name]) for name, group in groups.items()}


def snapshot(base):
    """The value of every series just now."""
    result = json.loads(get(f"{base}/api/v1/query?query=" + urllib.parse.quote('{__name__=~".+"}')))["data"]["result"]
    return {json.dumps(series["metric"], sort_keys=True): float(series["value"][1]) for series in result}


def evolved(snapshots, steps, end):
    """OpenMetrics text of as many steps of 15 s, made of what was seen: at each step all series of a job move as they did between two snapshots that
    followed each other. What only rose goes on rising; what went up and down takes the values that it had; what stood still does."""
    names = set.intersection(*(set(seen) for seen in snapshots))
    chosen = [random.randrange(1, len(snapshots)) for _ in range(steps)]
    families = {}
    for name in names:
        families.setdefault(json.loads(name)["__name__"], []).append(name)
    for family in sorted(families):
        yield f"# TYPE {family} unknown\n"
        for name in sorted(families[family]):
            labels = json.loads(name)
            del labels["__name__"]
            shown = family + "{" + ",".join(f"{k}={json.dumps(v)}" for k, v in labels.items()) + "}"
            seen = [one[name] for one in snapshots]
            moves = [b - a for a, b in zip(seen, seen[1:])]
            rises = all(move >= 0 for move in moves) and any(moves)
            now = seen[-1]
            for step, at in enumerate(chosen):
                now = now + moves[at - 1] if rises else seen[at]
                yield f"{shown} {now!r} {end - (steps - step) * 15}\n"
    yield "# EOF\n"


def assistant_job():
    needed = {"prometheus", "prometheus-alertmanager", "prometheus-node-exporter", "prometheus-redis-exporter", "prometheus-blackbox-exporter", "redis-server"}
    missing = sorted(p for p in needed if not shutil.which(p))
    if missing:
        return print(f"SKIPPED: the assistant's job needs {', '.join(missing)}", file=sys.stderr)
    used = [p for p in (9090, 9093, 9100, 9115, 9121, 3100) if taken(p)]
    if used:
        return print(f"SKIPPED: the assistant's job needs the ports {used}, which somebody else has", file=sys.stderr)
    log = write("pisovereign/app.log", "")
    assistant = Assistant(log)
    app, redis = assistant.port, free_port()
    start("redis", "redis-server", "--port", str(redis), "--save", "", "--dir", WORK)
    rules = os.path.join(ROOT, "packs/pisovereign/rules/alerts.yml")
    port = {name: free_port() for name in ("prometheus", "manager", "node", "redis", "blackbox")}

    theirs_yml = write("theirs/prometheus.yml", prometheus_yml(app, port["prometheus"], port["node"], port["redis"], redis, port["blackbox"], port["manager"], rules))
    local = "127.0.0.1:"
    theirs = {
        "Prometheus": start("prometheus", "prometheus", "--config.file=" + theirs_yml, f"--storage.tsdb.path={WORK}/theirs/data", "--web.listen-address=" + local + str(port["prometheus"])),
        "Alertmanager": start("manager", "prometheus-alertmanager", "--config.file=" + write("theirs/alertmanager.yml", MANAGER), f"--storage.path={WORK}/theirs/manager",
                              "--web.listen-address=" + local + str(port["manager"]), "--cluster.listen-address="),
        "node_exporter": start("node", "prometheus-node-exporter", "--web.listen-address=" + local + str(port["node"])),
        "redis_exporter": start("redis_exporter", "prometheus-redis-exporter", "-web.listen-address", local + str(port["redis"]), "-redis.addr", ""),
        "blackbox_exporter": start("blackbox", "prometheus-blackbox-exporter", "--config.file=" + write("theirs/blackbox.yml", BLACKBOX), "--web.listen-address=" + local + str(port["blackbox"])),
    }
    # Ours has the standard ports, reads the same files under their usual names, and the log besides.
    write("ours/prometheus.yml", prometheus_yml(app, 9090, 9100, 9121, redis, 9115, 9093, rules))
    write("ours/alertmanager.yml", MANAGER)
    write("ours/blackbox.yml", BLACKBOX)
    write("ours/promtail.yml", promtail_yml(log))
    main = free_port()
    ours = start("ours", BINARY, "serve", "--drop-in", "--monitoring-dir", f"{WORK}/ours", "--data-dir", f"{WORK}/ours-data", "--listen", local + str(main))
    bases = {"us": f"http://127.0.0.1:{main}", "them": f"http://127.0.0.1:{port['prometheus']}"}
    for who, base in bases.items():
        wait_for(f"all five jobs at {who}", lambda base=base: value(base, "sum(up)") == 5, 120)
    wait_for("the assistant's log", lambda: json.loads(get(f"{bases['us']}/loki/api/v1/query?query=" + urllib.parse.quote('sum(count_over_time({job="pisovereign"}[1m]))')))["data"]["result"])

    seen = {who: [] for who in bases}

    def look():
        while ours.poll() is None:
            for who, base in bases.items():
                try:
                    seen[who].append(snapshot(base))
                except OSError:
                    return
            time.sleep(15)

    figures = watch({"watchfire": [ours], **{name: [p] for name, p in theirs.items()}, "theirs together": list(theirs.values())}, MINUTES)
    # After the figures, because looking costs something, too.
    looker = threading.Thread(target=look, daemon=True)
    looker.start()
    time.sleep(max(60, MINUTES * 30))
    appended = {"us": 'watchfire_ingest_samples_stored_total{job="watchfire"}', "them": "prometheus_tsdb_head_samples_appended_total"}
    per_second = {who: value(base, f"sum(rate({appended[who]}[{max(1, int(MINUTES))}m]))") for who, base in bases.items()}
    series = {who: value(base, 'count({__name__=~".+"})') for who, base in bases.items()}
    print(f"\n## The assistant's job\n\nFive jobs at 15 s (the application at 10 s), {MINUTES:g} minutes after one of start-up; ours reads the application's log, too ({len(Assistant.STEPS)} lines a second).\n")
    print("| program | RSS, MB | at most | CPU, ms |\n|---|---|---|---|")
    for name, (rss, most, cpu, _) in figures.items():
        print(f"| {name} | {rss / 1e6:.1f} | {most / 1e6:.1f} | {cpu} |")
    (rss, _, cpu, _), (all_rss, _, all_cpu, _) = figures["watchfire"], figures["theirs together"]
    print(f"| **ours / theirs** | **{rss / all_rss:.2f}** | | **{cpu / all_cpu:.2f}** |")
    print(f"\nSeries and samples a second: ours {series['us']:.0f} and {per_second['us']:.0f}, theirs {series['them']:.0f} and {per_second['them']:.0f}.")
    for process in (ours, *theirs.values()):
        stop(process)
    looker.join(30)
    return per_second, seen


def bytes_per_sample(seen):
    """Of a quarter of a day of the job's own series: ours, and Prometheus' blocks."""
    steps, end = 6 * 240, int(time.time()) - 3600
    found = []
    for who, snapshots in (("us", seen["us"][:-1]), ("them", seen["them"][:-1])):
        path = os.path.join(WORK, f"{who}.om")
        with open(path, "w") as file:
            count = 0
            for line in evolved(snapshots, steps, end):
                file.write(line)
                count += line[0] != "#"
        target = os.path.join(WORK, f"{who}-quarter")
        command = [BINARY, "import", path, "--data-dir", target] if who == "us" else ["promtool", "tsdb", "create-blocks-from", "openmetrics", path, target]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"bench: {who}: {done.stderr[-400:] or done.stdout[-400:]}")
        os.remove(path)
        found.append((size(target + "/metrics" if who == "us" else target) / count, count))
    return found


def a_day_of_lines():
    """Bytes that a day of the assistant's log takes in our store, what lies beside it once, its bytes as a file, and its lines."""
    now, lines = time.time(), 86_400 * len(Assistant.STEPS)
    path = os.path.join(WORK, "day", "app.log")
    os.makedirs(os.path.dirname(path))
    with open(path, "w") as file:
        for second in range(86_400):
            request, took, tokens = "%032x" % random.getrandbits(128), random.lognormvariate(3, 1), random.randrange(20, 200)
            for step in Assistant.STEPS:
                file.write(Assistant.line(now - 86_400 + second + random.random() / 10, step, request, took, tokens))
    raw = os.path.getsize(path)
    write("day/monitoring/promtail.yml", promtail_yml(path))
    write("day/watchfire.yml", "host: {interval: 1h}\n")
    port = free_port()
    ours = start("day", BINARY, "serve", "--config", f"{WORK}/day/watchfire.yml", "--monitoring-dir", f"{WORK}/day/monitoring", "--data-dir", f"{WORK}/day/data", "--listen", f"127.0.0.1:{port}")
    wait_for("our server", lambda: get(f"http://127.0.0.1:{port}/-/ready"))
    count = urllib.parse.quote('sum(count_over_time({job="pisovereign"}[25h]))')

    def all_there():
        result = json.loads(get(f"http://127.0.0.1:{port}/loki/api/v1/query?query={count}", 60))["data"]["result"]
        return result and int(result[0]["value"][1]) == lines

    wait_for(f"all {lines} lines of a day", all_there, 300)
    stop(ours)
    # What grows by the day are segments; the write-ahead log and the state file stay as they are.
    return size(f"{WORK}/day/data/logs"), size(f"{WORK}/day/data/wal") + size(f"{WORK}/day/data/state.redb"), raw, lines


def disk(per_second, seen):
    day = a_day_of_lines()
    (ours, our_count), (theirs, their_count) = bytes_per_sample(seen)
    metrics = [a_sample * per_second[who] * 86_400 / 1e6 for a_sample, who in ((ours, "us"), (theirs, "them"))]
    print("\n## Disk of a day of it\n\n| | watchfire | Prometheus |\n|---|---|---|")
    print(f"| samples of six hours, from what was seen | {our_count:,} | {their_count:,} |\n| bytes per sample of them | {ours:.3f} | {theirs:.3f} |")
    print(f"| metrics at the job's rate, MB | {metrics[0]:.1f} | {metrics[1]:.1f} |")
    print(f"| {day[3]:,} lines of log, {day[2] / 1e6:.0f} MB, MB | {day[0] / 1e6:.1f} | keeps none |\n| **together, MB a day** | **{metrics[0] + day[0] / 1e6:.1f}** | |")
    print(f"\nBesides, once and not by the day: the write-ahead log and the state file, {day[1] / 1e6:.0f} MB after it.")


def own_stacks():
    """This program's own stacks over a second, folded: a real profile to push."""
    counts = {}
    for _ in range(100):
        for frame in sys._current_frames().values():
            names = []
            while frame:
                names.append(f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_code.co_name}")
                frame = frame.f_back
            stack = ";".join(reversed(names))
            counts[stack] = counts.get(stack, 0) + 1
        time.sleep(0.01)
    return "\n".join(f"{stack} {n}" for stack, n in counts.items())


class Backend:
    """What a backend of the pipeline writes while pictures come, because the demo itself writes no log: eight lines of JSON a second into a file, each
    with a trace of its own making."""

    STEPS = ("picture received", "detection queued", "detections found", "batch closed", "prompt fitted", "model asked", "event created", "event sent")

    def __init__(self, path):
        self.lines, self.path = 0, path
        threading.Thread(target=self.write, daemon=True).start()

    def write(self):
        with open(self.path, "a") as log:
            while True:
                trace, camera, now = "%032x" % random.getrandbits(128), random.choice(("front_door", "back_yard", "drive", "garage")), time.time()
                for step in self.STEPS:
                    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + ".%06dZ" % (now % 1 * 1e6)
                    level = random.choices(("INFO", "WARNING", "ERROR"), (97, 2, 1))[0]
                    log.write(json.dumps({"timestamp": stamp, "level": level, "name": "backend.services.pipeline", "message": f"{step} for {camera} in {random.lognormvariate(3, 1):.3f} ms",
                                          "camera_id": camera, "trace_id": trace}) + "\n")
                log.flush()
                self.lines += len(self.STEPS)
                time.sleep(1)


BACKEND_YML = """scrape_configs:
- job_name: backend
  static_configs: [{{targets: [localhost], labels: {{job: backend, __path__: '{path}'}}}}]
  pipeline_stages:
  - json: {{expressions: {{level: level, trace_id: trace_id, timestamp: timestamp, camera_id: camera_id}}}}
  - labels: {{level: , camera_id: }}
  - structured_metadata: {{trace_id: }}
  - timestamp: {{source: timestamp, format: RFC3339}}
"""


def pipeline_job():
    if not shutil.which("ffmpeg"):
        return print("SKIPPED: the pipeline's job needs ffmpeg", file=sys.stderr)
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    log = write("backend/backend.log", "")
    write("pipeline-monitoring/promtail.yml", BACKEND_YML.format(path=log))
    ours = start("pipeline", BINARY, "serve", "--data-dir", f"{WORK}/pipeline-data", "--monitoring-dir", f"{WORK}/pipeline-monitoring", "--listen", f"127.0.0.1:{port}")
    wait_for("our server", lambda: get(base + "/-/ready"))
    backend = Backend(log)
    demo = start("demo", BINARY, "demo", "--url", base, "--duration", f"{MINUTES + 2:g}m")
    pushed = []

    def push():
        while demo.poll() is None:
            until = int(time.time())
            name = urllib.parse.quote("backend.cpu{service_name=backend}")
            request = urllib.request.Request(f"{base}/pyroscope/ingest?name={name}&from={until - 10}&until={until}&format=folded&sampleRate=100", own_stacks().encode(), method="POST")
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    pushed.append(answer.status)
            except OSError as error:
                print(f"a profile was not taken: {error}", file=sys.stderr)
            time.sleep(9)

    threading.Thread(target=push, daemon=True).start()
    rss, most, cpu, looks = watch({"watchfire": [ours]}, MINUTES)["watchfire"]
    series = value(base, 'count({__name__=~".+"})')
    spans, entries = (value(base, f'sum(watchfire_ingest_{kind}_stored_total{{job="watchfire"}})') for kind in ("spans", "log_entries"))
    traces = json.loads(get(f"{base}/jaeger/api/traces?service=demo-analyser&limit=1000&lookback=1h"))["data"]
    print(f"\n## The pipeline's job\n\n`watchfire demo` with its pictures, queues, model calls and traces, a backend's log of {len(Backend.STEPS)} lines a second and a profile every 10 s, {MINUTES:g} minutes after one of start-up.\n")
    print("| watchfire | |\n|---|---|")
    print(f"| RSS / at most, MB | {rss / 1e6:.1f} / {most / 1e6:.1f} |\n| CPU, ms | {cpu} |\n| series | {series:.0f} |\n| lines written / kept | {backend.lines} / {entries:.0f} |\n| spans kept | {spans:.0f} |\n| traces of the analyser (at most 1000) | {len(traces)} |\n| profiles pushed | {len(pushed)} |")
    demo.send_signal(signal.SIGINT)
    demo.wait(60)
    stop(ours)
    print(f"| disk after it, MB | {size(f'{WORK}/pipeline-data') / 1e6:.1f} |")
    # Whether it grows is seen in the highest look of each tenth of the time.
    tenths = [max(looks[len(looks) * n // 10:len(looks) * (n + 1) // 10] or [0]) / 1e6 for n in range(10)]
    print(f"\nRSS at most in each tenth of the time, MB: {', '.join(f'{mb:.1f}' for mb in tenths)}.")


def main():
    version = subprocess.run([BINARY, "version"], capture_output=True, text=True).stdout.strip()
    print(f"{time.strftime('%Y-%m-%dT%H:%MZ', time.gmtime())}, {os.cpu_count()} cores, load {open('/proc/loadavg').read()[:14]}, {version}")
    measured = assistant_job() if "assistant" in JOBS else None
    if measured:
        disk(*measured)
    if "pipeline" in JOBS:
        pipeline_job()


try:
    main()
finally:
    for process in STARTED:
        if process.poll() is None:
            process.kill()
    if os.environ.get("KEEP"):
        print(f"kept: {WORK}", file=sys.stderr)
    else:
        shutil.rmtree(WORK, ignore_errors=True)
