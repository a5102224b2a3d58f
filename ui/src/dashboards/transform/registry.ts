// The transformations that frames go through, one line each. One that is not here is a finding of its panel.
import type { Fields, Transformation } from "../model/types";
import { text } from "../model/values";
import { matches } from "../fields/config";
import type { Frame } from "../fields/frame";
import { calculateField, filterByValue, histogram, limit, sortBy } from "./rows";
import { configFromData, filterByName, filterByRefId, organize, renameByRegex, convertFieldType } from "./columns";
import { concatenate, joinByField, labelsToFields, merge, reduceFrames, seriesToRows, groupBy, rowsToFields, timeSeriesTable, extractFields, partitionByValues, groupingToMatrix } from "./shape";
import { t } from "../../words/t";

export type Apply = (frames: Frame[], options: Fields) => Frame[];

export const TRANSFORMATIONS: Record<string, { name: string; apply: Apply }> = {
  reduce: { name: t("Reduce"), apply: reduceFrames },
  organize: { name: t("Organize fields"), apply: organize },
  merge: { name: t("Merge"), apply: merge },
  filterFieldsByName: { name: t("Filter fields by name"), apply: filterByName },
  filterFields: { name: t("Filter fields"), apply: filterByName },
  filterByRefId: { name: t("Filter by query"), apply: filterByRefId },
  filterByValue: { name: t("Filter by value"), apply: filterByValue },
  calculateField: { name: t("Add field from calculation"), apply: calculateField },
  groupBy: { name: t("Group by"), apply: groupBy },
  sortBy: { name: t("Sort by"), apply: sortBy },
  limit: { name: t("Limit"), apply: limit },
  labelsToFields: { name: t("Labels to fields"), apply: labelsToFields },
  seriesToRows: { name: t("Series to rows"), apply: seriesToRows },
  joinByField: { name: t("Join by field"), apply: joinByField },
  seriesToColumns: { name: t("Series to columns"), apply: joinByField },
  joinByLabels: { name: t("Join by labels"), apply: (frames, options) => joinByField(labelsToFields(frames, options), { byField: text(options, "value"), mode: "outer" }) },
  renameByRegex: { name: t("Rename by regex"), apply: renameByRegex },
  concatenate: { name: t("Concatenate"), apply: concatenate },
  append: { name: t("Append"), apply: concatenate },
  convertFieldType: { name: t("Convert field type"), apply: convertFieldType },
  histogram: { name: "Histogram", apply: histogram },
  rowsToFields: { name: t("Rows to fields"), apply: rowsToFields },
  timeSeriesTable: { name: t("Time series to table"), apply: timeSeriesTable },
  extractFields: { name: t("Extract fields"), apply: extractFields },
  partitionByValues: { name: t("Partition by values"), apply: partitionByValues },
  groupingToMatrix: { name: t("Grouping to matrix"), apply: groupingToMatrix },
  configFromData: { name: t("Config from query results"), apply: configFromData },
  prepareTimeSeries: { name: t("Prepare time series"), apply: (frames, options) => (text(options, "format") === "wide" ? joinByField(frames, { byField: "Time", mode: "outer" }) : frames) },
};

export function transformed(frames: readonly Frame[], list: readonly Transformation[]): { frames: Frame[]; findings: string[] } {
  const findings: string[] = [];
  let now = [...frames];
  for (const { id, options, disabled, filter } of list) {
    if (disabled || id === "") continue;
    const known = TRANSFORMATIONS[id];
    if (!known) {
      findings.push(t("the transformation {0} is not supported: data are shown without it", id));
      continue;
    }
    const inside = filter ? now.filter((it) => it.fields.some((field) => matches(field, it, filter.id, filter.options)) || it.refId === filter.options) : now;
    const outside = filter ? now.filter((it) => !inside.includes(it)) : [];
    now = [...known.apply(inside, options), ...outside];
  }
  return { frames: now, findings };
}
