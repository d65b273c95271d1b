/** Queries as the API takes them: pure functions. The grammar itself is the server's. */
import { filters } from "./address.js";

const INCOMPLETE = /(?:(?:^|\s)(?:[+-]|[+-]?\d*\.?\d+:)\s*)+$/;

/** The words without an operator or weight at their end that still waits for its words. @param {string} text */
export const complete = (text) => text.replace(INCOMPLETE, "").trim();

/**
 * Words in the grammar. A text with a colon always gets a weight: what precedes the colon could be read as one.
 * @param {{text: string, weight: number}[]} parts
 */
export function formatWords(parts) {
  return parts
    .map(({ text, weight }, place) => {
      const size = Math.abs(weight);
      const sign = weight < 0 ? "- " : place ? "+ " : "";
      return sign + (size === 1 && !text.includes(":") ? text : `${size}:${/^\d/.test(text) ? " " : ""}${text}`);
    })
    .join(" ");
}

/** Whether a state asks for anything but all photos. @param {import("./address.js").State} state */
export const isQuery = (state) => complete(state.q) !== "" || state.pictures.length > 0;

/** The query of a state, for /search and /explain. @param {import("./address.js").State} state */
export function queryOf(state) {
  const query = complete(state.q);
  return {
    ...(query && { query }),
    parts: state.pictures.map(({ photo, upload, weight }) => (photo ? { photo, weight } : { upload, weight })),
  };
}

/** The body of POST /search. @param {import("./address.js").State} state @param {number} offset @param {number} top */
export function searchBody(state, offset, top) {
  const { folder, label, camera, format, ...bounds } = filters(state);
  return {
    ...queryOf(state),
    ...(folder && { folders: folder }),
    ...(label && { labels: label }),
    ...(camera && { cameras: camera }),
    ...(format && { formats: format }),
    ...bounds,
    sort: state.sort, balance: state.balance, sure: state.sure, duplicates: state.duplicates,
    offset, top,
  };
}
