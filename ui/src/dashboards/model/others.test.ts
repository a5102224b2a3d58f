// Boards in the manner of others' (tests/boards/others): each is read whole, what it uses that is not here is said, and it comes out again as
// it went in. Not what they look like.
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parsedBoard } from "../edit/importing";
import { field, type Frame } from "../fields/frame";
import { transformed } from "../transform/registry";
import { panelsOf, readBoard } from "./read";

const at = new URL("../../../tests/boards/others/", import.meta.url);
const names = readdirSync(at).filter((it) => it.endsWith(".json")).map((it) => it.slice(0, -5)).sort();
const boardOf = (name: string) => readBoard(parsedBoard(readFileSync(new URL(`${name}.json`, at), "utf8")));

const PANELS: Record<string, string> = {
  "alerts-v39": "alertlist alertlist dashlist status-history stat timeseries",
  "cadvisor-v16": "timeseries timeseries heatmap piechart bargauge",
  "frigate-v2beta1": "timeseries gauge bargauge stat",
  "gpu-v36": "stat timeseries state-timeline status-history timeseries",
  "host-v14": "stat gauge stat text timeseries timeseries table barchart",
  "kubernetes-v41": "stat timeseries table",
  "logs-v38": "timeseries logs stat table",
  "minio-v2alpha1": "stat (library) timeseries",
  "oldest-v8": "timeseries text stat graphite-thing",
  "postgres-v37": "table timeseries piechart",
  "prometheus-v30": "timeseries heatmap histogram table text",
  "redis-v27": "stat gauge timeseries table barchart",
  "traces-v39": "traces table flamegraph timeseries timeseries",
  "vllm-v1beta1": "timeseries heatmap stat",
  "web-v40": "timeseries (library) timeseries bargauge nodeGraph table timeseries",
  "wrapped-v33": "timeseries stat table geomap timeseries",
};
/** What is said beside the panels' own: everything else is carried out. */
const SAID: Record<string, string[]> = {
  "frigate-v2beta1": ["this file has the shape of version 2; it is saved and exported in the classic shape"],
  "host-v14": ["holes are shown as holes, not as zeros (null as zero)", "this file has the form before version 16; saving it after a change to its panels writes the newer one"],
  "kubernetes-v41": ["times are those of this browser, not of the time zone Europe/Berlin"],
  "minio-v2alpha1": ["tabs are shown as rows, one below the other", "the library panel Shared is not in this file", "this file has the shape of version 2; it is saved and exported in the classic shape"],
  "oldest-v8": ["this file has the form before version 16; saving it after a change to its panels writes the newer one"],
  "web-v40": ["the library panel Gone is not in this file"],
  "wrapped-v33": ["the transformation nothing-like-it is not supported: data are shown without it", "the variable  has the type (none), which is not supported: it keeps its saved value", "the variable x has the type unknown, which is not supported: it keeps its saved value"],
};

test("every board is read with all of its panels, and only what is lacking is said", () => {
  expect(names).toEqual(Object.keys(PANELS));
  for (const name of names) {
    const board = boardOf(name);
    const panels = panelsOf(board);
    expect(panels.map((it) => it.type || "(library)").join(" ").replace(/\blibrary\b(?!\))/, "(library)"), name).toBe(PANELS[name]);
    const frames: Frame[] = [{ refId: "A", name: "", fields: [field("Time", "time", [1000, 2000], "A"), field("Value", "number", [1, 2], "A", { pod: "p", code: "200", method: "GET" })] }];
    const lacking = panels.flatMap((it) => [...it.findings, ...transformed(frames, it.transformations).findings]);
    expect([...board.findings, ...lacking].sort(), name).toEqual(SAID[name] ?? []);
    for (const { pos, title } of panels) {
      expect(pos.x >= 0 && pos.x + pos.w <= 24 && pos.w > 0 && pos.h > 0, `${name} ${title}`).toBe(true);
    }
  }
});

test("units, limits and values of every age arrive", () => {
  const of = (name: string, title: string) => panelsOf(boardOf(name)).find((it) => it.title === title);
  expect(of("oldest-v8", "Old axes")?.defaults).toMatchObject({ unit: "bytes", min: 0, custom: { axisLabel: "room" } });
  expect(of("host-v14", "CPU busy")?.defaults).toMatchObject({ unit: "percent", min: 0, max: 100 });
  expect(of("cadvisor-v16", "Restarts")?.defaults).toMatchObject({ unit: "short", max: 10, thresholds: { steps: [{ color: "green" }, { color: "red", value: 5 }] } });
  expect(of("frigate-v2beta1", "Detection")?.defaults).toMatchObject({ unit: "ms", max: 100 });
  expect(of("web-v40", "Codes")).toMatchObject({ type: "timeseries", defaults: { unit: "reqps" } });
  expect([boardOf("vllm-v1beta1").uid, boardOf("minio-v2alpha1").uid, boardOf("wrapped-v33").uid]).toEqual(["others-vllm", "others-minio", "others-wrapped"]);
});
