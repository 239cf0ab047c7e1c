// The replay report: what recorded traffic would have cost under each policy. All of it simulated, and says so.

import { h } from "./elements.js";
import * as format from "./format.js";

export function showReplay(place, report) {
  const known = report.schema === 1;
  const parts = known
    ? report.replays.map((one, index) => replay(one, index))
    : [h("p", null, `This report has schema ${report.schema}; this console reads schema 1.`)];
  const failed = (report.failed ?? []).map((one) =>
    h("p", { class: "why" }, `Failed: ${one.condition ?? JSON.stringify(one)}`),
  );
  place.replaceChildren(...failed, ...parts);
}

function replay(one, index) {
  const load = one.load ?? one.measured_load;
  const title = `${one.trace}: ${format.count(one.requests)} requests, ${one.days.toFixed(one.days < 10 ? 1 : 0)} days${load === null ? "" : `, load ${format.percent(load)}`}`;
  const hindsight = one.hindsight === null ? [] : [{ ...one.hindsight, hindsight: true }];
  const all = [...one.policies, ...hindsight];
  const most = Math.max(...all.map((policy) => policy.usd_per_month));
  return h(
    "section",
    { class: "card", "aria-labelledby": `replay-${index}` },
    h(
      "div",
      { class: "card-head" },
      h(index === 0 ? "h1" : "h2", { id: `replay-${index}`, class: "card-title" }, title),
      h("span", { class: "simulated" }, "simulated"),
    ),
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": `Table of policies ${index + 1}` },
      table(one, all, most),
    ),
    h("p", { class: "caption" }, notes(one)),
    ...one.notes.map((note) => h("p", { class: "caption" }, note)),
  );
}

function notes(one) {
  const bound =
    one.bound_usd_per_month === null
      ? ""
      : ` No router can pay less than ${format.usd(one.bound_usd_per_month)} a month at that budget, whatever it knows.`;
  return `A month is 730 hours. Bad: late, wrong or refused; marked where it is above the error budget of ${format.percent(one.error_budget)}.${bound}`;
}

function table(one, all, most) {
  const bound = one.bound_usd_per_month !== null;
  const heads = [
    ["Policy"],
    ["$ a month", true],
    ["as a bar"],
    ["Bad", true],
    ["Late", true],
    ["Wrong", true],
    ["Refused", true],
    ["Windows a month", true],
    ["TTFT p95", true],
  ];
  if (bound) heads.push(["× bound", true]);
  const kept = one.policies.filter((policy) => policy.within_error_budget);
  const best = kept.length > 0 ? kept.reduce((a, b) => (b.usd_per_month < a.usd_per_month ? b : a)) : null;
  const rows = all.map((policy) =>
    row(policy, {
      bound: bound ? one.bound_usd_per_month : null,
      budget: one.error_budget,
      most,
      best: policy === best,
    }),
  );
  return h(
    "table",
    { class: "replay" },
    h("caption", { class: "visually-hidden" }, "Policies over the recorded traffic"),
    h(
      "thead",
      null,
      h(
        "tr",
        null,
        ...heads.map(([title, number]) => h("th", { scope: "col", class: number ? "number" : null }, title)),
      ),
    ),
    h("tbody", null, ...rows),
  );
}

function row(policy, { bound, budget, most, best }) {
  const bar = h("i");
  bar.style.width = `${(policy.usd_per_month / most) * 100}%`;
  const over = policy.bad > budget;
  const name = policy.hindsight ? "a plan made in hindsight" : policy.policy;
  const cells = [
    h("th", { scope: "row" }, name, best ? h("span", { class: "badge" }, "cheapest within the budget") : null),
    number(format.usd(policy.usd_per_month), "strong"),
    h("td", { class: "bar-cell", "aria-hidden": "true" }, h("span", { class: "bar" }, bar)),
    number(format.share(policy.bad) + (over ? " !" : ""), over ? "loss" : null),
    number(format.share(policy.late)),
    number(format.share(policy.wrong)),
    number(format.share(policy.refused)),
    number(format.count(policy.windows.per_month)),
    number(format.seconds(policy.ttft_seconds.interactive.p95)),
  ];
  if (bound !== null) cells.push(number(bound ? (policy.usd_per_month / bound).toFixed(2) : format.UNKNOWN));
  return h("tr", { class: policy.hindsight ? "hindsight" : null }, ...cells);
}

function number(text, kind = null) {
  return h("td", { class: `number${kind ? ` ${kind}` : ""}` }, text);
}
