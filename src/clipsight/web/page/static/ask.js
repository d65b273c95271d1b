"use strict";
/* What is asked for, which only the browser changes: the search box, its rows' weights, "more like this".
   Filters and a growing library ask again.
   Value: {text, pictures: [{key, name, weight, data | id}], turn}, for Python to read. Event: 'ask'. */
window.clipsight ??= {};
clipsight.ask = ({ element, trigger, props }) => {
  const { el, icon, icons } = clipsight;
  const texts = props.texts;
  let asked = { text: "", pictures: [] };

  const input = el("input", {
    type: "search", id: "cs-query", placeholder: texts.placeholder, "aria-label": texts.search_label,
    "aria-describedby": "cs-hint", autocomplete: "off", autocapitalize: "off", spellcheck: "false", enterkeyhint: "search",
  });
  const files = el("input", { type: "file", accept: "image/*,.heic,.heif", multiple: true, hidden: true, tabindex: -1 });
  const button = el("button", { type: "button", class: "cs-button", onclick: () => files.click() },
    icon(icons.picture), el("span", {}, texts.picture));
  const complaint = el("p", { class: "cs-error", role: "alert", hidden: true });
  element.replaceChildren(
    el("form", { role: "search", class: "cs-box" }, input, button, files),
    el("p", { id: "cs-hint", class: "cs-hint" }, texts.hint), complaint);

  const ask = (change) => {
    asked = { ...asked, ...change };
    asked.turn = clipsight.turn = (clipsight.turn ?? 0) + 1;
    if (input.value !== asked.text) input.value = asked.text;
    complaint.hidden = true;
    const address = new URL(location.href);
    if (asked.text) address.searchParams.set("q", asked.text);
    else address.searchParams.delete("q");
    history.replaceState(null, "", address);
    props.value = JSON.stringify(asked);
    trigger("ask", {});
  };
  const typed = () => input.value === asked.text || ask({ text: input.value });
  clipsight.askAgain = () => ask({ text: input.value });
  clipsight.weigh = (rows) => ask({
    text: clipsight.written(rows.filter((row) => row.kind === "words")),
    pictures: asked.pictures.flatMap((each) =>
      rows.filter((row) => row.key === each.key).map(({ weight }) => ({ ...each, weight }))),
  });
  clipsight.moreLike = ({ id, name }) => ask({ text: "", pictures: [{ key: `photo-${id}`, id, name, weight: 1 }] });
  input.addEventListener("input", clipsight.later(200, typed));
  element.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    typed();
  });
  document.addEventListener("keydown", function focus(event) {
    if (!element.isConnected) document.removeEventListener("keydown", focus);
    else if (event.key === "/" && element.offsetParent && !event.target.closest("input, textarea, dialog, [contenteditable]")) {
      event.preventDefault();
      input.focus();
    }
  });
  clipsight.takePictures(element, files, texts, texts.drop_search,
    (picture) => ask({ text: input.value, pictures: [...asked.pictures, picture] }),
    (text) => {
      complaint.textContent = text;
      complaint.hidden = false;
    });

  ask({ text: new URLSearchParams(location.search).get("q") ?? "" });
};

/* Words in the query's grammar. One with a colon gets its weight said: what stands before it could be taken for one. */
clipsight.written = (words) => words.map(({ text, weight }, index) => {
  const size = Math.abs(weight), sign = weight < 0 ? "- " : index ? "+ " : "";
  return sign + (size === 1 && !text.includes(":") ? text : `${size}:${text}`);
}).join(" ");
