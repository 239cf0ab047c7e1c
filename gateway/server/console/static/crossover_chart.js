// The crossover chart: $ per 1M output tokens against the box's utilization, and where the box is now.

import { curveText, grid, lines } from "./crossover_lines.js";
import { livePart } from "./crossover_live.js";
import { keyed, makeTable, setAttribute, setText, svg } from "./elements.js";
import { DollarRange, layout, scales } from "./crossover_scale.js";
import * as format from "./format.js";
import { anySimulated, hueOf, shown } from "./palette.js";

const TRAIL = 90; // places of the last states, one a second

export class CrossoverChart {
  #place;
  #caption;
  #table;
  #range = new DollarRange();
  #trails = new Map();
  #state = null;
  #drawn = "";
  #back = svg("g");
  #front = svg("g");
  #root;

  constructor(place, caption, table) {
    this.#place = place;
    this.#caption = caption;
    this.#root = svg("svg", { role: "img", "aria-label": "Crossover chart" }, this.#back, this.#front);
    place.append(this.#root);
    this.#table = makeTable(COLUMNS, "US$ per 1M output tokens of each path");
    table.append(this.#table.table);
    new ResizeObserver(() => this.#draw()).observe(place);
  }

  reset() {
    this.#trails.clear();
    this.#range = new DollarRange();
    this.#drawn = "";
  }

  update(state) {
    this.#state = state;
    for (const box of state.boxes) this.#remember(box);
    this.#table.show(tableRows(state));
    setText(this.#caption, caption(state));
    setAttribute(this.#root, "aria-label", described(state));
    this.#draw();
  }

  #remember(box) {
    const trail = this.#trails.get(box.name) ?? [];
    if (box.usd_per_1m !== null) trail.push({ utilization: box.utilization, usd: box.usd_per_1m });
    else trail.length = 0;
    if (trail.length > TRAIL) trail.shift();
    this.#trails.set(box.name, trail);
  }

  #draw() {
    const width = this.#place.clientWidth;
    if (!this.#state || !width) return;
    const state = this.#state;
    const frame = layout(width);
    this.#place.dataset.narrow = String(frame.narrow);
    const flats = flatPaths(state);
    const boxes = state.boxes.filter((box) => box.usd_per_1m_at_full !== null);
    const range = this.#range.around([
      ...flats.map((path) => path.curve.usd_per_1m),
      ...boxes.flatMap((box) => [box.usd_per_1m_at_full, box.usd_per_1m_at_full * 15, box.usd_per_1m]),
      ...boxes.flatMap((box) => box.elsewhere.map((one) => one.usd_per_1m)),
    ]);
    const scale = scales(frame, range);
    const figures = JSON.stringify([
      width,
      range,
      flats,
      boxes.map((box) => [box.name, box.usd_per_1m_at_full, box.crossovers]),
    ]);
    if (figures !== this.#drawn) {
      this.#drawn = figures;
      setAttribute(this.#root, "viewBox", `0 0 ${frame.width} ${frame.height}`);
      setAttribute(this.#root, "height", frame.height);
      this.#back.replaceChildren(...grid(frame, scale, range), ...lines(frame, scale, range, flats, boxes));
    }
    keyed(this.#front, boxes, (box) => box.name, livePart);
    for (const box of boxes)
      this.#front.kept.get(box.name).show(
        box,
        this.#trails.get(box.name) ?? [],
        frame,
        scale,
        flats.map((path) => scale.y(path.curve.usd_per_1m)),
      );
  }
}

const COLUMNS = [
  { title: "Path" },
  { title: "Price by its curve", number: true },
  { title: "Box is cheaper above", number: true },
  { title: "Now", number: true },
  { title: "The box's tokens there", number: true },
];

function flatPaths(state) {
  return state.paths.filter((path) => path.curve.usd_per_1m !== null && path.curve.divided_by !== "utilization");
}

function tableRows(state) {
  const [box] = state.boxes;
  return state.paths.map((path) => {
    const crossing = box?.crossovers.find((one) => one.against === path.name);
    const there = box?.elsewhere.find((one) => one.path === path.name);
    return {
      key: path.name,
      cells: [
        { text: shown(path.name), class: "path", hue: hueOf(path.name) },
        curveText(path),
        crossing ? crossingText(crossing) : "",
        format.usd(path.usd_per_1m.reservation),
        there ? format.usd(there.usd_per_1m) : "",
      ],
    };
  });
}

function crossingText(crossing) {
  if (crossing.utilization === null) return "not known";
  return crossing.utilization > 1
    ? `never (${format.times(crossing.utilization)} its capacity)`
    : format.percent(crossing.utilization);
}

function caption(state) {
  const [box] = state.boxes;
  if (!box) return "No backend of this policy is an owned box: there is nothing to cross.";
  const unseen = box.crossovers
    .filter((one) => one.utilization !== null && one.utilization > 1)
    .map((one) => `${shown(one.against)} (${format.times(one.utilization)} its capacity)`);
  const served = box.utilization > 0 ? "something without a price" : "nothing";
  const about =
    box.usd_per_1m === null
      ? `${shown(box.name)} served ${served} in the last ${format.duration(state.covered_seconds)}: it has no place on its curve.`
      : null;
  return (
    (about ??
      `The dot is ${shown(box.name)} over the last ${format.duration(state.covered_seconds)}; the diamonds are what the same tokens would have cost elsewhere.`) +
    (anySimulated() ? " Dashed, †: simulated." : "") +
    (unseen.length ? ` Never cheaper at this capacity than ${unseen.join(", ")}.` : "")
  );
}

function described(state) {
  const said = state.boxes.map((box) => {
    const now =
      box.usd_per_1m === null && box.utilization === 0
        ? `${box.name} is idle`
        : `${box.name} is at ${format.percent(box.utilization)} and ${format.usd(box.usd_per_1m)}`;
    const crossings = box.crossovers.map((one) => `against ${shown(one.against)}: ${crossingText(one)}`);
    return `${now}; it becomes cheaper above, ${crossings.join(", ")}`;
  });
  return `US$ per 1M output tokens against utilization. ${said.join(". ")}. The table below has the figures.`;
}
