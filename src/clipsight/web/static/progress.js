/** The progress of the indexing run, on every tab. */
import { useState } from "./vendor/hooks.js";
import { remove } from "./api.js";
import { count, duration, number, t } from "./i18n.js";
import { library, run, useStore } from "./store.js";
import { IconButton, html } from "./ui.js";

const LEAST_SECONDS = 5; // before a rate can be told

export function Progress() {
  const job = useStore(run);
  const { status } = useStore(library);
  const [stopping, setStopping] = useState("");
  const [closed, setClosed] = useState("");
  if (!job || closed === job.id) return null;
  const runs = job.state === "running";
  const stop = () => {
    setStopping(job.id);
    remove(`index/${job.id}`).catch(() => setStopping(""));
  };
  const values = { ...job, photos: status?.photos ?? 0, error: job.error };
  const text = { running: job.total === null ? t("scanning", values) : t("progress", values), done: t("done", values), stopped: t("stopped", values), failed: t("failed", values) }[job.state];
  return html`<section class=${`progress ${job.state}`} aria-label=${t("indexing")}>
    ${runs && html`<progress aria-label=${t("indexing")} max=${job.total ?? undefined} value=${job.total === null ? undefined : job.done}></progress>`}
    <span role="status">${text}</span>
    ${runs && html`<span class="hint">${pace(job)}</span>
      <button type="button" class="button" disabled=${stopping === job.id} onClick=${stop}>${t(stopping === job.id ? "stopping" : "stop")}</button>`}
    ${!runs && html`<${IconButton} icon="close" label=${t("close")} onClick=${() => setClosed(job.id)} />`}
    ${job.failed > 0 && html`<p class="hint">${count("unread_files", job.failed)}</p>`}
    ${job.notes.map((note) => html`<p class="hint">${note}</p>`)}
  </section>`;
}

/** Files a second, and the time that is left. */
function pace({ done, total, started }) {
  const seconds = Date.now() / 1000 - started;
  if (seconds < LEAST_SECONDS || !done || !total) return "";
  const rate = done / seconds;
  return t("pace", { rate: number(rate, { maximumFractionDigits: rate < 10 ? 1 : 0 }), left: duration((total - done) / rate) });
}
