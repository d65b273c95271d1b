/** One photo, large, with what is known of it. */
import { useEffect, useRef, useState } from "./vendor/hooks.js";
import { endpoint, get, thumbnail, thumbnails } from "./api.js";
import { toClassify } from "./classify.js";
import { Explanation, HeatMap, useExplanation } from "./explanation.js";
import { bytes, date, number, score, t } from "./i18n.js";
import { isQuery } from "./query.js";
import { closePhoto, go } from "./store.js";
import { Icon, IconButton, Problem, html, nameOf, useLoaded } from "./ui.js";

const SWIPE_PIXELS = 50;

/** @param {{id: number, state: any, results: import("./results.js").Results | null}} props */
export function Photo({ id, state, results }) {
  const dialog = useRef(null);
  const place = results ? results.placeOf(id) : -1;
  const [found, error, again] = useLoaded((signal) => get(`photos/${id}`, { location: true }, signal), [id]);
  const explanation = useExplanation(id, state);
  const [opacity, setOpacity] = useState(0.65);

  useEffect(() => {
    dialog.current.showModal();
    return () => dialog.current?.close();
  }, []);
  useEffect(() => {
    if (place >= 0) results.need(place - 1, place + 1);
  }, [place]);
  const neighbour = (step) => (place < 0 ? undefined : results.at(place + step));
  const step = (by) => {
    const next = neighbour(by);
    if (next) go({ open: next.id }, { replace: true });
  };
  const keys = (event) => {
    if (event.target.matches("input, textarea, select")) return;
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (by) {
      event.preventDefault();
      step(by);
    }
  };
  const cancel = (event) => {
    event.preventDefault();
    closePhoto();
  };
  const name = found ? nameOf(found.path) : "";
  const match = place >= 0 ? results.at(place) : null;
  return html`<dialog ref=${dialog} class="photo" aria-label=${name || t("photo")} onKeyDown=${keys} onCancel=${cancel}
      onClick=${(event) => event.target === dialog.current && closePhoto()}>
    <div class="stage">
      <${IconButton} icon="left" label=${t("previous")} disabled=${!neighbour(-1)} onClick=${() => step(-1)} />
      <${Picture} key=${id} id=${id} name=${name} found=${found} explanation=${explanation.value} opacity=${opacity} step=${step} />
      <${IconButton} icon="right" label=${t("next")} disabled=${!neighbour(1)} onClick=${() => step(1)} />
    </div>
    <div class="facts">
      <${IconButton} icon="close" class="close" label=${t("close")} onClick=${closePhoto} />
      <h2>${name}</h2>
      <${Problem} error=${error} retry=${again} />
      ${found && html`<${Actions} found=${found} explanation=${explanation} state=${state} />
        <${Explanation} explanation=${explanation} opacity=${opacity} setOpacity=${setOpacity} />
        <${Facts} found=${found} cosine=${match?.score} text=${match?.text} />`}
    </div>
  </dialog>`;
}

/** The picture: swiped to the next one, zoomed by a click. */
function Picture({ id, name, found, explanation, opacity, step }) {
  const [zoomed, setZoomed] = useState(false);
  const [gone, setGone] = useState(false);
  const start = useRef(null);
  const shape = found?.width && found?.height ? found.width / found.height : 1.5;
  if (gone) return html`<div class="picture"><p class="problem" role="alert">${t("photo_unavailable")}</p></div>`;
  const begin = (event) => (start.current = event.touches.length === 1 ? event.touches[0] : null);
  const end = (event) => {
    const [from, to] = [start.current, event.changedTouches[0]];
    start.current = null;
    if (!from || zoomed) return;
    const [x, y] = [to.clientX - from.clientX, to.clientY - from.clientY];
    if (Math.abs(x) > SWIPE_PIXELS && Math.abs(x) > 2 * Math.abs(y)) step(x < 0 ? 1 : -1);
  };
  return html`<div class=${zoomed ? "picture zoomed" : "picture"} onTouchStart=${begin} onTouchEnd=${end} tabindex=${zoomed ? 0 : undefined}>
    <div class="frame" style=${{ "--shape": shape }}>
      <img src=${zoomed ? endpoint(`photos/${id}/file`) : thumbnail(id, 1280)} srcset=${zoomed ? undefined : thumbnails(id, [640, 1280])}
        sizes="(max-width: 900px) 100vw, 70vw" alt=${name} class=${explanation?.region ? "grey" : ""} onError=${() => setGone(true)} />
      ${explanation?.region && html`<${HeatMap} region=${explanation.region} opacity=${opacity} />`}
    </div>
    <button type="button" class="round zoom" aria-pressed=${zoomed} aria-label=${t("zoom")} title=${t("zoom")} onClick=${() => setZoomed(!zoomed)}><${Icon} name="zoom" /></button>
  </div>`;
}

function Actions({ found, explanation, state }) {
  const classify = () => {
    toClassify([found]);
    go({ tab: "classify", open: null });
  };
  const similar = () => go({ q: "", pictures: [{ photo: found.id, weight: 1 }], open: null });
  return html`<div class="actions">
    <button type="button" class="button primary" onClick=${similar}>${t("more_like_this")}</button>
    ${isQuery(state) && html`<button type="button" class="button" aria-pressed=${explanation.wanted} onClick=${explanation.toggle}>${t("explain")}</button>`}
    <button type="button" class="button" onClick=${classify}>${t("add_to_classify")}</button>
    <a class="button" href=${endpoint(`photos/${found.id}/file`)} target="_blank" rel="noopener">${t("full_size")}</a>
    <a class="button" href=${endpoint(`photos/${found.id}/file`, { original: true })} download>${t("download")}</a>
  </div>`;
}

function Facts({ found, cosine, text }) {
  const taken = found.taken && date(found.taken);
  const facts = [
    [t("score"), cosine === undefined ? "" : score(cosine)],
    [t("text_found"), text?.join(" | ")],
    [t("taken"), taken && (found.taken_source === "mtime" ? t("file_date", { date: taken }) : taken)],
    [t("pixels"), found.width && found.height && `${number(found.width)} × ${number(found.height)}`],
    [t("size"), bytes(found.size)],
    [t("format"), found.format],
    [t("camera"), found.camera],
    [t("labels"), found.labels.join(", ")],
    [t("partial"), found.partial],
  ];
  const { latitude, longitude } = found;
  return html`<dl>
      ${facts.filter(([, value]) => value).map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}
      ${latitude !== null && longitude !== null && html`<div><dt>${t("place")}</dt><dd>
        <a href=${`https://www.openstreetmap.org/?mlat=${latitude}&mlon=${longitude}#map=15/${latitude}/${longitude}`} target="_blank" rel="noopener noreferrer">
          ${latitude.toFixed(5)}, ${longitude.toFixed(5)}</a></dd></div>`}
    </dl>
    <${Path} path=${found.path} />`;
}

function Path({ path }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(path);
    setCopied(true);
  };
  return html`<div class="path"><span>${t("path")}</span><code>${path}</code>
    <button type="button" class="button" onClick=${copy}>${t(copied ? "copied" : "copy")}</button></div>`;
}
