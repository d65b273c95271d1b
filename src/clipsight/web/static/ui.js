/** What all views share: templates, icons, and small components. */
import { Fragment, h } from "./vendor/preact.js";
import { useEffect, useRef, useState } from "./vendor/hooks.js";
import htm from "./vendor/htm.js";
import { errorText, t } from "./i18n.js";

export const html = htm.bind(h);
export { Fragment };

const PATHS = {
  picture: "M4 5h16v14H4zM4 16l5-5 4 4 2-2 5 5M15 9.5a1 1 0 1 0 .01 0",
  close: "M6 6l12 12M18 6L6 18",
  left: "M15 5l-7 7 7 7",
  right: "M9 5l7 7-7 7",
  down: "M6 9l6 6 6-6",
  folder: "M3 6h6l2 3h10v10H3z",
  check: "M5 13l4 4L19 7",
  zoom: "M11 5a6 6 0 1 0 .01 0M16 16l5 5M8.5 11h5M11 8.5v5",
};

/** @param {{name: keyof typeof PATHS}} props */
export const Icon = ({ name }) =>
  html`<svg viewBox="0 0 24 24" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;

/** The last part of a path. @param {string} path */
export const nameOf = (path) => path.split("/").filter(Boolean).pop() ?? path;

/** A round button with an icon and a name for screen readers. */
export const IconButton = ({ icon, label, class: kind = "", ...rest }) =>
  html`<button type="button" class=${`round ${kind}`} aria-label=${label} title=${label} ...${rest}><${Icon} name=${icon} /></button>`;

/** An input that calls `change` with its text once that is complete; what is half typed stays while the page is drawn again. */
export function Field({ value, change, ...rest }) {
  const [typed, setTyped] = useState(/** @type {string | null} */ (null));
  const commit = (event) => {
    setTyped(null);
    change(event.currentTarget.value);
  };
  return html`<input ...${rest} value=${typed ?? value} onInput=${(event) => setTyped(event.currentTarget.value)} onChange=${commit} onBlur=${() => setTyped(null)} />`;
}

/** Codes of errors that the same request can be without later; others name another next step. */
const PASSING = ["offline", "timeout", "stopping", "busy", "bad_library", "bad_model", "unknown"];

/** An error in the reader's language, with the next step. */
export function Problem({ error, retry }) {
  if (!error) return null;
  const again = error.code === "unauthorized" ? () => location.reload() : PASSING.includes(error.code ?? "unknown") && retry;
  return html`<div class="problem" role="alert">
    <p>${errorText(error)}</p>
    ${again && html`<button type="button" class="button" onClick=${again}>${t(error.code === "unauthorized" ? "sign_in" : "try_again")}</button>`}
  </div>`;
}

let menus = 0;

/** A button that opens a panel below it; the browser closes it on Escape or a click elsewhere. */
export function Menu({ label, active, children }) {
  const id = useRef(`menu-${++menus}`).current;
  const button = useRef(null);
  const [open, setOpen] = useState(false);
  const place = (event) => {
    const { left, bottom } = button.current.getBoundingClientRect();
    const panel = event.currentTarget;
    setOpen(event.newState === "open");
    panel.style.top = `${bottom + 4}px`;
    panel.style.left = `${Math.max(8, Math.min(left, innerWidth - panel.offsetWidth - 8))}px`;
  };
  return html`<${Fragment}>
    <button type="button" ref=${button} class=${active ? "chip active" : "chip"} popovertarget=${id} aria-expanded=${open}>
      ${label}<${Icon} name="down" />
    </button>
    <div id=${id} popover="auto" class="menu" role="group" aria-label=${label} onToggle=${place}>${open && children}</div>
  <//>`;
}

/** A question before something is lost. Calls `then` with true or false. */
export function Confirm({ text, action, then }) {
  const dialog = useRef(null);
  useEffect(() => dialog.current.showModal(), []);
  return html`<dialog ref=${dialog} class="confirm" aria-label=${text} onClose=${() => then(false)}>
    <p>${text}</p>
    <div class="actions">
      <button type="button" class="button primary" onClick=${() => then(true)}>${action}</button>
      <button type="button" class="button" onClick=${() => dialog.current.close()}>${t("cancel")}</button>
    </div>
  </dialog>`;
}

/** Runs `load` when `keys` change; returns [value, error, again]. */
export function useLoaded(load, keys) {
  const [result, setResult] = useState([undefined, null]);
  const [round, setRound] = useState(0);
  useEffect(() => {
    const abort = new AbortController();
    load(abort.signal).then(
      (value) => abort.signal.aborted || setResult([value, null]),
      (error) => abort.signal.aborted || setResult([undefined, error]),
    );
    return () => abort.abort();
  }, [...keys, round]);
  return [...result, () => setRound((n) => n + 1)];
}
