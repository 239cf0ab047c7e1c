// One hue a path, the same everywhere on the page: owned boxes first, then the policy's order.

const HUES = 8;
const places = new Map();
const simulated = new Set();

/** The paths in the policy's order; called with each state. */
export function learn(paths) {
  const boxesFirst = [...paths].sort(
    (one, other) => (other.cost_kind === "amortized") - (one.cost_kind === "amortized"),
  );
  for (const path of boxesFirst) {
    if (!places.has(path.name)) places.set(path.name, places.size);
    if (path.simulated) simulated.add(path.name);
  }
}

export function forget() {
  places.clear();
  simulated.clear();
}

export function hueOf(name) {
  if (!places.has(name)) places.set(name, places.size);
  return places.get(name) % HUES;
}

/** The name as it is written in running text and tables: † marks what is simulated, and the page's foot says so. */
export function shown(name) {
  return simulated.has(name) ? `${name} †` : name;
}

export function anySimulated() {
  return simulated.size > 0;
}

/** The colour itself, for canvas: as the theme has it now. */
export function colourOf(name) {
  return token(`--hue-${hueOf(name)}`);
}

export function token(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
