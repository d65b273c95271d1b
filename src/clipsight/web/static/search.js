/** Searching: the query as chips, filters in one line, and the photos found. */
import { useEffect, useRef, useState } from "./vendor/hooks.js";
import { preview } from "./api.js";
import { MAX_LETTERS } from "./address.js";
import { Filters } from "./filters.js";
import { Gallery } from "./gallery.js";
import { History, remember } from "./history.js";
import { count, t } from "./i18n.js";
import { ChoosePictures, DropHint, upload, usePictures } from "./pictures.js";
import { Photo } from "./photo.js";
import { complete, formatWords } from "./query.js";
import { Results, resultsKey } from "./results.js";
import { SelectionBar, useSelection } from "./selection.js";
import { go, library, run, useStore } from "./store.js";
import { Field, IconButton, Problem, html } from "./ui.js";

const PAUSE_MILLISECONDS = 60;
const MAX_TITLE = 200; // letters, of a contact sheet

/** The results of a state; those of the state before, until the first page of the new ones is here. */
function useResults(state) {
  const { version } = useStore(library);
  const [shown, setShown] = useState(null);
  const [, redraw] = useState(0);
  const [attempt, setAttempt] = useState(0);
  const key = resultsKey(state);
  useEffect(() => {
    const results = new Results(state, version, () => {
      setShown(results);
      redraw((n) => n + 1);
    });
    const timer = setTimeout(() => results.start(), shown ? PAUSE_MILLISECONDS : 0);
    return () => {
      clearTimeout(timer);
      results.close();
    };
  }, [key, version, attempt]);
  return [shown, () => setAttempt((n) => n + 1), shown !== null && resultsKey(shown.state) === key];
}

/** @param {{state: import("./address.js").State}} props */
export function Search({ state }) {
  const [results, again, isCurrent] = useResults(state);
  const [uploading, setUploading] = useState([]);
  const selection = useSelection(results);
  const latest = useRef(state);
  latest.current = state;

  const take = async (files) => {
    for (const file of files) {
      const row = { key: `${Date.now()}-${Math.random()}`, name: file.name || "picture", error: null };
      setUploading((rows) => [...rows, row]);
      const drop = () => setUploading((rows) => rows.filter((each) => each.key !== row.key));
      try {
        const id = await upload(file);
        drop();
        go({ pictures: [...latest.current.pictures, { upload: id, weight: 1 }] });
      } catch (error) {
        setUploading((rows) => rows.map((each) => (each.key === row.key ? { ...each, error, drop } : each)));
      }
    }
  };
  const dragged = usePictures(take);
  useEffect(() => {
    if (results?.ready && isCurrent) remember(state);
  }, [results, isCurrent]);

  const parts = isCurrent ? (results.parts ?? []) : null;
  return html`<section class="search" aria-label=${t("search")}>
    <${Box} state=${state} take=${take} />
    <${Chips} state=${state} parts=${parts} uploading=${uploading} />
    <${Filters} state=${state} />
    <${Summary} results=${results} state=${state} retry=${again} />
    ${results?.ready && html`<${Gallery} results=${results} scores=${results.isQuery} selection=${selection}
      open=${(place) => go({ open: results.at(place).id })} />`}
    <${SelectionBar} selection=${selection} title=${complete(state.q).slice(0, MAX_TITLE)} />
    ${state.open !== null && html`<${Photo} id=${state.open} state=${state} results=${results} />`}
    <${DropHint} shown=${dragged} text=${t("drop_search")} />
  </section>`;
}

function Box({ state, take }) {
  const input = useRef(null);
  useEffect(() => {
    const focus = (event) => {
      if (event.key !== "/" || event.target.closest("input, textarea, select, dialog")) return;
      event.preventDefault();
      input.current.focus();
    };
    document.addEventListener("keydown", focus);
    return () => document.removeEventListener("keydown", focus);
  }, []);
  const submit = (event) => {
    event.preventDefault();
    go({ q: complete(input.current.value) });
  };
  return html`<form role="search" class="box" onSubmit=${submit}>
    <input ref=${input} type="search" name="q" value=${state.q} maxlength=${MAX_LETTERS} placeholder=${t("placeholder")} aria-label=${t("search_label")}
      autocomplete="off" autocapitalize="off" spellcheck=${false} enterkeyhint="search" aria-describedby="hint"
      onInput=${() => go({ q: input.current.value }, { typing: true })} />
    <${ChoosePictures} take=${take} label=${t("add_picture")} />
    <${History} />
  </form>
  <p id="hint" class="hint">${t("hint")}</p>`;
}

/** The parts of the query, each with its sign and weight, and pictures that could not be used. */
function Chips({ state, parts, uploading }) {
  const last = useRef([]);
  if (parts) last.current = parts.filter((part) => part.text !== undefined);
  const words = complete(state.q) ? last.current : [];
  const plain = words.length === 1 && words[0].weight === 1 && !state.pictures.length;
  if ((plain || !words.length) && !state.pictures.length && !uploading.length) return null;
  const setWord = (place, changed) => {
    last.current = replaced(words, place, changed); // until the server has parsed it
    go({ q: formatWords(last.current) }, { typing: true });
  };
  const setPicture = (place, changed) => go({ pictures: replaced(state.pictures, place, changed) }, { typing: true });
  return html`<ul class="chips" aria-label=${t("query_parts")}>
    ${!plain && words.map((word, place) => html`<${Chip} key=${`w${place}`} name=${word.text} part=${word} change=${(next) => setWord(place, next)} />`)}
    ${state.pictures.map((picture, place) => html`<${Chip} key=${picture.photo ?? picture.upload}
      name=${t(picture.photo ? "a_photo" : "a_picture")} image=${preview(picture)}
      part=${picture} change=${(next) => setPicture(place, next)} />`)}
    ${uploading.map((row) => html`<li key=${row.key} class=${row.error ? "part broken" : "part"} role=${row.error ? "alert" : "status"}>
      <span class="name">${row.name}</span>
      ${row.error ? html`<span class="reason">${t(row.error.code === "too_large" ? "error.too_large" : "unreadable", { name: row.name, reason: row.error.message })}</span>
          <${IconButton} icon="close" label=${t("remove", { part: row.name })} onClick=${row.drop} />`
        : html`<span class="hint">${t("uploading")}</span>`}
    </li>`)}
  </ul>`;
}

/** A list with the element at a place replaced, or without it. */
const replaced = (list, place, changed) => list.flatMap((each, at) => (at !== place ? [each] : changed ? [changed] : []));

function Chip({ name, image, part, change }) {
  const minus = part.weight < 0;
  const size = Math.abs(part.weight);
  const resize = (text) => {
    const next = Number(text);
    if (Number.isFinite(next) && next > 0) change({ ...part, weight: minus ? -next : next });
  };
  return html`<li class=${minus ? "part minus" : "part"}>
    <button type="button" class="sign" aria-label=${t(minus ? "subtracted" : "added", { part: name })} onClick=${() => change({ ...part, weight: -part.weight })}>${minus ? "−" : "+"}</button>
    ${image && html`<img src=${image} alt="" />`}
    <span class="name">${name}</span>
    <${Field} type="number" min="0.1" max="1000" step="any" value=${size} aria-label=${t("weight_of", { part: name })} change=${resize} />
    <${IconButton} icon="close" label=${t("remove", { part: name })} onClick=${() => change(null)} />
  </li>`;
}

/** How many photos there are, and what is to be said about them. */
function Summary({ results, state, retry }) {
  const indexing = useStore(run);
  const isIndexing = indexing?.state === "running";
  const progress = isIndexing && indexing.total ? t("so_far", { done: indexing.done, total: indexing.total }) : isIndexing ? t("indexing_now") : "";
  if (!results) return html`<p class="summary" role="status">${progress}</p>`;
  if (isIndexing && results.error?.code === "nothing_indexed") return html`<p class="summary" role="status">${progress}</p>`;
  if (results.error && !results.ready) return html`<${Problem} error=${results.error} retry=${retry} />`;
  const { total } = results;
  const found = total ? count(results.isQuery ? (state.sort === "score" ? "found" : "found_sorted") : "all_photos", total) : isIndexing ? "" : t("no_results");
  return html`<p class="summary" role="status">${[found, progress].filter(Boolean).join(" · ")}</p>
    ${results.notes.map((note) => html`<p class="hint note">${note}</p>`)}
    <${Problem} error=${results.error} retry=${retry} />`;
}
