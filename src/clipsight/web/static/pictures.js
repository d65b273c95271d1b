/** Pictures that are pasted, dropped or chosen: made smaller here, then uploaded. */
import { useEffect, useRef, useState } from "./vendor/hooks.js";
import { ApiError, post } from "./api.js";
import { t } from "./i18n.js";
import { Icon, html } from "./ui.js";

const LEAST_SIDE = 640;
const MOST_SIDE = 2048;
const MOST_BYTES = 20e6;
const KNOWN = /\.(heic|heif|avif|tiff?|jxl|jp2)$/i;

/** A small upright JPEG without metadata; what the browser can't decode stays as it is. @param {File} file @returns {Promise<Blob>} */
async function shrink(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    return file;
  }
  const { width, height } = bitmap;
  const scale = Math.min(1, LEAST_SIDE / Math.min(width, height), MOST_SIDE / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
}

/** @param {Blob} blob @returns {Promise<string>} */
export function base64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).split(",", 2)[1] ?? "");
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

/** Uploads a file and returns its id. Throws `ApiError`. @param {File} file */
export async function upload(file) {
  const name = (file.name || "picture").slice(0, 255);
  if (file.size > MOST_BYTES) throw new ApiError("too_large", name);
  const { id } = await post("uploads", { picture: await base64(await shrink(file)), name });
  return id;
}

/** Calls `take` with picture files that are pasted anywhere; returns whether files are being dragged over the page. */
export function usePictures(take) {
  const [dragged, setDragged] = useState(false);
  const latest = useRef(take);
  latest.current = take;
  useEffect(() => {
    const some = (files) => {
      const found = [...files].filter((file) => file.type.startsWith("image/") || KNOWN.test(file.name));
      if (found.length) latest.current(found);
    };
    const carries = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
    const listeners = {
      dragover(event) {
        if (!carries(event)) return;
        event.preventDefault();
        setDragged(true);
      },
      dragleave: (event) => event.relatedTarget === null && setDragged(false),
      drop(event) {
        setDragged(false);
        if (!carries(event)) return;
        event.preventDefault();
        some(event.dataTransfer.files);
      },
      paste(event) {
        if (!event.clipboardData?.files.length) return;
        event.preventDefault();
        some(event.clipboardData.files);
      },
    };
    for (const [name, listener] of Object.entries(listeners)) document.addEventListener(name, listener);
    return () => {
      for (const [name, listener] of Object.entries(listeners)) document.removeEventListener(name, listener);
    };
  }, []);
  return dragged;
}

/** A button that chooses picture files. */
export function ChoosePictures({ take, label, class: kind = "button" }) {
  const input = useRef(null);
  const changed = () => {
    take([...input.current.files]);
    input.current.value = "";
  };
  return html`<button type="button" class=${kind} onClick=${() => input.current.click()} aria-label=${label}>
      <${Icon} name="picture" /><span class="wide">${label}</span>
    </button>
    <input ref=${input} type="file" accept="image/*,.heic,.heif,.avif,.tif,.tiff,.jxl" multiple hidden tabindex="-1" onChange=${changed} />`;
}

export const DropHint = ({ shown, text = t("drop_here") }) => shown && html`<div class="drop-hint" aria-hidden="true">${text}</div>`;
