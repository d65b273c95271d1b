/** State that several views share, outside of them. */
import { useEffect, useState } from "./vendor/hooks.js";
import { get } from "./api.js";
import { nothing, read, write } from "./address.js";

/** @template T @param {T} value */
export function store(value) {
  const listeners = new Set();
  return {
    get value() {
      return value;
    },
    /** @param {T} next */
    set(next) {
      value = next;
      for (const listener of [...listeners]) listener();
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** The value of a store; the component is drawn again when it changes. */
export function useStore(source) {
  const [, redraw] = useState(0);
  useEffect(() => source.subscribe(() => redraw((n) => n + 1)), [source]);
  return source.value;
}

// -- the address --------------------------------------------------------------------------

const SETTLED_MILLISECONDS = 1500;
let changed = -Infinity;

export const address = store({ state: nothing(), ignored: /** @type {string[]} */ ([]) });

const LEAST_MILLISECONDS = 400; // between two writes: Safari refuses more than 100 in 30 s
let written = -Infinity;
let waiting = { url: "", timer: 0 };

/** Writes the address that is due into the browser's, now or soon; the last of several is what counts. */
function replaceAddress(url) {
  clearTimeout(waiting.timer);
  const pause = written + LEAST_MILLISECONDS - performance.now();
  waiting = { url, timer: setTimeout(writeAddress, Math.max(0, pause)) };
  if (pause <= 0) writeAddress();
}

function writeAddress() {
  clearTimeout(waiting.timer);
  if (waiting.url) history.replaceState(history.state, "", waiting.url);
  written = performance.now();
  waiting = { url: "", timer: 0 };
}

addEventListener("pagehide", writeAddress);

/** Shows what the browser's address says. */
export function readAddress() {
  clearTimeout(waiting.timer);
  waiting = { url: "", timer: 0 };
  const base = new URL(document.baseURI).pathname;
  changed = -Infinity;
  address.set(read(location.pathname.slice(base.length), location.search));
}

/**
 * Shows another state. What is typed in one go is one step of the browser's history.
 * @param {Partial<import("./address.js").State>} changes @param {{typing?: boolean, replace?: boolean}} [how]
 */
export function go(changes, { typing = false, replace = false } = {}) {
  const state = { ...address.value.state, ...changes };
  const url = write(state);
  const now = performance.now();
  const same = new URL(url, document.baseURI).href === new URL(waiting.url || location.href, document.baseURI).href;
  if (replace || same || (typing && now - changed < SETTLED_MILLISECONDS)) replaceAddress(url);
  else {
    writeAddress();
    history.pushState({ steps: (history.state?.steps ?? 0) + 1, opened: Boolean(changes.open) }, "", url);
  }
  changed = typing ? now : -Infinity;
  address.set({ state, ignored: [] });
}

/** Closes the open photo: a step back, if it was opened on this page. */
export function closePhoto() {
  writeAddress();
  if (history.state?.opened) history.back();
  else go({ open: null }, { replace: true });
}

// -- the library --------------------------------------------------------------------------

/** Status, folders, labels and filter values, as far as they were read; `version` grows when photos have changed. */
export const library = store({ version: 0, status: null, folders: [], labels: [], filters: { cameras: [], formats: [] }, error: null });

export async function readLibrary() {
  const before = library.value;
  try {
    const [status, folders, labels, filters] = await Promise.all(["status", "folders", "labels", "filters"].map((path) => get(path)));
    const hasChanged = before.status !== null && (before.status.photos !== status.photos || before.status.model !== status.model);
    library.set({ version: before.version + (hasChanged ? 1 : 0), status, folders, labels, filters, error: null });
  } catch (error) {
    library.set({ ...before, error });
  }
}

/** The indexing run, while there is one, or the last one. */
export const run = store(null);
const REFRESH_MILLISECONDS = 3000;
let events = null;

/** Follows the run that is under way, if there is one. */
export async function followRuns() {
  const [latest] = await get("index");
  if (latest?.state === "running") follow(latest);
}

/** @param {any} job as POST /index answers */
export function follow(job) {
  events?.close();
  run.set(job);
  let refreshed = performance.now();
  events = new EventSource(`api/v1/index/${job.id}/events`);
  events.onmessage = ({ data }) => {
    const now = JSON.parse(data);
    const grown = now.embedded !== run.value.embedded && performance.now() - refreshed > REFRESH_MILLISECONDS;
    run.set(now);
    if (now.state !== "running") events.close();
    if (grown || now.state !== "running") {
      refreshed = performance.now();
      readLibrary();
    }
  };
}
