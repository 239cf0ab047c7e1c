// The last decisions, newest first. The list waits while somebody points at it or stands in it with the keyboard.

import { h, keyed, setText } from "./elements.js";
import * as format from "./format.js";
import { hueOf, shown } from "./palette.js";

export class DecisionList {
  #body = h("tbody");
  #note = h("p", { class: "held", hidden: true });
  #onOpen;
  #most;
  #shown = null;

  constructor(place, onOpen, most = Infinity) {
    this.#onOpen = onOpen;
    this.#most = most;
    const heads = [
      ["Time", ""],
      ["Model", ""],
      ["Went to", ""],
      ["Because", "because"],
      ["Expected cost", "number wide"],
      ["Chance to be late", "number wide"],
    ];
    const table = h(
      "table",
      { class: "decisions" },
      h("caption", { class: "visually-hidden" }, "Last decisions"),
      h(
        "thead",
        null,
        h("tr", null, ...heads.map(([title, kind]) => h("th", { scope: "col", class: kind || null }, title))),
      ),
      this.#body,
    );
    place.append(table, this.#note);
  }

  reset() {
    this.#shown = null;
  }

  update(decisions) {
    const held = this.#shown !== null && this.#read();
    const newest = held ? this.#shown : decisions.slice(0, this.#most);
    const waiting = held ? decisions.findIndex((one) => one.id === newest[0]?.id) : 0;
    this.#note.hidden = !waiting;
    if (waiting)
      setText(
        this.#note,
        waiting < 0
          ? `${decisions.length} or more new ones wait while you read.`
          : `${waiting} new ${waiting === 1 ? "one waits" : "ones wait"} while you read.`,
      );
    this.#shown = newest;
    keyed(
      this.#body,
      newest.length ? newest : [null],
      (one) => one?.id ?? "none",
      (one) => (one === null ? nothing() : this.#row(one)),
    );
  }

  #read() {
    return this.#shown.length > 0 && (this.#body.matches(":hover") || this.#body.contains(document.activeElement));
  }

  #row(one) {
    const open = h(
      "button",
      { type: "button", class: "row-open", "aria-haspopup": "dialog", "data-decision": one.id },
      format.clock(one.at),
    );
    const where =
      one.backend === null
        ? h("span", { class: "quiet-text" }, "nowhere")
        : h("span", { class: "path", "data-hue": hueOf(one.backend) }, shown(one.backend));
    const element = h(
      "tr",
      null,
      h("th", { scope: "row" }, open),
      h("td", null, one.model),
      h("td", null, where),
      h("td", { class: "because", title: one.sentence }, one.sentence),
      h("td", { class: "number wide" }, format.usd(one.expected_usd)),
      h("td", { class: "number wide" }, format.percent(one.late_chance)),
    );
    element.addEventListener("click", () => this.#onOpen(one.id));
    return { element, update() {} };
  }
}

function nothing() {
  return {
    element: h(
      "tr",
      null,
      h("td", { colspan: 6, class: "nothing" }, "No request has been decided on since the gateway started."),
    ),
    update() {},
  };
}
