/** Classifying photos of the library, or dropped ones, by labels that the reader writes. */
import { useRef, useState } from "./vendor/hooks.js";
import { post, preview } from "./api.js";
import { number, t } from "./i18n.js";
import { ChoosePictures, DropHint, upload, usePictures } from "./pictures.js";
import { go, readLibrary, store, useStore } from "./store.js";
import { IconButton, Problem, html, nameOf } from "./ui.js";

/** Photos to classify: {photo} of the library or {upload}, each with a name. */
const tray = store([]);
const keyOf = (each) => (each.photo ? `p${each.photo}` : `u${each.upload}`);

function add(items) {
  const known = new Set(tray.value.map(keyOf));
  tray.set([...tray.value, ...items.filter((each) => !known.has(keyOf(each)))]);
}

/** Adds photos of the library. @param {{id: number, path: string}[]} photos */
export function toClassify(photos) {
  add(photos.map(({ id, path }) => ({ photo: id, name: nameOf(path) })));
}

/** @param {{state: import("./address.js").State}} props */
export function Classify({ state }) {
  const photos = useStore(tray);
  const [result, setResult] = useState(null);
  const [error, setError] = useState(null);
  const [working, setWorking] = useState(false);
  const [unknown, setUnknown] = useState(false);
  const take = async (files) => {
    setError(null);
    for (const file of files) {
      try {
        add([{ upload: await upload(file), name: file.name || "picture" }]);
      } catch (reason) {
        setError(reason);
      }
    }
  };
  const dragged = usePictures(take);
  const ready = photos.length > 0 && state.choices.length > 1;
  const classify = async (keep) => {
    setWorking(true);
    setError(null);
    try {
      const body = { labels: state.choices, templates: state.templates, unknown, keep, top: 1000 };
      const found = await post("classify", {
        ...body,
        photos: photos.filter((each) => each.photo).map((each) => each.photo),
        uploads: photos.filter((each) => each.upload).map(({ upload, name }) => ({ upload, name })),
      });
      setResult({ ...found, photos: found.photos.map((each) => ({ ...each, source: photos.find((one) => (each.id ? one.photo === each.id : one.name === each.path)) })) });
      if (keep) await readLibrary();
    } catch (reason) {
      setError(reason);
    }
    setWorking(false);
  };
  const submit = (event) => {
    event.preventDefault();
    if (ready) classify(false);
  };
  return html`<section class="classify" aria-label=${t("classify")}>
    <h2>${t("photos_title")}</h2>
    <div class="drop">
      ${photos.length ? html`<ul class="tray">${photos.map((each) => html`<li key=${keyOf(each)}>
          <img src=${preview(each)} alt=${each.name} />
          <${IconButton} icon="close" label=${t("remove", { part: each.name })} onClick=${() => tray.set(photos.filter((one) => one !== each))} /></li>`)}</ul>`
        : html`<p class="hint">${t("no_photos")}</p>`}
      <div class="actions">
        <${ChoosePictures} take=${take} label=${t("choose")} />
        ${photos.length > 0 && html`<button type="button" class="button" onClick=${() => tray.set([])}>${t("clear")}</button>`}
      </div>
    </div>
    <form onSubmit=${submit}>
      <${Labels} labels=${state.choices} change=${(choices) => go({ choices }, { replace: true })} />
      <label>${t("template_choice")} <select value=${state.templates} onChange=${(event) => go({ templates: event.currentTarget.value }, { replace: true })}>
        ${["plain", "simple", "imagenet"].map((each) => html`<option key=${each} value=${each}>${t(`template_${each}`)}</option>`)}</select></label>
      <label class="check"><input type="checkbox" checked=${unknown} onChange=${(event) => setUnknown(event.currentTarget.checked)} /><span>${t("unknown")}<small>${t("unknown_info")}</small></span></label>
      <div class="actions">
        <button type="submit" class="button primary" disabled=${!ready || working}>${t(working ? "classifying" : "classify")}</button>
        ${!ready && html`<span class="hint">${t(photos.length ? "need_labels" : "need_photos")}</span>`}
      </div>
    </form>
    <${Problem} error=${error} />
    ${result && html`<${Table} result=${result} keep=${() => classify(true)} />`}
    <${DropHint} shown=${dragged} text=${t("drop_classify")} />
  </section>`;
}

/** Labels as chips: Enter or a comma ends one. */
function Labels({ labels, change }) {
  const input = useRef(null);
  const addTyped = () => {
    const typed = input.current.value.split(/[,，、\n]/u).map((each) => each.trim()).filter((each) => each && !labels.includes(each));
    input.current.value = "";
    if (typed.length) change([...labels, ...new Set(typed)]);
  };
  const keys = (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter" && input.current.value.trim()) {
      event.preventDefault();
      addTyped();
    } else if (event.key === "Backspace" && !input.current.value && labels.length) change(labels.slice(0, -1));
  };
  const typed = (event) => !event.isComposing && /[,，、]/u.test(input.current.value) && addTyped();
  return html`<div class="field"><label for="labels">${t("labels_title")}</label>
    <div class="chipbox" onClick=${() => input.current.focus()}>
      <ul class="chips">${labels.map((label) => html`<li key=${label} class="part"><span class="name">${label}</span>
        <${IconButton} icon="close" label=${t("remove", { part: label })} onClick=${() => change(labels.filter((each) => each !== label))} /></li>`)}</ul>
      <input id="labels" ref=${input} placeholder=${labels.length ? "" : t("labels_example")} autocomplete="off" aria-describedby="labels-hint" onKeyDown=${keys} onInput=${typed} onBlur=${addTyped} />
    </div><p id="labels-hint" class="hint">${t("labels_hint")}</p></div>`;
}

const percent = (value) => number(value, { style: "percent", maximumFractionDigits: 1 });

function Table({ result, keep }) {
  const names = [...new Set(result.photos.flatMap((photo) => photo.labels.map((each) => each.label)))].sort((one, other) => total(result, other) - total(result, one));
  const [kept, setKept] = useState(null);
  const open = (photo) => photo.id && go({ tab: "search", open: photo.id });
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${t("probabilities")}><table>
      <thead><tr><th scope="col">${t("photo")}</th>${names.map((name) => html`<th key=${name} scope="col">${name}</th>`)}</tr></thead>
      <tbody>${result.photos.map((photo, row) => {
        const of = Object.fromEntries(photo.labels.map((each) => [each.label, each.probability]));
        const best = photo.labels[0]?.label;
        const name = nameOf(photo.path);
        return html`<tr key=${row}><th scope="row"><button type="button" class="thumb" disabled=${!photo.id} onClick=${() => open(photo)}>
            ${photo.source && html`<img src=${preview(photo.source)} alt="" />`}<span>${name}</span></button></th>
          ${names.map((label) => html`<td key=${label} class=${label === best ? "best" : ""} style=${{ "--share": `${Math.round((of[label] ?? 0) * 100)}%` }}>${percent(of[label] ?? 0)}</td>`)}</tr>`;
      })}</tbody></table></div>
    ${result.notes.map((note) => html`<p class="hint">${note}</p>`)}
    <div class="actions">
      <button type="button" class="button" onClick=${() => save(result, names)}>${t("download_csv")}</button>
      ${result.photos.some((photo) => photo.id) && html`<button type="button" class="button" disabled=${kept === result} onClick=${() => { setKept(result); keep(); }}>${t("keep_labels")}</button>`}
    </div>`;
}

const total = (result, name) => result.photos.reduce((sum, photo) => sum + (photo.labels.find((each) => each.label === name)?.probability ?? 0), 0);

/** Downloads the table as CSV; cells that a spreadsheet would run as formulas begin with an apostrophe. */
function save(result, names) {
  const cell = (value) => `"${String(value).replace(/^(?=[=+\-@\t\r])/, "'").replaceAll('"', '""')}"`;
  const rows = [["path", ...names], ...result.photos.map((photo) => [photo.path, ...names.map((name) => photo.labels.find((each) => each.label === name)?.probability ?? "")])];
  const text = rows.map((row) => row.map((value) => (typeof value === "number" ? value : cell(value))).join(",")).join("\r\n");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([`\uFEFF${text}\r\n`], { type: "text/csv" }));
  link.download = "classification.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
