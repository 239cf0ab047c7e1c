// The line to the gateway: states once a second; when it breaks, tries again with growing pauses and says how old things are.

const SHORTEST_SECONDS = 1;
const LONGEST_SECONDS = 20;
const SILENT_SECONDS = 6;
export const LOGIN = "/console/login";

/** JSON from the gateway. Goes to the login when the session has ended; throws when there is no answer. */
export async function fetched(path) {
  const answer = await fetch(path, { cache: "no-store", headers: { accept: "application/json" } });
  if (answer.status === 401) {
    location.assign(LOGIN);
    return new Promise(() => {}); // the page is going
  }
  const body = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(body?.error?.message ?? `status ${answer.status}`), { status: answer.status });
  return body;
}

/** `onState(state)`; `onLink({link: "live" | "lost", what, retryAt})`. */
export class Connection {
  #source = null;
  #timer = null;
  #silence = null;
  #pause = SHORTEST_SECONDS;
  #onState;
  #onLink;

  constructor(onState, onLink) {
    this.#onState = onState;
    this.#onLink = onLink;
  }

  open() {
    clearTimeout(this.#timer);
    this.#close();
    const source = new EventSource("/console/api/stream");
    this.#source = source;
    source.addEventListener("state", (event) => {
      this.#pause = SHORTEST_SECONDS;
      this.#listen();
      this.#onLink({ link: "live" });
      this.#onState(JSON.parse(event.data));
    });
    source.addEventListener("end", (event) => {
      if (event.data === "session") location.assign(LOGIN);
      else this.#lost("The gateway is shutting down.");
    });
    source.addEventListener("error", () => this.#lost("No contact with the gateway."));
    this.#listen();
  }

  #listen() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#lost("The gateway has gone quiet."), SILENT_SECONDS * 1000);
  }

  #close() {
    clearTimeout(this.#silence);
    this.#source?.close();
    this.#source = null;
  }

  #lost(what) {
    if (this.#source === null) return;
    this.#close();
    const pause = this.#pause;
    this.#pause = Math.min(LONGEST_SECONDS, pause * 1.7);
    this.#onLink({ link: "lost", what, retryAt: Date.now() + pause * 1000 });
    this.#timer = setTimeout(() => this.#again(what), pause * 1000);
  }

  /** A closed stream does not say why: one plain request does, and leads to the login where the session is gone. */
  async #again(what) {
    try {
      await fetched("/console/api/state");
    } catch (error) {
      const said = error.status === 503 ? error.message : what;
      this.#source = { close() {} };
      this.#lost(said);
      return;
    }
    this.open();
  }

  now() {
    this.#pause = SHORTEST_SECONDS;
    clearTimeout(this.#timer);
    this.#again("No contact with the gateway.");
  }
}
