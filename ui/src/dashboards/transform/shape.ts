// Transformations that make other tables: joined, merged, grouped, reduced, turned. Not single columns or rows (columns.ts, rows.ts).
import type { Fields } from "../model/types";
import { flag, part, text, texts } from "../model/values";
import { type Field, field, type Frame, numberFields, rowsOf, timeField, typeOf } from "../fields/frame";
import { calcName, reduce } from "../fields/reduce";
import { titleIn } from "./title";

const named = (it: Field, name: string): Field => ({ ...it, name, config: { ...it.config, displayName: name } });
const find = (frame: Frame, name: string): Field | undefined => frame.fields.find((it) => titleIn(it, frame) === name || it.name === name);
const made = (name: string, values: unknown[], refId: string): Field => field(name, typeOf(values), values, refId);

export function reduceFrames(frames: Frame[], options: Fields): Frame[] {
  const calcs = texts(options, "reducers").length > 0 ? texts(options, "reducers") : ["max"];
  if (text(options, "mode") === "reduceFields") {
    return frames.map((frame) => {
      const fields = frame.fields.filter((it) => it.type !== "time" || flag(options, "includeTimeField"));
      const inside = fields.filter((it) => it.type === "number" || it.type === "time");
      return { ...frame, fields: inside.flatMap((it) => calcs.map((calc) => ({ ...it, values: [reduce(it.values, calc)], ...(calcs.length > 1 ? { config: { ...it.config, displayName: `${titleIn(it, frame)} ${calcName(calc)}` } } : {}) }))) };
    });
  }
  const rows = frames.flatMap((frame) => frame.fields.filter((it) => it.type === "number" || (it.type !== "time" && frame.fields.length === 1)).map((it) => ({ it, title: titleIn(it, frame) })));
  if (rows.length === 0) return [];
  const refId = frames[0]?.refId ?? "";
  const keys = flag(options, "labelsToFields") ? [...new Set(rows.flatMap(({ it }) => Object.keys(it.labels)))] : [];
  const columns = keys.length > 0 ? keys.map((key) => made(key, rows.map(({ it }) => it.labels[key] ?? ""), refId)) : [field("Field", "string", rows.map(({ title }) => title), refId)];
  return [{ refId, name: "Reduced", fields: [...columns, ...calcs.map((calc) => made(calcName(calc), rows.map(({ it }) => reduce(it.values, calc)), refId))] }];
}

/** All rows of all tables in one, those with the same texts and times put together. */
export function merge(frames: Frame[]): Frame[] {
  const first = frames.find((it) => it.fields.length > 0);
  if (!first) return [];
  const several = new Set(frames.map((it) => it.refId)).size > 1;
  // Values of several queries stay apart, as "Value #A" does.
  const nameOf = (it: Field, frame: Frame): string => (it.type === "number" && it.name === "Value" && several ? `Value #${frame.refId}` : it.type === "number" && Object.keys(it.labels).length > 0 && it.name !== "Value" ? titleIn(it, frame) : it.name);
  const names: string[] = [];
  const types = new Map<string, Field>();
  for (const frame of frames) {
    for (const it of frame.fields) {
      const name = nameOf(it, frame);
      if (!types.has(name)) {
        names.push(name);
        types.set(name, it);
      }
    }
  }
  const rows = new Map<string, Map<string, unknown>[]>();
  for (const frame of frames) {
    const keys = frame.fields.filter((it) => it.type !== "number" && frames.every((other) => other.fields.length === 0 || other.fields.some((that) => nameOf(that, other) === it.name)));
    for (let row = 0; row < rowsOf(frame); row += 1) {
      const key = keys.map((it) => JSON.stringify(it.values[row] ?? null)).join("|");
      const found = rows.get(key) ?? [];
      rows.set(key, found);
      const cells = new Map(frame.fields.map((it) => [nameOf(it, frame), it.values[row]]));
      // A row takes what it has no other value for.
      const open = found.find((it) => [...cells].every(([name, value]) => !it.has(name) || it.get(name) === value));
      if (open) for (const [name, value] of cells) open.set(name, value);
      else found.push(cells);
    }
  }
  const all = [...rows.values()].flat();
  return [{ refId: first.refId, name: first.refId, fields: names.map((name) => ({ ...named(types.get(name) ?? field(name, "string", [], first.refId), name), labels: {}, legend: undefined, values: all.map((it) => (it.has(name) ? it.get(name) : null)) })) }];
}

export function joinByField(frames: Frame[], options: Fields): Frame[] {
  const by = text(options, "byField");
  const inner = text(options, "mode") === "inner";
  const sources = frames.flatMap((frame) => {
    const key = (by === "" ? timeField(frame) : find(frame, by)) ?? (by.toLowerCase() === "time" ? timeField(frame) : undefined);
    return key ? [{ frame, key }] : [];
  });
  const first = sources[0];
  if (!first) return frames;
  if (sources.length === 1) return [{ ...first.frame, fields: [first.key, ...first.frame.fields.filter((it) => it !== first.key).map((it) => named(it, titleIn(it, first.frame)))] }];
  const keys: unknown[] = [...new Set(sources.flatMap(({ key }) => key.values))];
  const kept = inner ? keys.filter((value) => sources.every(({ key }) => key.values.includes(value))) : keys;
  if (first.key.type === "time" || first.key.type === "number") kept.sort((a, b) => Number(a) - Number(b));
  const rowOf = new Map(kept.map((value, row) => [value, row]));
  const twice = new Set<string>();
  const columns = sources.flatMap(({ frame, key }) =>
    frame.fields
      .filter((it) => it !== key)
      .map((it) => {
        const values = new Array<unknown>(kept.length).fill(null);
        key.values.forEach((value, row) => {
          const at = rowOf.get(value);
          if (at !== undefined) values[at] = it.values[row];
        });
        const plain = titleIn(it, frame);
        const name = twice.has(plain) ? `${plain} ${frame.refId}` : plain;
        twice.add(plain);
        return { ...named(it, name), values };
      }),
  );
  return [{ refId: first.frame.refId, name: "Joined", fields: [{ ...first.key, values: kept }, ...columns] }];
}

/** All series below each other: time, what series it is, value. */
export function seriesToRows(frames: Frame[]): Frame[] {
  const rows = frames.flatMap((frame) => {
    const time = timeField(frame);
    return numberFields(frame).flatMap((it) => it.values.map((value, row) => ({ time: time?.values[row] ?? null, metric: titleIn(it, frame), value })));
  });
  rows.sort((a, b) => Number(b.time) - Number(a.time));
  const refId = frames[0]?.refId ?? "";
  return rows.length === 0 ? [] : [{ refId, name: "Rows", fields: [field("Time", "time", rows.map((it) => it.time), refId), field("Metric", "string", rows.map((it) => it.metric), refId), field("Value", "number", rows.map((it) => it.value), refId)] }];
}

export function labelsToFields(frames: Frame[], options: Fields): Frame[] {
  const keep = texts(options, "keepLabels");
  if (text(options, "mode") === "rows") {
    return frames.flatMap((frame) => numberFields(frame).map((it) => ({ ...frame, fields: [field("label", "string", Object.keys(it.labels), frame.refId), field("value", "string", Object.values(it.labels), frame.refId)] })));
  }
  const valueLabel = text(options, "valueLabel");
  const tables = frames.flatMap((frame) =>
    numberFields(frame).map((it): Frame => {
      const count = it.values.length;
      const labels = Object.entries(it.labels).filter(([key]) => (keep.length === 0 || keep.includes(key)) && key !== valueLabel);
      const name = valueLabel !== "" && it.labels[valueLabel] ? it.labels[valueLabel] : it.name;
      return { ...frame, fields: [...frame.fields.filter((other) => other.type === "time"), ...labels.map(([key, value]) => field(key, "string", new Array<unknown>(count).fill(value), frame.refId)), { ...it, name, labels: {}, legend: undefined, config: {} }] };
    }),
  );
  return tables.length > 1 ? merge(tables) : tables;
}

export function concatenate(frames: Frame[], options: Fields): Frame[] {
  const mode = text(options, "frameNameMode", "field");
  const fields = frames.flatMap((frame) => frame.fields.map((it) => (mode === "field" && it.type !== "time" && frames.length > 1 ? named(it, titleIn(it, frame) === frame.name ? frame.name : `${frame.name === "" || frame.name === frame.refId ? "" : `${frame.name} `}${titleIn(it, frame)}`) : it)));
  const longest = fields.reduce((most, it) => Math.max(most, it.values.length), 0);
  return fields.length === 0 ? [] : [{ refId: frames[0]?.refId ?? "", name: "Concatenated", fields: fields.map((it) => ({ ...it, values: [...it.values, ...new Array<unknown>(longest - it.values.length).fill(null)] })) }];
}

export function groupBy(frames: Frame[], options: Fields): Frame[] {
  const rules = part(options, "fields");
  return frames.flatMap((frame) => {
    const rule = (it: Field): Fields => {
      const exact = rules[titleIn(it, frame)] ?? rules[it.name];
      return typeof exact === "object" && exact !== null ? (exact as Fields) : {};
    };
    const keys = frame.fields.filter((it) => text(rule(it), "operation") === "groupby");
    if (keys.length === 0) return [];
    const groups = new Map<string, number[]>();
    for (let row = 0; row < rowsOf(frame); row += 1) {
      const key = keys.map((it) => JSON.stringify(it.values[row] ?? null)).join("|");
      groups.set(key, [...(groups.get(key) ?? []), row]);
    }
    const rows = [...groups.values()];
    const sums = frame.fields
      .filter((it) => text(rule(it), "operation") === "aggregate")
      .flatMap((it) =>
        texts(rule(it), "aggregations").map((calc) => {
          const values = rows.map((group) => reduce(group.map((row) => it.values[row]), calc));
          const same = ["first", "firstNotNull", "last", "lastNotNull", "min", "max"].includes(calc) ? it.type : typeOf(values);
          return { ...field(`${it.name} (${calc})`, same, values, frame.refId), config: { ...it.config, displayName: `${titleIn(it, frame)} (${calc})` } };
        }),
      );
    return [{ ...frame, fields: [...keys.map((it) => ({ ...it, values: rows.map((group) => it.values[group[0] ?? 0]) })), ...sums] }];
  });
}

/** Each row becomes a column: its name from one column, its value from another. */
export function rowsToFields(frames: Frame[], options: Fields): Frame[] {
  const mappings = Array.isArray(options["mappings"]) ? (options["mappings"] as Fields[]) : [];
  const handler = (key: string): string => text(mappings.find((it) => text(it, "handlerKey") === key) ?? {}, "fieldName");
  return frames.map((frame) => {
    const names = find(frame, handler("field.name")) ?? frame.fields.find((it) => it.type === "string");
    const values = find(frame, handler("field.value")) ?? frame.fields.find((it) => it.type === "number");
    if (!names || !values) return frame;
    return { ...frame, fields: names.values.map((name, row) => field(String(name), values.type, [values.values[row]], frame.refId)) };
  });
}

/** Each series becomes a row with its labels, its last value, and the series itself as a small picture. */
export function timeSeriesTable(frames: Frame[], options: Fields): Frame[] {
  const byRef = new Map<string, Frame[]>();
  for (const it of frames) byRef.set(it.refId, [...(byRef.get(it.refId) ?? []), it]);
  return [...byRef].flatMap(([refId, group]) => {
    const series = group.flatMap((frame) => numberFields(frame).map((it) => ({ it, time: timeField(frame) })));
    if (series.length === 0) return [];
    const keys = [...new Set(series.flatMap(({ it }) => Object.keys(it.labels)))];
    const calc = text(part(options, refId), "stat", "lastNotNull");
    const trend = { ...field(`Trend #${refId}`, "other", series.map(({ it, time }) => ({ times: time?.values ?? [], values: it.values, last: reduce(it.values, calc) })), refId), config: { custom: { cellOptions: { type: "sparkline" } } } };
    return [{ refId, name: refId, fields: [...keys.map((key) => field(key, "string", series.map(({ it }) => it.labels[key] ?? ""), refId)), trend] }];
  });
}

export function extractFields(frames: Frame[], options: Fields): Frame[] {
  return frames.map((frame) => {
    const source = find(frame, text(options, "source"));
    if (!source) return frame;
    const format = text(options, "format", "auto");
    const rows = source.values.map((it) => extracted(it, format));
    const keys = [...new Set(rows.flatMap((it) => Object.keys(it)))].slice(0, 100);
    const kept = flag(options, "replace") ? frame.fields.filter((it) => it.type === "time" && flag(options, "keepTime")) : frame.fields;
    return { ...frame, fields: [...kept, ...keys.map((key) => made(key, rows.map((it) => it[key] ?? null), frame.refId))] };
  });
}

function extracted(value: unknown, format: string): Fields {
  if (typeof value === "object" && value !== null) return value as Fields;
  const line = String(value ?? "");
  if (format !== "kvp" && line.trimStart().startsWith("{")) {
    try {
      const read: unknown = JSON.parse(line);
      return typeof read === "object" && read !== null ? (read as Fields) : {};
    } catch {
      // Text that only looks like JSON may still hold pairs.
    }
  }
  return Object.fromEntries([...line.matchAll(/([\w.-]+)=("(?:\\.|[^"\\])*"|[^\s,;]+)/g)].map((it) => [it[1] ?? "", (it[2] ?? "").replace(/^"|"$/g, "")]));
}

export function partitionByValues(frames: Frame[], options: Fields): Frame[] {
  const names = texts(options, "fields");
  return frames.flatMap((frame) => {
    const keys = names.map((it) => find(frame, it)).filter((it): it is Field => it !== undefined);
    if (keys.length === 0) return [frame];
    const groups = new Map<string, number[]>();
    for (let row = 0; row < rowsOf(frame); row += 1) {
      const key = keys.map((it) => String(it.values[row])).join(" ");
      groups.set(key, [...(groups.get(key) ?? []), row]);
    }
    const fields = flag(options, "keepFields") ? frame.fields : frame.fields.filter((it) => !keys.includes(it));
    return [...groups].map(([name, rows]) => ({ ...frame, name, fields: fields.map((it) => ({ ...it, values: rows.map((row) => it.values[row]), ...(it.type === "number" ? { legend: name } : {}) })) }));
  });
}

export function groupingToMatrix(frames: Frame[], options: Fields): Frame[] {
  return frames.map((frame) => {
    const [column, row, value] = [find(frame, text(options, "columnField")), find(frame, text(options, "rowField")), find(frame, text(options, "valueField"))];
    if (!column || !row || !value) return frame;
    const [columns, rows] = [[...new Set(column.values)], [...new Set(row.values)]];
    const cells = new Map(value.values.map((it, at) => [`${String(row.values[at])}\n${String(column.values[at])}`, it]));
    return { ...frame, fields: [{ ...row, name: `${row.name}\\${column.name}`, values: rows }, ...columns.map((name) => ({ ...value, name: String(name), legend: undefined, labels: {}, values: rows.map((key) => cells.get(`${String(key)}\n${String(name)}`) ?? null) }))] };
  });
}
