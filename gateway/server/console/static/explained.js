// One decision, whole: the request, every candidate's numbers, the circumstances. In a dialog; Escape closes it.

import { fetched } from "./connection.js";
import { h } from "./elements.js";
import * as format from "./format.js";
import { hueOf, shown } from "./palette.js";

export class Explained {
  #dialog;
  #asked = null;

  constructor(dialog) {
    this.#dialog = dialog;
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close(); // beside it
    });
  }

  async open(id) {
    this.#asked = id;
    let parts;
    try {
      parts = explanation(await fetched(`/console/api/decisions/${encodeURIComponent(id)}`));
    } catch (error) {
      parts = [h("h2", { id: "explained-title" }, "This decision cannot be shown"), h("p", null, error.message)];
    }
    if (this.#asked !== id) return;
    const close = h("button", { type: "button", class: "quiet close", onclick: () => this.#dialog.close() }, "Close");
    this.#dialog.replaceChildren(h("div", { class: "dialog-body" }, close, ...parts));
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#dialog.scrollTop = 0;
  }

  close() {
    this.#asked = null;
    if (this.#dialog.open) this.#dialog.close();
  }
}

function explanation(told) {
  return [
    h("p", { class: "over-title" }, `${format.moment(told.decided_at)} · ${format.words(told.reason)}`),
    h("h2", { id: "explained-title" }, told.sentence),
    told.refusal ? h("p", { class: "why" }, `The client was told: ${told.refusal.message}`) : null,
    h("h3", null, "Candidates"),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Candidates" }, candidates(told)),
    h(
      "div",
      { class: "facts-columns" },
      factList("Request", requestFacts(told)),
      factList("Circumstances", circumstances(told)),
    ),
    h("p", { class: "quiet-text id-line" }, `Decision ${told.id}: the answer's x-crossover-decision header.`),
  ];
}

/** A row for each figure and a column for each candidate: few candidates, many figures. */
function candidates(told) {
  const all = told.candidates;
  const head = h(
    "tr",
    null,
    h("td", null),
    ...all.map((one) =>
      h(
        "th",
        { scope: "col", class: one.chosen ? "chosen" : null },
        h("span", { class: "path", "data-hue": hueOf(one.backend) }, shown(one.backend)),
        one.chosen ? h("span", { class: "badge" }, "chosen") : null,
      ),
    ),
  );
  const rows = FIGURES.filter(([, value]) => all.some((one) => value(one) !== format.UNKNOWN)).map(([title, value]) =>
    h(
      "tr",
      null,
      h("th", { scope: "row" }, title),
      ...all.map((one) => h("td", { class: one.chosen ? "chosen" : null }, value(one))),
    ),
  );
  const table = h(
    "table",
    { class: "candidates" },
    h("caption", { class: "visually-hidden" }, "Candidates and their figures"),
    h("thead", null, head),
    h("tbody", null, ...rows),
  );
  table.style.setProperty("--candidates", all.length);
  return table;
}

const yes = (value) => (value === null || value === undefined ? format.UNKNOWN : value ? "yes" : "no");
const text = (value) => (value === null || value === undefined || value === "" ? format.UNKNOWN : String(value));

const FIGURES = [
  ["In words", (one) => (one.excluded ? `left out: ${one.excluded}` : text(one.why))],
  ["In time", (one) => yes(one.in_time)],
  ["Counts as", (one) => format.usd(one.expected_usd)],
  ["Adds to the bill", (one) => format.usd(one.marginal_usd)],
  ["Room it takes from others", (one) => format.usd(one.congestion_usd)],
  ["Chance to be late", (one) => format.percent(one.late_chance)],
  ["First token, predicted", (one) => format.seconds(one.predicted_ttft_seconds)],
  ["Each token, predicted", (one) => format.seconds(one.predicted_seconds_per_token)],
  ["Whole answer, predicted", (one) => format.seconds(one.predicted_latency_seconds)],
  ["Share of the ceiling it may use", (one) => (one.margin === null ? format.UNKNOWN : format.percent(one.margin))],
  ["Utilization", (one) => format.percent(one.utilization)],
  ["In flight", (one) => format.count(one.in_flight)],
  ["Of others, in flight", (one) => format.count(one.foreign_requests)],
  ["Window, seconds left", (one) => format.seconds(one.window_seconds_left)],
  ["Room in its window", (one) => format.count(one.window_room)],
  ["Copies up", (one) => format.count(one.copies)],
  ["Starting, seconds left", (one) => format.seconds(one.restoring_seconds)],
  ["Model there", (one) => text(one.model)],
  ["Generation", (one) => text(one.generation)],
];

function factList(title, facts) {
  const shown = facts.filter(([, value]) => value !== format.UNKNOWN);
  if (!shown.length) return null;
  return h(
    "section",
    null,
    h("h3", null, title),
    h(
      "dl",
      { class: "facts" },
      ...shown.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))),
    ),
  );
}

function requestFacts({ request, fallbacks, hold_seconds: hold, warm }) {
  const { ceiling } = request;
  return [
    ["Model", `${request.model}, ${request.operation}${request.stream ? ", streamed" : ""}`],
    ["Input tokens, estimated", format.count(request.estimated_input_tokens)],
    ["Output tokens, expected", format.count(request.expected_output_tokens)],
    ["Output tokens, at most", format.count(request.max_output_tokens)],
    ["First token by", format.seconds(ceiling.ttft_seconds)],
    ["Each token within", format.seconds(ceiling.seconds_per_output_token)],
    ["Whole answer by", format.seconds(ceiling.latency_seconds)],
    ["Spent of it already", format.seconds(request.elapsed_seconds)],
    ["Quality asked for", text(request.quality)],
    ["Needs", text(request.demands.join(", "))],
    ["Pinned to", text(request.pinned_backend)],
    ["Held before", yes(request.held_before)],
    ["If it fails, next", text(fallbacks.join(", "))],
    ["Asked again in", format.seconds(hold)],
    ["Started ahead of the need", text(warm)],
  ];
}

function circumstances({ circumstances: at }) {
  if (!at) return [];
  const regret = at.window_regret;
  return [
    ["One answer in time is worth", format.usd(at.answer_in_time_worth_usd)],
    ["No other cheap home", yes(at.captive)],
    ["Turned away by the box", yes(at.turned_away)],
    [
      "Box: requests over its batch",
      at.box_requests_over_batch === null ? format.UNKNOWN : format.percent(at.box_requests_over_batch),
    ],
    ["Demand without a cheap home", format.percent(at.captive_demand_ratio)],
    ["Chance of an overload", format.percent(at.overload_chance)],
    [
      "Regret of having no window",
      regret
        ? `${format.usd(regret.regret_usd)} of ${format.usd(regret.opens_at_usd)}, on ${regret.backend}`
        : format.UNKNOWN,
    ],
    [
      "Answers a window would save",
      regret
        ? text(regret.forecast_answers_saved === null ? null : regret.forecast_answers_saved.toFixed(1))
        : format.UNKNOWN,
    ],
  ];
}
