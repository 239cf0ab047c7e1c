// The billing windows of an imported model: what is paid and for how long, and what each one has cost.

import { h, makeTable, setAttribute, setText } from "./elements.js";
import * as format from "./format.js";

const COLUMNS = [{ title: "Window" }, { title: "Opened" }, { title: "Ends" }, { title: "Cost", number: true }];

export function windowsPart() {
  const left = h("strong", { class: "countdown" });
  const what = h("span");
  const fill = h("i");
  const bar = h("span", { class: "bar", "aria-hidden": "true" }, fill);
  const summary = h("p", { class: "windows-note" });
  const list = makeTable(COLUMNS, "Billing windows");
  const recent = h("details", { class: "as-table" }, h("summary", null, "What each window has cost"), list.table);
  const element = h(
    "section",
    { class: "windows", "aria-label": "Billing windows" },
    h("p", { class: "windows-now" }, left, what),
    bar,
    summary,
    recent,
  );
  const update = (backend) => {
    const { windows } = backend;
    element.hidden = windows === null;
    if (windows === null) return;
    const open = windows.open > 0;
    setAttribute(element, "data-open", open ? "" : null);
    setText(left, open ? format.countdown(windows.seconds_left) : "No window");
    setText(
      what,
      open
        ? ` left of ${windows.open === 1 ? "a paid window" : `${windows.open} paid windows`}, ${use(windows)}`
        : ` is open: nothing is being paid`,
    );
    const length = lengthOf(windows);
    bar.hidden = !open || length === null;
    if (!bar.hidden) fill.style.width = `${Math.min(1, windows.seconds_left / length) * 100}%`;
    setText(summary, said(windows));
    recent.hidden = !windows.recent.length;
    list.show(windows.recent.map(row));
  };
  return { element, update };
}

function use(windows) {
  return windows.copies > 0 ? `${windows.in_flight} in it, room for ${windows.room}` : "its copy has gone";
}

/** Seconds that a window lasts, from one that was seen; null: none was. */
function lengthOf(windows) {
  const [one] = windows.recent;
  return one ? one.ends_at - one.opened_at : null;
}

function said(windows) {
  const elsewhere = windows.copies_elsewhere;
  const times = windows.opened_since_start;
  const spent = times === 1 ? "1 window" : `${format.count(times)} windows`;
  const cost = times > 0 ? `: ${format.amount(windows.cost_usd_since_start)}` : "";
  const parts = [
    `${spent} since the start${cost}. ${times > 0 ? "One" : "A window"} costs ${format.amount(windows.usd_per_window)}.`,
  ];
  if (elsewhere > 0) parts.push(`${elsewhere} ${elsewhere === 1 ? "copy" : "copies"} opened by other gateways.`);
  return parts.join(" ");
}

function row(window) {
  return {
    key: `${window.copy}/${window.number}/${window.opened_at.toFixed(0)}`,
    cells: [
      `copy ${window.copy}, ${window.number}`,
      format.clock(window.opened_at),
      {
        text: window.open ? `${format.clock(window.ends_at)}, open` : format.clock(window.ends_at),
        class: window.open ? "open-now" : null,
      },
      format.amount(window.usd),
    ],
  };
}
