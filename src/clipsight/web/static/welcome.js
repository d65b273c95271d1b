/** The first run: a folder, and it begins. */
import { Chooser } from "./chooser.js";
import { t } from "./i18n.js";
import { html } from "./ui.js";

export const Welcome = () => html`<section class="welcome">
  <h2>${t("welcome")}</h2>
  <p>${t("welcome_info")}</p>
  <${Chooser} />
</section>`;
