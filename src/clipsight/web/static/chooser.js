/** Choosing a folder to index: the server's roots and what is below them. */
import { useState } from "./vendor/hooks.js";
import { get, post } from "./api.js";
import { t } from "./i18n.js";
import { follow } from "./store.js";
import { Icon, Problem, html, nameOf, useLoaded } from "./ui.js";

/** Starts a run and follows it. @param {object} body of POST /index */
export async function startRun(body) {
  follow(await post("index", body));
}

export function Chooser({ done = () => {} }) {
  const [trail, setTrail] = useState([]);
  const [failure, setFailure] = useState(null);
  const here = trail.at(-1);
  const [folders, error, again] = useLoaded(async (signal) => {
    if (here) return get(`roots/${here.id}/folders`, {}, signal);
    const roots = await get("roots", {}, signal);
    if (roots.length === 1) setTrail(roots); // one root needs no choice
    return roots;
  }, [here?.id]);
  const start = async () => {
    try {
      await startRun({ folders: [here.id] });
      done();
    } catch (reason) {
      setFailure(reason);
    }
  };
  if (folders && !here && !folders.length) return html`<p class="problem" role="alert">${t("no_roots")}</p>`;
  return html`<div class="chooser">
    <nav class="trail" aria-label=${t("choose_folder")}>${trail.map((folder, place) => html`<button type="button" key=${folder.id} class="link"
      aria-current=${place === trail.length - 1 ? "location" : undefined} onClick=${() => setTrail(trail.slice(0, place + 1))}>${nameOf(folder.path)}</button>`)}</nav>
    ${here && html`<button type="button" class="button primary" onClick=${start}>${t("index_folder", { name: nameOf(here.path) })}</button>`}
    <${Problem} error=${failure ?? error} retry=${failure ? start : again} />
    ${folders && (folders.length || !here
      ? html`<ul class="folders" aria-label=${t("choose_folder")}>${folders.map((folder) => html`<li key=${folder.id}>
          <button type="button" onClick=${() => setTrail([...trail, folder])}><${Icon} name="folder" /><span>${nameOf(folder.path)}</span></button></li>`)}</ul>`
      : html`<p class="hint">${t("no_subfolders")}</p>`)}
  </div>`;
}
