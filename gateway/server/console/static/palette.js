// One hue a path, the same everywhere on the page: by the path's place in the policy.

const HUES = 8;
const places = new Map();

/** The paths in the policy's order; called with each state. */
export function learn(paths) {
  for (const path of paths) if (!places.has(path.name)) places.set(path.name, places.size);
}

export function forget() {
  places.clear();
}

export function hueOf(name) {
  if (!places.has(name)) places.set(name, places.size);
  return places.get(name) % HUES;
}

/** The colour itself, for canvas: as the theme has it now. */
export function colourOf(name) {
  return token(`--hue-${hueOf(name)}`);
}

export function token(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
