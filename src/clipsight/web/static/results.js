/** The photos of a query, or all of them, read page by page where they are looked at; memory stays bounded. */
import { get, post } from "./api.js";
import { filters } from "./address.js";
import { isQuery, searchBody } from "./query.js";

const PAGE = 60;
const MOST_PAGES = 40;
const ALL_AT_ONCE = 1000;
const COUNTED_MILLISECONDS = 10_000;

/** The number of photos that pass the filters used last: it does not change with what is typed. */
let counted = { key: "", until: 0, total: Promise.resolve(0) };

/** What the photos depend on, as a key. @param {import("./address.js").State} state */
export const resultsKey = (state) => JSON.stringify([searchBody(state, 0, 1), isQuery(state)]);

export class Results {
  /**
   * @param {import("./address.js").State} state
   * @param {number} version of the library
   * @param {() => void} changed called after each page
   */
  constructor(state, version, changed) {
    this.state = state;
    this.version = version;
    this.changed = changed;
    this.isQuery = isQuery(state);
    // What is sorted or judged among the best can't be read page by page.
    this.size = this.isQuery && (state.sure || state.sort !== "score") ? ALL_AT_ONCE : PAGE;
    this.total = 0;
    this.parts = [];
    this.notes = [];
    this.error = null;
    this.ready = false;
    this.pages = new Map();
    this.pending = new Map();
    this.abort = new AbortController();
  }

  /** Ends all requests. */
  close() {
    this.abort.abort();
  }

  /** The first page, and the number of all photos. */
  async start() {
    try {
      await this.isQuery ? await this.#startQuery() : await this.#read(0);
      this.ready = true;
    } catch (error) {
      if (this.abort.signal.aborted) return;
      this.error = error;
    }
    this.changed();
  }

  async #startQuery() {
    const [first, total] = await Promise.all([this.#read(0), this.#count()]);
    this.total = this.size === ALL_AT_ONCE || first.length < this.size ? first.length : total - this.state.pictures.filter(({ photo }) => photo).length;
  }

  /** The photo at a place, if it has been read. @param {number} place */
  at(place) {
    return this.pages.get(Math.floor(place / this.size))?.[place % this.size];
  }

  /** The place of a photo among those that have been read, or -1. @param {number} id */
  placeOf(id) {
    for (const [page, photos] of this.pages) {
      const place = photos.findIndex((photo) => photo.id === id);
      if (place >= 0) return page * this.size + place;
    }
    return -1;
  }

  /** Reads what is missing between two places, the last one included. @param {number} first @param {number} last */
  need(first, last) {
    for (let page = Math.floor(Math.max(0, first) / this.size); page <= Math.floor(last / this.size); page++) {
      if (this.pages.has(page) || this.pending.has(page) || page * this.size >= this.total) continue;
      this.#read(page).then(this.changed, (error) => {
        if (this.abort.signal.aborted) return;
        this.error = error;
        this.changed();
      });
    }
  }

  /** @param {number} page */
  async #read(page) {
    const request = this.#request(page * this.size);
    this.pending.set(page, request);
    try {
      const photos = await request;
      this.pages.set(page, photos);
      if (this.pages.size > MOST_PAGES) this.#dropFarthest(page);
      if (page && photos.length < this.size) this.total = page * this.size + photos.length;
      return photos;
    } finally {
      this.pending.delete(page);
    }
  }

  async #request(offset) {
    if (!this.isQuery) {
      const { photos, total } = await this.#list(offset, this.size);
      this.total = total;
      return photos;
    }
    const found = await post("search", searchBody(this.state, offset, this.size), this.abort.signal);
    this.parts = found.parts;
    this.notes = found.notes;
    return found.matches;
  }

  /** A part of all photos that pass the filters, and their number. */
  #list(offset, top) {
    return get("photos", { ...filters(this.state), duplicates: this.state.duplicates, top, offset }, this.abort.signal);
  }

  /** The number of all photos that pass the filters, asked for once in a while. */
  #count() {
    const { state, version } = this;
    const key = JSON.stringify([filters(state), state.duplicates, version]);
    const now = performance.now();
    if (counted.key !== key || counted.until < now) {
      const asked = get("photos", { ...filters(state), duplicates: state.duplicates, top: 1 });
      const total = asked.then((found) => found.total);
      counted = { key, until: now + COUNTED_MILLISECONDS, total };
      total.catch(() => (counted.until = 0));
    }
    return counted.total;
  }

  /** @param {number} page */
  #dropFarthest(page) {
    const farthest = [...this.pages.keys()].reduce((one, other) => (Math.abs(one - page) > Math.abs(other - page) ? one : other));
    this.pages.delete(farthest);
  }
}
