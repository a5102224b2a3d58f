// Colours by the names that dashboards use, as this page's own, which keep their contrast in light and dark; colours in between for
// continuous scales. Not which value has which colour (display.ts).

const HUES: Record<string, string> = { green: "--ok", yellow: "--warning", orange: "--series-2", red: "--critical", blue: "--series-1", purple: "--series-4" };
const SHADES = /^(super-light|light|semi-dark|dark)-(green|yellow|orange|red|blue|purple)$/;
/** How much of the ground or the ink is in a shade. */
const MIX: Record<string, string> = { "super-light": "45%, var(--surface)", light: "70%, var(--surface)", "semi-dark": "82%, var(--text)", dark: "65%, var(--text)" };
const SERIES = 8;

/** A colour of CSS for a colour of a dashboard. */
export function css(name: string): string {
  const shade = SHADES.exec(name);
  if (shade) return `color-mix(in srgb, var(${HUES[shade[2] ?? ""] ?? "--text"}) ${MIX[shade[1] ?? ""] ?? "80%, var(--text)"})`;
  if (name in HUES) return `var(${HUES[name]})`;
  if (name === "text" || name === "") return "var(--text)";
  if (name === "transparent") return "transparent";
  if (name === "panel-bg") return "var(--surface)";
  // Only what is plainly a colour: this goes into a property of a style.
  return /^(#[0-9a-f]{3,8}|rgba?\([\d\s.,%/]+\)|hsla?\([\d\s.,%/deg]+\)|[a-z]{3,20})$/i.test(name) ? name : "var(--text)";
}

/** A colour for words: one that a file names by its numbers is drawn towards the ink, as nobody knows on which ground it stands. */
export function ink(color: string | undefined): string {
  if (color === undefined) return "var(--text)";
  return color.startsWith("var(") || color.startsWith("color-mix(") ? color : `color-mix(in srgb, ${color} 60%, var(--text))`;
}

export function seriesColor(index: number): string {
  const at = index % (SERIES * 3);
  const base = `var(--series-${(at % SERIES) + 1})`;
  // Past the eighth the same colours come again, lighter, then darker.
  return at < SERIES ? base : `color-mix(in srgb, ${base} 62%, ${at < SERIES * 2 ? "var(--surface)" : "var(--text)"})`;
}

const RAMPS: Record<string, string[]> = {
  "continuous-GrYlRd": ["green", "yellow", "red"],
  "continuous-RdYlGr": ["red", "yellow", "green"],
  "continuous-BlYlRd": ["blue", "yellow", "red"],
  "continuous-YlRd": ["yellow", "red"],
  "continuous-BlPu": ["blue", "purple"],
  "continuous-YlBl": ["yellow", "blue"],
  "continuous-blues": ["panel-bg", "blue"],
  "continuous-reds": ["panel-bg", "red"],
  "continuous-greens": ["panel-bg", "green"],
  "continuous-purples": ["panel-bg", "purple"],
  "continuous-viridis": ["#440154", "#21918c", "#fde725"],
  "continuous-magma": ["#000004", "#b73779", "#fcfdbf"],
  "continuous-plasma": ["#0d0887", "#cc4778", "#f0f921"],
  "continuous-inferno": ["#000004", "#bc3754", "#fcffa4"],
  "continuous-cividis": ["#00224e", "#7c7b78", "#fee838"],
};

export function rampIsKnown(mode: string): boolean {
  return mode in RAMPS;
}

/** The colour at a share from 0 to 1 of a continuous scale. */
export function ramp(mode: string, share: number): string {
  const stops = (RAMPS[mode] ?? ["green", "red"]).map(css);
  return between(stops, share);
}

function between(stops: readonly string[], share: number): string {
  const place = Math.min(1, Math.max(0, Number.isFinite(share) ? share : 0)) * (stops.length - 1);
  const low = Math.min(stops.length - 2, Math.floor(place));
  const part = Math.round((place - low) * 100);
  return `color-mix(in srgb, ${stops[low + 1]} ${part}%, ${stops[low]})`;
}

const SCHEMES: Record<string, string[]> = {
  oranges: ["panel-bg", "orange"],
  blues: ["panel-bg", "blue"],
  greens: ["panel-bg", "green"],
  reds: ["panel-bg", "red"],
  purples: ["panel-bg", "purple"],
  greys: ["panel-bg", "text"],
  turbo: ["blue", "green", "yellow", "red"],
  spectral: ["red", "yellow", "green", "blue"],
  rdylgn: ["red", "yellow", "green"],
  rdylbu: ["red", "yellow", "blue"],
  ylorrd: ["yellow", "orange", "red"],
};

/** The colour of a heat map's cell, from 0 to 1. */
export function heat(scheme: string, share: number): string {
  const name = scheme.toLowerCase();
  const known = RAMPS[`continuous-${name}`];
  return between((SCHEMES[name] ?? known ?? SCHEMES["oranges"] ?? []).map(css), share);
}
