/** Selected photos, and what can be done with all of them at once. */
import { useEffect, useRef, useState } from "./vendor/hooks.js";
import { endpoint, post } from "./api.js";
import { count, t } from "./i18n.js";
import { go, library, readLibrary, useStore } from "./store.js";
import { toClassify } from "./classify.js";
import { Problem, html } from "./ui.js";

const MOST_IN_A_QUERY = 31;
const MOST_IN_A_FILE = 500;

/** @param {import("./results.js").Results} results */
export function useSelection(results) {
  const [chosen, setChosen] = useState(/** @type {Map<number, any>} */ (new Map()));
  const [anchor, setAnchor] = useState(0);
  return {
    size: chosen.size,
    photos: [...chosen.values()],
    has: (id) => chosen.has(id),
    clear: () => setChosen(new Map()),
    /** Selects or deselects a photo; with `range`, selects all from the last one to it. */
    toggle(photo, place, range) {
      const next = new Map(chosen);
      if (range) {
        const [first, last] = [Math.min(anchor, place), Math.max(anchor, place)];
        for (let each = first; each <= last; each++) {
          const found = results.at(each);
          if (found) next.set(found.id, found);
        }
      } else if (!next.delete(photo.id)) next.set(photo.id, photo);
      setAnchor(place);
      setChosen(next);
    },
  };
}

/** @param {{selection: any, title: string}} props the title of a contact sheet */
export function SelectionBar({ selection, title }) {
  const [copied, setCopied] = useState(false);
  const [labelling, setLabelling] = useState(false);
  if (!selection.size) return null;
  const { photos } = selection;
  const ids = photos.map((photo) => photo.id);
  const copy = async () => {
    await navigator.clipboard.writeText(photos.map((photo) => photo.path).join("\n"));
    setCopied(true);
  };
  const similar = () => {
    selection.clear();
    go({ q: "", pictures: ids.slice(0, MOST_IN_A_QUERY).map((photo) => ({ photo, weight: 1 })) });
  };
  const classify = () => {
    toClassify(photos);
    go({ tab: "classify" });
  };
  return html`<div class="selection" role="toolbar" aria-label=${t("selection")}>
    <strong role="status">${count("selected", selection.size)}</strong>
    <button type="button" class="button" onClick=${similar}>${t("like_these")}</button>
    <button type="button" class="button" onClick=${classify}>${t("classify")}</button>
    <button type="button" class="button" aria-expanded=${labelling} onClick=${() => setLabelling(!labelling)}>${t("label")}</button>
    <a class="button" href=${endpoint("photos/zip", { id: ids.slice(0, MOST_IN_A_FILE) })} download>${t("download_zip")}</a>
    <a class="button" href=${endpoint("photos/sheet", { id: ids.slice(0, MOST_IN_A_FILE), title })} download>${t("contact_sheet")}</a>
    <button type="button" class="button" onClick=${copy}>${t(copied ? "copied" : "copy_paths")}</button>
    <button type="button" class="button" onClick=${selection.clear}>${t("clear_selection")}</button>
    ${labelling && html`<${Label} photos=${ids} />`}
  </div>`;
}

/** A label, new or known, that is given to all selected photos or taken from them. */
function Label({ photos }) {
  const { labels } = useStore(library);
  const input = useRef(null);
  const [said, setSaid] = useState("");
  const [error, setError] = useState(null);
  useEffect(() => input.current.focus(), []);
  const send = async (action) => {
    const label = input.current.value.trim();
    if (!label) return input.current.focus();
    try {
      setError(null);
      const changed = await post(`labels/${action}`, { label, photos });
      setSaid(count(action === "give" ? "label_given" : "label_taken", changed.photos, { label }));
      await readLibrary();
    } catch (reason) {
      setError(reason);
    }
  };
  const submit = (event) => {
    event.preventDefault();
    send("give");
  };
  return html`<form class="label" onSubmit=${submit}>
    <input ref=${input} list="known-labels" maxlength="200" aria-label=${t("label_name")} placeholder=${t("label_name")} />
    <datalist id="known-labels">${labels.map(({ label }) => html`<option key=${label} value=${label} />`)}</datalist>
    <button class="button primary">${t("label_give")}</button>
    <button type="button" class="button" onClick=${() => send("take")}>${t("label_take")}</button>
    <span role="status" class="hint">${said}</span>
    <${Problem} error=${error} />
  </form>`;
}
