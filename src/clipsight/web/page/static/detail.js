"use strict";
/* One photo in detail. Value: {id, name, path, score, facts}, then {id, explanation}. Events: 'open', 'explain', 'cancel', 'classify'. */
window.clipsight ??= {};
clipsight.detail = ({ element, trigger, props, watch }) => {
  const { el, icon, icons } = clipsight;
  const texts = props.texts;
  let photo = null, explaining = false;

  const picture = el("div", { class: "cs-picture" });
  const facts = el("div", { class: "cs-facts" });
  const step = (by) => {
    const at = clipsight.results.findIndex((each) => each.id === photo?.id);
    const to = at < 0 ? null : clipsight.results[at + by];
    if (to) trigger("open", { id: to.id, score: photo.score === null ? null : to.score });
  };
  const round = (name, text, then) =>
    el("button", { type: "button", class: `cs-round cs-${name}`, "aria-label": text, title: text, onclick: then }, icon(icons[name]));
  const dialog = el("dialog", { class: "cs-detail", "aria-labelledby": "cs-name" },
    round("close", texts.close, () => dialog.close()),
    el("div", { class: "cs-stage" }, round("left", texts.previous, () => step(-1)), picture, round("right", texts.next, () => step(1))),
    facts);
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by && event.target.type !== "checkbox") step(by);
  });
  const cancel = () => {
    if (explaining) trigger("cancel", {});
    explaining = false;
  };
  dialog.addEventListener("close", cancel);
  dialog.addEventListener("close", () => document.querySelector(`.cs-gallery [data-id="${photo?.id}"]`)?.focus());
  element.replaceChildren(dialog);

  const button = (text, then, ...more) => el("button", { type: "button", class: "cs-button", onclick: then, ...more[0] }, text);
  const show = () => {
    const alt = photo.score === null ? photo.name : clipsight.fill(texts.photo_with_score, { name: photo.name, score: photo.score.toFixed(3) });
    const image = el("img", { src: clipsight.thumbnail(photo.id, 1280), alt });
    image.addEventListener("load", () => image.parentElement.style.setProperty("--shape", image.naturalWidth / image.naturalHeight));
    image.addEventListener("error", () => picture.replaceChildren(el("p", {}, texts.photo_unavailable)));
    picture.replaceChildren(el("div", { class: "cs-frame" }, image));
    const copy = button(texts.copy, async () => {
      await navigator.clipboard.writeText(photo.path);
      copy.textContent = texts.copy_done;
    });
    const panel = el("div", { class: "cs-explanation", "aria-live": "polite" });
    const explain = button(texts.explain, () => {
      explain.disabled = true;
      panel.replaceChildren(el("p", { class: "cs-hint" }, texts.explaining));
      explaining = true;
      trigger("explain", { id: photo.id });
    });
    const rows = photo.score === null ? photo.facts : [[texts.score, photo.score.toFixed(3)], ...photo.facts];
    facts.replaceChildren(
      el("h2", { id: "cs-name" }, photo.name),
      el("div", { class: "cs-actions" },
        button(texts.more_like_this, () => { dialog.close(); scrollTo(0, 0); clipsight.searchSimilar(photo); }),
        photo.score === null ? null : explain,
        button(texts.add_to_classify, (event) => { event.target.disabled = true; trigger("classify", { id: photo.id }); }),
        el("a", { class: "cs-button", href: `../api/v1/photos/${photo.id}/file`, target: "_blank", rel: "noopener" }, texts.full_size)),
      panel,
      el("dl", {}, ...rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
      el("div", { class: "cs-path" }, el("span", {}, texts.path), el("code", {}, photo.path), copy));
    if (!dialog.open) dialog.showModal();
  };

  const bars = (entries) => el("ul", { class: "cs-bars", "aria-label": texts.contributions },
    ...entries.map((each) => el("li", { class: each.inner ? "cs-inner" : null, title: each.share < 0 ? texts.lowers : texts.raises },
      el("span", {}, each.name),
      el("span", { class: `cs-bar${each.share < 0 ? " cs-minus" : ""}`, style: `--share: ${Math.abs(each.share)}` }),
      el("span", { class: "cs-number" }, each.value))));
  const showExplanation = (explanation) => {
    const panel = facts.querySelector(".cs-explanation");
    if (explanation.error) {
      panel.replaceChildren(el("p", { class: "cs-error" }, explanation.error));
      return;
    }
    const shown = [el("h3", {}, texts.contributions), el("p", { class: "cs-hint" }, texts.contributions_info), bars(explanation.bars)];
    if (explanation.heat) {
      const [left, top, right, bottom] = explanation.seen.map((side) => 100 * side);
      const heat = el("img", { src: explanation.heat, alt: "", class: "cs-heat",
        style: `left: ${left}%; top: ${top}%; width: ${right - left}%; height: ${bottom - top}%` });
      const frame = picture.querySelector(".cs-frame");
      frame?.append(heat);
      frame?.classList.add("cs-grey");
      const box = el("input", { type: "checkbox", checked: true, onchange: () => {
        heat.hidden = !box.checked;
        frame?.classList.toggle("cs-grey", box.checked);
      } });
      shown.push(el("label", { class: "cs-check" }, box, texts.heat_map), el("p", { class: "cs-hint" }, texts.heat_map_info));
    }
    panel.replaceChildren(...shown, ...explanation.notes.map((note) => el("p", { class: "cs-hint" }, note)));
  };

  clipsight.watch({ props, watch }, (value) => {
    if (value.explanation) {
      if (value.id !== photo?.id || !dialog.open) return;
      explaining = false;
      showExplanation(value.explanation);
    } else if (value.error) {
      facts.replaceChildren(el("p", { class: "cs-error", role: "alert" }, value.error));
      picture.replaceChildren();
      if (!dialog.open) dialog.showModal();
    } else {
      cancel();
      photo = value;
      show();
    }
  });
};
