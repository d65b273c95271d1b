/** The page: its tabs, and which of them is shown. */
import { render } from "./vendor/preact.js";
import { useEffect } from "./vendor/hooks.js";
import { LANGUAGES, nothing, write } from "./address.js";
import { Classify } from "./classify.js";
import { Draw } from "./draw.js";
import { load, t } from "./i18n.js";
import { Library } from "./library.js";
import { Progress } from "./progress.js";
import { Search } from "./search.js";
import { address, followRuns, go, library, readAddress, readLibrary, run, useStore } from "./store.js";
import { Problem, html } from "./ui.js";
import { Welcome } from "./welcome.js";

const TABS = ["search", "classify", "draw", "library"];
const NAMES = { en: "English", "zh-Hant": "繁體中文", "zh-Hans": "简体中文", ja: "日本語", de: "Deutsch", es: "Español", fr: "Français" };
const YEAR_SECONDS = 31_536_000;

/** A click that the browser itself should handle, such as one for a new tab. */
const isSpecial = (event) => event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.button !== 0;

function Header({ state }) {
  const show = (tab) => (event) => {
    if (isSpecial(event)) return;
    event.preventDefault();
    go({ tab, open: null });
  };
  const home = (event) => {
    if (isSpecial(event)) return;
    event.preventDefault();
    go({ ...nothing(), lang: state.lang });
  };
  const choose = async (event) => {
    const lang = event.currentTarget.value;
    document.cookie = `clipsight-language=${lang}; path=${new URL(document.baseURI).pathname}; max-age=${YEAR_SECONDS}; samesite=strict`;
    await loadLanguage(lang);
    go({ lang });
  };
  return html`<header>
    <h1><a href="./" onClick=${home}>clipsight</a></h1>
    <nav aria-label=${t("views")}>${TABS.map((tab) => html`<a key=${tab} href=${write({ ...state, tab, open: null })}
      aria-current=${state.tab === tab ? "page" : undefined} onClick=${show(tab)}>${t(tab)}</a>`)}</nav>
    <select aria-label=${t("language")} value=${document.documentElement.lang} onChange=${choose}>
      ${LANGUAGES.map((code) => html`<option key=${code} value=${code} lang=${code}>${NAMES[code]}</option>`)}</select>
  </header>`;
}

function App() {
  const { state, ignored } = useStore(address);
  const { status, error } = useStore(library);
  const job = useStore(run);
  useEffect(() => {
    document.title = title(state);
  });
  const isNew = status !== null && status.photos === 0 && status.model === null && job?.state !== "running";
  const View = { search: Search, classify: Classify, draw: Draw, library: Library }[state.tab];
  return html`<${Header} state=${state} />
    <main id="main">
      <${Progress} />
      ${ignored.length > 0 && html`<p class="notice" role="status">${t("left_out", { parts: ignored.join(", ") })}</p>`}
      ${error && state.tab !== "library" && !status && html`<${Problem} error=${error} retry=${readLibrary} />`}
      ${isNew && state.tab !== "library" ? html`<${Welcome} />` : html`<${View} state=${state} />`}
    </main>`;
}

/** The name of what is shown, for the browser's tab and history. */
function title({ tab, q, pictures, open }) {
  const shown = tab === "search" ? [q, ...pictures.map(() => t("a_picture"))].filter(Boolean).join(" + ") || t("search") : t(tab);
  return `${open && tab === "search" ? `${t("photo")} · ` : ""}${shown} – clipsight`;
}

async function loadLanguage(code) {
  await load(code, new URL(`./locales/${code}.json`, import.meta.url).href);
  document.documentElement.lang = code;
}

readAddress();
addEventListener("popstate", readAddress);
await loadLanguage(address.value.state.lang ?? document.documentElement.lang);
render(html`<${App} />`, document.getElementById("app"));
readLibrary();
followRuns().catch(() => {}); // what is wrong with the server, the views say
navigator.serviceWorker?.register("share.js").catch(() => {}); // takes shared pictures, where the browser lets it
