// Where things go on the crossover chart: sizes, the log axis of dollars, labels that keep clear of each other. Pure.

const STEPS = [1, 2, 5];
/** Updates after which an axis that has become too long is drawn shorter. */
const PATIENCE = 30;

function nice(value, up) {
  const decade = 10 ** Math.floor(Math.log10(value));
  const all = [...STEPS.map((step) => step * decade), 10 * decade];
  return up ? all.find((step) => step >= value * 0.9999) : all.filter((step) => step <= value * 1.0001).at(-1);
}

/** The dollars to be shown, [low, high], both 1, 2 or 5 times a power of ten. Grows at once, shrinks late. */
export class DollarRange {
  #low = null;
  #high = null;
  #tooLong = 0;

  around(values) {
    const shown = values.filter((value) => value !== null && value > 0 && Number.isFinite(value));
    if (!shown.length) return [0.1, 100];
    const low = nice(Math.min(...shown) / 1.5, false);
    const high = nice(Math.max(...shown) * 1.4, true);
    if (this.#low === null || low < this.#low || high > this.#high) {
      this.#low = Math.min(low, this.#low ?? low);
      this.#high = Math.max(high, this.#high ?? high);
      this.#tooLong = 0;
    } else if (low > this.#low || high < this.#high) {
      this.#tooLong += 1;
      if (this.#tooLong > PATIENCE) [this.#low, this.#high, this.#tooLong] = [low, high, 0];
    } else {
      this.#tooLong = 0;
    }
    return [this.#low, this.#high];
  }
}

/** The marks of the axis: 1, 2 and 5 of each decade where there are few decades, else the powers of ten. */
export function dollarTicks(low, high) {
  const decades = Math.log10(high / low);
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    for (const step of decades > 3.2 ? [1] : STEPS) {
      const value = step * 10 ** power;
      if (value >= low * 0.999 && value <= high * 1.001) ticks.push({ value, major: step === 1 });
    }
  }
  return ticks;
}

export function dollarTick(value) {
  return value >= 1 ? `$${value.toLocaleString("en-US")}` : `$${Number(value.toPrecision(3))}`;
}

/** Sizes of a drawing `width` pixels wide. Narrow: labels stand on the lines, else right of them. */
export function layout(width) {
  const narrow = width < 560;
  const height = narrow ? 320 : 420;
  const left = narrow ? 42 : 52;
  const right = narrow ? 10 : 164;
  return { width, height, narrow, left, right: width - right, top: 14, bottom: height - 46 };
}

export function scales(frame, [low, high]) {
  const span = Math.log(high / low);
  return {
    x: (utilization) => frame.left + (frame.right - frame.left) * Math.min(1, Math.max(0, utilization)),
    y: (usd) => frame.bottom - ((frame.bottom - frame.top) * Math.log(Math.min(high, Math.max(low, usd)) / low)) / span,
  };
}

/** The box's curve full / U, from where it comes down into the frame. */
export function hyperbola(full, high, scale) {
  const start = Math.min(1, Math.max(full / high, 1e-4));
  const points = [];
  for (let step = 0; step <= 96; step += 1) {
    const utilization = start ** (1 - step / 96);
    points.push(`${scale.x(utilization).toFixed(1)},${scale.y(full / utilization).toFixed(1)}`);
  }
  return points;
}

/** Moves labels {y} apart so that none is nearer than `gap` to the next, within [top, bottom]; sets `at`. */
export function spread(labels, gap, top, bottom) {
  const sorted = [...labels].sort((one, other) => one.y - other.y);
  let floor = top;
  for (const label of sorted) {
    label.at = Math.max(label.y, floor);
    floor = label.at + gap;
  }
  let ceiling = bottom;
  for (const label of sorted.reverse()) {
    label.at = Math.min(label.at, ceiling);
    ceiling = label.at - gap;
  }
  return labels;
}
