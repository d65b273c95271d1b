/** Filters in one line; those that are set stay visible and can be removed one by one. */
import { withoutFilters, write } from "./address.js";
import { bytes, t } from "./i18n.js";
import { go, library, useStore } from "./store.js";
import { Field, Icon, Menu, html, nameOf } from "./ui.js";

const SIZES = [["min_width", "px"], ["min_height", "px"], ["min_bytes", "MB"], ["max_bytes", "MB"]];

/** @param {{state: import("./address.js").State}} props */
export function Filters({ state }) {
  const { folders, labels, filters } = useStore(library);
  const names = Object.fromEntries(folders.map((folder) => [folder.id, nameOf(folder.path)]));
  const dated = state.taken_from || state.taken_to;
  const sized = SIZES.some(([name]) => state[name]);
  const isFiltered = write({ ...state, open: null }) !== write({ ...withoutFilters(state), open: null });
  return html`<div class="filters" role="group" aria-label=${t("filters")}>
    <${Choice} name="folder" label=${t("folder")} state=${state} values=${folders.map((folder) => folder.id)} shown=${(id) => names[id] ?? id} />
    <${Choice} name="label" label=${t("labels")} state=${state} values=${labels.map((label) => label.label)} />
    <${Menu} label=${t("date")} active=${dated}>
      <label>${t("date_from")}<${Field} type="date" value=${state.taken_from} change=${(taken_from) => go({ taken_from })} /></label>
      <label>${t("date_to")}<${Field} type="date" value=${state.taken_to} change=${(taken_to) => go({ taken_to })} /></label>
    <//>
    <${Choice} name="camera" label=${t("camera")} state=${state} values=${filters.cameras} />
    <${Choice} name="format" label=${t("format")} state=${state} values=${filters.formats} />
    <${Menu} label=${t("size")} active=${sized}>
      ${SIZES.map(([name, unit]) => html`<${Size} key=${name} name=${name} unit=${unit} state=${state} />`)}
    <//>
    <${Menu} label=${t("options")} active=${state.sure || state.duplicates || !state.balance || state.sort !== "score"}>
      <label>${t("sort")}<select value=${state.sort} onChange=${(event) => go({ sort: event.currentTarget.value })}>
        ${["score", "date", "path"].map((each) => html`<option key=${each} value=${each}>${t(`sort_${each}`)}</option>`)}
      </select></label>
      <${Switch} name="sure" state=${state} /><${Switch} name="duplicates" state=${state} /><${Switch} name="balance" state=${state} />
    <//>
    <${Active} state=${state} names=${names} />
    ${isFiltered && html`<button type="button" class="link" onClick=${() => go(withoutFilters(state))}>${t("reset_filters")}</button>`}
  </div>`;
}

/** A menu of values, any number of which can be chosen; not there while there is nothing to choose. */
function Choice({ name, label, state, values, shown = (value) => value }) {
  const chosen = state[name];
  const all = [...new Set([...values, ...chosen])];
  if (all.length < 2 && !chosen.length) return null;
  const toggle = (value) => go({ [name]: chosen.includes(value) ? chosen.filter((each) => each !== value) : [...chosen, value] });
  return html`<${Menu} label=${label} active=${chosen.length > 0}>
    ${all.map((value) => html`<label key=${value} class="check">
      <input type="checkbox" checked=${chosen.includes(value)} onChange=${() => toggle(value)} />${shown(value)}
    </label>`)}
  <//>`;
}

function Size({ name, unit, state }) {
  const scale = unit === "MB" ? 1e6 : 1;
  const change = (text) => {
    const value = Math.round(Number(text) * scale);
    go({ [name]: value > 0 ? value : null });
  };
  return html`<label>${t(name, { unit })}<${Field} type="number" min="0" step="any" value=${state[name] ? state[name] / scale : ""} change=${change} /></label>`;
}

function Switch({ name, state }) {
  return html`<label class="check"><input type="checkbox" checked=${state[name]} onChange=${(event) => go({ [name]: event.currentTarget.checked })} />
    <span>${t(name)}<small>${t(`${name}_info`)}</small></span></label>`;
}

/** What is set, each with a way to remove it. */
function Active({ state, names }) {
  const set = [
    ...state.folder.map((id) => [names[id] ?? id, { folder: state.folder.filter((each) => each !== id) }]),
    ...["label", "camera", "format"].flatMap((name) => state[name].map((value) => [value, { [name]: state[name].filter((each) => each !== value) }])),
    ...(state.taken_from ? [[t("since", { date: state.taken_from }), { taken_from: "" }]] : []),
    ...(state.taken_to ? [[t("until", { date: state.taken_to }), { taken_to: "" }]] : []),
    ...SIZES.filter(([name]) => state[name]).map(([name, unit]) => [
      `${t(name, { unit: "" }).replace(/[\s(（)）]+$/u, "")}: ${unit === "MB" ? bytes(state[name]) : state[name]}`, { [name]: null }]),
    ...(state.sure ? [[t("sure"), { sure: false }]] : []),
    ...(state.duplicates ? [[t("duplicates"), { duplicates: false }]] : []),
  ];
  return set.map(([name, change]) => html`<button type="button" key=${name} class="chip set" aria-label=${t("remove", { part: name })} onClick=${() => go(change)}>
    ${name}<${Icon} name="close" />
  </button>`);
}
