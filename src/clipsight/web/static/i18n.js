/** Texts, numbers and dates in the reader's language. */

let texts = /** @type {Record<string, string>} */ ({});
let language = "en";
let plurals = new Intl.PluralRules("en");

/** Reads the texts of a language. @param {string} code @param {string} url */
export async function load(code, url) {
  const response = await fetch(url);
  use(code, await response.json());
}

/** @param {string} code @param {Record<string, string>} loaded */
export function use(code, loaded) {
  [language, texts, plurals] = [code, loaded, new Intl.PluralRules(code)];
}

export const currentLanguage = () => language;

/** A text with its placeholders filled in; numbers as the language writes them. @param {string} key @param {Record<string, any>} [values] */
export function t(key, values = {}) {
  return fill(texts[key] ?? key, values);
}

/** The form of a text for a number: `key.one` or `key.other`. @param {string} key @param {number} count @param {Record<string, any>} [values] */
export function count(key, count, values = {}) {
  const form = texts[`${key}.${plurals.select(count)}`] ?? texts[`${key}.other`] ?? key;
  return fill(form, { count, ...values });
}

/** @param {string} text @param {Record<string, any>} values */
function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === "number" ? number(value) : String(value ?? "");
  });
}

/** @param {number} value @param {Intl.NumberFormatOptions} [options] */
export const number = (value, options) => new Intl.NumberFormat(language, options).format(value);

/** A score with three decimals. @param {number} value */
export const score = (value) => number(value, { minimumFractionDigits: 3, maximumFractionDigits: 3 });

/** @param {number} value */
export function bytes(value) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
  let size = value;
  let unit = 0;
  for (; size >= 1000 && unit < units.length - 1; unit++) size /= 1000;
  return number(size, { style: "unit", unit: units[unit], unitDisplay: "short", maximumFractionDigits: unit && size < 100 ? 1 : 0 });
}

/** An ISO 8601 date without a zone, to the minute. @param {string} text */
export function date(text) {
  const parsed = new Date(`${text.slice(0, 19)}Z`);
  if (Number.isNaN(parsed.getTime())) return text;
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short", timeZone: "UTC" }).format(parsed);
}

/** A number of seconds as "3 min". @param {number} seconds */
export function duration(seconds) {
  const [size, unit] = seconds < 90 ? [seconds, "second"] : seconds < 5400 ? [seconds / 60, "minute"] : [seconds / 3600, "hour"];
  return number(Math.max(1, Math.round(size)), { style: "unit", unit, unitDisplay: "long" });
}

/** The sentence for an error: what happened and what to do. @param {{code?: string, message: string}} error */
export function errorText(error) {
  const key = `error.${error.code ?? "unknown"}`;
  return t(key in texts ? key : "error.unknown", { reason: error.message });
}
