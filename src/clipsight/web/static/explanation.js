/** Why a photo has its score: the words of the query, and the places of the photo. */
import { useEffect, useRef, useState } from "./vendor/hooks.js";
import { post } from "./api.js";
import { number, t } from "./i18n.js";
import { isQuery, queryOf } from "./query.js";
import { Problem, html } from "./ui.js";

const kept = new Map(); // query and photo -> explanation
const MOST = 100;

/** The explanation of a photo, once it is wanted; it stays wanted, and kept, while one steps through photos. */
export function useExplanation(id, state) {
  const [wanted, setWanted] = useState(false);
  const [result, setResult] = useState({ key: "", error: null });
  const key = JSON.stringify([id, queryOf(state)]);
  const [attempt, setAttempt] = useState(0);
  const needed = wanted && isQuery(state) && !kept.has(key);
  useEffect(() => {
    if (!needed) return undefined;
    const abort = new AbortController();
    post("explain", { ...queryOf(state), photo: id }, abort.signal).then(
      (value) => {
        kept.set(key, value);
        if (kept.size > MOST) kept.delete(kept.keys().next().value);
        setResult({ key, error: null });
      },
      (error) => abort.signal.aborted || setResult({ key, error }),
    );
    return () => abort.abort();
  }, [key, needed, attempt]);
  const error = result.key === key ? result.error : null;
  return {
    wanted,
    toggle: () => setWanted(!wanted),
    value: wanted ? kept.get(key) : undefined,
    error: wanted ? error : null,
    waiting: needed && !error,
    again: () => setAttempt((n) => n + 1),
  };
}

export function Explanation({ explanation, opacity, setOpacity }) {
  const { value, error, waiting, again } = explanation;
  if (error) return html`<${Problem} error=${error} retry=${again} />`;
  if (waiting) return html`<p class="hint" role="status">${t("explaining")}</p>`;
  if (!value) return null;
  const lines = bars(value);
  const most = Math.max(...lines.map((line) => Math.abs(line.size)), 1e-9);
  return html`<section class="explanation" aria-label=${t("explain")}>
    ${value.region && html`<label class="slider">${t("heat_map")}
      <input type="range" min="0" max="1" step="0.05" value=${opacity} onInput=${(event) => setOpacity(Number(event.currentTarget.value))} />
      <small>${t("heat_map_info")}</small></label>`}
    <p class="words" aria-hidden="true">${value.words.map((word) => html`<span class=${word.contribution < 0 ? "cool" : "warm"}
      style=${{ "--share": `${Math.round((Math.abs(word.contribution) / most) * 70)}%` }}>${word.word}</span> `)}</p>
    <ul class="bars">${lines.map((line) => html`<li class=${line.inner ? "inner" : ""}>
      <span>${sentence(line)}</span>
      <span class=${line.size < 0 ? "bar minus" : "bar"} style=${{ "--share": `${(Math.abs(line.size) / most) * 100}%` }} aria-hidden="true"></span>
    </li>`)}</ul>
    ${value.notes.map((note) => html`<p class="hint">${note}</p>`)}
  </section>`;
}

const sentence = ({ name, size }) =>
  t(size < 0 ? "lowers_score" : "raises_score", { part: name, size: number(Math.abs(size), { maximumFractionDigits: 3, minimumFractionDigits: 2 }) });

/** The parts of the query, each with its words below it; words alone for one part. */
function bars({ parts, words }) {
  const line = (word, inner) => ({ name: word.word, size: word.contribution, inner });
  if (parts.length < 2) return words.map((word) => line(word, false));
  let next = 0;
  return parts.flatMap((part) => {
    const own = words.slice(next, (next += part.words));
    return [{ name: part.part, size: part.share, inner: false }, ...(own.length > 1 ? own.map((word) => line(word, true)) : [])];
  });
}

/** A heat map over the part of a photo that the model sees. */
export function HeatMap({ region, opacity }) {
  const canvas = useRef(null);
  useEffect(() => draw(canvas.current, region.heat), [region]);
  const [left, top, right, bottom] = region.seen.map((side) => side * 100);
  const style = { left: `${left}%`, top: `${top}%`, width: `${right - left}%`, height: `${bottom - top}%`, opacity };
  return html`<canvas ref=${canvas} class="heat" style=${style} aria-hidden="true"></canvas>`;
}

/** One pixel a cell, which the browser scales: dark blue over magenta to yellow, as on the command line. */
function draw(canvas, heat) {
  const [rows, columns] = [heat.length, heat[0].length];
  [canvas.width, canvas.height] = [columns, rows];
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  const most = Math.max(...heat.flat(), 1e-9);
  heat.flat().forEach((value, place) => image.data.set([...color(Math.max(0, value / most)), 255], place * 4));
  context.putImageData(image, 0, 0);
}

const STOPS = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];

/** A color of the palette "inferno". @param {number} level 0 to 1 */
function color(level) {
  const at = Math.min(0.9999, level) * (STOPS.length - 1);
  const [low, high] = [STOPS[Math.floor(at)], STOPS[Math.floor(at) + 1]];
  return low.map((value, channel) => Math.round(value + (high[channel] - value) * (at % 1)));
}
