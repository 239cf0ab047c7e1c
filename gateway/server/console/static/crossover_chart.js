// The crossover chart: $ per 1M output tokens against the box's utilization, and where the box is now.

import { h, keyed, makeTable, setAttribute, setText, svg } from "./elements.js";
import { DollarRange, dollarTicks, hyperbola, layout, scales, spread } from "./crossover_scale.js";
import * as format from "./format.js";
import { hueOf } from "./palette.js";

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
    const flats = flatPaths(state);
    const boxes = state.boxes.filter((box) => box.usd_per_1m_at_full !== null);
    const range = this.#range.around([
      ...flats.map((path) => path.curve.usd_per_1m),
      ...boxes.flatMap((box) => [box.usd_per_1m_at_full, box.usd_per_1m_at_full * 15, box.usd_per_1m]),
      ...boxes.flatMap((box) => box.elsewhere.map((one) => one.usd_per_1m)),
    ]);
    const scale = scales(frame, range);
    const figures = JSON.stringify([width, range, flats, boxes.map((box) => [box.name, box.usd_per_1m_at_full, box.crossovers])]);
    if (figures !== this.#drawn) {
      this.#drawn = figures;
      setAttribute(this.#root, "viewBox", `0 0 ${frame.width} ${frame.height}`);
      setAttribute(this.#root, "height", frame.height);
      this.#back.replaceChildren(...grid(frame, scale, range), ...lines(frame, scale, range, flats, boxes));
    }
    keyed(this.#front, boxes, (box) => box.name, livePart);
    for (const box of boxes) this.#front.kept.get(box.name).show(box, this.#trails.get(box.name) ?? [], frame, scale);
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

function curveText(path) {
  if (path.curve.usd_per_1m === null) return "price unknown";
  const price = format.usd(path.curve.usd_per_1m);
  if (path.curve.divided_by === "utilization") return `${price} at 100%`;
  if (path.curve.divided_by === "duty") return `${price} at full duty`;
  return path.cost_kind === "window" ? `${price} while active` : price;
}

function tableRows(state) {
  const [box] = state.boxes;
  return state.paths.map((path) => {
    const crossing = box?.crossovers.find((one) => one.against === path.name);
    const there = box?.elsewhere.find((one) => one.path === path.name);
    return {
      key: path.name,
      cells: [
        { text: path.name + (path.simulated ? " (simulated)" : ""), class: "path", hue: hueOf(path.name) },
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
  return crossing.utilization > 1 ? `never (${format.times(crossing.utilization)} its capacity)` : format.percent(crossing.utilization);
}

function caption(state) {
  const [box] = state.boxes;
  if (!box) return "No backend of this policy is an owned box: there is nothing to cross.";
  const unseen = box.crossovers.filter((one) => one.utilization !== null && one.utilization > 1).map((one) => `${one.against} (${format.times(one.utilization)} its capacity)`);
  return (
    `The dot is ${box.name} over the last ${format.duration(state.covered_seconds)}; the diamonds are what the same tokens would have cost elsewhere. Dashed: simulated.` +
    (unseen.length ? ` Never cheaper at this capacity than ${unseen.join(", ")}.` : "")
  );
}

function described(state) {
  const said = state.boxes.map((box) => {
    const now = box.usd_per_1m === null ? `${box.name} is idle` : `${box.name} is at ${format.percent(box.utilization)} and ${format.usd(box.usd_per_1m)}`;
    const crossings = box.crossovers.map((one) => `against ${one.against}: ${crossingText(one)}`);
    return `${now}; it becomes cheaper above, ${crossings.join(", ")}`;
  });
  return `US$ per 1M output tokens against utilization. ${said.join(". ")}. The table below has the figures.`;
}

function grid(frame, scale, [low, high]) {
  const parts = [];
  for (const tick of dollarTicks(low, high)) {
    const y = scale.y(tick.value);
    parts.push(svg("line", { class: tick.major ? "grid" : "grid minor", x1: frame.left, x2: frame.right, y1: y, y2: y }));
    parts.push(svg("text", { class: "tick", x: frame.left - 8, y: y + 4, "text-anchor": "end" }, format.usd(tick.value).replace(".00", "").replace(/(\.\d)0$/, "$1")));
  }
  for (const share of [0, 0.2, 0.4, 0.6, 0.8, 1]) {
    const x = scale.x(share);
    const anchor = share === 1 && frame.narrow ? "end" : "middle";
    parts.push(svg("line", { class: "grid minor", x1: x, x2: x, y1: frame.top, y2: frame.bottom }));
    parts.push(svg("text", { class: "tick", x, y: frame.bottom + 18, "text-anchor": anchor }, `${share * 100}%`));
  }
  parts.push(svg("line", { class: "axis", x1: frame.left, x2: frame.right, y1: frame.bottom, y2: frame.bottom }));
  parts.push(svg("text", { class: "tick", x: (frame.left + frame.right) / 2, y: frame.bottom + 38, "text-anchor": "middle" }, "utilization of the box"));
  return parts;
}

function lines(frame, scale, [, high], flats, boxes) {
  const parts = [];
  for (const box of boxes) parts.push(...winning(box, frame, scale, high));
  for (const path of flats) {
    const y = scale.y(path.curve.usd_per_1m);
    const dashed = path.simulated ? " dashed" : "";
    parts.push(svg("line", { class: `curve${dashed}`, "data-hue": hueOf(path.name), x1: frame.left, x2: frame.right, y1: y, y2: y }));
  }
  for (const box of boxes) {
    const points = hyperbola(box.usd_per_1m_at_full, high, scale).join(" ");
    parts.push(svg("polyline", { class: `curve box${box.simulated ? " dashed" : ""}`, "data-hue": hueOf(box.name), points }));
  }
  for (const box of boxes) parts.push(...crossings(box, frame, scale));
  parts.push(...pathLabels(frame, scale, flats, boxes));
  return parts;
}

/** Tinted: where the box undercuts the path that it is compared with. */
function winning(box, frame, scale, high) {
  const crossing = box.crossovers.filter((one) => one.utilization !== null && one.utilization < 1 && one.usd_per_1m).sort((one, other) => one.usd_per_1m - other.usd_per_1m)[0];
  if (!crossing) return [];
  const points = [];
  for (let step = 0; step <= 40; step += 1) {
    const utilization = crossing.utilization ** (1 - step / 40);
    points.push(`${scale.x(utilization).toFixed(1)},${scale.y(Math.min(high, box.usd_per_1m_at_full / utilization)).toFixed(1)}`);
  }
  const y = scale.y(crossing.usd_per_1m);
  return [svg("polygon", { class: "winning", "data-hue": hueOf(box.name), points: `${points.join(" ")} ${frame.right},${y} ${scale.x(crossing.utilization)},${y}` })];
}

function crossings(box, frame, scale) {
  const shown = box.crossovers.filter((one) => one.utilization !== null && one.utilization <= 1 && one.usd_per_1m);
  return shown.sort((one, other) => one.utilization - other.utilization).flatMap((one, index) => {
    const x = scale.x(one.utilization);
    const y = scale.y(one.usd_per_1m);
    const left = one.utilization > 0.6;
    return [
      svg("line", { class: "drop", x1: x, x2: x, y1: y, y2: frame.bottom, "data-hue": hueOf(one.against) }),
      svg("circle", { class: "crossing", cx: x, cy: y, r: 5, "data-hue": hueOf(one.against) }),
      svg("text", { class: "crossing-label", x: x + (left ? -7 : 7), y: frame.bottom - 9 - 17 * index, "text-anchor": left ? "end" : "start" },
        svg("tspan", { class: "strong" }, format.percent(one.utilization)),
        svg("tspan", null, frame.narrow ? ` against ${one.against}` : ` crossover against ${one.against}`)),
    ];
  });
}

function pathLabels(frame, scale, flats, boxes) {
  const labels = [
    ...flats.map((path) => ({ y: scale.y(path.curve.usd_per_1m), name: path.name, simulated: path.simulated, says: curveText(path) })),
    ...boxes.map((box) => ({ y: scale.y(box.usd_per_1m_at_full), name: box.name, simulated: box.simulated, says: `${format.usd(box.usd_per_1m_at_full)} at 100%` })),
  ];
  if (frame.narrow) {
    spread(labels, 17, frame.top + 12, frame.bottom - 30);
    return labels.map((label) => svg("text", { class: "path-label halo", x: frame.right - 4, y: label.at - 6, "text-anchor": "end", "data-hue": hueOf(label.name) }, svg("tspan", { class: "strong" }, label.name), svg("tspan", null, ` ${label.says}`)));
  }
  spread(labels, 38, frame.top + 6, frame.bottom - 12);
  return labels.flatMap((label) => [
    svg("path", { class: "leader", "data-hue": hueOf(label.name), d: `M${frame.right + 3} ${label.y}L${frame.right + 11} ${label.at}` }),
    svg("text", { class: "path-label", x: frame.right + 16, y: label.at, "data-hue": hueOf(label.name) },
      svg("tspan", { class: "strong", dy: 1 }, label.name),
      svg("tspan", { class: "says", x: frame.right + 16, dy: 15 }, label.says + (label.simulated ? " †" : ""))),
  ]);
}

/** What moves: the place on the curve, where it has been, and what its tokens would have cost elsewhere. */
function livePart(box) {
  const hue = hueOf(box.name);
  const trails = [0, 1, 2].map((age) => svg("polyline", { class: `trail age-${age}`, "data-hue": hue }));
  const guide = svg("line", { class: "guide" });
  const others = svg("g");
  const dot = svg("g", { class: "live", "data-hue": hue }, svg("circle", { class: "live-halo", r: 12 }), svg("circle", { class: "live-dot", r: 6.5 }));
  const text = svg("text", { class: "live-label halo", "data-hue": hue });
  const element = svg("g", { "data-box": box.name }, ...trails, guide, others, dot, text);
  const show = (now, trail, frame, scale) => {
    const idle = now.usd_per_1m === null;
    for (const part of [guide, dot, text, others]) setAttribute(part, "visibility", idle ? "hidden" : null);
    drawTrail(trails, trail, scale);
    if (idle) return;
    const x = scale.x(now.utilization);
    const y = scale.y(now.usd_per_1m);
    const left = now.utilization > (frame.narrow ? 0.5 : 0.72);
    const labels = now.elsewhere.filter((one) => one.usd_per_1m !== null).map((one) => ({ y: scale.y(one.usd_per_1m), mark: scale.y(one.usd_per_1m), path: one.path, says: format.usd(one.usd_per_1m) }));
    const own = { y: y - (frame.narrow ? 4 : 10) };
    spread([...labels, own], 18, frame.top + 4, frame.bottom - 28);
    dot.style.transform = `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px)`;
    setAttribute(dot, "data-utilization", now.utilization.toFixed(5));
    for (const [name, value] of [["x1", x], ["x2", x], ["y1", Math.min(y, ...labels.map((one) => one.mark))], ["y2", frame.bottom]]) setAttribute(guide, name, value.toFixed(1));
    setAttribute(text, "text-anchor", left ? "end" : "start");
    setAttribute(text, "x", (x + (left ? -16 : 16)).toFixed(1));
    setAttribute(text, "y", (own.at + 4).toFixed(1));
    setText(text, `${format.usd(now.usd_per_1m)} at ${format.percent(now.utilization)}`);
    keyed(others, labels, (one) => one.path, elsewhereMark);
    for (const label of labels) others.kept.get(label.path).show(label, x, left);
  };
  return { element, update() {}, show };
}

function elsewhereMark(label) {
  const mark = svg("path", { class: "elsewhere", "data-hue": hueOf(label.path), d: "M0-6 6 0 0 6-6 0Z" });
  const text = svg("text", { class: "elsewhere-label halo", "data-hue": hueOf(label.path) });
  const show = (now, x, left) => {
    setAttribute(mark, "transform", `translate(${x.toFixed(1)} ${now.mark.toFixed(1)})`);
    setAttribute(text, "text-anchor", left ? "end" : "start");
    setAttribute(text, "x", (x + (left ? -13 : 13)).toFixed(1));
    setAttribute(text, "y", (now.at + 4).toFixed(1));
    setText(text, `${now.says} on ${now.path}`);
  };
  return { element: svg("g", null, mark, text), update() {}, show };
}

function drawTrail(parts, trail, scale) {
  parts.forEach((part, age) => {
    const from = Math.floor((trail.length * (2 - age)) / 3);
    const piece = trail.slice(from, Math.floor((trail.length * (3 - age)) / 3) + 1);
    setAttribute(part, "points", piece.map((one) => `${scale.x(one.utilization).toFixed(1)},${scale.y(one.usd).toFixed(1)}`).join(" "));
  });
}
