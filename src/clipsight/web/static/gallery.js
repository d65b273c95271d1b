/** A grid of any number of photos, of which only those in view exist. */
import { useEffect, useLayoutEffect, useRef, useState } from "./vendor/hooks.js";
import { thumbnail, thumbnails } from "./api.js";
import { score, t } from "./i18n.js";
import { Icon, html, nameOf } from "./ui.js";

const GAP = 4;
const LEAST = 150;
const LEAST_SMALL = 104;
const AHEAD = 2; // rows above and below the view

/** Columns and the side of a square cell in a grid of this width. @param {number} width */
export function layout(width) {
  const least = width < 600 ? LEAST_SMALL : LEAST;
  const columns = Math.max(2, Math.floor((width + GAP) / (least + GAP)));
  return { columns, side: (width - GAP * (columns - 1)) / columns };
}

/** The places to show: whole rows from `top` to `bottom`, in pixels below the grid's upper edge. */
export function visible({ columns, side }, total, top, bottom) {
  const height = side + GAP;
  const first = Math.max(0, Math.floor(top / height) - AHEAD);
  const last = Math.min(Math.ceil(total / columns) - 1, Math.floor(bottom / height) + AHEAD);
  return { first: first * columns, last: Math.min(total, (last + 1) * columns) - 1 };
}

/**
 * @param {{results: import("./results.js").Results, open: (place: number) => void, selection: any, scores: boolean}} props
 */
export function Gallery({ results, open, selection, scores }) {
  const list = useRef(null);
  const [width, setWidth] = useState(0);
  const [, redraw] = useState(0);
  const [focus, setFocus] = useState(0);
  const moved = useRef(false);
  const { total } = results;

  useLayoutEffect(() => {
    const measure = () => setWidth(list.current.clientWidth);
    const observer = new ResizeObserver(measure);
    observer.observe(list.current);
    measure();
    let frame = 0;
    const scroll = () => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        redraw((n) => n + 1);
      });
    };
    addEventListener("scroll", scroll, { passive: true });
    return () => {
      observer.disconnect();
      removeEventListener("scroll", scroll);
      cancelAnimationFrame(frame);
    };
  }, []);

  const grid = layout(width || 320);
  const top = list.current ? -list.current.getBoundingClientRect().top : 0;
  const { first, last } = visible(grid, total, top, top + innerHeight);
  useEffect(() => {
    if (total) results.need(first, last);
  });
  const stop = Math.min(focus, Math.max(0, total - 1)); // the one tab stop of the grid
  useLayoutEffect(() => {
    if (!moved.current) return;
    const cell = list.current.querySelector(`[data-place="${stop}"]`);
    if (!cell) return;
    moved.current = false;
    cell.focus();
    cell.scrollIntoView({ block: "nearest" });
  });

  const move = (place) => {
    const to = Math.max(0, Math.min(total - 1, place));
    moved.current = true;
    setFocus(to);
    const y = Math.floor(to / grid.columns) * (grid.side + GAP) - top;
    if (y < 0 || y + grid.side > innerHeight) scrollBy(0, y < 0 ? y - 80 : y + grid.side - innerHeight + 16);
  };
  const keys = (event) => {
    const step = {
      ArrowRight: 1, ArrowLeft: -1, ArrowDown: grid.columns, ArrowUp: -grid.columns,
      Home: -total, End: total,
    }[event.key];
    if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    move(stop + (document.dir === "rtl" && Math.abs(step) === 1 ? -step : step));
  };

  const cells = [];
  for (let place = first; place <= last; place++) cells.push(place);
  const rows = Math.ceil(total / grid.columns);
  const height = rows ? rows * (grid.side + GAP) - GAP : 0;
  return html`<ul class="gallery" ref=${list} aria-label=${t("results")} style=${{ height: `${height}px` }} onKeyDown=${keys}>
    ${width > 0 && cells.map((place) => html`<${Cell} key=${place} place=${place} photo=${results.at(place)} total=${total}
      grid=${grid} isStop=${place === stop} scores=${scores} open=${open} selection=${selection} focused=${setFocus} />`)}
  </ul>`;
}

function Cell({ place, photo, total, grid, isStop, scores, open, selection, focused }) {
  const [gone, setGone] = useState(false);
  const press = useRef(0);
  const name = photo ? nameOf(photo.path) : "";
  const shown = scores && photo ? score(photo.score) : "";
  const label = scores ? t("photo_with_score", { name, score: shown }) : name;
  const selected = photo && selection.has(photo.id);
  const where = {
    width: `${grid.side}px`, height: `${grid.side}px`,
    insetInlineStart: `${(place % grid.columns) * (grid.side + GAP)}px`,
    top: `${Math.floor(place / grid.columns) * (grid.side + GAP)}px`,
  };
  const click = (event) => {
    if (press.current === -1) press.current = 0; // the end of a long press
    else if (selection.size || event.ctrlKey || event.metaKey || event.shiftKey) selection.toggle(photo, place, event.shiftKey);
    else open(place);
  };
  const hold = (event) => {
    if (event.pointerType !== "touch") return;
    press.current = setTimeout(() => {
      press.current = -1;
      selection.toggle(photo, place, false);
    }, 500);
  };
  const release = () => press.current > 0 && clearTimeout(press.current);
  return html`<li style=${where} aria-setsize=${total} aria-posinset=${place + 1}>
    ${photo && html`<button type="button" class=${`cell${gone ? " gone" : ""}`} data-place=${place} data-id=${photo.id} title=${name}
        tabindex=${isStop ? 0 : -1} aria-pressed=${selection.size ? String(selected) : undefined} aria-label=${label}
        onClick=${click} onFocus=${() => focused(place)} onPointerDown=${hold} onPointerUp=${release} onPointerMove=${release} onPointerCancel=${release}
        onContextMenu=${(event) => press.current === -1 && event.preventDefault()}>
      ${gone
        ? html`<span class="name">${name}</span>`
        : html`<img src=${thumbnail(photo.id, 320)} srcset=${thumbnails(photo.id)} sizes=${`${Math.ceil(grid.side)}px`} alt="" decoding="async" onError=${() => setGone(true)} />`}
      ${shown && html`<span class="score" aria-hidden="true">${shown}</span>`}
      ${selected && html`<span class="mark" aria-hidden="true"><${Icon} name="check" /></span>`}
    </button>`}
  </li>`;
}
