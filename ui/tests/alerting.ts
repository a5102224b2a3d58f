// What a server answers that has rules, alerts in every state, silences and findings. Silences are remembered and keep quiet what they
// match by equality. Not an Alertmanager.
import { series as answering, type Shape, wave } from "./answers.ts";
import type { Handler } from "./mock.ts";

const MINUTE_MS = 60_000;
const ago = (minutes: number): string => new Date(Date.now() - minutes * MINUTE_MS).toISOString();

type Fields = Record<string, unknown>;
type Pairs = Record<string, string>;
interface Matcher {
  name: string;
  value: string;
  isEqual: boolean;
  isRegex: boolean;
}
interface Held {
  labels: Pairs;
  annotations: Pairs;
  receiver: string;
  group: Pairs;
  minutes: number;
  inhibitedBy?: string[];
  mutedBy?: string[];
}

export const EVIL = "<img src=x onerror=alert(1)> <b>not bold</b>";

const fingerprint = (labels: Pairs): string => Object.values(labels).join("").length.toString(16).padStart(4, "0") + (labels["instance"] ?? "").replaceAll(/\W/g, "").padEnd(12, "0");
const camera = (id: string, severity: string): Pairs => ({ alertname: "CameraOffline", severity, camera_id: id, instance: `10.0.0.${id.length}:8090`, job: "vms" });

export class Alerting {
  readonly changes: string[] = [];
  readonly silences: Fields[] = [
    silence("5d1", "active", { alertname: "DiskNearlyFull", instance: "nas:9100" }, -95, 145, "ada", "the new disk arrives on Friday"),
    silence("7e2", "pending", { job: "blackbox" }, 600, 720, "bob", "router update"),
    silence("9f3", "expired", { alertname: "GPUHot" }, -900, -600, "ada", ""),
  ];
  readonly held: Held[] = [
    held(camera("front_door", "critical"), "oncall", 12, "Camera front_door has not answered for 5 min"),
    held(camera("garage", "critical"), "oncall", 3, "Camera garage has not answered for 5 min"),
    { ...held({ alertname: "DiskNearlyFull", severity: "warning", instance: "nas:9100", job: "node", mountpoint: "/srv/cameras" }, "mail", 300, "6 % of /srv/cameras are free"), group: { alertname: "DiskNearlyFull" } },
    { ...held({ alertname: "SlowAnswers", severity: "warning", instance: "hub:8000", job: "vms" }, "mail", 8, "p95 is 4.2 s"), inhibitedBy: [fingerprint(camera("front_door", "critical"))] },
    { ...held({ alertname: "NightlyReport", severity: "info", instance: "hub:8000", job: "vms" }, "mail", 55, "The report is late"), mutedBy: ["working_hours"] },
    held({ alertname: "FromElsewhere", severity: "page", instance: "router:161", reason: EVIL }, "oncall", 1, EVIL),
  ];
  groups: Fields[] = ruleGroups();
  findings: Fields[] = FINDINGS;
  /** How many files the doctor could read. */
  files = 6;
  dead: Fields[] = [
    {
      id: "d1",
      receiver: "mail",
      integration: "email",
      index: 0,
      group_key: '{}:{alertname="CameraOffline"}',
      reason: "cannot send mail to smtp.example.net:587: 550 5.1.1 no such mailbox",
      first_at: ago(700),
      last_at: ago(70),
      times: 3,
      attempts: 41,
      alerts_count: 1,
      alerts: [camera("garage", "critical")],
    },
  ];

  readonly handler: Handler = (asked) => {
    const { method, path, params, body } = asked;
    if (method !== "GET" && path.startsWith("/api/v2/")) this.changes.push(`${method} ${path}${body === "" ? "" : ` ${body}`}`);
    switch (path) {
      case "/api/v2/alerts/groups":
        return { body: this.#grouped() };
      case "/api/v2/alerts":
        return { body: this.held.filter((it) => matches(matchersIn(params.get("filter") ?? ""), it.labels)).map((it) => this.#alert(it)) };
      case "/api/v2/silences":
        return method === "POST" ? this.#set(JSON.parse(body)) : { body: this.silences };
      case "/api/v2/receivers":
        return { body: [{ name: "oncall" }, { name: "mail" }] };
      case "/api/system/notifications/dead-letters":
        return { body: { total: this.dead.length, items: this.dead } };
      case "/api/v1/rules":
        return { body: { status: "success", data: { groups: params.get("type") === "alert" ? alertingOnly(this.groups) : this.groups } } };
      case "/api/v1/alertmanagers":
        return { body: { status: "success", data: { activeAlertmanagers: [], droppedAlertmanagers: [] } } };
      case "/api/system/doctor":
        return { body: { checked_at: ago(0.2), files: this.files, findings: this.findings } };
    }
    const [, id] = /^\/api\/v2\/silence\/(.+)$/.exec(path) ?? [];
    const found = this.silences.find((it) => it["id"] === id);
    if (!found || method !== "DELETE") return this.held.length > 0 ? series(asked) : undefined;
    found["status"] = { state: "expired" };
    return { body: "" };
  };

  #set(posted: Fields): { status?: number; body: unknown } {
    if ((posted["matchers"] as Matcher[]).every((it) => it.value === ".*")) return { status: 400, body: '"invalid silence: at least one matcher must not match the empty string"' };
    const old = this.silences.find((it) => it["id"] === posted["id"]);
    const id = old ? String(posted["id"]) : `new${this.silences.length}`;
    const set = { ...posted, id, status: { state: "active" }, updatedAt: ago(0) };
    if (old) Object.assign(old, set);
    else this.silences.unshift(set);
    return { body: { silenceID: id } };
  }

  #alert(it: Held): Fields {
    const by = this.silences.filter((silence) => (silence["status"] as Fields)["state"] === "active" && matches(silence["matchers"] as Matcher[], it.labels));
    const { inhibitedBy = [], mutedBy = [] } = it;
    return {
      fingerprint: fingerprint(it.labels),
      labels: it.labels,
      annotations: it.annotations,
      startsAt: ago(it.minutes),
      updatedAt: ago(0.2),
      endsAt: ago(-4),
      receivers: [{ name: it.receiver }],
      status: { state: by.length > 0 ? "suppressed" : "active", silencedBy: by.map((silence) => silence["id"]), inhibitedBy, mutedBy },
      generatorURL: it.labels["reason"] ? "javascript:alert(1)" : "http://127.0.0.1:8000/graph?g0.expr=up",
    };
  }

  #grouped(): Fields[] {
    const groups = new Map<string, { labels: Pairs; receiver: { name: string }; alerts: Fields[] }>();
    for (const it of this.held) {
      const key = JSON.stringify([it.group, it.receiver]);
      const group = groups.get(key) ?? { labels: it.group, receiver: { name: it.receiver }, alerts: [] };
      group.alerts.push(this.#alert(it));
      groups.set(key, group);
    }
    return [...groups.values()];
  }
}

function held(labels: Pairs, receiver: string, minutes: number, summary: string): Held {
  return { labels, annotations: { summary, runbook_url: "https://runbooks.example.net/camera" }, receiver, minutes, group: { alertname: labels["alertname"] ?? "" } };
}

function silence(id: string, state: string, labels: Pairs, from: number, to: number, createdBy: string, comment: string): Fields {
  const matchers = Object.entries(labels).map(([name, value]) => ({ name, value, isEqual: true, isRegex: false }));
  return { id, status: { state }, matchers, startsAt: ago(-from), endsAt: ago(-to), updatedAt: ago(-from), createdBy, comment };
}

/** Only what the page writes: `{name="value",other!="x"}`. */
function matchersIn(filter: string): Matcher[] {
  return [...filter.matchAll(/(\w+)(!?)(=~|~|=)"((?:[^"\\]|\\.)*)"/g)].map(([, name = "", not, op, value = ""]) => ({
    name,
    value: value.replaceAll('\\"', '"'),
    isEqual: not === "",
    isRegex: op !== "=",
  }));
}

function matches(all: readonly Matcher[], labels: Pairs): boolean {
  return all.every(({ name, value, isEqual, isRegex }) => {
    const found = labels[name] ?? "";
    return (isRegex ? new RegExp(`^(?:${value})$`).test(found) : found === value) === isEqual;
  });
}

function alerting(name: string, query: string, more: Fields = {}): Fields {
  return {
    state: "inactive",
    name,
    query,
    duration: 300,
    keepFiringFor: 0,
    labels: { severity: "warning" },
    annotations: { summary: "{{ $labels.instance }}" },
    alerts: [],
    health: "ok",
    evaluationTime: 0.0012,
    lastEvaluation: ago(0.3),
    type: "alerting",
    ...more,
  };
}

function ruleGroups(): Fields[] {
  const offline = camera("front_door", "critical");
  const firing = { labels: offline, annotations: { summary: "Camera front_door has not answered for 5 min" }, state: "firing", activeAt: ago(17), value: "0e+00" };
  const pending = { labels: { alertname: "QueueDeep", severity: "warning", queue: "detection" }, annotations: { summary: "140 jobs wait" }, state: "pending", activeAt: ago(2), value: "1.4e+02" };
  const group = (name: string, file: string, rules: Fields[], more: Fields = {}): Fields => ({ name, file, rules, interval: 60, limit: 0, evaluationTime: 0.0052, lastEvaluation: ago(0.3), ...more });
  return [
    group("cameras", "/etc/prometheus/rules/cameras.yml", [
      alerting("CameraOffline", 'camera_connection_status{job="vms"} == 0', { state: "firing", labels: { severity: "critical" }, alerts: [firing] }),
      alerting("CameraSlow", "histogram_quantile(0.95, sum by (le, camera_id) (rate(camera_frame_seconds_bucket[5m]))) > 2"),
    ]),
    group(
      "pipeline",
      "/etc/prometheus/rules/pipeline.yml",
      [
        { name: "job:queue_depth:max", query: "max by (queue) (hsi_queue_depth)", health: "ok", evaluationTime: 0.0005, lastEvaluation: ago(0.3), type: "recording" },
        alerting("QueueDeep", "job:queue_depth:max > 100", { state: "pending", alerts: [pending] }),
        alerting("ErrorBudget", "errors_total / on (job) requests_total > 0.1", {
          health: "err",
          lastError: 'found duplicate series for the match group {job="vms"} on the right hand-side of the operation;many-to-many matching not allowed',
          evaluationTime: 0.14,
          labels: { severity: "critical", team: "video" },
        }),
        alerting("NeverLooked", "up == 0", { health: "unknown", lastEvaluation: "0001-01-01T00:00:00Z", evaluationTime: 0 }),
      ],
      { interval: 15, evaluationTime: 21.5 },
    ),
  ];
}

function alertingOnly(groups: readonly Fields[]): Fields[] {
  return groups.map((it) => ({ ...it, rules: (it["rules"] as Fields[]).filter((rule) => rule["type"] === "alerting") }));
}

const finding = (code: string, file: string, line: number, column: number, subject: string, message: string, suggestion: string | null): Fields => ({
  severity: "warning",
  code,
  file,
  line,
  column,
  subject,
  message,
  suggestion,
});
const FINDINGS: Fields[] = [
  finding("unknown-metric", "/etc/prometheus/rules/pipeline.yml", 12, 11, "QueueDeep", "no catalog and no rule knows hsi_detection_queue_size", "hsi_detection_queue_depth > 5"),
  finding("unknown-metric", "/etc/prometheus/rules/pipeline.yml", 31, 11, "WorkerGone", "the server has had no series hsi_worker_stat in seven days", null),
  finding("divided-by-itself", "/etc/prometheus/rules/pipeline.yml", 44, 13, "ErrorBudget", EVIL, 'sum without (result) (rate(c{result="failure"}[5m])) / sum without (result) (rate(c[5m]))'),
  finding("route-never-matches", "/etc/alertmanager/alertmanager.yml", 18, 7, "route to pager", 'no rule raises an alert with severity="page"', "severity is critical, warning"),
  finding("clock-not-synced", "server", 0, 0, "clock", "nobody keeps the clock of this machine right", "let a time service such as chrony or systemd-timesyncd run"),
];

/** Two series of ALERTS: one that fires now, one that fired twice. */
const HISTORY: readonly { labels: Pairs; spans: readonly (readonly [number, number])[] }[] = [
  { labels: { alertname: "CameraOffline", alertstate: "firing", severity: "critical", camera_id: "front_door" }, spans: [[12, 0]] },
  { labels: { alertname: "QueueDeep", alertstate: "firing", severity: "warning", queue: "detection" }, spans: [[50, 41], [30, 26]] },
];

const series: Handler = (asked) => {
  const expr = asked.params.get("query") ?? "";
  const now = Date.now() / 1000;
  const times = /^ts_of_(first|last)_over_time\(ALERTS\{alertstate="firing"\}\[(\d+)s\]\)$/.exec(expr);
  if (times && asked.path === "/api/v1/query_range") {
    const [start, end, step] = ["start", "end", "step"].map((it) => Number(asked.params.get(it))) as [number, number, number];
    const result = HISTORY.map(({ labels, spans }) => {
      const values: [number, string][] = [];
      for (let time = start; time <= end; time += step) {
        const span = spans.find(([from, to]) => now - from * 60 <= time && now - to * 60 >= time - step);
        if (!span) continue;
        const [from, to] = [Math.max(now - span[0] * 60, time - step + 1), Math.min(now - span[1] * 60, time)];
        values.push([time, String(times[1] === "first" ? from : to)]);
      }
      return { metric: labels, values };
    }).filter((it) => it.values.length > 0);
    return { body: { status: "success", data: { resultType: "matrix", result } } };
  }
  return figures(asked);
};

const figures = answering((expr): Shape[] | undefined => {
  if (expr === 'ALERTS{alertstate="firing"}') return HISTORY.slice(0, 1).map(({ labels }) => ({ labels: { __name__: "ALERTS", ...labels }, at: () => 1 }));
  if (expr.includes("alertmanager_notifications_failed_total")) return [{ labels: { integration: "email", reason: "later" }, at: () => 41 }, { labels: { integration: "email", reason: "refused" }, at: () => 1 }];
  if (expr.includes("alertmanager_notifications_total")) return [{ labels: { integration: "webhook" }, at: (t) => Math.round(wave(t, 1e9, 18, 18)) }, { labels: { integration: "email" }, at: () => 44 }];
  if (expr.includes("watchfire_alert_notifications_queued")) return [{ labels: {}, at: () => 2 }];
  return undefined;
});

/** A server without a rule, an alert or a finding. */
export function quiet(): Alerting {
  const found = new Alerting();
  found.silences.length = 0;
  found.held.length = 0;
  found.dead.length = 0;
  found.groups = [];
  found.findings = [];
  found.files = 0;
  return found;
}
