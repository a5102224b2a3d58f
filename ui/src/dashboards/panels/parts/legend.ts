// The names and figures of a legend, in its order. Not its looks.
import { display, limitsOf } from "../../fields/display";
import type { Field } from "../../fields/frame";
import { calcName, reduce } from "../../fields/reduce";
import type { Fields } from "../../model/types";
import { flag, part, text, texts } from "../../model/values";

export interface LegendItem {
  name: string;
  color: string;
  figures: { calc: string; text: string; value: unknown }[];
  /** Its place among the series that are drawn. */
  index: number;
}
export interface LegendLook {
  show: boolean;
  table: boolean;
  right: boolean;
  calcs: string[];
}

export function lookOf(options: Fields): LegendLook {
  const legend = part(options, "legend");
  const mode = text(legend, "displayMode", "list");
  return { show: flag(legend, "showLegend", mode !== "hidden") && mode !== "hidden", table: mode === "table", right: text(legend, "placement") === "right", calcs: texts(legend, "calcs") };
}

export function legendItems(fields: readonly { field: Field; color: string; index: number }[], options: Fields): LegendItem[] {
  const legend = part(options, "legend");
  const { calcs } = lookOf(options);
  const items = fields.map(({ field, color, index }): LegendItem => ({
    name: field.title ?? field.name,
    color,
    index,
    figures: calcs.map((calc) => {
      const value = reduce(field.values, calc);
      // A count of points has no unit of the values.
      const counts = /ount$/.test(calc) || calc === "countNotNull";
      return { calc, value, text: display(value, counts ? { ...field, config: {} } : field, limitsOf(field)).text };
    }),
  }));
  const by = text(legend, "sortBy");
  if (by === "") return items;
  const sign = flag(legend, "sortDesc") ? -1 : 1;
  if (by === "Name" || by === "name") return items.sort((a, b) => sign * a.name.localeCompare(b.name));
  const place = calcs.findIndex((it) => it === by || calcName(it) === by);
  const value = (it: LegendItem): number => {
    const found = it.figures[place]?.value;
    return typeof found === "number" ? found : Number.NEGATIVE_INFINITY;
  };
  return place < 0 ? items : items.sort((a, b) => sign * (value(a) - value(b)));
}
