// The page put together: each state that comes goes to every part; a new run of the gateway starts them all anew.

import { showAdapters } from "./adapters.js";
import { showBackends } from "./backends.js";
import { showBooks } from "./books.js";
import { Connection, fetched, leave } from "./connection.js";
import { CrossoverChart } from "./crossover_chart.js";
import { DecisionList } from "./decisions.js";
import { Explained } from "./explained.js";
import { h, setAttribute, setText, svg } from "./elements.js";
import * as format from "./format.js";
import * as palette from "./palette.js";
import { showReplay } from "./replay.js";
import { Tabs } from "./tabs.js";
import { showTiles, showVerdict } from "./tiles.js";
import { TimeChart } from "./time_chart.js";

const $ = (id) => document.getElementById(id);
const LATEST = 6;

let run = null;
let lastAt = null; // this computer's clock, milliseconds: the gateway's may differ
let link = { link: "waiting" };

const explained = new Explained($("explained"));
const crossover = new CrossoverChart($("crossover-chart"), $("crossover-caption"), $("crossover-table"));
const time = new TimeChart($("time-chart"), $("time-table"), $("span"));
const latest = new DecisionList($("latest"), (id) => explained.open(id), LATEST);
const decisions = new DecisionList($("decision-list"), (id) => explained.open(id));
const tabs = new Tabs((name) => {
  if (name === "overview") time.resize();
  if (name === "replay") loadReplay();
});

const PARTS = [
  showVerdict,
  (state) => showTiles($("tiles"), state),
  (state) => crossover.update(state),
  (state) => time.update(state),
  (state) => showBackends($("backends"), state),
  (state) => showBooks($("books"), $("books-note"), state),
  (state) => showAdapters($("adapters"), state),
  (state) => latest.update(state.decisions),
  (state) => decisions.update(state.decisions),
  showFooter,
];

/** A state from the gateway, to every part of the page. */
export function onState(state) {
  lastAt = Date.now();
  if (run !== state.run) {
    if (run !== null) startAnew();
    run = state.run;
    palette.learn(state.paths);
    loadReplay();
  }
  palette.learn(state.paths);
  for (const part of PARTS) {
    try {
      part(state);
    } catch (error) {
      reportError(error); // one part that fails leaves the others right
    }
  }
}

/** Another run: what the last one left on the page is not of this one. */
function startAnew() {
  palette.forget();
  crossover.reset();
  time.reset();
  latest.reset();
  decisions.reset();
  explained.close();
}

async function loadReplay() {
  let report;
  try {
    report = await fetched("/console/api/replay");
  } catch {
    return; // what is shown stays
  }
  if (report !== null) {
    try {
      showReplay($("replay"), report);
    } catch (error) {
      $("replay").replaceChildren(h("p", null, `This report cannot be shown: it is not as \`crossover replay --json\` writes it (${error.message}).`));
    }
  }
  tabs.allow("replay", report !== null);
}

function showFooter(state) {
  const covered =
    state.covered_seconds < state.window_seconds ? `, ${format.duration(state.covered_seconds)} so far` : "";
  setText(
    $("bottom"),
    `Crossover ${state.version} · policy ${state.policy_hash.slice(0, 12)} · running since ${format.moment(state.started_at)} · ` +
      `“now” is the last ${format.duration(state.window_seconds)}${covered} · ` +
      `event loop late by at most ${format.seconds(state.tiles.loop_lag_seconds)}` +
      (palette.anySimulated() ? " · † simulated" : ""),
  );
}

function showLink() {
  const lost = link.link === "lost";
  setAttribute($("link-state"), "data-link", link.link);
  setText($("link-state").lastElementChild, { live: "live", lost: "no contact", waiting: "connecting" }[link.link]);
  $("banner").hidden = !lost;
  document.body.classList.toggle("stale", lost && lastAt !== null);
  if (!lost) return;
  const wait = Math.max(0, Math.ceil((link.retryAt - Date.now()) / 1000));
  const age = lastAt === null ? "" : `These figures are ${format.duration((Date.now() - lastAt) / 1000)} old. `;
  setText($("banner-what"), link.what);
  setText($("banner-age"), `${age}${wait > 0 ? `Trying again in ${wait} s.` : "Trying again…"}`);
}

const connection = new Connection(onState, (news) => {
  link = news;
  showLink();
});

const SUN =
  "M12 4V2m0 20v-2m8-8h2M2 12h2m13.7-5.700 1.400-1.400M4.900 19.100l1.400-1.400m0-11.400L4.900 4.900m14.200 14.200-1.400-1.400";
const MOON = "M20 14.500A8.500 8.500 0 0 1 9.500 4a8.500 8.500 0 1 0 10.500 10.500Z";

function showTheme() {
  const dark = document.documentElement.dataset.theme === "dark";
  const drawn = svg("path", { d: dark ? `${SUN}M16 12a4 4 0 1 1-8 0 4 4 0 0 1 8 0Z` : MOON });
  $("theme").replaceChildren(svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true", class: "line-icon" }, drawn));
  $("theme").setAttribute("aria-label", dark ? "Light colours" : "Dark colours");
  $("theme").title = dark ? "Light colours" : "Dark colours";
}

$("theme").addEventListener("click", () => window.crossoverTheme.toggle());
document.addEventListener("themechange", () => {
  showTheme();
  time.redraw();
});
$("logout").addEventListener("click", async () => {
  try {
    await fetch("/console/logout", { method: "POST" });
  } catch {
    return; // no contact, as the banner says: the session is still open
  }
  connection.end();
  leave();
});
$("banner-now").addEventListener("click", () => connection.now());
$("all-decisions").addEventListener("click", () => {
  tabs.show("decisions");
  $("tab-decisions").focus();
});

showTheme();
tabs.start();
connection.open();
connection.restWhileHidden();
setInterval(showLink, 1000);
