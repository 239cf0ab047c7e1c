// What moves on the crossover chart: the box's place now, where it has been, what its tokens would have cost elsewhere.

import { spread } from "./crossover_scale.js";
import { keyed, setAttribute, setText, svg } from "./elements.js";
import * as format from "./format.js";
import { hueOf, shown } from "./palette.js";

/** What moves: the place on the curve, where it has been, and what its tokens would have cost elsewhere. */
export function livePart(box) {
  const hue = hueOf(box.name);
  const trails = [0, 1, 2].map((age) => svg("polyline", { class: `trail age-${age}`, "data-hue": hue }));
  const guide = svg("line", { class: "guide" });
  const others = svg("g");
  const dot = svg(
    "g",
    { class: "live", "data-hue": hue },
    svg("circle", { class: "live-halo", r: 12 }),
    svg("circle", { class: "live-dot", r: 6.5 }),
  );
  const text = svg("text", { class: "live-label halo", "data-hue": hue });
  const element = svg("g", { "data-box": box.name }, ...trails, guide, others, dot, text);
  const show = (now, trail, frame, scale, flatAt) => {
    const idle = now.usd_per_1m === null;
    for (const part of [guide, dot, text, others]) setAttribute(part, "visibility", idle ? "hidden" : null);
    drawTrail(trails, trail, scale);
    if (idle) return;
    const x = scale.x(now.utilization);
    const y = scale.y(now.usd_per_1m);
    const left = now.utilization > (frame.narrow ? 0.5 : 0.72);
    const labels = now.elsewhere
      .filter((one) => one.usd_per_1m !== null)
      .map((one) => ({
        y: scale.y(one.usd_per_1m) - 9,
        mark: scale.y(one.usd_per_1m),
        path: one.path,
        says: format.usd(one.usd_per_1m),
      }));
    const own = { y: left ? y + 22 : y - 14 }; // clear of the curve, which falls to the right
    spread([...labels, own], 18, frame.top + 4, frame.bottom - 28);
    dot.style.transform = `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px)`;
    setAttribute(dot, "data-utilization", now.utilization.toFixed(5));
    for (const [name, value] of [
      ["x1", x],
      ["x2", x],
      ["y1", Math.min(y, ...labels.map((one) => one.mark))],
      ["y2", frame.bottom],
    ])
      setAttribute(guide, name, value.toFixed(1));
    setAttribute(text, "text-anchor", left ? "end" : "start");
    setAttribute(text, "x", (x + (left ? -16 : 16)).toFixed(1));
    setAttribute(text, "y", (own.at + 4).toFixed(1));
    setText(text, `${format.usd(now.usd_per_1m)} at ${format.percent(now.utilization)}`);
    keyed(others, labels, (one) => one.path, elsewhereMark);
    for (const label of labels)
      others.kept.get(label.path).show(
        label,
        x,
        left,
        frame.narrow,
        flatAt.some((y) => Math.abs(y - label.mark) < 10),
      ); // its line says the price
  };
  return { element, update() {}, show };
}

function elsewhereMark(label) {
  const mark = svg("path", { class: "elsewhere", "data-hue": hueOf(label.path), d: "M0-6 6 0 0 6-6 0Z" });
  const text = svg("text", { class: "elsewhere-label halo", "data-hue": hueOf(label.path) });
  const show = (now, x, left, narrow, onLine) => {
    setAttribute(mark, "transform", `translate(${x.toFixed(1)} ${now.mark.toFixed(1)})`);
    setAttribute(text, "text-anchor", left ? "end" : "start");
    setAttribute(text, "x", (x + (left ? -13 : 13)).toFixed(1));
    setAttribute(text, "y", (now.at + 4).toFixed(1));
    setText(text, narrow ? (onLine ? "" : now.says) : `${now.says} on ${shown(now.path)}`);
  };
  return { element: svg("g", null, mark, text), update() {}, show };
}

function drawTrail(parts, trail, scale) {
  parts.forEach((part, age) => {
    const from = Math.floor((trail.length * (2 - age)) / 3);
    const piece = trail.slice(from, Math.floor((trail.length * (3 - age)) / 3) + 1);
    setAttribute(
      part,
      "points",
      piece.map((one) => `${scale.x(one.utilization).toFixed(1)},${scale.y(one.usd).toFixed(1)}`).join(" "),
    );
  });
}
