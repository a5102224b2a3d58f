// All of the page in German, by what it says in English. Not what is said where: a phrase has one German text. Every key that t() or a component
// asks for has to be here.
import { alerts } from "./alerts.ts";
import { dashboards } from "./dashboards.ts";
import { explore } from "./explore.ts";
import { frame } from "./frame.ts";
import { operation } from "./operation.ts";
import { traces } from "./traces.ts";

export const de = { ...frame, ...dashboards, ...alerts, ...explore, ...traces, ...operation };
