// $ per 1M output tokens over time, and under it how busy the boxes were against their crossovers.

import { fetched } from "./connection.js";
import { dollarTick, dollarTicks } from "./crossover_scale.js";
import { h, keyed, makeTable, setText } from "./elements.js";
import * as format from "./format.js";
import { colourOf, hueOf, shown, token } from "./palette.js";
import { Past, SPANS } from "./past.js";

const HEIGHTS = { prices: 280, utilization: 112 };

export class TimeChart {
  #place;
  #span = "15m";
  #past = null;
  #version = null;
  #asked = 0;
  #loading = false;
  #state = null;
  #charts = [];
  #legend = h("ul", { class: "legend" });
  #prices = h("div");
  #busy = h("div");
  #table;

  constructor(place, table, choice) {
    this.#place = place;
    place.append(
      this.#legend,
      this.#prices,
      h("p", { class: "plot-title" }, "Dotted: what the box’s own tokens would have cost there."),
      h("p", { class: "plot-title" }, "Utilization of the box; dashed: above this it is the cheaper"),
      this.#busy,
    );
    this.#table = makeTable(COLUMNS, "US$ per 1M output tokens over the span");
    table.append(this.#table.table);
    choice.addEventListener("click", (event) => {
      const { span } = event.target.dataset;
      if (span) this.#choose(choice, span);
    });
    new ResizeObserver(() => this.resize()).observe(place);
  }

  #choose(choice, span) {
    this.#span = span;
    for (const button of choice.querySelectorAll("button"))
      button.setAttribute("aria-pressed", String(button.dataset.span === span));
    this.load();
  }

  reset() {
    this.#past = null;
    this.#asked += 1; // what is under way is of the last run
    this.#loading = false;
    this.#discard();
  }

  async load() {
    const asked = (this.#asked += 1);
    this.#loading = true;
    const span = this.#span;
    let read = null;
    try {
      read = await fetched(`/console/api/history?span=${span}`);
    } catch {
      // the connection's own banner says it; the next state asks again
    }
    if (asked !== this.#asked) return; // another span, or another run, was asked for since
    this.#loading = false;
    this.#past = read === null ? null : new Past(read, span);
    this.redraw();
  }

  update(state) {
    this.#state = state;
    const { live } = SPANS[this.#span];
    const stale = !live && this.#version !== state.history_version;
    this.#version = state.history_version;
    if (!this.#loading) {
      if (this.#past === null || stale || (live && !this.#past.add(state))) this.load();
      else if (live) this.#show();
    }
    this.#showLegend();
  }

  redraw() {
    this.#discard();
    if (this.#past === null || !this.#place.clientWidth) return;
    const past = this.#past;
    const shared = {
      padding: [10, 10, 0, 0],
      cursor: { sync: { key: "time" }, y: false, points: { size: 6 } },
      legend: { show: false },
    };
    const prices = {
      ...shared,
      width: this.#place.clientWidth,
      height: HEIGHTS.prices,
      scales: { x: { time: true, range: () => past.range() }, y: { distr: 3, log: 10, range: dollarRange } },
      axes: [
        { ...axis(), size: 8, values: () => [], ticks: { show: false } },
        {
          ...axis(),
          size: 52,
          splits: (_, __, low, high) => dollarTicks(low, high).map((tick) => tick.value),
          filter: (_, splits) => splits,
          values: (_, splits) => splits.map(dollarTick),
        },
      ],
      series: [
        {},
        ...past.paths.map((name) => ({ stroke: colourOf(name), width: 2, points: { show: false } })),
        ...past.elsewhere.map((path) => ({
          stroke: colourOf(path),
          width: 1.5,
          dash: [2, 4],
          points: { show: false },
        })),
      ],
      hooks: { setCursor: [(plot) => this.#showLegend(plot.cursor.idx)] },
    };
    const busy = {
      ...shared,
      width: this.#place.clientWidth,
      height: HEIGHTS.utilization,
      scales: { x: { time: true, range: () => past.range() }, y: { range: [0, 1] } },
      axes: [
        {
          ...axis(),
          size: 30,
          space: 72, // a time with its seconds, and air
          values: (_, splits) => splits.map((at) => format.clock(at, splits[1] - splits[0] < 60)),
        },
        {
          ...axis(),
          size: 52,
          splits: () => [0, 0.5, 1],
          values: (_, splits) => splits.map((value) => `${value * 100}%`),
        },
      ],
      series: [
        {},
        ...past.boxes.map((name) => ({
          stroke: colourOf(name),
          fill: `${colourOf(name)}22`,
          width: 1.5,
          points: { show: false },
        })),
        ...this.#crossovers().map((one) => ({
          stroke: colourOf(one.against),
          width: 1.5,
          dash: [5, 4],
          points: { show: false },
        })),
      ],
    };
    this.#charts = [
      new window.uPlot(prices, past.priceColumns(), this.#prices),
      new window.uPlot(busy, past.busyColumns(this.#levels()), this.#busy),
    ];
    for (const chart of this.#charts) chart.root.setAttribute("aria-hidden", "true"); // the table below has the figures
    this.#showTable();
    this.#showLegend();
  }

  #levels() {
    return this.#crossovers().map((one) => one.utilization);
  }

  /** Those of now: lines across the whole chart. */
  #crossovers() {
    return (this.#state?.boxes ?? [])
      .flatMap((box) => box.crossovers)
      .filter((one) => one.utilization !== null && one.utilization <= 1);
  }

  #show() {
    if (document.hidden || !this.#place.clientWidth) return;
    if (!this.#charts.length) return this.redraw();
    const past = this.#past;
    this.#charts[0].setData(past.priceColumns());
    const busy = past.busyColumns(this.#levels());
    if (busy.length !== this.#charts[1].series.length) return this.redraw(); // another crossover came into sight
    this.#charts[1].setData(busy);
    this.#showTable();
  }

  #showLegend(index = this.#charts[0]?.cursor.idx ?? null) {
    if (this.#past === null) return;
    const pointed = index !== null && index !== undefined;
    const items = this.#past.paths.map((name) => ({
      name,
      value: pointed ? this.#past.prices(name)[index] : (this.#state?.tiles.usd_per_1m[name] ?? null),
    }));
    keyed(this.#legend, items, (item) => item.name, legendItem);
    this.#legend.dataset.at = pointed ? format.clock(this.#past.at[index], this.#span === "15m") : "now";
  }

  #showTable() {
    const rows = this.#past.paths.map((name) => {
      const all = this.#past.prices(name);
      const known = all.filter((value) => value !== null);
      const last = all.at(-1);
      const middle = [...known].sort((a, b) => a - b)[Math.floor(known.length / 2)];
      return {
        key: name,
        cells: [
          { text: shown(name), class: "path", hue: hueOf(name) },
          ...[last, known.length ? Math.min(...known) : null, middle, known.length ? Math.max(...known) : null].map(
            (value) => format.usd(value ?? null),
          ),
        ],
      };
    });
    this.#table.show(rows);
  }

  resize() {
    const width = this.#place.clientWidth;
    if (!width) return;
    if (!this.#charts.length) return this.redraw();
    if (this.#charts[0].width !== width) {
      this.#charts[0].setSize({ width, height: HEIGHTS.prices });
      this.#charts[1].setSize({ width, height: HEIGHTS.utilization });
    }
  }

  #discard() {
    for (const chart of this.#charts) chart.destroy();
    this.#charts = [];
  }
}

const COLUMNS = [
  { title: "Path" },
  ...["Now", "Lowest", "Median", "Highest"].map((title) => ({ title, number: true })),
];

function columns({ at, series, boxes }) {
  const there = Object.values(boxes).flatMap((one) => [one.utilization, ...Object.values(one.elsewhere)]);
  return [at, ...Object.values(series).map((one) => one.usd_per_1m), ...there];
}

function axis() {
  return {
    stroke: token("--ink-3"),
    font: `12px ${getComputedStyle(document.body).fontFamily}`,
    grid: { stroke: token("--line"), width: 1 },
    ticks: { show: false },
    gap: 6,
  };
}

function dollarRange(_, low, high) {
  if (low === null || high === null) return [0.1, 100];
  return [low / 1.6, high * 1.6];
}

function legendItem(item) {
  const value = h("strong");
  const element = h("li", null, h("span", { class: "path", "data-hue": hueOf(item.name) }, shown(item.name)), value);
  return { element, update: (now) => setText(value, format.usd(now.value ?? null)) };
}
