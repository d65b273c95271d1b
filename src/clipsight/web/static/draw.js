/** A game: a word, a drawing of each player, and the model says whose shows it best. */
import { useEffect, useRef, useState } from "./vendor/hooks.js";
import { ApiError, post } from "./api.js";
import { number, t } from "./i18n.js";
import { base64 } from "./pictures.js";
import { IconButton, Problem, html } from "./ui.js";

const SIDE = 512;
const COLORS = ["#18181b", "#dc2626", "#ea580c", "#facc15", "#16a34a", "#2563eb", "#7c3aed", "#92400e"];
const WIDTHS = [6, 16, 40];
/** What players may draw; the model is asked in English. */
const WORDS = ["apple", "banana", "bicycle", "bird", "book", "car", "cat", "clock", "cup", "fish", "flower", "guitar", "house", "ladder", "moon", "mountain", "rainbow", "sailboat", "snowman", "star", "sun", "tree", "umbrella", "whale"];

const anyWord = (not) => {
  const others = WORDS.filter((word) => word !== not);
  return others[Math.floor(Math.random() * others.length)];
};

export function Draw() {
  const [word, setWord] = useState(anyWord);
  const [drawings, setDrawings] = useState([]);
  const [name, setName] = useState("");
  const [error, setError] = useState(null);
  const [working, setWorking] = useState(false);
  const canvas = useRef(null);
  const [empty, setEmpty] = useState(true);
  const [pen, setPen] = useState({ color: COLORS[0], width: WIDTHS[1] });

  const clear = () => {
    const context = canvas.current.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, SIDE, SIDE);
    setEmpty(true);
  };
  useEffect(clear, []);
  const rank = async () => {
    setWorking(true);
    setError(null);
    try {
      const blob = await new Promise((resolve) => canvas.current.toBlob(resolve, "image/png"));
      if (!blob) throw new ApiError("bad_picture", "canvas");
      const { photos } = await post("classify", {
        labels: WORDS, extra_templates: ["a drawing of a {}.", "a doodle of a {}."], top: WORDS.length,
        pictures: [{ picture: await base64(blob), name: "drawing.png" }],
      });
      const { labels } = photos[0];
      const probability = labels.find((each) => each.label === word).probability;
      const drawing = { player: name.trim() || t("player", { number: drawings.length + 1 }), image: canvas.current.toDataURL("image/png"), probability, guess: labels[0].label };
      setDrawings([...drawings, drawing].sort((one, other) => other.probability - one.probability));
      setName("");
      clear();
    } catch (reason) {
      setError(reason);
    }
    setWorking(false);
  };
  const another = () => {
    setWord(anyWord(word));
    setDrawings([]);
    clear();
  };
  return html`<section class="draw" aria-label=${t("draw")}>
    <h2>${t("draw_this", { word })}</h2>
    <p class="hint">${t("draw_info")}</p>
    <div class="board">
      <${Canvas} canvas=${canvas} pen=${pen} drawn=${() => setEmpty(false)} label=${t("canvas")} />
      <div class="tools">
        <div role="group" aria-label=${t("color")}>${COLORS.map((color, place) => html`<button type="button" key=${color} class="swatch" style=${{ background: color }} aria-pressed=${pen.color === color}
          aria-label=${`${t("color")} ${place + 1}`} onClick=${() => setPen({ ...pen, color })}></button>`)}</div>
        <div role="group" aria-label=${t("pen_width")}>${WIDTHS.map((width) => html`<button type="button" key=${width} class="button" aria-pressed=${pen.width === width} aria-label=${`${t("pen_width")} ${width}`} onClick=${() => setPen({ ...pen, width })}>
          <span class="dot" style=${{ width: `${width / 2 + 4}px`, height: `${width / 2 + 4}px` }}></span></button>`)}</div>
        <label>${t("player_name")}<input value=${name} maxlength="40" onInput=${(event) => setName(event.currentTarget.value)} /></label>
        <button type="button" class="button primary" disabled=${empty || working} onClick=${rank}>${t(working ? "judging" : "judge")}</button>
        <button type="button" class="button" disabled=${empty} onClick=${clear}>${t("clear_canvas")}</button>
        <button type="button" class="button" onClick=${another}>${t("another_word")}</button>
      </div>
    </div>
    <${Problem} error=${error} retry=${rank} />
    <ol class="ranking" aria-label=${t("ranking")}>${drawings.map((drawing, place) => html`<li key=${drawing.image}>
      <img src=${drawing.image} alt=${t("drawing_of", { player: drawing.player })} />
      <strong>${place + 1}. ${drawing.player}</strong>
      <span>${t("probability_of", { word, percent: number(drawing.probability, { style: "percent", maximumFractionDigits: 1 }) })}</span>
      <span class="hint">${t(drawing.guess === word ? "guessed" : "guessed_other", { word: drawing.guess })}</span>
      <${IconButton} icon="close" label=${t("remove", { part: drawing.player })} onClick=${() => setDrawings(drawings.filter((each) => each !== drawing))} /></li>`)}</ol>
  </section>`;
}

/** A canvas for fingers, pens and mice. */
function Canvas({ canvas, pen, drawn, label }) {
  const last = useRef(null);
  const at = (event) => {
    const box = canvas.current.getBoundingClientRect();
    return [((event.clientX - box.left) * SIDE) / box.width, ((event.clientY - box.top) * SIDE) / box.height];
  };
  const line = (to) => {
    const context = canvas.current.getContext("2d");
    Object.assign(context, { strokeStyle: pen.color, lineWidth: pen.width, lineCap: "round", lineJoin: "round" });
    context.beginPath();
    context.moveTo(...last.current);
    context.lineTo(...to);
    context.stroke();
    last.current = to;
    drawn();
  };
  const down = (event) => {
    event.preventDefault();
    canvas.current.setPointerCapture(event.pointerId);
    last.current = at(event);
    line(last.current);
  };
  const move = (event) => last.current && (event.getCoalescedEvents?.() ?? [event]).forEach((each) => line(at(each)));
  return html`<canvas ref=${canvas} width=${SIDE} height=${SIDE} role="img" aria-label=${label}
    onPointerDown=${down} onPointerMove=${move} onPointerUp=${() => (last.current = null)} onPointerCancel=${() => (last.current = null)}></canvas>`;
}
