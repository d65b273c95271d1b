"use strict";
/* The query, which only the browser changes: by the search box, the weights of the rows, "more like this".
   Filters and a growing library repeat the search.
   Value, read by Python: {text, pictures: [{key, name, weight, data | id}], revision}. Event: 'search'. */
window.clipsight ??= {};
clipsight.query = ({ element, trigger, props }) => {
  const { el, icon, icons } = clipsight;
  const texts = props.texts;
  let query = { text: "", pictures: [] };

  const input = el("input", {
    type: "search", id: "cs-query-input", placeholder: texts.placeholder, "aria-label": texts.search_label,
    "aria-describedby": "cs-hint", autocomplete: "off", autocapitalize: "off", spellcheck: "false", enterkeyhint: "search",
  });
  const files = el("input", { type: "file", accept: "image/*,.heic,.heif", multiple: true, hidden: true, tabindex: -1 });
  const button = el("button", { type: "button", class: "cs-button", onclick: () => files.click() },
    icon(icons.picture), el("span", {}, texts.add_picture));
  const alert = el("p", { class: "cs-error", role: "alert", hidden: true });
  element.replaceChildren(
    el("form", { role: "search", class: "cs-box" }, input, button, files),
    el("p", { id: "cs-hint", class: "cs-hint" }, texts.hint), alert);

  const search = (change) => {
    query = { ...query, ...change };
    query.revision = clipsight.revision = (clipsight.revision ?? 0) + 1;
    if (input.value !== query.text) input.value = query.text;
    alert.hidden = true;
    const url = new URL(location.href);
    if (query.text) url.searchParams.set("q", query.text);
    else url.searchParams.delete("q");
    history.replaceState(null, "", url);
    props.value = JSON.stringify(query);
    trigger("search", {});
  };
  const searchTyped = () => input.value === query.text || search({ text: input.value });
  clipsight.searchAgain = () => search({ text: input.value });
  clipsight.setRows = (rows) => search({
    text: clipsight.formatQuery(rows.filter((row) => row.kind === "text")),
    pictures: query.pictures.flatMap((each) =>
      rows.filter((row) => row.key === each.key).map(({ weight }) => ({ ...each, weight }))),
  });
  clipsight.searchSimilar = ({ id, name }) => search({ text: "", pictures: [{ key: `photo-${id}`, id, name, weight: 1 }] });
  input.addEventListener("input", clipsight.debounce(200, searchTyped));
  element.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    searchTyped();
  });
  document.addEventListener("keydown", function focus(event) {
    if (!element.isConnected) document.removeEventListener("keydown", focus);
    else if (event.key === "/" && element.offsetParent && !event.target.closest("input, textarea, dialog, [contenteditable]")) {
      event.preventDefault();
      input.focus();
    }
  });
  clipsight.acceptPictures(element, files, texts, texts.drop_search,
    (picture) => search({ text: input.value, pictures: [...query.pictures, picture] }),
    (text) => {
      alert.textContent = text;
      alert.hidden = false;
    });

  search({ text: new URLSearchParams(location.search).get("q") ?? "" });
};

/* Texts in the query grammar. A text with a colon always gets a weight: what precedes the colon could be read as one. */
clipsight.formatQuery = (parts) => parts.map(({ text, weight }, index) => {
  const size = Math.abs(weight), sign = weight < 0 ? "- " : index ? "+ " : "";
  return sign + (size === 1 && !text.includes(":") ? text : `${size}:${text}`);
}).join(" ");
