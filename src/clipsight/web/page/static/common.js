"use strict";
/* Shared functions. File names become text nodes and attributes, never HTML. */
window.clipsight ??= {};
clipsight.previews ??= new Map(); // key of an uploaded picture -> data: URL
clipsight.results ??= []; // the photos of the gallery, in order

clipsight.el = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
};

clipsight.icon = (path) => {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
};
clipsight.icons = {
  picture: "M4 5h16v14H4zM4 16l5-5 4 4 2-2 5 5M15 9.5a1 1 0 1 0 .01 0",
  close: "M6 6l12 12M18 6L6 18",
  left: "M15 5l-7 7 7 7",
  right: "M9 5l7 7-7 7",
  folder: "M3 6h6l2 3h10v10H3z",
};

clipsight.fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
clipsight.thumbnail = (id, size) => `../api/v1/photos/${id}/thumbnail?size=${size}`;

/* Calls `then` with the value of the component: now, if it has one, and after every change by Python. */
clipsight.watch = ({ props, watch }, then) => {
  const notify = () => props.value && then(JSON.parse(props.value));
  watch("value", notify);
  notify();
};

clipsight.debounce = (milliseconds, then) => {
  let timer;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => then(...values), milliseconds);
  };
};

/* Encodes a picture as a small upright JPEG without metadata; formats the browser can't decode stay unchanged. */
clipsight.shrink = async (file) => {
  if (file.size > 20e6) throw new RangeError(file.name);
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    return new Promise((resolve, reject) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result.replace(/^data:;/, "data:application/octet-stream;"));
      reader.onerror = () => reject(reader.error);
      reader.readAsDataURL(file);
    });
  }
  const scale = Math.min(1, 640 / Math.min(bitmap.width, bitmap.height), 2048 / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", 0.92);
};

/* Calls `take` with pictures that are pasted, chosen with `input`, or dropped anywhere while `element` is visible. */
clipsight.acceptPictures = (element, input, texts, dropText, take, showError) => {
  const addFiles = async (files) => {
    const found = [...files].filter((file) => file.type.startsWith("image/") || /\.(heic|heif|avif|tiff?)$/i.test(file.name));
    for (const file of found) {
      try {
        const key = `${Date.now()}-${Math.random().toString(36).slice(2)}`;
        const data = await clipsight.shrink(file);
        clipsight.previews.set(key, data);
        take({ key, name: file.name || "picture", data, weight: 1 });
      } catch (error) {
        showError(clipsight.fill(error instanceof RangeError ? texts.too_large : texts.unreadable, { name: file.name }));
      }
    }
  };
  const listen = (target, name, then) =>
    target.addEventListener(name, function handle(event) {
      if (!element.isConnected) target.removeEventListener(name, handle);
      else if (element.offsetParent) then(event);
    });
  const overlay = clipsight.el("div", { class: "cs-overlay", hidden: true }, dropText);
  element.append(overlay);
  const carriesFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  listen(document, "dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    overlay.hidden = false;
  });
  listen(document, "dragleave", (event) => (overlay.hidden = event.relatedTarget === null || overlay.hidden));
  listen(document, "drop", (event) => {
    overlay.hidden = true;
    if (!carriesFiles(event)) return;
    event.preventDefault();
    addFiles(event.dataTransfer.files);
  });
  listen(document, "paste", (event) => {
    if (event.clipboardData?.files.length) {
      event.preventDefault();
      addFiles(event.clipboardData.files);
    }
  });
  input.addEventListener("change", () => {
    addFiles(input.files);
    input.value = "";
  });
};
