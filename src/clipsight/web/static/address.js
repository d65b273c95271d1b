/**
 * What is seen, as an address and back: pure functions.
 *
 * Names are those of the API's parameters. An address that says something else than is possible shows what can be
 * shown: `read` tells what it left out.
 */

export const TABS = ["search", "classify", "draw", "library"];
export const LANGUAGES = ["en", "zh-Hant", "zh-Hans", "ja", "de", "es", "fr"];
const LISTS = ["folder", "label", "camera", "format"];
const DATES = ["taken_from", "taken_to"];
const SIZES = ["min_bytes", "max_bytes", "min_width", "min_height"];
const SWITCHES = ["sure", "duplicates"];
const SORTS = ["score", "date", "path"];
const MAX_PICTURES = 31;
export const MAX_LETTERS = 10_000; // of a query, as the API takes it
const MAX_SHOWN = 60;

/**
 * @typedef {{photo?: number, upload?: string, weight: number}} Picture
 * @typedef {{
 *   tab: string, q: string, pictures: Picture[], open: number | null, lang: string | null, sort: string,
 *   folder: string[], label: string[], camera: string[], format: string[],
 *   taken_from: string, taken_to: string,
 *   min_bytes: number | null, max_bytes: number | null, min_width: number | null, min_height: number | null,
 *   sure: boolean, duplicates: boolean, balance: boolean, choices: string[], templates: string,
 * }} State
 */

/** @returns {State} */
export const nothing = () => ({
  tab: "search", q: "", pictures: [], open: null, lang: null, sort: "score",
  folder: [], label: [], camera: [], format: [], taken_from: "", taken_to: "",
  min_bytes: null, max_bytes: null, min_width: null, min_height: null,
  sure: false, duplicates: false, balance: true, choices: [], templates: "plain",
});

/**
 * The state that an address stands for, and the parameters that were left out.
 * @param {string} path below the base: "", "classify"
 * @param {string} search
 * @returns {{state: State, ignored: string[]}}
 */
export function read(path, search) {
  const state = nothing();
  const ignored = /** @type {string[]} */ ([]);
  const tab = path.replace(/^\/|\/$/g, "") || "search";
  if (TABS.includes(tab)) state.tab = tab;
  else ignored.push(shortened(tab));
  for (const [name, value] of new URLSearchParams(search)) {
    if (!accept(state, name, value)) ignored.push(shortened(`${name}=${value}`));
  }
  return { state, ignored };
}

/** @param {any} state @param {string} name @param {string} value @returns {boolean} whether it could be used */
function accept(state, name, value) {
  if (name === "q") return acceptWords(state, value);
  else if (name === "photo" || name === "upload") return acceptPicture(state, name, value);
  else if (name === "open") return (state.open = id(value)) !== null;
  else if (LISTS.includes(name)) return value !== "" && state[name].push(value) > 0;
  else if (name === "choice") return value !== "" && state.choices.push(value) > 0;
  else if (DATES.includes(name) && isDate(value)) state[name] = value;
  else if (SIZES.includes(name)) return (state[name] = id(value)) !== null;
  else if (SWITCHES.includes(name) && value === "1") state[name] = true;
  else if (name === "balance" && value === "0") state.balance = false;
  else if (name === "sort" && SORTS.includes(value)) state.sort = value;
  else if (name === "templates" && ["plain", "simple", "imagenet"].includes(value)) state.templates = value;
  else if (name === "lang" && LANGUAGES.includes(value)) state.lang = value;
  else return false;
  return true;
}

const shortened = (text) => (text.length > MAX_SHOWN ? `${[...text].slice(0, MAX_SHOWN).join("")}…` : text);

/** @param {State} state @param {string} words more than the API takes are cut */
function acceptWords(state, words) {
  const letters = [...words]; // a letter may be two units of a string
  state.q = letters.slice(0, MAX_LETTERS).join("");
  return letters.length <= MAX_LETTERS;
}

/** @param {string} value such as 2024, 2024-05 or 2024-05-31 */
function isDate(value) {
  const [year, month = "01", day = "01"] = value.split("-");
  const date = new Date(0);
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  return /^\d{4}(-\d\d(-\d\d)?)?$/.test(value) && year !== "0000" && date.getUTCMonth() + 1 === Number(month) && date.getUTCDate() === Number(day);
}

/** @param {State} state @param {"photo" | "upload"} kind @param {string} value such as 17, 17*0.5 or 17*-1 */
function acceptPicture(state, kind, value) {
  const [name, size = "1", ...rest] = value.split("*");
  const weight = size.trim() === "" ? NaN : Number(size);
  const named = kind === "photo" ? id(name) : /^[0-9a-f]{32}$/.test(name) ? name : null;
  if (named === null || rest.length || !Number.isFinite(weight) || state.pictures.length >= MAX_PICTURES) return false;
  state.pictures.push({ [kind]: named, weight });
  return true;
}

/** A positive whole number that JavaScript holds exactly, else null. @param {string} value */
function id(value) {
  const number = Number(value);
  return /^\d{1,16}$/.test(value) && number > 0 && Number.isSafeInteger(number) ? number : null;
}

/** The address of a state, relative to the base; `read` returns the same state. @param {State} state */
export function write(state) {
  const query = new URLSearchParams();
  const initial = nothing();
  const add = (name, value) => query.append(name, String(value));
  if (state.q) add("q", state.q);
  for (const { photo, upload, weight } of state.pictures) {
    add(photo ? "photo" : "upload", `${photo ?? upload}${weight === 1 ? "" : `*${weight}`}`);
  }
  for (const name of LISTS) for (const value of state[name]) add(name, value);
  for (const name of [...DATES, ...SIZES]) if (state[name]) add(name, state[name]);
  for (const name of SWITCHES) if (state[name]) add(name, 1);
  if (!state.balance) add("balance", 0);
  for (const choice of state.choices) add("choice", choice);
  for (const name of ["sort", "templates"]) if (state[name] !== initial[name]) add(name, state[name]);
  if (state.open) add("open", state.open);
  if (state.lang) add("lang", state.lang);
  const path = state.tab === "search" ? "./" : state.tab;
  return query.size ? `${path}?${query}` : path;
}

/** The filters of a state as parameters of GET /photos. @param {State} state */
export function filters(state) {
  const found = {};
  for (const name of [...LISTS, ...DATES, ...SIZES]) {
    const value = state[name];
    if (Array.isArray(value) ? value.length : value) found[name] = value;
  }
  return found;
}

/** The state without filters. @param {State} state @returns {State} */
export function withoutFilters(state) {
  const initial = nothing();
  const reset = [...LISTS, ...DATES, ...SIZES, ...SWITCHES, "balance", "sort"];
  return { ...state, ...Object.fromEntries(reset.map((name) => [name, initial[name]])) };
}
