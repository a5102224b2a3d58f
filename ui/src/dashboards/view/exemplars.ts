// Exemplars of a panel's queries: points of a chart that name a trace. Not their reading (charts/exemplars.ts), and not their drawing.
import { type Exemplar, queryExemplars } from "../../charts/exemplars";
import type { Asked } from "../sources/prometheus";
import type { Range } from "../variables/time";
import { t } from "../../words/t";

/** Queries of one refresh that are asked for exemplars. */
export const EXEMPLAR_QUERIES_MAX = 30;
/** So many of one panel can be told apart. */
const POINTS_MAX = 200;

/** The newest ones of all queries of a panel, where the panel draws them. */
export async function exemplarsOf(asked: readonly Asked[], range: Range, signal: AbortSignal): Promise<{ found: Exemplar[]; findings: string[] }> {
  const findings: string[] = [];
  const lists = await Promise.all(
    asked.map(async ({ expr, refId, shiftMs }) => {
      try {
        const found = await queryExemplars(expr, { start: range.from / 1000, end: range.to / 1000 }, signal);
        return found.map((it) => ({ ...it, time: it.time * 1000 + shiftMs }));
      } catch (error) {
        if (!signal.aborted) findings.push(t("the exemplars of query {0} cannot be read: {1}", refId, error instanceof Error ? error.message : String(error)));
        return [];
      }
    }),
  );
  const all = lists.flat().sort((a, b) => b.time - a.time);
  if (all.length > POINTS_MAX) findings.push(t("the newest {0} of {1} exemplars are drawn", POINTS_MAX, all.length));
  return { found: all.slice(0, POINTS_MAX), findings };
}
