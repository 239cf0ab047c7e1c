// A card for each backend: is it up, how full is it, how quick against its ceilings, which windows are paid.

import { h, keyed, setAttribute, setText } from "./elements.js";
import * as format from "./format.js";
import { hueOf } from "./palette.js";
import { windowsPart } from "./windows.js";

export function showBackends(container, state) {
  keyed(container, state.backends, (backend) => backend.name, card);
}

function card(backend) {
  const status = h("span", { class: "status" });
  const why = h("p", { class: "why" });
  const simulated = h("span", { class: "simulated" }, "simulated");
  const rows = ROWS.map((make) => make());
  const windows = windowsPart();
  const element = h(
    "article",
    { class: "card backend", "aria-label": backend.name, "data-hue": hueOf(backend.name) },
    h("header", null, h("h3", { class: "path", "data-hue": hueOf(backend.name) }, backend.name), simulated, status),
    why,
    h("dl", { class: "bars" }, ...rows.map((row) => row.element)),
    windows.element,
  );
  const update = (now) => {
    setText(status, now.up ? "up" : "down");
    setAttribute(status, "data-up", String(now.up));
    setText(why, now.up ? "" : (now.why_down ?? "It is not asked now."));
    simulated.hidden = !now.simulated;
    for (const row of rows) row.update(now);
    windows.update(now);
  };
  return { element, update };
}

/** One line of a card: a name, a bar (with a mark where the limit is), a figure. */
function barRow(name) {
  const label = h("dt", null, name);
  const fill = h("i");
  const bar = h("span", { class: "bar", "aria-hidden": "true" }, fill);
  const value = h("span", { class: "value" });
  const note = h("small");
  const element = h("div", null, label, h("dd", null, bar, h("span", { class: "said" }, value, note)));
  const show = ({ ratio, text, beside = "", over = false, title = null }) => {
    element.hidden = false;
    bar.hidden = ratio === null || ratio === undefined;
    if (!bar.hidden) fill.style.width = `${Math.max(0, Math.min(1, ratio)) * 100}%`;
    setAttribute(element, "data-over", over ? "" : null);
    setAttribute(element, "title", title);
    setText(value, text);
    setText(note, beside);
  };
  return { element, label, show };
}

const ROWS = [load, cache, firstToken, perToken, fixedCost];

function load() {
  const row = barRow("Load");
  const update = (now) => {
    const queue =
      now.running === null ? `${now.in_flight} in flight` : `${now.running} running, ${now.waiting ?? 0} waiting`;
    const capacity =
      now.capacity_tokens_per_second === null ? "" : ` of ${format.rate(now.capacity_tokens_per_second)} tok/s`;
    row.show({
      ratio: now.utilization,
      text: format.percent(now.utilization) + capacity,
      beside: queue,
      title: "output tokens a second over what it can make",
    });
  };
  return { element: row.element, update };
}

function cache() {
  const row = barRow("KV cache");
  const update = (now) => {
    if (now.kv_cache_usage_ratio === null) row.element.hidden = true;
    else row.show({ ratio: now.kv_cache_usage_ratio, text: format.percent(now.kv_cache_usage_ratio) });
  };
  return { element: row.element, update };
}

/** The tightest ceiling of the models that this backend serves. */
function tightest(ceilings, quantity) {
  const known = ceilings.filter((one) => one[quantity] !== null && one[quantity] !== undefined);
  return known.length ? known.reduce((one, other) => (other[quantity] < one[quantity] ? other : one)) : null;
}

function latencyRow(name, measured, quantity) {
  const row = barRow(name);
  const update = (now) => {
    const figures = now[measured];
    const ceiling = tightest(now.ceilings, quantity);
    if (figures === null) {
      row.show({
        ratio: null,
        text: format.UNKNOWN,
        beside: ceiling ? `ceiling ${format.seconds(ceiling[quantity])}` : "",
        title: "nothing measured in the last minutes",
      });
      return;
    }
    const limit = ceiling?.[quantity] ?? null;
    row.show({
      ratio: limit === null ? null : figures.p95 / limit,
      text: `${format.seconds(figures.p95)}`,
      beside: `p95; p50 ${format.seconds(figures.p50)}${limit === null ? "" : `; ceiling ${format.seconds(limit)}`}`,
      over: limit !== null && figures.p95 > limit,
      title: ceiling
        ? `the ceiling is that of ${ceiling.model}; the bar is full where p95 reaches it`
        : "no model served here has this ceiling",
    });
  };
  return { element: row.element, update };
}

function firstToken() {
  return latencyRow("First token", "ttft_seconds", "ttft_seconds");
}

function perToken() {
  return latencyRow("Each token", "time_per_token_seconds", "time_per_token_seconds");
}

function fixedCost() {
  const row = barRow("Costs");
  const update = (now) => {
    if (now.fixed_usd_per_hour === null) row.element.hidden = true;
    else row.show({ ratio: null, text: `${format.amount(now.fixed_usd_per_hour)} an hour`, beside: "busy or idle" });
  };
  return { element: row.element, update };
}
