/** The first run: a folder, or the sample photos, and it begins. */
import { useState } from "./vendor/hooks.js";
import { Chooser, startRun } from "./chooser.js";
import { t } from "./i18n.js";
import { library, useStore } from "./store.js";
import { Problem, html } from "./ui.js";

export function Welcome() {
  const { status } = useStore(library);
  const [error, setError] = useState(null);
  const start = () => startRun({ samples: true }).catch(setError);
  return html`<section class="welcome">
    <h2>${t("welcome")}</h2>
    <p>${t("welcome_info")}</p>
    <${Chooser} />
    ${status.samples && html`<h2>${t("samples_title")}</h2>
      <p>${t("samples_info")}</p>
      <button type="button" class="button" onClick=${start}>${t("samples_start")}</button>`}
    <${Problem} error=${error} retry=${start} />
  </section>`;
}
