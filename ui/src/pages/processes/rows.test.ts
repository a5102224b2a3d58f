// Figures of many answers in one row each.
import { expect, test } from "vitest";
import type { VectorItem } from "../../api/prometheus";
import { ofLimit, rows } from "./rows";

const item = (labels: Record<string, string>, value: number): VectorItem => ({ labels, time: 0, value, text: String(value) });

test("what belongs together is one row, what is unknown is missing", () => {
  const found = rows(
    {
      count: [item({ __name__: "n", job: "processes", groupname: "b", owner: "video" }, 2), item({ __name__: "n", job: "processes", groupname: "a" }, 0)],
      cpu: [item({ job: "processes", groupname: "b", owner: "video" }, 12.5), item({ job: "processes", groupname: "b", owner: "root" }, 1)],
    },
    (labels) => labels["groupname"] ?? "",
  );
  expect(found.map((it) => [it.name, it.beside, it.values])).toEqual([
    ["a", "", { count: 0 }],
    ["b", "owner=root", { cpu: 1 }],
    ["b", "owner=video", { count: 2, cpu: 12.5 }],
  ]);
  expect(rows({ memory: [item({ id: "/system.slice" }, 1)] }, (labels) => labels["name"] ?? "")).toEqual([]);
});

test("a limit of nothing is none", () => {
  const row = (memory: number, limit: number) => ({ name: "", key: "", beside: "", values: { memory, limit } });
  expect([ofLimit(row(50, 200)), ofLimit(row(50, 0))]).toEqual([25, undefined]);
});
