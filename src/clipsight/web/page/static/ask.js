"use strict";
/* The search box. Its value: {text, pictures: [{key, name, weight, data | id}]}. Event: 'ask', with the same. */
window.clipsight ??= {};
clipsight.ask = ({ element, trigger, props, watch }) => {
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

  const send = () => {
    props.value = JSON.stringify(asked);
    trigger("ask", asked); // with the event: the value could be overtaken by one that Python has just sent
  };
  const typed = () => {
    if (input.value === asked.text) return;
    asked = { ...asked, text: input.value };
    complaint.hidden = true;
    const address = new URL(location.href);
    if (asked.text) address.searchParams.set("q", asked.text);
    else address.searchParams.delete("q");
    history.replaceState(null, "", address);
    send();
  };
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
    (picture) => {
      asked = { ...asked, pictures: [...asked.pictures, picture] };
      complaint.hidden = true;
      send();
    },
    (text) => {
      complaint.textContent = text;
      complaint.hidden = false;
    });

  watch("value", () => {
    if (!props.value) return;
    asked = JSON.parse(props.value);
    if (input.value !== asked.text && !(document.activeElement === input && input.value)) input.value = asked.text;
  });
  asked.text = input.value = new URLSearchParams(location.search).get("q") ?? "";
  send();
};
