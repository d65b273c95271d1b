"use strict";
/* The results. Value: {offset, items, more, summary, notes, scores, key} or {error}. Events: 'more', 'open'. */
window.clipsight ??= {};
clipsight.gallery = ({ element, trigger, props, watch }) => {
  const { el, fill } = clipsight;
  const texts = props.texts;
  let key = null, waiting = false, more = false, scores = true;

  const summary = el("p", { class: "cs-summary", role: "status" });
  const notes = el("p", { class: "cs-hint", hidden: true });
  const alert = el("p", { class: "cs-error", role: "alert", hidden: true });
  const list = el("ul", { class: "cs-gallery", "aria-label": texts.results });
  const end = el("button", { type: "button", class: "cs-button cs-end", hidden: true, onclick: () => loadMore() }, texts.more_photos);
  element.replaceChildren(summary, notes, alert, list, end);

  const tile = (item) => {
    const score = item.score.toFixed(3);
    const label = scores ? fill(texts.photo_with_score, { name: item.name, score }) : item.name;
    const image = el("img", { src: clipsight.thumbnail(item.id, item.shape > 1.8 ? 640 : 320), alt: label, loading: "lazy", decoding: "async" });
    const button = el("button", { type: "button", tabindex: -1, "data-id": item.id, title: item.name,
      onclick: () => trigger("open", { id: item.id, score: scores ? item.score : null }) }, image);
    if (scores) button.append(el("span", { class: "cs-score", "aria-hidden": "true" }, score));
    image.addEventListener("error", () => {
      button.classList.add("cs-gone");
      image.replaceWith(el("span", {}, item.name));
      button.setAttribute("aria-label", label);
    });
    return el("li", { style: `--shape: ${item.shape}` }, button);
  };
  const loadMore = () => {
    if (!more || waiting) return;
    waiting = true;
    trigger("more", { offset: clipsight.results.length });
  };
  new IntersectionObserver((entries) => entries.some((each) => each.isIntersecting) && loadMore(), { rootMargin: "800px" }).observe(end);

  /* One tab stop for all photos; arrow keys move between them, up and down by position (roving tabindex). */
  const makeTabStop = (button) => {
    for (const each of list.querySelectorAll('button[tabindex="0"]')) each.tabIndex = -1;
    button.tabIndex = 0;
    return button;
  };
  const adjacentRow = (button, down) => {
    const from = button.getBoundingClientRect(), middle = (box) => box.left + box.width / 2;
    const rows = [...list.querySelectorAll("button")].map((each) => [each, each.getBoundingClientRect()])
      .filter(([, box]) => (down ? box.top >= from.bottom - 2 : box.bottom <= from.top + 2));
    const near = rows.length && (down ? Math.min : Math.max)(...rows.map(([, box]) => box.top));
    return rows.filter(([, box]) => Math.abs(box.top - near) < 2)
      .sort(([, a], [, b]) => Math.abs(middle(a) - middle(from)) - Math.abs(middle(b) - middle(from)))[0]?.[0];
  };
  list.addEventListener("keydown", (event) => {
    const all = [...list.querySelectorAll("button")], at = all.indexOf(event.target);
    const to = { ArrowRight: () => all[at + 1], ArrowLeft: () => all[at - 1], Home: () => all[0], End: () => all.at(-1),
      ArrowDown: () => adjacentRow(event.target, true), ArrowUp: () => adjacentRow(event.target, false) }[event.key];
    if (at < 0 || !to) return;
    event.preventDefault();
    const found = to();
    if (found) makeTabStop(found).focus();
  });
  list.addEventListener("focusin", (event) => event.target.matches("button") && makeTabStop(event.target));

  clipsight.watch({ props, watch }, (value) => {
    waiting = false;
    alert.textContent = value.error ?? "";
    alert.hidden = !value.error;
    if (value.error || (value.offset && (value.key !== key || value.offset !== clipsight.results.length))) return;
    const { items } = value;
    if (value.offset) {
      list.append(...items.map(tile));
      clipsight.results.push(...items);
      ({ more } = value);
    } else {
      const same = scores === value.scores && JSON.stringify(clipsight.results.slice(0, items.length)) === JSON.stringify(items);
      const longer = same && key === value.key && clipsight.results.length > items.length;
      ({ key, scores } = value);
      if (!longer) ({ more } = value);
      if (!(longer || (same && clipsight.results.length === items.length))) { // else keep the tiles: one may be under the mouse
        list.replaceChildren(...items.map(tile));
        clipsight.results = items;
      }
      summary.textContent = value.summary;
      notes.textContent = (value.notes ?? []).join(" ");
      notes.hidden = !notes.textContent;
    }
    if (list.firstChild && !list.querySelector('[tabindex="0"]')) makeTabStop(list.querySelector("button"));
    end.hidden = !more;
  });
};
