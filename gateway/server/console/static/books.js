// What each path has served and cost since the gateway started, on both bases.

import { makeTable, setText } from "./elements.js";
import * as format from "./format.js";
import { hueOf, shown } from "./palette.js";

const KINDS = { amortized: "owned", window: "by windows", per_token: "by the token", provisioned: "by the hour" };
const COLUMNS = [
  { title: "Path" },
  { title: "Paid", nowrap: true },
  { title: "Requests", number: true },
  { title: "Tokens in", number: true },
  { title: "Tokens out", number: true },
  { title: "Cost", number: true, about: "since the start" },
  {
    title: "$ per 1M, all",
    number: true,
    about: "reservation basis: all dollars of the last minutes over the output tokens",
  },
  {
    title: "$ per 1M, busy",
    number: true,
    about: "usage basis: the dollars of the busy time alone; not to be compared with the cloud",
  },
];

export function showBooks(place, note, state) {
  place.table ??= attached(place);
  place.table.show(state.paths.map(row));
  const unpriced = state.paths
    .filter((path) => path.unpriced_tokens > 0)
    .map((path) => `${format.tokens(path.unpriced_tokens)} tokens of ${shown(path.name)} have no price`);
  setText(
    note,
    unpriced.length
      ? `Since the start. ${unpriced.join("; ")}: their cost is not in here.`
      : "Since the start; $ per 1M of the last minutes",
  );
}

function attached(place) {
  const table = makeTable(COLUMNS, "What each path has served and cost");
  place.append(table.table);
  return table;
}

function row(path) {
  return {
    key: path.name,
    cells: [
      { text: shown(path.name), class: "path", hue: hueOf(path.name), title: path.simulated ? "simulated" : null },
      KINDS[path.cost_kind] ?? "unknown",
      format.count(path.requests),
      format.tokens(path.input_tokens),
      format.tokens(path.output_tokens),
      format.amount(path.cost_usd_since_start),
      format.usd(path.usd_per_1m.reservation),
      format.usd(path.usd_per_1m.usage),
    ],
  };
}
