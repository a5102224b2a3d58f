// The forms of a board's variables and annotations: what each kind has, and what else of the JSON follows from it. Not their values
// (variables/resolve.ts).
import { isRecord } from "../../api/request";
import type { Fields } from "../model/types";
import { flag, oneOrMore, part, parts, text, withAt } from "../model/values";
import { customOptions } from "../variables/question";
import { ALL } from "../variables/resolve";
import { type Choices, type Spec, spec } from "./form";
import { t } from "../../words/t";

export const VARIABLE_TYPES: Choices = [["query", t("query")], ["custom", t("list of values")], ["constant", t("constant")], ["interval", t("interval")], ["datasource", t("data source")], ["textbox", t("text box")], ["adhoc", t("ad hoc filters")], ["switch", t("switch")]];
const HIDING: Choices = [[0, t("shown")], [1, t("shown without its label")], [2, t("not shown")]];
const ORDERS: Choices = [t("as it comes"), t("A to Z"), t("Z to A"), t("1 to 9"), t("9 to 1"), t("a to z, any case"), t("z to a, any case"), t("natural"), t("natural, backwards")].map((words, at) => [at, words] as const);
const SOURCES: Choices = [["prometheus", "Prometheus"], ["loki", "Loki"], ["tempo", "Tempo"], ["grafana-pyroscope-datasource", "Pyroscope"], ["alertmanager", "Alertmanager"]];
const ASKED = SOURCES.slice(0, 2);
const SEVERAL = [spec("multi", t("several at once"), "flag"), spec("includeAll", t("all can be chosen"), "flag"), spec("allValue", t("Value of all"), "text", ".*")];
const FIRST = spec("__first", t("Chosen at first"), "text", "All");

export function variableSpecs(raw: Fields): Spec[] {
  const head = [spec("name", t("Name")), spec("type", t("Kind"), VARIABLE_TYPES), spec("label", t("Label")), spec("hide", t("In the bar"), HIDING)];
  switch (raw["type"]) {
    case "query": {
      const inner = raw["query"];
      // Prometheus' question is text, also within newer files' objects; Loki's comes in fields.
      const question = isRecord(inner) ? ("query" in inner ? spec("query.query", t("Question"), "long") : spec("query", t("Question"), "json")) : spec("query", t("Question"), "long", "label_values(up, instance)");
      return [...head, spec("datasource.type", t("Data source"), ASKED), question, spec("regex", t("Pattern"), "text", "/(.*):9100/"), spec("sort", t("Order"), ORDERS), ...SEVERAL, FIRST];
    }
    case "custom":
      return [...head, spec("query", t("Values"), "long", "one, two, Three words : three"), ...SEVERAL, FIRST];
    case "interval":
      return [...head, spec("query", t("Values"), "text", "1m,10m,1h"), spec("auto", t("one that fits the range"), "flag"), spec("auto_count", t("Steps in the range"), "number", "30"), spec("auto_min", t("At least"), "text", "10s"), FIRST];
    case "datasource":
      return [...head, spec("query", t("Of type"), SOURCES), spec("regex", t("Pattern")), spec("multi", t("several at once"), "flag"), spec("includeAll", t("all can be chosen"), "flag"), FIRST];
    case "constant":
    case "textbox":
      return [...head, spec("query", t("Value"))];
    case "adhoc":
      return [...head, spec("datasource.type", t("Data source"), ASKED), spec("__filters", t("Filters at first, one on a line"), "long", 'job=web')];
    case "switch":
      return [...head, spec("__first", t("At first"), [["true", t("on")], ["false", t("off")]])];
    default:
      return head;
  }
}

const FILTER = /^\s*([^=!<>\s]+)\s*(=~|!~|!=|=|<|>)\s*(.*?)\s*$/;

/** A variable as the form shows it: with what its choice and its filters are as text. */
export function shownVariable(raw: Fields): Fields {
  const first = oneOrMore(part(raw, "current")["value"]);
  const filters = parts(raw, "filters").map((it) => `${text(it, "key")}${text(it, "operator", "=")}${text(it, "value")}`);
  return { ...raw, __first: raw["type"] === "switch" ? (first[0] ?? "true") : first.map((it) => (it === ALL ? "All" : it)).join(", "), __filters: filters.join("\n") };
}

/** The variable after one of its fields was set: another kind begins anew but for its name; options and choices follow what they stand for. */
export function changedVariable(raw: Fields, path: string, value: unknown): Fields {
  if (path === "type") return { name: text(raw, "name"), label: text(raw, "label"), hide: raw["hide"] ?? 0, type: value, ...begun(String(value)) };
  if (path === "__filters") return { ...raw, filters: String(value ?? "").split("\n").flatMap((it) => (([, key, operator, of]) => (key === undefined ? [] : [{ key, operator, value: of }]))(FILTER.exec(it) ?? [])) };
  if (path === "__first") return { ...raw, current: choiceOf(raw, String(value ?? "")) };
  const next = withAt(raw, path, value);
  // Grafana takes these for lists and numbers that are there.
  if (path === "name") next["name"] = text(next, "name").trim();
  const question = text(next, "query");
  switch (next["type"]) {
    case "constant":
    case "textbox":
      return { ...next, query: question, current: { text: question, value: question }, options: [{ selected: true, text: question, value: question }] };
    case "custom":
    case "interval":
      return path === "query" ? { ...next, query: question, options: customOptions(question).map((it) => ({ selected: false, ...it })) } : next;
    case "query":
      return "definition" in next ? { ...next, definition: typeof next["query"] === "string" ? question : text(part(next, "query"), "query") } : next;
    default:
      return next;
  }
}

function begun(type: string): Fields {
  switch (type) {
    case "query":
      return { datasource: { type: "prometheus" }, query: "", refresh: 2, sort: 1 };
    case "datasource":
      return { query: "prometheus" };
    case "adhoc":
      return { datasource: { type: "prometheus" }, filters: [] };
    case "interval":
      return { query: "1m,10m,30m,1h", options: customOptions("1m,10m,30m,1h").map((it) => ({ selected: false, ...it })), auto: false };
    case "switch":
      return { current: { text: "true", value: "true" }, options: [{ text: "true", value: "true" }, { text: "false", value: "false" }] };
    default:
      return { query: "" };
  }
}

function choiceOf(raw: Fields, words: string): Fields {
  const several = flag(raw, "multi");
  const values = (several ? words.split(",") : [words]).map((it) => it.trim()).filter((it) => it !== "").map((it) => (it === "All" && flag(raw, "includeAll") ? ALL : it));
  const texts = values.map((it) => (it === ALL ? "All" : (parts(raw, "options").find((option) => option["value"] === it)?.["text"] ?? it)));
  return values.length === 0 ? {} : several ? { text: texts, value: values } : { text: texts[0], value: values[0] };
}

export function newVariable(list: readonly Fields[]): Fields {
  const taken = new Set(list.map((it) => text(it, "name")));
  let number = 1;
  while (taken.has(`variable${number}`)) number += 1;
  return { name: `variable${number}`, label: "", hide: 0, type: "query", ...begun("query") };
}

/** Why these variables cannot be taken, in words; nothing where they can. */
export function variableProblem(list: readonly Fields[]): string {
  const names = list.map((it) => text(it, "name"));
  const odd = names.find((it) => !/^\w+$/.test(it));
  if (odd !== undefined) return t("the variable {0} needs a name of letters, digits and _", odd || t("without a name"));
  const twice = names.find((it, at) => names.indexOf(it) !== at);
  return twice === undefined ? "" : t("two variables are called {0}", twice);
}

export function annotationSpecs(raw: Fields): Spec[] {
  const shown = [spec("name", t("Name")), spec("enable", t("drawn at first"), "flag"), spec("hide", t("without a switch"), "flag")];
  if (raw["builtIn"] === 1 || raw["builtIn"] === true) return shown;
  const source = isRecord(raw["datasource"]) || raw["datasource"] === undefined ? [spec("datasource.type", t("Data source"), ASKED)] : [spec("datasource", t("Data source"))];
  // Newer files keep the query of logs below its target.
  const inner = part(raw, "target");
  const path = raw["expr"] === undefined && "expr" in inner ? "target.expr" : "expr";
  return [...shown, ...source, spec("iconColor", t("Colour"), "text", "red"), spec(path, t("Query"), "long", 'changes(process_start_time_seconds[1m]) > 0'), spec("step", t("Step"), "text", "60s"), spec("titleFormat", t("Words above"), "text", "{{instance}}"), spec("textFormat", t("Words"), "text", "{{job}} began anew"), spec("tagKeys", t("Labels that are tags"), "text", "instance, job")];
}

export function newAnnotation(list: readonly Fields[]): Fields {
  return { name: t("Marks {0}", list.length + 1), enable: true, hide: false, iconColor: "red", datasource: { type: "prometheus" }, expr: "" };
}
