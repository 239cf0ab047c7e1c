// Which weights answer for each model, where, and what the quality gate said of them.

import { makeTable } from "./elements.js";
import { hueOf, shown } from "./palette.js";

const COLUMNS = [{ title: "Model" }, { title: "On" }, { title: "Generation" }, { title: "Quality gate" }];

export function showAdapters(place, state) {
  if (!place.table) {
    place.table = makeTable(COLUMNS, "Adapters by model and backend");
    place.append(place.table.table);
  }
  place.table.show(state.adapters.map(row));
}

function row(one) {
  return {
    key: `${one.model}/${one.backend}`,
    cells: [
      one.model,
      { text: shown(one.backend), class: "path", hue: hueOf(one.backend) },
      {
        text: one.generation ?? "base weights",
        class: one.generation === null ? "quiet-text" : null,
        title: `served as ${one.served_model}`,
      },
      { text: one.gate === null ? "not judged" : String(one.gate), class: one.gate === null ? "quiet-text" : null },
    ],
  };
}
