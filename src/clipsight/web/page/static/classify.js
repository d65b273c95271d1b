"use strict";
/* Photos and labels to classify, and the table of probabilities. */
window.clipsight ??= {};

/* Value: {photos: [{id, name} | {key, name, data}], labels}; updated by every change. */
clipsight.form = ({ element, props, watch }) => {
  const { el, icon, icons, fill } = clipsight;
  const texts = props.texts;
  let photos = [], labels = [];

  const files = el("input", { type: "file", accept: "image/*,.heic,.heif", multiple: true, hidden: true, tabindex: -1 });
  const tray = el("ul", { class: "cs-tray", "aria-label": texts.photos });
  const empty = el("p", { class: "cs-hint" }, texts.no_photos);
  const alert = el("p", { class: "cs-error", role: "alert", hidden: true });
  const chips = el("ul", { class: "cs-chips", "aria-label": texts.labels });
  const input = el("input", { id: "cs-label", placeholder: texts.labels_example, autocomplete: "off", autocapitalize: "off", "aria-describedby": "cs-label-hint" });
  const action = (text, then) => el("button", { type: "button", class: "cs-button", onclick: then }, text);
  const clear = action(texts.clear, () => change({ photos: [] }));
  element.replaceChildren(
    el("section", { class: "cs-drop" }, empty, tray,
      el("div", { class: "cs-actions" }, action(texts.choose, () => files.click()),
        action(texts.use_results, () => change({ photos: unique([...photos, ...clipsight.results.slice(0, 60).map(({ id, name }) => ({ id, name }))]) })), clear, files),
      alert),
    el("label", { for: "cs-label", class: "cs-title" }, texts.labels_title),
    el("div", { class: "cs-chipbox", onclick: (event) => event.target === event.currentTarget && input.focus() }, chips, input),
    el("p", { id: "cs-label-hint", class: "cs-hint" }, texts.labels_hint));

  const unique = (all) => all.filter((each, i) => each.key || all.findIndex((other) => other.id === each.id) === i);
  const change = (by) => {
    ({ photos, labels } = { photos, labels, ...by });
    props.value = JSON.stringify({ photos, labels });
    show();
  };
  const source = (photo) => (photo.key ? clipsight.previews.get(photo.key) : clipsight.thumbnail(photo.id, 160));
  const show = () => {
    tray.replaceChildren(...photos.map((photo, i) => el("li", {},
      el("img", { src: source(photo), alt: photo.name, loading: "lazy", title: photo.name }),
      el("button", { type: "button", class: "cs-round", "aria-label": fill(texts.remove, { part: photo.name }),
        onclick: () => change({ photos: photos.filter((_, at) => at !== i) }) }, icon(icons.close)))));
    chips.replaceChildren(...labels.map((label, i) => el("li", {}, label,
      el("button", { type: "button", "aria-label": fill(texts.remove, { part: label }),
        onclick: () => { change({ labels: labels.filter((_, at) => at !== i) }); input.focus(); } }, icon(icons.close)))));
    empty.hidden = photos.length > 0;
    clear.hidden = photos.length === 0;
    input.placeholder = labels.length ? "" : texts.labels_example;
  };
  const addLabels = (text) => change({ labels: [...new Set([...labels, ...text.split(/[,，、\n]/).map((each) => each.trim()).filter(Boolean)])] });
  const commit = () => {
    if (input.value.trim()) addLabels(input.value);
    input.value = "";
  };
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter") {
      event.preventDefault();
      commit();
    } else if (event.key === "Backspace" && !input.value && labels.length) change({ labels: labels.slice(0, -1) });
  });
  input.addEventListener("input", (event) => !event.isComposing && /[,，、\n]/.test(input.value) && commit());
  input.addEventListener("blur", commit);
  const uniqueName = (name) => {
    const taken = new Set(photos.map((photo) => photo.name));
    let free = name;
    for (let i = 2; taken.has(free); i++) free = name.replace(/(\.\w+)?$/, ` (${i})$1`);
    return free;
  };
  clipsight.acceptPictures(element, files, texts, texts.drop_classify,
    (picture) => { alert.hidden = true; change({ photos: [...photos, { ...picture, name: uniqueName(picture.name) }] }); },
    (text) => { alert.textContent = text; alert.hidden = false; });
  clipsight.selectedPhotos = () => photos;
  clipsight.watch({ props, watch }, (value) => {
    ({ photos, labels } = value);
    show();
  });
  show();
};

/* Value: {heading, named, rows: [{id, name, cells}], csv, notes} or {error}. */
clipsight.table = ({ element, props, watch }) => {
  const { el } = clipsight;
  const texts = props.texts;
  const cell = (each, named) => el("td", { class: each.best ? "cs-best" : null, style: `--heat: ${Math.round(100 * each.probability)}%` },
    named ? el("span", {}, each.label) : null, each.probability.toFixed(2));
  const preview = (row) => row.id ? clipsight.thumbnail(row.id, 160)
    : clipsight.previews.get(clipsight.selectedPhotos().find((photo) => photo.key && photo.name === row.name)?.key);
  const save = (csv) => {
    const url = URL.createObjectURL(new Blob(["\ufeff", csv], { type: "text/csv" }));
    el("a", { href: url, download: "clipsight.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  };
  element.setAttribute("aria-live", "polite");
  clipsight.watch({ props, watch }, (value) => {
    if (value.error) {
      element.replaceChildren(el("p", { class: "cs-error", role: "alert" }, value.error));
      return;
    }
    const head = el("tr", {}, el("th", { scope: "col" }, texts.photo), ...value.heading.map((name) => el("th", { scope: "col" }, name)));
    const body = value.rows.map((row) => el("tr", {},
      el("th", { scope: "row" }, el("div", { class: "cs-photo" }, el("img", { src: preview(row) ?? "", alt: "", loading: "lazy" }), el("span", {}, row.name))),
      ...row.cells.map((each) => cell(each, value.named))));
    element.replaceChildren(
      el("div", { class: "cs-scroll", tabindex: 0, role: "region", "aria-label": texts.probabilities },
        el("table", {}, el("thead", {}, head), el("tbody", {}, ...body))),
      ...value.notes.map((note) => el("p", { class: "cs-hint" }, note)),
      el("button", { type: "button", class: "cs-button", onclick: () => save(value.csv) }, texts.download));
  });
};
