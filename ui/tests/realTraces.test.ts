// The page Traces on the real server, the way Jaeger's page is used: a service and an operation are chosen, traces found, one looked at in
// time, gone to by its id, and the services seen as a map. Not run without WATCHFIRE_BIN, and then says so (server.ts).
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Browser, chromiumIsThere, open, until, watched } from "./browser.ts";
import { BINARY, Watchfire } from "./server.ts";

const ID = "4bf92f3577b34da6a3ce929d0e0e4736";
const OTHER = "5bf92f3577b34da6a3ce929d0e0e4737";

describe.skipIf(!BINARY || !chromiumIsThere())("traces on the real server", () => {
  const server = new Watchfire();
  let browser: Browser;

  interface Sent { trace: string; id: string; parent?: string; name: string; kind: number; ms: number }
  async function send(service: string, spans: Sent[]): Promise<void> {
    const begun = BigInt(Date.now() - 60_000) * 1_000_000n;
    const answer = await fetch(`${server.address}/v1/traces`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        resourceSpans: [
          {
            resource: { attributes: [{ key: "service.name", value: { stringValue: service } }] },
            scopeSpans: [
              {
                spans: spans.map((it) => ({
                  traceId: it.trace,
                  spanId: it.id,
                  parentSpanId: it.parent ?? "",
                  name: it.name,
                  kind: it.kind,
                  startTimeUnixNano: begun.toString(),
                  endTimeUnixNano: (begun + BigInt(it.ms) * 1_000_000n).toString(),
                })),
              },
            ],
          },
        ],
      }),
    });
    expect(answer.status, await answer.text()).toBe(200);
  }

  beforeAll(async () => {
    await server.start();
    browser = await open();
    await send("nemotron-backend", [
      { trace: ID, id: "aaaaaaaaaaaaaaa1", name: "POST /api/detections", kind: 2, ms: 250 },
      { trace: ID, id: "aaaaaaaaaaaaaaa2", parent: "aaaaaaaaaaaaaaa1", name: "llm_inference", kind: 3, ms: 180 },
      { trace: OTHER, id: "aaaaaaaaaaaaaaa4", name: "GET /api/cameras", kind: 2, ms: 9 },
    ]);
    await send("ai-llm", [{ trace: ID, id: "aaaaaaaaaaaaaaa3", parent: "aaaaaaaaaaaaaaa2", name: "completion", kind: 2, ms: 170 }]);
  });
  afterAll(async () => {
    await browser?.close();
    await server.stop();
  });

  test("trc_12_traces_are_found_by_service_operation_and_id_and_seen_in_time_and_as_a_map", async () => {
    const { page, faults, foreign } = await watched(browser, `${server.address}/traces`);
    const rows = page.locator("[data-trace]");
    await page.getByLabel("Service", { exact: true }).selectOption("nemotron-backend");
    await page.getByRole("button", { name: "Find Traces" }).click();
    await until("both traces", () => rows.count(), (it) => it === 2);
    await page.getByLabel("Operation").selectOption("POST /api/detections");
    await page.getByRole("button", { name: "Find Traces" }).click();
    await until("the one of the operation", () => rows.count(), (it) => it === 1);
    await page.locator("[data-point]").first().click();
    const spans = page.getByRole("list", { name: "Spans" });
    await spans.waitFor();
    expect(new URL(page.url()).pathname).toBe(`/traces/${ID}`);
    const names = (await spans.getByRole("listitem").allInnerTexts()).join(" ");
    for (const name of ["POST /api/detections", "llm_inference", "completion", "ai-llm"]) expect(names).toContain(name);

    await page.goto(`${server.address}/traces`);
    await page.getByLabel("Trace ID").fill(OTHER);
    await page.getByRole("button", { name: "Go to trace" }).click();
    await spans.getByText("GET /api/cameras").first().waitFor();
    await page.goto(`${server.address}/traces/map`);
    await page.locator("title", { hasText: "nemotron-backend → ai-llm: 1 call" }).waitFor({ state: "attached" });
    expect(foreign).toEqual([]);
    expect(faults).toEqual([]);
  });
});
