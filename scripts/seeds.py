#!/usr/bin/env python3
"""Runs every command and query of the documents' tables against one Watchfire with data, and prints a table of what happened.

The tables (commands.tsv, queries.tsv) are looked for in WATCHFIRE_SEEDS, else beside the repository; without them it says so and ends
well. Commands run in a shell as they are written: in a network of names of its own, where `localhost`, `backend` and the other names of
the documents are one address of this machine. What looks at containers or units is checked against docs/guides/replacements.md.
Where the simulators are built (`cargo build -p simulators`), the three systems run beside it and are scraped, and every panel of the packs'
dashboards is asked, too: data that nobody sends are a failure. It installs nothing, and needs only Python's standard library beside curl, jq
and, where there is one, a Redis.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ADDRESS = "127.77.9.1"
NAMES = "localhost backend frontend postgres redis ai-yolo26 ai-llm pisovereign"
TRACE = "1234abcd5678ef901234abcd5678ef90"
LATEST_S = 40  # How long data may need until they can be asked for.
PANELS_S = 150  # How long the simulators' data may need until every panel has some.
BOARDS = ("hsi", "pisovereign", "vms", "redis", "host")

# Shell lines that look at what is no longer there: a pattern, the words of the row in docs/guides/replacements.md that speaks of it, and the
# command that takes its place here. An empty one: the row says what to do, and doing it here would change this machine.
INSTEAD = [
    (r"^docker compose .* ps ", "docker-compose.prod.yml ps`", "curl -f http://localhost:8000/health"),
    (r"^docker compose .* logs backend \| (grep .*)$", "docker compose logs alloy", r"cat data/logs/security.log | \1"),
    (r"^podman exec alloy wget", "docker exec alloy wget", "curl -f http://localhost:3100/ready"),
    (r"^podman (stop|logs) alloy", "podman logs", "curl -f http://localhost:12345/targets"),
    (r"^podman-compose .* up -d alloy", "docker compose up -d", "curl -f http://localhost:12345/ready"),
    (r"^systemctl --user (start|enable|status) podman.socket", "podman.socket", ""),
    (r"^(ls -l|file) /run/user/1000/podman", "podman.socket", ""),
    (r"^sudo apt |^wget .*grafana|^echo .deb .*grafana", "apt install prometheus grafana", ""),
    (r"^sudo systemctl (enable|start) prometheus", "systemctl enable --now prometheus", ""),
    (r"^sudo systemctl edit prometheus", "systemctl edit prometheus", ""),
    (r"^uv run pytest", "uv run pytest", ""),
    (r"^nvidia-smi$|pynvml", "`nvidia-smi`", "curl -f http://localhost:8000/api/system/gpu"),
]

# Queries whose result is empty although the data are there, and why.
EMPTY = [
    (r"http_request_duration_seconds\) > 1", "a histogram's name without _bucket has no le: the doctor says missing-le"),
    (r"histogram_quantile\(0\.99, disk_io_latency_ms\)", "the metric is a gauge or has no le: the doctor says missing-le"),
    (r"webrtc_connections_success_total", "names of different families are divided, which the doctor says"),
]


# Panels without data, and why.
BARE = {("hsi", "Memory pressure"): "an AI service does not tell how much memory its card has"}


def rows(directory, name):
    text = open(os.path.join(directory, name), encoding="utf-8").read().rstrip("\n").split("\n")
    head = text[0].split("\t")
    return [{k: v.replace("\u23ce", "\n") for k, v in zip(head, line.split("\t"))} for line in text[1:]]


def tables():
    for directory in (os.environ.get("WATCHFIRE_SEEDS"), os.path.join(ROOT, "..", "shared", "catalogue")):
        if directory and os.path.isfile(os.path.join(directory, "commands.tsv")):
            return os.path.abspath(directory)
    return None


def binary():
    target = os.environ.get("CARGO_TARGET_DIR") or os.path.join(ROOT, "target")
    for path in (os.environ.get("WATCHFIRE_BIN"), os.path.join(target, "release", "watchfire"), os.path.join(target, "debug", "watchfire")):
        if path and os.path.isfile(path):
            return os.path.abspath(path)
    sys.exit("cannot run the commands of the documents: there is no binary; make build first")


def simulate():
    """The simulators' program, where it is built: SIMULATE_BIN, else beside the server's."""
    path = os.environ.get("SIMULATE_BIN") or os.path.join(os.path.dirname(binary()), "simulate")
    return path if os.path.isfile(path) else None


def simulated(directory, system):
    """Starts a simulated system that tells this server what it has to tell; the process, its scrape jobs, and where it is controlled."""
    arguments = [simulate(), system, "--dir", os.path.join(directory, system), "--listen", f"{ADDRESS}:8000"]
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        told = json.loads(process.stdout.readline())
    except ValueError:
        sys.exit(f"cannot start the simulator of {system}")
    with open(os.path.join(told["dir"], "prometheus.yml")) as file:
        jobs = file.read().split("scrape_configs:\n", 1)[1]
    # Two systems have a job of this name.
    if system == "pisovereign":
        jobs = jobs.replace("job_name: node-exporter", "job_name: node-exporter-pi")
    return process, jobs, told["control"]


def in_own_names(directory):
    """Starts this program again where the documents' names lead to one address; nobody else on this machine sees that."""
    hosts = os.path.join(directory, "hosts")
    with open(hosts, "w") as file:
        file.write(f"{ADDRESS} {NAMES}\n")
    script = 'mount --bind "$0" /etc/hosts && exec "$@"'
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", script, hosts, sys.executable, os.path.abspath(__file__), "--within", directory]
    return subprocess.call(command, env=dict(os.environ, CURL_HOME=directory))


class Peer(BaseHTTPRequestHandler):
    """The programs that are watched, as far as the commands ask them: AI services, an assistant, a database's port."""

    def do_GET(self):
        body = b'{"status": "healthy", "device": "cuda:0", "vram_used_gb": 6.1, "gpu_utilization": 41, "temperature": 61, "power_watts": 120}'
        if self.path == "/metrics/prometheus":
            body = b"# TYPE app_uptime_seconds counter\napp_uptime_seconds 12\n# TYPE inference_healthy gauge\ninference_healthy 1\n"
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def peers(directory):
    for port in (3000, 8090, 8091, 8095, 8080):
        server = ThreadingHTTPServer((ADDRESS, port), Peer)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    database = socket.create_server((ADDRESS, 5432))
    threading.Thread(target=lambda: [database.accept() for _ in iter(int, 1)], daemon=True).start()
    if shutil.which("redis-server"):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(["redis-server", "--bind", ADDRESS, "--port", "6379", "--save", "", "--dir", directory, "--protected-mode", "no"], **quiet)
    return None


def ask(path, body=None, kind="application/json", port=8000, method=None):
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{ADDRESS}:{port}{path}", data=data, headers={"content-type": kind}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def families(queries, metrics):
    """Every series that a query of the table speaks of: name, labels, kind."""
    kinds = {row["name"]: row for row in metrics}
    found = {}
    for query in queries:
        wanted = [set(names.replace(" ", "").split(",")) for names in re.findall(r"\bby\s*\(([^)]*)\)", query)]
        for name, matchers in re.findall(r"\b([a-z_][a-z0-9_]{3,})\b\s*(\{[^}]*\})?(?!\s*\()", query):
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            row = kinds.get(name) or kinds.get(base)
            if row is None or row["row_kind"] in ("recorded", "json_field"):
                continue
            histogram = row["type"] == "histogram" or name.endswith("_bucket")
            labels = dict.fromkeys(sorted(set().union(*wanted) - {"le", "instance"} if wanted else set()), "x")
            for label in filter(None, (row.get("labels") or "").replace(" ", "").split(",")):
                labels.setdefault(label, "x")
            variants = [labels]
            for label, sign, value in re.findall(r'(\w+)\s*(=~|=)\s*["\']([^"\']*)["\']', matchers or ""):
                if label == "le":
                    continue
                values = [v.replace("..", "03").replace(".*", "a") for v in value.split("|")] if sign == "=~" else [value]
                variants = [dict(v, **{label: one}) for v in variants for one in values]
            for one in variants:
                one.pop("le", None)
                counter = not histogram and (row["type"] == "counter" or name.endswith("_total"))
                key = (base if histogram else name, tuple(sorted(one.items())))
                found[key] = "histogram" if histogram else "counter" if counter else "gauge"
    return found


def history(queries, metrics, path):
    """Two hours of samples every fifteen seconds, as text with times."""
    now = int(time.time())
    times = range(now - 7200, now + 1, 15)
    by_name = {}
    for (name, labels), kind in families(queries, metrics).items():
        by_name.setdefault((name, kind), []).append(labels)
    with open(path, "w") as out:
        for (name, kind), series in sorted(by_name.items()):
            # In this format a counter's family has no ending; names that do not keep to it are written without a type.
            if kind == "histogram":
                out.write(f"# TYPE {name} histogram\n")
            for labels in series:
                text = ",".join(f'{k}="{v}"' for k, v in labels)
                for step, at in enumerate(times):
                    braces = f"{{{text}}}" if text else ""
                    if kind == "histogram":
                        comma = text + "," if text else ""
                        for share, bound in ((0.2, "0.1"), (0.5, "0.5"), (0.9, "0.9"), (0.95, "5"), (1.0, "+Inf")):
                            out.write(f'{name}_bucket{{{comma}le="{bound}"}} {int(step * 10 * share)} {at}\n')
                        out.write(f"{name}_sum{braces} {step * 4} {at}\n{name}_count{braces} {step * 10} {at}\n")
                    else:
                        value = step * 3 if kind == "counter" else 1 if name.startswith(("up", "camera_connection")) else 40 + step % 7
                        out.write(f"{name}{braces} {value} {at}\n")
        out.write("# EOF\n")


def fill(program, directory, queries, metrics):
    path = os.path.join(directory, "history.txt")
    history(queries, metrics, path)
    done = subprocess.run([program, "import", path, "--url", f"http://{ADDRESS}:8000"], capture_output=True, text=True)
    if done.returncode not in (0, 1):
        sys.exit(f"cannot fill the store: {done.stdout}{done.stderr}")
    now = time.time_ns()
    lines = [
        ({"container": "backend", "camera": "front_door", "job": "backend"}, "ERROR connection timeout"),
        ({"container": "backend", "job": "backend"}, f"Detection complete trace_id={TRACE}"),
        ({"container": "backend", "job": "backend"}, "Detection complete trace_id=abc123..."),
        ({"container": "postgres", "pg_slow_query": "1520"}, "duration: 1520 ms statement: SELECT 1"),
        ({"container": "ai-yolo26", "level": "ERROR"}, "an error of the model"),
    ]
    streams = [{"stream": labels, "values": [[str(now + i), line]]} for i, (labels, line) in enumerate(lines)]
    assert ask("/loki/api/v1/push", {"streams": streams}, port=3100)[0] == 204
    at = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    documents = [
        {"component": "recording", "level": "ERROR", "message": "connection failed", "camera_id": "cam-1"},
        {"component": "api", "status": 503, "response_time": 1800, "message": "slow"},
        {"component": "auth", "event": "failed_login", "message": "refused"},
    ]
    bulk = "".join(f'{{"index":{{"_index":"vms-logs"}}}}\n{json.dumps(dict(d, **{"@timestamp": at}))}\n' for d in documents)
    assert ask("/_bulk", bulk.encode(), "application/x-ndjson", port=9200)[0] == 200
    span = {"traceId": TRACE, "spanId": "abcdef1234567890", "name": "detect", "startTimeUnixNano": str(now - 10**9), "endTimeUnixNano": str(now)}
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "nemotron-backend"}}]}
    assert ask("/v1/traces", {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]})[0] == 200
    for queue, jobs in (("detection_queue", 3), ("analysis_queue", 1)):
        for _ in range(jobs):
            ask(f"/api/queues/{queue}/jobs", {"camera_id": "front_door"})
        for job in json.loads(ask(f"/api/queues/{queue}/lease?worker=w&count={jobs}", {})[1])["jobs"]:
            ask(f"/api/queues/{queue}/leases/{job['lease']}/fail", {"error": "Connection timeout to RT-DETRv2", "retry": False})
    items = [{"name": "hsi_llm_context_utilization", "value": 0.93}, {"name": "hsi_events_created_total", "value": 1}]
    ask("/api/metrics/record", items)
    ask("/api/llm/validate", {"prompt": "word " * 120000})


def expectation(command, expects, out, code):
    """Whether what was printed is what the table says; a reason where it is not."""
    if "Nothing" in expects:
        return None if not out.strip() else "something was printed"
    if "TCP connection" in expects:
        return None if code in (0, 1, 52, 56) or "Connected" in out else "no connection"
    if "2>&1 | grep -i error" in command:
        return None
    if not out.strip():
        return "nothing was printed"
    if expects.startswith("JSON") or "| jq" in command or expects.startswith('{"'):
        try:
            decoder, text = json.JSONDecoder(), out.strip()
            while text:
                value, end = decoder.raw_decode(text)
                text = text[end:].lstrip()
        except ValueError:
            return "no JSON"
        if expects == '"green" or "yellow"':
            return None if value in ("green", "yellow") else f"it is {value}"
        if expects.startswith('{"detection_queue_count"'):
            wanted = json.loads(expects)
            return None if {k: value.get(k) for k in wanted} == wanted else f"it is {value}"
        return None
    for words in re.findall(r"probe_success 1|redis_up 1|hsi_\w*", expects):
        if words.strip("_") not in out and words.replace("hsi_*", "hsi_") not in out:
            return f"{words} is missing"
    return None


def shell(command, directory):
    done = subprocess.run(["bash", "-c", command], cwd=directory, capture_output=True, text=True, timeout=60)
    return done.stdout + (done.stderr if "-v " in command else ""), done.returncode


def run_command(row, directory, documented, taken_over):
    command, expects = row["command"], row["expects"]
    if row["where"] == "container command":
        if command.startswith("command:"):
            return "explained", "a database's own arguments: it stays, and its lines are read (docs/guides/collecting-logs.md)"
        return ("passed", "") if command in taken_over else ("failed", "watchfire adopt says nothing of it")
    if row["kind"] == "curl":
        if "answers" in expects:
            # A page may lie behind a redirection, of which curl prints nothing.
            out, _ = shell(command.split("#")[0] + " -o /dev/null -w '%{http_code}'", directory)
            return ("passed", "") if out[:1] in ("2", "3") else ("failed", f"it answers {out}")
        out, code = shell(command, directory)
        reason = expectation(command, expects, out, code)
        return ("failed", f"{reason}: {out.strip()[:120]}") if reason else ("passed", "")
    if command.startswith("grep "):
        out, _ = shell(command, directory)
        return ("passed", "") if out.strip() else ("failed", "nothing was found")
    for pattern, words, instead in INSTEAD:
        match = re.search(pattern, command)
        if not match:
            continue
        if words not in documented:
            return "failed", f"docs/guides/replacements.md says nothing of {words}"
        if not instead:
            return "explained", "replaced: docs/guides/replacements.md"
        out, code = shell(match.expand(instead) if match.groups() else instead, directory)
        return ("passed", "by its replacement") if out.strip() and code == 0 else ("failed", f"its replacement printed {out.strip()[:100]!r}")
    return "failed", "nobody knows what to do with it"


def run_query(row):
    query, language = row["query"], row["language"]
    quoted = urllib.parse.quote(query)
    if language == "promql":
        if "..." in query:
            return "explained", "it is cut short in the document"
        status, body = ask(f"/api/v1/query?query={quoted}", port=9090)
        if status != 200:
            return "failed", body.decode()[:160]
        result = json.loads(body)["data"]["result"]
        # A comparison asks whether something is wrong; with data that are well it is right to answer nothing.
        if result or re.search(r"(==|>=|<=|>|<)\s*[-\d.]+\s*\)?$", query):
            return "passed", ""
        reason = next((why for pattern, why in EMPTY if re.search(pattern, query)), None)
        return ("explained", reason) if reason else ("failed", "the result is empty")
    if language == "logql":
        status, body = ask(f"/loki/api/v1/query_range?query={quoted}", port=3100)
        return ("passed", "") if status == 200 and json.loads(body)["data"]["result"] else ("failed", body.decode()[:160])
    if language == "lucene/kql":
        status, body = ask(f"/vms-logs/_search?q={quoted}", port=9200)
        hits = json.loads(body).get("hits", {}).get("total", {}).get("value", 0) if status == 200 else 0
        return ("passed", "") if hits else ("failed", body.decode()[:160])
    return None


def panels():
    """Every query of the packs' dashboards: pack, title, text."""
    found = []

    def collect(pack, value):
        for panel in value.get("panels", []):
            found.extend((pack, panel.get("title", ""), target["expr"]) for target in panel.get("targets", []) if target.get("expr"))
            collect(pack, panel)

    for pack in BOARDS:
        directory = os.path.join(ROOT, "packs", pack, "dashboards")
        for name in sorted(os.listdir(directory)):
            with open(os.path.join(directory, name), encoding="utf-8") as file:
                collect(pack, json.load(file))
    return found


def has_data(query):
    known = {"$__rate_interval": "1m", "$__range": "1h", "$job": ".+", "$instance": ".+", "$search": ""}
    for name, value in known.items():
        query = query.replace(name, value)
    if "{container" in query:
        status, body = ask(f"/loki/api/v1/query_range?query={urllib.parse.quote(query)}", port=3100)
        return status == 200 and bool(json.loads(body)["data"]["result"])
    status, body = ask(f"/api/v1/query?query={urllib.parse.quote(query)}", port=9090)
    return status == 200 and any(series["value"][1] != "NaN" for series in json.loads(body)["data"]["result"])


def run_panels():
    """Asks every panel until it has data; what has none at the end is named."""
    waiting = [panel for panel in panels() if panel[:2] not in BARE]
    results = [("panel", f"{pack}: {title}", "explained", BARE[pack, title]) for pack, title, _ in panels() if (pack, title) in BARE]
    deadline = time.time() + PANELS_S
    while waiting:
        good = [panel for panel in waiting if has_data(panel[2])]
        results.extend(("panel", f"{pack}: {title}", "passed", "") for pack, title, _ in good)
        waiting = [panel for panel in waiting if panel not in good]
        if time.time() > deadline:
            break
        if waiting:
            time.sleep(2)
    return results + [("panel", f"{pack}: {title}: {query}", "failed", "no data") for pack, title, query in waiting]


def web_socket(directory, seeds):
    """The documents' client as it is written, in Node.js."""
    path = os.path.join(seeds, "code_blocks", "000_81_ws_client.ts")
    if not shutil.which("node") or not os.path.isfile(path):
        return "explained", "there is no Node.js or no such client"
    script = os.path.join(directory, "client.js")
    with open(script, "w") as file:
        file.write(open(path, encoding="utf-8").read() + "\nsetTimeout(() => process.exit(0), 12000);\n")
    done = subprocess.run(["node", "--experimental-websocket", script], capture_output=True, text=True, timeout=60)
    if "GPU Utilization:" in done.stdout and "undefined" not in done.stdout:
        return "passed", ""
    return "failed", (done.stdout + done.stderr)[-160:]


def configured(directory, seeds):
    """The files that the commands take for granted, and what `watchfire adopt` makes of the arguments of containers."""
    os.makedirs(os.path.join(directory, "data/logs"), exist_ok=True)
    monitoring = os.path.join(directory, "monitoring")
    os.makedirs(monitoring, exist_ok=True)
    target = f"{ADDRESS}:3000"
    with open(os.path.join(directory, "watchfire.yml"), "w") as file:
        file.write("packs: [hsi, pisovereign, vms]\n")
    with open(os.path.join(monitoring, "prometheus.yml"), "w") as file:
        file.write(f"global: {{scrape_interval: 5s}}\nscrape_configs:\n- {{job_name: pisovereign-page, metrics_path: /metrics/prometheus, static_configs: [{{targets: ['{target}']}}]}}\n")
        file.write("- {job_name: redis, static_configs: [{targets: ['redis-exporter:9121']}]}\n- {job_name: prometheus, static_configs: [{targets: ['localhost:9090']}]}\n")
        for module, probed in (("http_health", "http://backend:8000/api/system/health"), ("tcp_connect", "postgres:5432")):
            relabel = "[{source_labels: [__address__], target_label: __param_target}, {target_label: __address__, replacement: 'blackbox-exporter:9115'}]"
            file.write(f"- {{job_name: probe-{module}, metrics_path: /probe, params: {{module: [{module}]}}, static_configs: [{{targets: ['{probed}']}}], relabel_configs: {relabel}}}\n")
        for module, probed in (("health", "/api/system/health"), ("gpu", "/api/system/gpu")):
            file.write(f"- {{job_name: json-{module}, metrics_path: /probe, params: {{module: [{module}], target: ['http://backend:8000{probed}']}}, static_configs: [{{targets: ['json-exporter:7979']}}]}}\n")
    environment = {"OTEL_ENABLED": "true", "OTEL_SERVICE_NAME": "watchfire", "WATCHFIRE_LOG_FILE": "data/logs/security.log", "REDIS_ADDR": "redis://redis:6379",
                   "GPU_POLL_INTERVAL_SECONDS": "1.0", "WATCHFIRE_GPU_AI_SERVICE_URLS": f"http://{ADDRESS}:8095/health", "WATCHFIRE_LOG_LEVEL": "info"}
    with open(os.path.join(directory, ".env"), "w") as file:
        file.writelines(f"{k}={v}\n" for k, v in environment.items())
    with open(os.path.join(directory, ".curlrc"), "w") as file:
        file.write(f'silent\nshow-error\nmax-time = 20\nconnect-to = "::{ADDRESS}:"\n')
    arguments = [row["command"] for row in rows(seeds, "commands.tsv") if row["where"] == "container command" and row["command"].startswith("-")]
    compose = "services:\n  p:\n    image: prom/prometheus\n    command: " + json.dumps([a for a in arguments if a.startswith("--")])
    compose += "\n    volumes: ['./prometheus:/etc/prometheus']"
    compose += "\n  l:\n    image: grafana/loki\n    command: " + json.dumps([a for a in arguments if not a.startswith("--")]) + "\n    volumes: ['./loki:/etc/loki']\n"
    with open(os.path.join(directory, "compose.yml"), "w") as file:
        file.write(compose)
    report = json.loads(subprocess.run([binary(), "adopt", "--json", "compose.yml"], cwd=directory, capture_output=True, text=True).stdout)
    settings = [s for c in report["containers"] for s in c["settings"] if not s["becomes"].startswith("not honoured")]
    return environment, {s["written"] for s in settings}


def within(directory):
    seeds, program = tables(), binary()
    commands, queries, metrics = (rows(seeds, name) for name in ("commands.tsv", "queries.tsv", "metrics.tsv"))
    redis = peers(directory)
    environment, taken_over = configured(directory, seeds)
    monitoring, systems = os.path.join(directory, "monitoring", "prometheus.yml"), []

    def simulate_too(system):
        process, jobs, control = simulated(directory, system)
        systems.append(process)
        with open(monitoring, "a") as file:
            file.write(jobs)
        return control

    if simulate():
        simulate_too("vms")
        simulate_too("pisovereign")
    else:
        print("SKIPPED: the simulators are not built, so no panel is asked (cargo build -p simulators)")
    log = open(os.path.join(directory, "watchfire.log"), "w")
    arguments = ["serve", "--listen", f"{ADDRESS}:8000", "--data-dir", "data/store", "--config", "watchfire.yml", "--monitoring-dir", "monitoring", "--drop-in"]
    server = subprocess.Popen([program, *arguments], cwd=directory, env=dict(os.environ, **environment), stdout=log, stderr=log)
    results = []
    try:
        deadline = time.time() + 60
        while True:
            try:
                if ask("/health")[0] == 200:
                    break
            except OSError:
                pass
            if server.poll() is not None or time.time() > deadline:
                sys.exit("cannot start the server: " + open(log.name).read()[-600:])
            time.sleep(0.2)
        fill(program, directory, [q["query"] for q in queries if q["language"] == "promql"], metrics)
        deadline = time.time() + LATEST_S
        while time.time() < deadline and any(t["health"] != "up" for t in json.loads(ask("/api/v1/targets")[1])["data"]["activeTargets"]):
            time.sleep(1)
        documented = open(os.path.join(ROOT, "docs/guides/replacements.md"), encoding="utf-8").read()
        for row in commands:
            results.append((row["kind"], row["command"], *run_command(row, directory, documented, taken_over)))
        if simulate():
            # Not before: its workers would take the jobs whose number the commands are checked against.
            control = simulate_too("hsi")
            server.send_signal(signal.SIGHUP)
            # Pictures that are only half written are what the panels of errors show.
            torn = f"http://{control}/parts/cameras/fault/torn"
            for method in ("POST", "DELETE"):
                urllib.request.urlopen(urllib.request.Request(torn, method=method, data=b""), timeout=30).read()
                time.sleep(3)
        for row in queries:
            outcome = run_query(row)
            if outcome:
                results.append((row["language"], row["query"], *outcome))
        if simulate():
            results.extend(run_panels())
        results.append(("websocket", "the client of the documents", *web_socket(directory, seeds)))
    finally:
        for process in systems:
            process.stdin.close()
            process.wait(30)
        for process in filter(None, (server, redis)):
            process.send_signal(signal.SIGTERM)
            process.wait(20)
    return told(results)


def told(results):
    kinds = sorted({kind for kind, *_ in results})
    for kind, text, outcome, reason in results:
        if outcome != "passed" or reason:
            print(f"{outcome:9} {kind:11} {' '.join(text.split())[:110]}" + (f"\n          {reason}" if reason else ""))
    print(f"\n{'kind':12}{'run':>6}{'passed':>8}{'explained':>11}{'failed':>8}")
    for kind in [*kinds, "all"]:
        own = [outcome for k, _, outcome, _ in results if kind in (k, "all")]
        print(f"{kind:12}{len(own):6}{own.count('passed'):8}{own.count('explained'):11}{own.count('failed'):8}")
    return 1 if any(outcome == "failed" for *_, outcome, _ in results) else 0


def main():
    if sys.argv[1:2] == ["--within"]:
        return within(sys.argv[2])
    if tables() is None:
        print("SKIPPED: the documents' tables are not at hand: set WATCHFIRE_SEEDS to a directory with commands.tsv and queries.tsv")
        return 0
    for needed in ("curl", "jq", "unshare"):
        if shutil.which(needed) is None:
            sys.exit(f"cannot run the commands of the documents: {needed} is not installed")
    directory = tempfile.mkdtemp(prefix="watchfire-seeds-")
    try:
        return in_own_names(directory)
    finally:
        if not os.environ.get("KEEP"):
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
