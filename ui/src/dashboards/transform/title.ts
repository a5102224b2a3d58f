// What a column is called while it is being transformed, which is what transformations name it by. Not the name that overrides give it.
import { text } from "../model/values";
import { labelText } from "../fields/config";
import type { Field, Frame } from "../fields/frame";

export function titleIn(field: Field, frame: Frame): string {
  const given = text(field.config, "displayName");
  if (given !== "") return given;
  if (field.legend) return field.legend;
  if (field.type === "time" || Object.keys(field.labels).length === 0) return field.name === "Value" && frame.name !== "" && frame.fields.length <= 2 ? frame.name : field.name;
  return field.name === "Value" ? labelText(field.labels) : `${field.name} ${labelText(field.labels)}`;
}
