"use strict";
/* The parts of the query with signs and weights. Value: {rows, revision}; changes are passed to `clipsight.setRows`. */
window.clipsight ??= {};
clipsight.rows = ({ element, props, watch }) => {
  const { el, icon, icons, fill } = clipsight;
  const texts = props.texts;
  let rows = [];
  const same = (a, b) => a.length === b.length && a.every((row, i) => row.key === b[i].key && row.text === b[i].text);
  const send = () => clipsight.setRows(rows);
  const sendSoon = clipsight.debounce(120, send);

  const picture = (row) => {
    const source = row.id ? clipsight.thumbnail(row.id, 160) : clipsight.previews.get(row.key);
    return row.kind === "picture" && source ? el("img", { src: source, alt: "" }) : null;
  };
  const createRow = (row, index) => {
    const sign = el("button", { type: "button", class: "cs-sign" });
    const slider = el("input", { type: "range", min: 0.1, step: 0.1, "aria-label": fill(texts.weight_of, { part: row.name }) });
    const number = el("output", { class: "cs-number" });
    const line = el("li", {}, sign, el("span", { class: "cs-part" }, picture(row), row.name), slider, number,
      el("button", { type: "button", class: "cs-round", "aria-label": fill(texts.remove, { part: row.name }),
        onclick: () => { rows = rows.filter((_, i) => i !== index); send(); } }, icon(icons.close)));
    line.update = () => {
      const { weight } = rows[index];
      sign.textContent = weight < 0 ? "−" : "+";
      sign.setAttribute("aria-label", fill(weight < 0 ? texts.subtracted : texts.added, { part: row.name }));
      slider.max = Math.max(3, Math.ceil(Math.abs(weight)));
      slider.value = Math.abs(weight);
      number.textContent = Math.abs(weight);
      line.classList.toggle("cs-minus", weight < 0);
    };
    sign.addEventListener("click", () => {
      rows[index].weight = -rows[index].weight;
      line.update();
      send();
    });
    slider.addEventListener("input", () => {
      rows[index].weight = Math.sign(rows[index].weight || 1) * Number(slider.value);
      number.textContent = slider.value;
      sendSoon();
    });
    return line;
  };
  const list = el("ul", { class: "cs-rows", "aria-label": texts.query_parts });
  element.replaceChildren(list);
  clipsight.watch({ props, watch }, (value) => {
    if (value.rows === null || value.revision !== clipsight.revision) return; // invalid or outdated
    const isSame = same(rows, value.rows) && list.children.length === rows.length;
    if (isSame && list.contains(document.activeElement) && document.activeElement.type === "range") return;
    rows = value.rows;
    if (!isSame) list.replaceChildren(...rows.map(createRow));
    list.hidden = rows.length === 0;
    for (const line of list.children) line.update();
  });
};
