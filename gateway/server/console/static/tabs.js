// Tabs by the pattern that screen readers know: arrows move, the address keeps the place.

export class Tabs {
  #tabs;
  #onShow;

  constructor(onShow) {
    this.#tabs = [...document.querySelectorAll('[role="tab"]')];
    this.#onShow = onShow;
    for (const tab of this.#tabs) tab.addEventListener("click", () => this.show(tab.getAttribute("aria-controls")));
    document.querySelector('[role="tablist"]').addEventListener("keydown", (event) => this.#key(event));
    addEventListener("hashchange", () => this.#fromAddress());
  }

  start() {
    this.#fromAddress();
  }

  allow(name, there) {
    const tab = this.#tab(name);
    tab.hidden = !there;
    const chosen = tab.getAttribute("aria-selected") === "true";
    if (!there && chosen) this.show("overview");
    else if (there && !chosen && location.hash === `#${name}`) this.#select(name);
  }

  show(name) {
    if (location.hash !== `#${name}`) history.replaceState(null, "", name === "overview" ? "/console" : `#${name}`);
    this.#select(name);
  }

  #tab(name) {
    return this.#tabs.find((tab) => tab.getAttribute("aria-controls") === name);
  }

  #fromAddress() {
    const tab = this.#tab(location.hash.slice(1));
    this.#select(tab && !tab.hidden ? location.hash.slice(1) : "overview");
  }

  #select(name) {
    for (const tab of this.#tabs) {
      const chosen = tab.getAttribute("aria-controls") === name;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      document.getElementById(tab.getAttribute("aria-controls")).hidden = !chosen;
    }
    this.#onShow(name);
  }

  #key(event) {
    const there = this.#tabs.filter((tab) => !tab.hidden);
    const at = there.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: there.length - 1 }[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    const tab = there[(to + there.length) % there.length];
    tab.focus();
    this.show(tab.getAttribute("aria-controls"));
  }
}
