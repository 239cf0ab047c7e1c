// Numbers as people read them. Unknown is a dash and never 0.

export const UNKNOWN = "–";
const MINUS = "−";

const grouped = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

function known(value) {
  return typeof value === "number" && Number.isFinite(value);
}

function digits(value) {
  const size = Math.abs(value);
  if (size >= 1000) return grouped.format(size);
  if (size >= 100) return size.toFixed(0);
  if (size >= 10) return size.toFixed(1);
  if (size >= 0.1) return size.toFixed(2);
  if (size === 0) return "0";
  if (size < 1e-9) return "<0.000000001";
  const places = Math.min(9, 1 - Math.floor(Math.log10(size)));
  return size.toFixed(places);
}

/** A price: $431, $27.5, $2.55, $0.041. */
export function usd(value) {
  if (!known(value)) return UNKNOWN;
  return `${value < 0 ? MINUS : ""}$${digits(value)}`;
}

/** An amount: cents from a dollar on, two figures below. */
export function amount(value) {
  if (!known(value)) return UNKNOWN;
  const size = Math.abs(value);
  const text = size >= 1000 ? grouped.format(size) : size >= 1 ? size.toFixed(2) : digits(size);
  return `${value < 0 ? MINUS : ""}$${text}`;
}

export function percent(ratio) {
  if (!known(ratio)) return UNKNOWN;
  const value = ratio * 100;
  const size = Math.abs(value);
  if (size === 0) return "0%";
  if (size < 0.1) return `${value < 0 ? MINUS : ""}<0.1%`;
  return `${value < 0 ? MINUS : ""}${size < 9.95 ? size.toFixed(1) : size.toFixed(0)}%`;
}

/** A share where the last hundredths matter: 98.96%. */
export function share(ratio) {
  if (!known(ratio)) return UNKNOWN;
  if (ratio === 0 || ratio === 1) return `${ratio * 100}%`;
  const places = ratio > 0.9 || ratio < 0.1 ? 2 : 1;
  return `${(Math.floor(ratio * 100 * 10 ** places + 1e-9) / 10 ** places).toFixed(places)}%`;
}

export function times(value) {
  if (!known(value)) return UNKNOWN;
  return `${value >= 10 ? grouped.format(value) : value.toFixed(1)}×`;
}

export function count(value) {
  return known(value) ? grouped.format(value) : UNKNOWN;
}

/** Tokens: 1,861; 48.2k; 3.1M. */
export function tokens(value) {
  if (!known(value)) return UNKNOWN;
  if (value < 10_000) return grouped.format(value);
  if (value < 1e6) return `${(value / 1e3).toFixed(1)}k`;
  if (value < 1e9) return `${(value / 1e6).toFixed(1)}M`;
  return `${(value / 1e9).toFixed(1)}G`;
}

export function rate(value) {
  if (!known(value)) return UNKNOWN;
  return value >= 100 ? grouped.format(value) : value >= 10 || value === 0 ? value.toFixed(0) : value.toFixed(1);
}

/** A latency: 86 ms, 0.45 s, 12 s. */
export function seconds(value) {
  if (!known(value)) return UNKNOWN;
  if (value === 0) return "0 s";
  if (value < 0.0995) return `${(value * 1000).toFixed(value < 0.00995 ? 1 : 0)} ms`;
  if (value < 9.95) return `${value.toFixed(2)} s`;
  if (value >= 600) return duration(value);
  return `${value.toFixed(0)} s`;
}

/** A countdown: 4:05. */
export function countdown(value) {
  if (!known(value)) return UNKNOWN;
  const whole = Math.max(0, Math.ceil(value));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** A length of time in words: 42 s, 12 min, 3 h 5 min, 2 d 4 h. */
export function duration(value) {
  if (!known(value)) return UNKNOWN;
  const whole = Math.max(0, Math.round(value));
  if (whole < 90) return `${whole} s`;
  const minutes = Math.round(whole / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function two(value) {
  return String(value).padStart(2, "0");
}

/** Wall clock, local: 01:34:12. */
export function clock(wall, withSeconds = true) {
  if (!known(wall)) return UNKNOWN;
  const at = new Date(wall * 1000);
  const text = `${two(at.getHours())}:${two(at.getMinutes())}`;
  return withSeconds ? `${text}:${two(at.getSeconds())}` : text;
}

export function moment(wall) {
  if (!known(wall)) return UNKNOWN;
  const at = new Date(wall * 1000);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(wall)}`;
}

export function words(identifier) {
  return String(identifier).replaceAll("_", " ");
}
