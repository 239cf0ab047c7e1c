// The still part of the crossover chart: the grid, a line a path, the crossings, and their names.

import { dollarTick, dollarTicks, hyperbola, spread } from "./crossover_scale.js";
import { svg } from "./elements.js";
import * as format from "./format.js";
import { hueOf, shown } from "./palette.js";

export function curveText(path) {
  if (path.curve.usd_per_1m === null) return "price unknown";
  const price = format.usd(path.curve.usd_per_1m);
  if (path.curve.divided_by === "utilization") return `${price} at 100%`;
  if (path.curve.divided_by === "duty") return `${price} at full duty`;
  return path.cost_kind === "window" ? `${price} while active` : price;
}

export function grid(frame, scale, [low, high]) {
  const parts = [];
  for (const tick of dollarTicks(low, high)) {
    const y = scale.y(tick.value);
    parts.push(
      svg("line", { class: tick.major ? "grid" : "grid minor", x1: frame.left, x2: frame.right, y1: y, y2: y }),
    );
    parts.push(
      svg("text", { class: "tick", x: frame.left - 8, y: y + 4, "text-anchor": "end" }, dollarTick(tick.value)),
    );
  }
  for (const share of [0, 0.2, 0.4, 0.6, 0.8, 1]) {
    const x = scale.x(share);
    const anchor = share === 1 && frame.narrow ? "end" : "middle";
    parts.push(svg("line", { class: "grid minor", x1: x, x2: x, y1: frame.top, y2: frame.bottom }));
    parts.push(svg("text", { class: "tick", x, y: frame.bottom + 18, "text-anchor": anchor }, `${share * 100}%`));
  }
  parts.push(svg("line", { class: "axis", x1: frame.left, x2: frame.right, y1: frame.bottom, y2: frame.bottom }));
  parts.push(
    svg(
      "text",
      { class: "tick", x: (frame.left + frame.right) / 2, y: frame.bottom + 38, "text-anchor": "middle" },
      "utilization of the box",
    ),
  );
  return parts;
}

export function lines(frame, scale, [, high], flats, boxes) {
  const parts = [];
  for (const box of boxes) parts.push(...winning(box, frame, scale, high));
  for (const path of flats) {
    const y = scale.y(path.curve.usd_per_1m);
    const dashed = path.simulated ? " dashed" : "";
    parts.push(
      svg("line", {
        class: `curve${dashed}`,
        "data-hue": hueOf(path.name),
        x1: frame.left,
        x2: frame.right,
        y1: y,
        y2: y,
      }),
    );
  }
  for (const box of boxes) {
    const points = hyperbola(box.usd_per_1m_at_full, high, scale).join(" ");
    parts.push(
      svg("polyline", { class: `curve box${box.simulated ? " dashed" : ""}`, "data-hue": hueOf(box.name), points }),
    );
  }
  for (const box of boxes) parts.push(...crossings(box, frame, scale));
  parts.push(...pathLabels(frame, scale, flats, boxes));
  return parts;
}

/** Tinted: where the box undercuts the path that it is compared with. */
function winning(box, frame, scale, high) {
  const crossing = box.crossovers
    .filter((one) => one.utilization !== null && one.utilization < 1 && one.usd_per_1m)
    .sort((one, other) => one.usd_per_1m - other.usd_per_1m)[0];
  if (!crossing) return [];
  const points = [];
  for (let step = 0; step <= 40; step += 1) {
    const utilization = crossing.utilization ** (1 - step / 40);
    points.push(
      `${scale.x(utilization).toFixed(1)},${scale.y(Math.min(high, box.usd_per_1m_at_full / utilization)).toFixed(1)}`,
    );
  }
  const y = scale.y(crossing.usd_per_1m);
  return [
    svg("polygon", {
      class: "winning",
      "data-hue": hueOf(box.name),
      points: `${points.join(" ")} ${frame.right},${y} ${scale.x(crossing.utilization)},${y}`,
    }),
  ];
}

function crossings(box, frame, scale) {
  const inside = box.crossovers.filter((one) => one.utilization !== null && one.utilization <= 1 && one.usd_per_1m);
  return inside
    .sort((one, other) => one.utilization - other.utilization)
    .flatMap((one, index) => {
      const x = scale.x(one.utilization);
      const y = scale.y(one.usd_per_1m);
      const left = one.utilization > 0.6;
      return [
        svg("line", { class: "drop", x1: x, x2: x, y1: y, y2: frame.bottom, "data-hue": hueOf(one.against) }),
        svg("circle", { class: "crossing", cx: x, cy: y, r: 5, "data-hue": hueOf(one.against) }),
        svg(
          "text",
          {
            class: "crossing-label",
            x: x + (left ? -7 : 7),
            y: frame.bottom - 9 - 17 * index,
            "text-anchor": left ? "end" : "start",
          },
          svg("tspan", { class: "strong" }, format.percent(one.utilization)),
          svg(
            "tspan",
            null,
            frame.narrow ? ` against ${shown(one.against)}` : ` crossover against ${shown(one.against)}`,
          ),
        ),
      ];
    });
}

function pathLabels(frame, scale, flats, boxes) {
  const labels = [
    ...flats.map((path) => ({ y: scale.y(path.curve.usd_per_1m), name: path.name, says: curveText(path) })),
    ...boxes.map((box) => ({
      y: scale.y(box.usd_per_1m_at_full),
      name: box.name,
      says: `${format.usd(box.usd_per_1m_at_full)} at 100%`,
    })),
  ];
  if (frame.narrow) {
    const flat = labels.filter((label) => !boxes.some((box) => box.name === label.name)); // the box has its dot
    spread(flat, 17, frame.top + 12, frame.bottom - 30);
    return flat.map((label) =>
      svg(
        "text",
        {
          class: "path-label halo",
          x: frame.right - 4,
          y: label.at - 6,
          "text-anchor": "end",
          "data-hue": hueOf(label.name),
        },
        svg("tspan", { class: "strong" }, shown(label.name)),
        svg("tspan", null, ` ${label.says}`),
      ),
    );
  }
  spread(labels, 38, frame.top + 6, frame.bottom - 12);
  return labels.flatMap((label) => [
    svg("path", {
      class: "leader",
      "data-hue": hueOf(label.name),
      d: `M${frame.right + 3} ${label.y}L${frame.right + 11} ${label.at}`,
    }),
    svg(
      "text",
      { class: "path-label", x: frame.right + 16, y: label.at, "data-hue": hueOf(label.name) },
      svg("tspan", { class: "strong", dy: 1 }, shown(label.name)),
      svg("tspan", { class: "says", x: frame.right + 16, dy: 15 }, label.says),
    ),
  ]);
}
