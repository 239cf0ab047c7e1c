// The line to the gateway: states once a second; when it breaks, tries again with growing pauses and says how old things are.

const SHORTEST_SECONDS = 1;
const LONGEST_SECONDS = 20;
const SILENT_SECONDS = 6;
const HIDDEN_SECONDS = 60;
const LOGIN = "/console/login";
const NO_CONTACT = "No contact with the gateway.";
let leaving = false;

/** To the login, once: a second navigation would cut off the first. */
export function leave() {
  if (!leaving) location.assign(LOGIN);
  leaving = true;
}

/** JSON from the gateway; null: it has none of it. Goes to the login when the session has ended; throws when there is no answer. */
export async function fetched(path) {
  const answer = await fetch(path, { cache: "no-store", headers: { accept: "application/json" } });
  if (answer.status === 401) {
    leave();
    return new Promise(() => {}); // the page is going
  }
  if (answer.status === 204) return null;
  const body = await answer.json();
  if (!answer.ok)
    throw Object.assign(new Error(body?.error?.message ?? `status ${answer.status}`), { status: answer.status });
  return body;
}

/** `onState(state)`; `onLink({link: "live" | "lost", what, retryAt})`. */
export class Connection {
  #source = null;
  #timer = null;
  #silence = null;
  #pause = SHORTEST_SECONDS;
  #resting = false;
  #attempt = 0;
  #onState;
  #onLink;

  constructor(onState, onLink) {
    this.#onState = onState;
    this.#onLink = onLink;
  }

  open(onError = NO_CONTACT) {
    this.end();
    this.#resting = false;
    const source = new EventSource("/console/api/stream");
    let failed = onError;
    this.#source = source;
    source.addEventListener("state", (event) => {
      this.#pause = SHORTEST_SECONDS;
      failed = NO_CONTACT;
      this.#listen();
      this.#onLink({ link: "live" });
      this.#onState(JSON.parse(event.data));
    });
    source.addEventListener("end", (event) => {
      if (event.data === "session") leave();
      else this.#lost("The gateway is shutting down.");
    });
    source.addEventListener("error", () => this.#lost(failed));
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
    this.#retry(what);
  }

  #retry(what) {
    const pause = this.#pause;
    this.#pause = Math.min(LONGEST_SECONDS, pause * 1.7);
    this.#onLink({ link: "lost", what, retryAt: Date.now() + pause * 1000 });
    this.#timer = setTimeout(() => this.#again(), pause * 1000);
  }

  /** A closed stream does not say why: one plain request does, and leads to the login where the session is gone. It has
   *  the figures too, for when the gateway answers and the stream does not open. */
  async #again() {
    const attempt = (this.#attempt += 1);
    let state;
    try {
      state = await fetched("/console/api/state");
    } catch (error) {
      if (attempt === this.#attempt) this.#retry(error.status === 503 ? error.message : NO_CONTACT);
      return;
    }
    if (attempt !== this.#attempt) return; // another has begun since
    this.#onState(state);
    this.open("The stream of figures does not open; too many pages may be.");
  }

  /** Until it is opened again. */
  end() {
    this.#attempt += 1;
    clearTimeout(this.#timer);
    this.#close();
  }

  /** A page that nobody sees gives its place back: a browser has six connections for all pages of a gateway. */
  restWhileHidden() {
    let resting = null;
    document.addEventListener("visibilitychange", () => {
      clearTimeout(resting);
      if (document.hidden) resting = setTimeout(() => this.#rest(), HIDDEN_SECONDS * 1000);
      else if (this.#resting) this.open();
    });
  }

  #rest() {
    this.end();
    this.#resting = true;
  }

  now() {
    this.#pause = SHORTEST_SECONDS;
    clearTimeout(this.#timer);
    this.#again();
  }
}
