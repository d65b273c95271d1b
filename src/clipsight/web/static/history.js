/** Searches of before and saved ones, kept in this browser only. */
import { nothing, read, write } from "./address.js";
import { t } from "./i18n.js";
import { isQuery } from "./query.js";
import { go, store, useStore } from "./store.js";
import { IconButton, Menu, html } from "./ui.js";

const KEY = "clipsight-searches";
const MOST = 20;

/** @returns {{recent: string[], saved: string[]}} */
function load() {
  try {
    const { recent, saved } = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    const texts = (list) => (Array.isArray(list) ? list.filter((each) => typeof each === "string") : []);
    return { recent: texts(recent), saved: texts(saved) };
  } catch {
    return { recent: [], saved: [] };
  }
}

const kept = store(load());

function keep(changes) {
  kept.set({ ...kept.value, ...changes });
  try {
    localStorage.setItem(KEY, JSON.stringify(kept.value));
  } catch {
    // a browser that keeps nothing
  }
}

const addressOf = (state) => write({ ...state, open: null, lang: null });

/** Puts a search first in the list of recent ones. @param {import("./address.js").State} state */
export function remember(state) {
  if (!isQuery(state)) return;
  const address = addressOf(state);
  keep({ recent: [address, ...kept.value.recent.filter((each) => each !== address)].slice(0, MOST) });
}

export function History() {
  const { recent, saved } = useStore(kept);
  if (!recent.length && !saved.length) return null;
  return html`<${Menu} label=${t("searches")}>
    ${saved.length > 0 && html`<h3>${t("saved_searches")}</h3><${List} addresses=${saved} drop=${(each) => keep({ saved: saved.filter((one) => one !== each) })} />`}
    ${recent.length > 0 && html`<h3>${t("recent_searches")}</h3><${List} addresses=${recent}
      drop=${(each) => keep({ recent: recent.filter((one) => one !== each) })}
      save=${(each) => saved.includes(each) || keep({ saved: [...saved, each] })} />
      <button type="button" class="link" onClick=${() => keep({ recent: [] })}>${t("clear_history")}</button>`}
  <//>`;
}

function List({ addresses, drop, save }) {
  return html`<ul class="plain">${addresses.map((address) => {
    const { state } = read("", new URL(address, document.baseURI).search);
    const name = [state.q, ...state.pictures.map(({ photo }) => t(photo ? "a_photo" : "a_picture"))].filter(Boolean).join(" + ");
    return html`<li key=${address} class="line">
      <button type="button" class="link grow" onClick=${() => go({ ...nothing(), ...state })}>${name}</button>
      ${save && html`<${IconButton} icon="check" label=${t("save_search", { name })} onClick=${() => save(address)} />`}
      <${IconButton} icon="close" label=${t("remove", { part: name })} onClick=${() => drop(address)} />
    </li>`;
  })}</ul>`;
}
