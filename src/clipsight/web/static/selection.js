/** Selected photos, and what can be done with all of them at once. */
import { useState } from "./vendor/hooks.js";
import { endpoint } from "./api.js";
import { count, t } from "./i18n.js";
import { go } from "./store.js";
import { toClassify } from "./classify.js";
import { html } from "./ui.js";

const MOST_IN_A_QUERY = 31;
const MOST_IN_A_ZIP = 500;

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

export function SelectionBar({ selection }) {
  const [copied, setCopied] = useState(false);
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
    <a class="button" href=${endpoint("photos/zip", { id: ids.slice(0, MOST_IN_A_ZIP) })} download>${t("download_zip")}</a>
    <button type="button" class="button" onClick=${copy}>${t(copied ? "copied" : "copy_paths")}</button>
    <button type="button" class="button" onClick=${selection.clear}>${t("clear_selection")}</button>
  </div>`;
}
