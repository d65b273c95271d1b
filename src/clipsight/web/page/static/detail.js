"use strict";
/* One photo from near. Value: {id, name, path, score, facts}, then {id, reasons}. Events: 'open', 'explain', 'leave', 'collect'. */
window.clipsight ??= {};
clipsight.detail = ({ element, trigger, props, watch }) => {
  const { el, icon, icons } = clipsight;
  const texts = props.texts;
  let photo = null, explaining = false;

  const picture = el("div", { class: "cs-picture" });
  const facts = el("div", { class: "cs-facts" });
  const step = (by) => {
    const at = clipsight.shown.findIndex((each) => each.id === photo?.id);
    const to = at < 0 ? null : clipsight.shown[at + by];
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
  const leave = () => {
    if (explaining) trigger("leave", {});
    explaining = false;
  };
  dialog.addEventListener("close", leave);
  dialog.addEventListener("close", () => document.querySelector(`.cs-gallery [data-id="${photo?.id}"]`)?.focus());
  element.replaceChildren(dialog);

  const button = (text, then, ...more) => el("button", { type: "button", class: "cs-button", onclick: then, ...more[0] }, text);
  const show = () => {
    const alt = photo.score === null ? photo.name : clipsight.fill(texts.scored, { name: photo.name, score: photo.score.toFixed(3) });
    const image = el("img", { src: clipsight.thumbnail(photo.id, 1280), alt });
    image.addEventListener("load", () => image.parentElement.style.setProperty("--shape", image.naturalWidth / image.naturalHeight));
    image.addEventListener("error", () => picture.replaceChildren(el("p", {}, texts.gone)));
    picture.replaceChildren(el("div", { class: "cs-frame" }, image));
    const copy = button(texts.copy, async () => {
      await navigator.clipboard.writeText(photo.path);
      copy.textContent = texts.copied;
    });
    const why = el("div", { class: "cs-why", "aria-live": "polite" });
    const explain = button(texts.explain, () => {
      explain.disabled = true;
      why.replaceChildren(el("p", { class: "cs-hint" }, texts.explaining));
      explaining = true;
      trigger("explain", { id: photo.id });
    });
    const rows = photo.score === null ? photo.facts : [[texts.score, photo.score.toFixed(3)], ...photo.facts];
    facts.replaceChildren(
      el("h2", { id: "cs-name" }, photo.name),
      el("div", { class: "cs-actions" },
        button(texts.more_like_this, () => { dialog.close(); scrollTo(0, 0); clipsight.moreLike(photo); }),
        photo.score === null ? null : explain,
        button(texts.classify_this, (event) => { event.target.disabled = true; trigger("collect", { id: photo.id }); }),
        el("a", { class: "cs-button", href: `../api/v1/photos/${photo.id}/file`, target: "_blank", rel: "noopener" }, texts.full_size)),
      why,
      el("dl", {}, ...rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
      el("div", { class: "cs-path" }, el("span", {}, texts.path), el("code", {}, photo.path), copy));
    if (!dialog.open) dialog.showModal();
  };

  const bars = (entries) => el("ul", { class: "cs-bars", "aria-label": texts.words },
    ...entries.map((each) => el("li", { class: each.inner ? "cs-inner" : null, title: each.share < 0 ? texts.lowers : texts.raises },
      el("span", {}, each.name),
      el("span", { class: `cs-bar${each.share < 0 ? " cs-minus" : ""}`, style: `--share: ${Math.abs(each.share)}` }),
      el("span", { class: "cs-number" }, each.value))));
  const because = (reasons) => {
    const why = facts.querySelector(".cs-why");
    if (reasons.error) {
      why.replaceChildren(el("p", { class: "cs-error" }, reasons.error));
      return;
    }
    const shown = [el("h3", {}, texts.words), el("p", { class: "cs-hint" }, texts.words_info), bars(reasons.bars)];
    if (reasons.heat) {
      const [left, top, right, bottom] = reasons.seen.map((side) => 100 * side);
      const heat = el("img", { src: reasons.heat, alt: "", class: "cs-heat",
        style: `left: ${left}%; top: ${top}%; width: ${right - left}%; height: ${bottom - top}%` });
      const frame = picture.querySelector(".cs-frame");
      frame?.append(heat);
      frame?.classList.add("cs-grey");
      const box = el("input", { type: "checkbox", checked: true, onchange: () => {
        heat.hidden = !box.checked;
        frame?.classList.toggle("cs-grey", box.checked);
      } });
      shown.push(el("label", { class: "cs-check" }, box, texts.heat), el("p", { class: "cs-hint" }, texts.heat_info));
    }
    why.replaceChildren(...shown, ...reasons.notes.map((note) => el("p", { class: "cs-hint" }, note)));
  };

  clipsight.watch({ props, watch }, (value) => {
    if (value.reasons) {
      if (value.id !== photo?.id || !dialog.open) return;
      explaining = false;
      because(value.reasons);
    } else if (value.error) {
      facts.replaceChildren(el("p", { class: "cs-error", role: "alert" }, value.error));
      picture.replaceChildren();
      if (!dialog.open) dialog.showModal();
    } else {
      leave();
      photo = value;
      show();
    }
  });
};
