"use strict";
/* The library: overview, choice of a folder, and progress of indexing. */
window.clipsight ??= {};

/* Value: {model, next, total, folders, failures, failed}. Events: 'update' (with or without the id of a folder), 'retry'. */
clipsight.library = ({ element, trigger, props, watch }) => {
  const { el, fill } = clipsight;
  const texts = props.texts;
  const button = (text, then, label) => el("button", { type: "button", class: "cs-button", "aria-label": label, onclick: then }, text);
  const folder = (each) => el("li", {},
    el("div", {}, el("strong", {}, each.name), el("code", {}, each.path),
      el("span", { class: "cs-hint" }, `${each.photos} ${texts.photos.toLowerCase()} · ${texts.indexed}: ${each.indexed}`),
      each.unreachable && el("span", { class: "cs-error" }, each.unreachable)),
    button(texts.index_again, () => trigger("update", { id: each.id }), `${texts.index_again}: ${each.name}`));
  clipsight.watch({ props, watch }, (value) => {
    const failures = value.failed === 0 ? [] : [el("details", { class: "cs-failures" },
      el("summary", {}, fill(texts.failures, { count: value.failed })),
      value.failed > value.failures.length ? el("p", { class: "cs-hint" }, fill(texts.failures_shown, { count: value.failures.length })) : null,
      el("ul", {}, ...value.failures.map((each) => el("li", {}, el("code", {}, each.path), el("span", {}, each.reason)))),
      button(texts.retry_failures, () => trigger("retry", {})))];
    element.replaceChildren(
      el("dl", { class: "cs-overview" }, el("dt", {}, texts.library), el("dd", {}, value.total), el("dt", {}, texts.model), el("dd", {}, value.model)),
      ...(value.next ? [el("p", { class: "cs-hint" }, value.next)] : []),
      ...(value.folders.length ? [el("h2", {}, texts.folders), el("ul", { class: "cs-folders" }, ...value.folders.map(folder))] : []),
      ...(value.folders.length > 1 ? [button(texts.update_all, () => trigger("update", {}))] : []),
      ...failures);
  });
};

/* Value: {trail, one, folders, none}. Events: 'browse' with the trail, 'start' with a folder's id. */
clipsight.chooser = ({ element, trigger, props, watch }) => {
  const { el, fill, icon, icons } = clipsight;
  const texts = props.texts;
  const isWelcome = element.closest("#cs-welcome") !== null;
  clipsight.watch({ props, watch }, (value) => {
    const browse = (trail) => trigger("browse", { trail });
    const here = value.trail.at(-1), above = value.trail.at(-2);
    const welcome = isWelcome ? [el("h2", {}, texts.welcome), el("p", {}, texts.welcome_info)] : [];
    if (value.error || value.none) {
      element.replaceChildren(...welcome, el("p", { class: "cs-error", role: "alert" }, value.error || value.none));
      return;
    }
    const folders = value.folders.map((each) => el("li", {},
      el("button", { type: "button", class: "cs-folder", onclick: () => browse([...value.trail, each]) }, icon(icons.folder), el("span", {}, each.name))));
    const up = here && (above || !value.one)
      ? el("button", { type: "button", class: "cs-button", onclick: () => browse(value.trail.slice(0, -1)) }, icon(icons.left), el("span", {}, fill(texts.back_to, { name: above?.name ?? texts.choose_folder }))) : null;
    const start = here
      ? el("button", { type: "button", class: "cs-button cs-primary", onclick: () => trigger("start", { id: here.id }) }, fill(texts.index_folder, { name: here.name })) : null;
    element.replaceChildren(...welcome,
      el("div", { class: "cs-actions" }, up, start),
      value.folders.length ? el("ul", { class: "cs-choice", "aria-label": texts.choose_folder }, ...folders) : el("p", { class: "cs-hint" }, texts.no_subfolders));
  });
};

/* Value: {id, state, what, line, more, done, total, embedded}. Events: 'stop'; 'refresh' when more photos can be searched (the search is then repeated). */
clipsight.progress = ({ element, trigger, props, watch }) => {
  const { el } = clipsight;
  const texts = props.texts;
  let running = null; // the current run: {id, embedded, refreshed}
  const bar = el("progress", { "aria-label": texts.library });
  const line = el("span", { role: "status" });
  const more = el("div", { class: "cs-hint cs-notes" });
  const stop = el("button", { type: "button", class: "cs-button" }, texts.stop);
  element.replaceChildren(el("div", { class: "cs-progress", hidden: true }, bar, line, more, stop));
  clipsight.watch({ props, watch }, (value) => {
    const runs = value.state === "running", ended = running && !runs, begun = runs && running?.id !== value.id;
    element.firstChild.hidden = value.state === "none" || !(runs || ended || value.id === ""); // "": it could not be started
    element.firstChild.dataset.state = value.state;
    if (runs && value.total) [bar.max, bar.value] = [value.total, value.done];
    else bar.removeAttribute("value");
    bar.hidden = stop.hidden = !runs;
    line.textContent = value.line ?? "";
    more.replaceChildren(...(value.more ?? []).map((each) => el("p", {}, each)));
    more.hidden = !more.firstChild;
    if (!runs || begun) [stop.disabled, stop.textContent] = [false, texts.stop];
    stop.onclick = () => {
      [stop.disabled, stop.textContent] = [true, texts.stopping];
      trigger("stop", { id: value.id });
    };
    const hasGrown = runs && value.embedded !== running?.embedded && Date.now() - (running?.refreshed ?? 0) > 3000;
    if (ended || begun || hasGrown) {
      trigger("refresh", {});
      clipsight.searchAgain?.(); // undefined while the library is empty: the search box searches once it is created
    }
    if (!runs) running = null;
    else if (begun || hasGrown) running = { id: value.id, embedded: value.embedded, refreshed: Date.now() };
  });
};
