// The figures of the last quarter of an hour or day: as they were read, and the newest added as they come. No drawing.

export const SPANS = {
  "15m": { seconds: 900, least: 180, live: true },
  "24h": { seconds: 86400, least: 3600, live: false },
};
const HOLE_SECONDS = 5;

export class Past {
  #read;
  #span;

  /** `read`: what /console/api/history gave for `span`. */
  constructor(read, span) {
    this.#read = read;
    this.#span = SPANS[span];
  }

  get at() {
    return this.#read.at;
  }

  get paths() {
    return Object.keys(this.#read.series);
  }

  get boxes() {
    return Object.keys(this.#read.boxes);
  }

  /** The other paths of each box, as often as there are boxes: what its tokens would have cost there. */
  get elsewhere() {
    return Object.values(this.#read.boxes).flatMap((one) => Object.keys(one.elsewhere));
  }

  prices(path) {
    return this.#read.series[path].usd_per_1m;
  }

  /** Adds a state; false: seconds are missing between it and the last one, and it should all be read anew. */
  add(state) {
    const { at, series, boxes } = this.#read;
    const now = Math.round(state.at);
    if (at.length && now <= at.at(-1)) return true;
    if (at.length && now - at.at(-1) > HOLE_SECONDS) return false;
    at.push(now);
    for (const [name, one] of Object.entries(series)) one.usd_per_1m.push(state.tiles.usd_per_1m[name] ?? null);
    for (const [name, one] of Object.entries(boxes)) {
      const box = state.boxes.find((candidate) => candidate.name === name);
      one.utilization.push(box?.utilization ?? null);
      for (const [path, values] of Object.entries(one.elsewhere))
        values.push(box?.elsewhere.find((there) => there.path === path)?.usd_per_1m ?? null);
    }
    this.#forget(now - this.#span.seconds);
    return true;
  }

  #forget(before) {
    const { at, series, boxes } = this.#read;
    const old = at.findIndex((moment) => moment >= before);
    if (old <= 0) return;
    const kept = [at, ...Object.values(series).map((one) => one.usd_per_1m)];
    kept.push(...Object.values(boxes).flatMap((one) => [one.utilization, ...Object.values(one.elsewhere)]));
    for (const values of kept) values.splice(0, old);
  }

  /** Where the time axis begins and ends: a young gateway's short past fills the chart. */
  range() {
    const last = this.at.at(-1) ?? 0;
    return [Math.max(last - this.#span.seconds, Math.min(this.at[0] ?? 0, last - this.#span.least)), last];
  }

  /** Columns for a chart of prices: moments, each path, each `elsewhere`. A log axis has no place for 0. */
  priceColumns() {
    const there = Object.values(this.#read.boxes).flatMap((one) => Object.values(one.elsewhere));
    const all = [...this.paths.map((path) => this.prices(path)), ...there];
    return [this.at, ...all.map((values) => values.map((value) => (value > 0 ? value : null)))];
  }

  /** Columns for a chart of utilization: moments, each box, each of `levels` as a level line. */
  busyColumns(levels) {
    const boxes = Object.values(this.#read.boxes).map((one) => one.utilization);
    return [this.at, ...boxes, ...levels.map((level) => this.at.map(() => level))];
  }
}
