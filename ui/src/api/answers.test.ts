// Answers of the server into values, and its refusals into one error. Not the network.
import { expect, test } from "vitest";
import { parseSession } from "./auth";
import { lastSeconds, parseAnswer, quoted, sampleValue } from "./prometheus";
import { failure } from "./request";
import { parseStorage } from "./storage";
import { parseGpu, parseHealth, presence, serviceState } from "./system";

test.each([
  [400, '{"status":"error","errorType":"bad_data","error":"1:3: parse error"}', "refused", "1:3: parse error", "bad_data"],
  [404, '{"error":{"code":"not_found","message":"no such thing"},"request_id":"7"}', "refused", "no such thing", "not_found"],
  [401, '{"error":{"code":"unauthorized","message":"log in"}}', "unauthorized", "log in", "unauthorized"],
  [403, "", "forbidden", "/x answered with status 403", undefined],
  [502, "<html>bad gateway</html>", "server", "/x answered with status 502", undefined],
  [503, "overloaded\n", "server", "overloaded", undefined],
  [400, '"invalid silence: it is too large"', "refused", "invalid silence: it is too large", undefined],
  [404, '{"data":null,"errors":[{"code":404,"msg":"trace not found"}]}', "refused", "trace not found", undefined],
  [500, '{"errors":[]}', "server", "/x answered with status 500", undefined],
  [422, '{"detail":"too many"}', "refused", "too many", undefined],
])("a refusal with status %s and body %s", (status, body, kind, message, code) => {
  const error = failure(status, body, "/x");
  expect([error.kind, error.message, error.code, error.status]).toEqual([kind, message, code, status]);
});

test("vectors keep the exact text of a value", () => {
  const answer = parseAnswer({
    status: "success",
    warnings: ["partial"],
    data: { resultType: "vector", result: [{ metric: { __name__: "up" }, value: [1.5, "1.000000000000001"] }] },
  });
  expect(answer).toEqual({
    type: "vector",
    warnings: ["partial"],
    infos: [],
    items: [{ labels: { __name__: "up" }, time: 1.5, value: 1.000000000000001, text: "1.000000000000001" }],
  });
});

test("matrix, scalar and string are read, others are refused", () => {
  const read = (data: unknown) => parseAnswer({ status: "success", data });
  expect(read({ resultType: "matrix", result: [{ metric: {}, values: [[1, "NaN"], [2, "+Inf"]] }] })).toMatchObject({
    items: [{ points: [[1, Number.NaN], [2, Number.POSITIVE_INFINITY]] }],
  });
  expect(read({ resultType: "scalar", result: [1, "2"] })).toMatchObject({ type: "scalar", text: "2" });
  expect(read({ resultType: "string", result: [1, "x"] })).toMatchObject({ type: "string", text: "x" });
  expect(() => read({ resultType: "tensor", result: [] })).toThrow("unknown type tensor");
  expect(() => parseAnswer([])).toThrow("no status");
  expect(sampleValue("-Inf")).toBe(Number.NEGATIVE_INFINITY);
});

test("native histograms are read, alone and beside values", () => {
  const sent = { count: "6", sum: "7.5", buckets: [[3, "-0.5", "0.5", "2"], [0, "1", "+Inf", "4"]] };
  const value = { count: 6, sum: 7.5, buckets: [{ low: -0.5, high: 0.5, count: 2 }, { low: 1, high: Number.POSITIVE_INFINITY, count: 4 }] };
  const read = (data: unknown) => parseAnswer({ status: "success", data });
  expect(read({ resultType: "vector", result: [{ metric: {}, histogram: [1, sent] }] })).toMatchObject({
    items: [{ time: 1, value: Number.NaN, histogram: value, text: JSON.stringify(sent) }],
  });
  expect(read({ resultType: "matrix", result: [{ metric: { a: "b" }, histograms: [[1, sent]] }] })).toMatchObject({
    items: [{ labels: { a: "b" }, points: [], histograms: [[1, value]] }],
  });
  expect(read({ resultType: "matrix", result: [{ metric: {}, values: [[1, "3"]], histograms: [[2, sent]] }] })).toMatchObject({
    items: [{ points: [[1, 3]], histograms: [[2, value]] }],
  });
});

test("the last hour ends on a multiple of its step", () => {
  expect(lastSeconds(3600, 15, 1_000_007_000)).toEqual({ start: 996_405, end: 1_000_005, step: 15 });
});

test("the stand-in for a missing GPU is no GPU", () => {
  const mock = { gpu_name: "Mock GPU (No NVIDIA GPU Available)", gpu_utilization: null, memory_used: null, memory_total: null, temperature: null, power_usage: null };
  const sample = parseGpu(mock);
  expect(sample && presence(sample)).toBe("absent");
  expect(sample?.utilization).toBeNull();
  const partial = parseGpu({ gpu_name: "Tesla", gpu_utilization: 0 });
  expect(partial && presence(partial)).toBe("present");
  const unseen = parseGpu({ ...mock, gpu_name: null });
  expect(unseen && presence(unseen)).toBe("not_seen_yet");
  expect(partial?.temperature).toBeNull();
  expect(parseGpu({ hello: 1 })).toBeUndefined();
});

test("times of samples are read with and without fractions", () => {
  const at = (recorded_at: unknown) => parseGpu({ gpu_name: "x", recorded_at })?.recordedAt;
  expect(at("2025-12-30T10:15:00Z")).toBe(Date.UTC(2025, 11, 30, 10, 15));
  expect(at("2025-12-30T10:15:00.250Z")).toBe(Date.UTC(2025, 11, 30, 10, 15) + 250);
  expect(at("soon")).toBeNull();
});

test("what we do not know is never healthy", () => {
  expect(["healthy", "not configured", "fine", null, 1].map(serviceState)).toEqual(["healthy", "not_configured", "unknown", "unknown", "unknown"]);
  const health = parseHealth({ status: "degraded", services: { redis: "healthy", rtdetr: "failed" }, details: { rtdetr: { status: "failed", message: "gone" } } });
  expect(health.services).toEqual([
    { name: "redis", state: "healthy", message: "" },
    { name: "rtdetr", state: "failed", message: "gone" },
  ]);
  expect(() => parseHealth({})).toThrow("without services");
});

test("sessions and storage are read with care", () => {
  expect(parseSession({ authenticated: true, user: "ada", level: "admin", auth_enabled: true })).toEqual({
    authenticated: true,
    authEnabled: true,
    user: "ada",
    level: "admin",
    insecure: false,
  });
  // Silence about authentication is not a permission.
  expect(parseSession({}).authEnabled).toBe(true);
  expect(parseStorage({}).bytes).toBeUndefined();
});

test("text stands in a query as the value that it is", () => {
  expect(quoted('a"} or up{b="')).toBe('"a\\"} or up{b=\\""');
  expect(quoted("back\\slash\nline")).toBe('"back\\\\slash\\nline"');
});
