import assert from "node:assert/strict";
import { test } from "node:test";
import { nothing } from "../../../src/clipsight/web/static/address.js";
import { complete, formatWords, isQuery, queryOf, searchBody } from "../../../src/clipsight/web/static/query.js";

test("what is still being typed waits", () => {
  for (const [typed, whole] of [
    ["flower +", "flower"], ["flower + 2:", "flower"], ["flower - ", "flower"], ["flower + 2: ", "flower"],
    ["-", ""], ["2:", ""], ["flower +bee", "flower +bee"], ["16:9", "16:9"], ["flower + + ", "flower"],
  ]) assert.equal(complete(typed), whole, typed);
});

test("words are written so that they are read as the same words", () => {
  const words = [{ text: "flower", weight: 1 }, { text: "bee", weight: 2 }, { text: "cartoon", weight: -1 }];
  assert.equal(formatWords(words), "flower + 2:bee - cartoon");
  assert.equal(formatWords([{ text: "Title: bees", weight: 1 }]), "1:Title: bees");
  assert.equal(formatWords([{ text: "cat", weight: -0.5 }]), "- 0.5:cat");
  assert.equal(formatWords([{ text: "2 dogs", weight: 3 }]), "3: 2 dogs");
});

test("a query is words, pictures, or both", () => {
  assert.equal(isQuery(nothing()), false);
  assert.equal(isQuery({ ...nothing(), q: " + " }), false);
  assert.equal(isQuery({ ...nothing(), pictures: [{ photo: 1, weight: 1 }] }), true);
  assert.deepEqual(queryOf({ ...nothing(), q: "cat +", pictures: [{ photo: 1, weight: -1 }] }), { query: "cat", parts: [{ photo: 1, weight: -1 }] });
});

test("a search has the API's names", () => {
  const state = { ...nothing(), q: "cat", folder: ["f"], label: ["l"], camera: ["c"], format: ["jpeg"], taken_from: "2024", min_width: 5 };
  const { folders, labels, cameras, formats, taken_from, min_width, offset, top } = searchBody(state, 60, 30);
  assert.deepEqual([folders, labels, cameras, formats, taken_from, min_width, offset, top], [["f"], ["l"], ["c"], ["jpeg"], "2024", 5, 60, 30]);
});
