// The verdict and the figures that answer at a glance: what a token costs, how busy the box is, what is being spent.

import { h, keyed, setAttribute, setText } from "./elements.js";
import * as format from "./format.js";
import { hueOf, shown } from "./palette.js";

/** The verdict is read out when it changes, and not each time a digit of it does. */
const QUIET_SECONDS = 20;
let saidAt = -Infinity;

export function showVerdict(state) {
  const { sentence, tone, detail } = state.verdict;
  if (state.at - saidAt >= QUIET_SECONDS || state.at < saidAt) {
    const region = document.getElementById("verdict-said");
    if (region.textContent !== sentence) saidAt = state.at;
    setText(region, sentence);
  }
  setAttribute(document.getElementById("verdict"), "data-tone", tone);
  setText(document.getElementById("verdict-sentence"), sentence);
  setText(document.getElementById("verdict-detail"), detail ?? "");
  const said = new Set(`${sentence} ${detail ?? ""}`.split(/[^\w.-]+|\.(?=\s|$)/));
  const simulated = state.paths.filter((path) => path.simulated && said.has(path.name)).map((path) => path.name);
  const note = document.getElementById("verdict-simulated");
  note.hidden = !simulated.length;
  setText(note, `simulated: ${simulated.join(", ")}`);
}

export function showTiles(container, state) {
  keyed(
    container,
    TILES,
    (tile) => tile.name,
    (tile) => tile.make(),
  );
  const { kept } = container;
  for (const tile of TILES) kept.get(tile.name).show(state);
}

function tile(label, className, ...parts) {
  return h("section", { class: `tile ${className}`, "aria-label": label }, h("h2", null, label), ...parts);
}

function made(element, show) {
  return { element, update() {}, show };
}

const TILES = [
  { name: "prices", make: prices },
  { name: "utilization", make: utilization },
  { name: "spending", make: spending },
  { name: "saved", make: saved },
  { name: "in-time", make: inTime },
];

function prices() {
  const list = h("ul", { class: "prices" });
  const row = () => {
    const name = h("span", { class: "path" });
    const mark = h("span", { class: "simulated" }, "simulated");
    const price = h("strong");
    const element = h("li", null, name, mark, price);
    const update = (path) => {
      setAttribute(name, "data-hue", hueOf(path.name));
      setText(name, path.name);
      setAttribute(name, "title", path.description);
      mark.hidden = !path.simulated;
      setText(price, format.usd(path.usd));
      setAttribute(element, "class", path.usd === null ? "idle" : null);
      setAttribute(
        price,
        "title",
        path.usd === null
          ? "in the last minutes: no output tokens, or some without a price"
          : "all its dollars of the last minutes over the tokens served",
      );
    };
    return { element, update };
  };
  return made(tile("$ per 1M output tokens, now", "wide", list), (state) => {
    const given = state.tiles.usd_per_1m;
    const paths = state.paths.map((path) => ({
      name: path.name,
      simulated: path.simulated,
      usd: given[path.name] ?? null,
      description: path.description,
    }));
    keyed(list, paths, (path) => path.name, row);
  });
}

function meter(className) {
  const fill = h("i", { class: "meter-fill" });
  const mark = h("b", { class: "meter-mark" });
  const element = h("div", { class: `meter ${className}`, "aria-hidden": "true" }, fill, mark);
  const show = (ratio, at) => {
    fill.style.width = `${Math.min(1, Math.max(0, ratio ?? 0)) * 100}%`;
    mark.hidden = at === null || at === undefined || at > 1;
    if (!mark.hidden) mark.style.left = `${at * 100}%`;
  };
  return { element, show };
}

function utilization() {
  const value = h("strong", { class: "big" });
  const bar = meter("hued");
  const note = h("p");
  return made(tile("Box utilization", "", value, bar.element, note), (state) => {
    const { utilization: now, crossover_utilization: crossover, crossover_against: against } = state.tiles;
    setText(value, format.percent(now));
    if (state.boxes.length) setAttribute(bar.element, "data-hue", hueOf(state.boxes[0].name));
    bar.show(now, crossover);
    setText(note, besideCrossover(now, crossover, against));
  });
}

function besideCrossover(now, crossover, against) {
  if (against === null || against === undefined) return "There is no path to compare it with.";
  if (crossover === null || crossover === undefined) return `Its crossover against ${shown(against)} is not known.`;
  if (crossover > 1)
    return `Never cheaper than ${shown(against)}: that would take ${format.times(crossover)} its capacity.`;
  if (now === null || now === undefined) return `Cheaper than ${shown(against)} above ${format.percent(crossover)}.`;
  return `${now > crossover ? "Above" : "Below"} its crossover against ${shown(against)}, ${format.percent(crossover)}.`;
}

function spending() {
  const value = h("strong", { class: "big" });
  const total = h("p");
  const open = h("p", { class: "open-windows" });
  return made(
    tile("Being spent", "", h("p", { class: "big-line" }, value, h("span", null, "an hour")), total, open),
    (state) => {
      const spent = state.tiles.spent_usd;
      setText(value, format.amount(spent.per_hour_now));
      setText(
        total,
        `${format.amount(spent.since_start)} since the start, ${format.amount(spent.last_hour)} in the last hour.`,
      );
      setText(open, state.backends.map(openWindow).filter(Boolean).join(" "));
    },
  );
}

function openWindow(backend) {
  const { windows } = backend;
  if (!windows || !windows.copies) return "";
  const copies = windows.copies === 1 ? "A window" : `${windows.copies} windows`;
  const left = windows.seconds_left === null ? "" : `, ${format.countdown(windows.seconds_left)} left`;
  return `${copies} of ${shown(backend.name)} open${left}.`;
}

function saved() {
  const value = h("strong", { class: "big" });
  const note = h("p");
  const others = h("p");
  return made(tile("Saved by routing", "", value, note, others), (state) => {
    const { saved_usd: first, saved: all } = state.tiles;
    const usd = first?.since_start ?? null;
    setText(value, format.amount(usd));
    setAttribute(value, "class", `big${usd !== null && usd < 0 ? " loss" : ""}`);
    setText(note, savedAgainst(first?.against ?? null, usd));
    const rest = all.filter((one) => one.against !== first?.against && one.usd !== null);
    setText(others, rest.map((one) => `Against ${shown(one.against)}: ${format.amount(one.usd)}.`).join(" "));
  });
}

function savedAgainst(against, usd) {
  if (against === null) return "There is no other path to compare with.";
  if (usd === null) return "Not known: some tokens were served without a price.";
  if (usd < 0) return `More than all of it on ${shown(against)} would have cost.`;
  return `Against sending all of it to ${shown(against)}.`;
}

function inTime() {
  const value = h("strong", { class: "big" });
  const bar = meter("budget");
  const note = h("p");
  const requests = h("p");
  return made(tile("In time", "", value, bar.element, note, requests), (state) => {
    const { in_time_ratio: ratio, error_budget_ratio: used, requests_per_second: rate } = state.tiles;
    setText(value, format.share(ratio));
    bar.show(used);
    setAttribute(bar.element, "data-over", used !== null && used > 1 ? "" : null);
    setText(note, used === null || used === undefined ? "" : `${format.percent(used)} of the error budget is used.`);
    setText(
      requests,
      rate === null || rate === undefined
        ? ""
        : rate === 0
          ? "No answer in the last minute."
          : `${format.rate(rate)} answers a second.`,
    );
  });
}
