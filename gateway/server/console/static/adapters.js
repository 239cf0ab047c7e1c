// Which weights answer for each model, where, and what the quality gate said of them.

import { makeTable } from "./elements.js";
import { percent } from "./format.js";
import { hueOf, shown } from "./palette.js";

const COLUMNS = [{ title: "Model" }, { title: "On" }, { title: "Generation" }, { title: "Quality gate" }];

export function showAdapters(place, state) {
  if (!place.table) {
    place.table = makeTable(COLUMNS, "Adapters by model and backend");
    place.append(place.table.table);
  }
  place.table.show(state.adapters.map(row));
}

// The live one; a canary beside it with its share; and whether it serves at all now.
function generations(one) {
  const live = one.generation ?? "base weights";
  if (one.excluded !== null) return `${live} (gets no requests)`;
  if (one.canary === null) return live;
  const canary = one.canary.missing ? "not loaded, gets no requests" : percent(one.canary.share);
  return `${live}, canary ${one.canary.generation}: ${canary}`;
}

// What the quality gate said of a generation, in words; nothing else than a pass is good news.
const GATE = {
  pass: "passed",
  fail: "failed, published all the same",
  undecided: "undecided, published all the same",
  none: "no gate was run, published all the same",
};

function judged(gate) {
  return gate === null ? "not judged" : (GATE[gate.verdict] ?? gate.verdict);
}

function gateCell(one) {
  const canary = one.canary === null ? "" : `; canary: ${judged(one.canary.gate)}`;
  const title = one.gate?.judged_at ? `judged ${one.gate.judged_at}, plan ${(one.gate.plan_sha256 ?? "").slice(0, 12)}` : null;
  return { text: judged(one.gate) + canary, class: one.gate?.verdict === "pass" ? null : "quiet-text", title };
}

function row(one) {
  return {
    key: `${one.model}/${one.backend}`,
    cells: [
      one.model,
      { text: shown(one.backend), class: "path", hue: hueOf(one.backend) },
      {
        text: generations(one),
        class: one.generation === null || one.excluded !== null ? "quiet-text" : null,
        title: one.excluded === null ? `served as ${one.served_model}` : `gets no requests: ${one.excluded}`,
      },
      gateCell(one),
    ],
  };
}
