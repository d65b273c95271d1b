/** The library: folders, files that could not be read, models, and what it takes on disk. */
import { useRef, useState } from "./vendor/hooks.js";
import { endpoint, get, remove } from "./api.js";
import { Chooser, startRun } from "./chooser.js";
import { bytes, count, date, number, t } from "./i18n.js";
import { library, readLibrary, run, useStore } from "./store.js";
import { Confirm, Problem, html, nameOf, useLoaded } from "./ui.js";

const MOST_FAILURES = 1000;

export function Library() {
  const { status, folders, error } = useStore(library);
  const running = useStore(run)?.state === "running";
  const [failure, setFailure] = useState(null);
  const [adding, setAdding] = useState(false);
  const attempt = (action) => async () => {
    try {
      setFailure(null);
      await action();
    } catch (reason) {
      setFailure(reason);
    }
  };
  if (error && !status) return html`<${Problem} error=${error} retry=${readLibrary} />`;
  if (!status) return null;
  const act = { attempt, running };
  return html`<section class="library" aria-label=${t("library")}>
    <${Problem} error=${failure} />
    <p>${count("library_total", status.photos, { bytes: bytes(status.bytes) })} <code>${status.library}</code></p>
    ${status.unreachable > 0 && html`<p class="hint">${count("unreachable", status.unreachable)}</p>`}
    <div class="actions"><a class="button" href=${endpoint("backup")} download>${t("backup")}</a></div>

    <h2>${t("folders")}</h2>
    <ul class="cards">${folders.map((folder) => html`<${Folder} key=${folder.id} folder=${folder} ...${act} />`)}</ul>
    <div class="actions">
      <button type="button" class="button" aria-expanded=${adding} onClick=${() => setAdding(!adding)}>${t("add_folder")}</button>
      ${folders.length > 1 && html`<button type="button" class="button" disabled=${running} onClick=${attempt(() => startRun({}))}>${t("update_all")}</button>`}
    </div>
    ${adding && html`<${Chooser} done=${() => setAdding(false)} />`}
    ${status.failures > 0 && html`<${Failures} total=${status.failures} ...${act} />`}
    <${Models} status=${status} ...${act} />
  </section>`;
}

function Folder({ folder, attempt, running }) {
  const [asking, setAsking] = useState(false);
  const [excluding, setExcluding] = useState(false);
  const name = nameOf(folder.path);
  const forget = async (sure) => {
    setAsking(false);
    if (sure) await attempt(async () => {
      await remove(`folders/${folder.id}`);
      await readLibrary();
    })();
  };
  const exclude = (patterns) => attempt(async () => {
    await startRun({ folders: [folder.id], exclude: patterns });
    setExcluding(false);
  })();
  return html`<li class="card">
    <div class="grow">
      <strong>${name}</strong><code>${folder.path}</code>
      <span class="hint">${count("photos", folder.photos ?? 0)} · ${folder.indexed ? t("indexed", { date: date(folder.indexed) }) : t("not_indexed_yet")}</span>
      ${folder.unreachable > 0 && html`<span class="bad">${count("unreachable", folder.unreachable)}</span>`}
    </div>
    <button type="button" class="button" aria-label=${`${t("update")}: ${name}`} disabled=${running} onClick=${attempt(() => startRun({ folders: [folder.id] }))}>${t("update")}</button>
    <button type="button" class="button" aria-label=${`${t("exclude")}: ${name}`} aria-expanded=${excluding} onClick=${() => setExcluding(!excluding)}>${t("exclude")}</button>
    <button type="button" class="button" aria-label=${`${t("forget")}: ${name}`} disabled=${running} onClick=${() => setAsking(true)}>${t("forget")}</button>
    ${excluding && html`<${Exclude} folder=${folder} running=${running} save=${exclude} />`}
    ${asking && html`<${Confirm} text=${count("forget_question", folder.photos ?? 0, { name })} action=${t("forget")} then=${forget} />`}
  </li>`;
}

/** The patterns of what is left out, one a line. */
function Exclude({ folder, running, save }) {
  const lines = useRef(null);
  const submit = (event) => {
    event.preventDefault();
    save(lines.current.value.split("\n").map((line) => line.trim()).filter(Boolean));
  };
  const id = `exclude-${folder.id}`;
  return html`<form class="field whole" onSubmit=${submit}>
    <label for=${id}>${t("exclude_label")}</label>
    <textarea id=${id} ref=${lines} rows="3" aria-describedby=${`${id}-hint`} defaultValue=${folder.exclude.join("\n")}></textarea>
    <p id=${`${id}-hint`} class="hint">${t("exclude_hint")}</p>
    <div class="actions"><button class="button primary" disabled=${running}>${t("exclude_save")}</button></div>
  </form>`;
}

/** Files that could not be read, by reason. */
function Failures({ total, attempt, running }) {
  const [failures, error, again] = useLoaded((signal) => get("failures", { limit: MOST_FAILURES }, signal), [total]);
  const reasons = new Map();
  for (const { path, reason } of failures ?? []) reasons.set(reason, [...(reasons.get(reason) ?? []), path]);
  return html`<h2>${count("failures", total)}</h2>
    <p class="hint">${t("failures_info")}</p>
    <${Problem} error=${error} retry=${again} />
    <ul class="cards">${[...reasons].map(([reason, paths]) => html`<li key=${reason} class="card"><details>
      <summary>${reason} <span class="hint">(${number(paths.length)})</span></summary>
      <ul class="plain">${paths.map((path) => html`<li key=${path}><code>${path}</code></li>`)}</ul></details></li>`)}</ul>
    <div class="actions"><button type="button" class="button" disabled=${running} onClick=${attempt(() => startRun({ retry: true }))}>${t("retry_failures")}</button></div>`;
}

function Models({ status, attempt, running }) {
  const [models, error, again] = useLoaded((signal) => get("models", {}, signal), [status.model]);
  const [chosen, setChosen] = useState(null);
  const change = async (sure) => {
    setChosen(null);
    if (sure) await attempt(() => startRun({ model: chosen.name }))();
  };
  const order = (model) => (model.in_use ? 0 : model.recommended ? 1 : model.on_disk ? 2 : 3);
  const sorted = [...(models ?? [])].sort((one, other) => order(one) - order(other));
  return html`<h2>${t("models")}</h2>
    ${status.next_model && html`<p class="hint">${count("switching_model", status.to_embed, { model: status.next_model })}</p>`}
    <${Problem} error=${error} retry=${again} />
    <ul class="cards models">${sorted.map((model) => html`<li key=${model.name} class="card">
      <div class="grow">
        <strong>${model.name}</strong>
        <span>${model.in_use && html`<em class="badge">${t("in_use")}</em>`}${model.recommended && html`<em class="badge">${t("recommended")}</em>`}</span>
        <span class="hint">${facts(model).join(" · ")}</span>
        ${model.problem && html`<span class="bad">${model.problem}</span>`}
      </div>
      ${!model.in_use && html`<button type="button" class="button" aria-label=${`${t("use_model")}: ${model.name}`} disabled=${running} onClick=${() => setChosen(model)}>${t("use_model")}</button>`}
    </li>`)}</ul>
    ${chosen && html`<${Confirm} text=${count("switch_question", status.photos, { model: chosen.name })} action=${t("use_model")} then=${change} />`}`;
}

const percent = (value) => number(value, { style: "percent", maximumFractionDigits: 1 });

function facts(model) {
  return [
    model.size_bytes && (model.on_disk ? bytes(model.size_bytes) : t("to_download", { size: bytes(model.size_bytes) })),
    model.multilingual === null ? "" : t(model.multilingual ? "many_languages" : "english_only"),
    model.license,
    model.commercial === false && t("not_commercial"),
    model.retrieval !== null && t("retrieval", { percent: percent(model.retrieval > 1 ? model.retrieval / 100 : model.retrieval) }),
    model.imagenet_top1 !== null && t("imagenet", { percent: percent(model.imagenet_top1 > 1 ? model.imagenet_top1 / 100 : model.imagenet_top1) }),
  ].filter(Boolean);
}
