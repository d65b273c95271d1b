import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, count, date, errorText, t, use } from "../../../src/clipsight/web/static/i18n.js";

test("texts, numbers and dates in a language", () => {
  use("de", { hello: "Hallo {name}", "photos.one": "1 Foto", "photos.other": "{count} Fotos", "error.busy": "Warte: {reason}", "error.unknown": "Fehler: {reason}" });
  assert.equal(t("hello", { name: "{x}" }), "Hallo {x}");
  assert.equal(count("photos", 1), "1 Foto");
  assert.equal(count("photos", 12300), "12.300 Fotos");
  assert.equal(bytes(999), "999 Byte");
  assert.equal(bytes(1_500_000), "1,5 MB");
  assert.match(date("2024-05-31T18:30:00"), /2024.*18:30/);
  assert.equal(date("whenever"), "whenever");
  assert.equal(errorText({ code: "busy", message: "x" }), "Warte: x");
  assert.equal(errorText({ code: "new", message: "x" }), "Fehler: x");
});

test("a language without plurals has one form", () => {
  use("ja", { "photos.other": "{count}枚" });
  assert.equal(count("photos", 1), "1枚");
});
