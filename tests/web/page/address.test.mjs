import assert from "node:assert/strict";
import { test } from "node:test";
import { filters, nothing, read, withoutFilters, write } from "../../../src/clipsight/web/static/address.js";

const again = (address) => {
  const url = new URL(address, "http://localhost/photos/");
  return read(url.pathname.slice("/photos/".length), url.search);
};

test("a state is the same after a reload", () => {
  const state = {
    ...nothing(), tab: "classify", q: "flower + 2:bee - cartoon & 100%", open: 17, lang: "zh-Hant", sort: "date",
    pictures: [{ photo: 3, weight: 1 }, { upload: "0123456789abcdef0123456789abcdef", weight: -0.5 }],
    folder: ["a", "b"], label: ["狗, 貓"], camera: ["Canon EOS"], format: ["JPEG"],
    taken_from: "2023", taken_to: "2024-05-31", min_bytes: 1, max_bytes: 2_000_000, min_width: 640, min_height: 480,
    sure: true, duplicates: true, balance: false, choices: ["a dog", "a cat"], templates: "simple",
  };
  assert.deepEqual(again(write(state)), { state, ignored: [] });
});

test("nothing is the base itself", () => {
  assert.equal(write(nothing()), "./");
  assert.deepEqual(again("./"), { state: nothing(), ignored: [] });
});

test("what can't be shown is left out and told", () => {
  const bad = [
    "open=0", "open=-1", "open=1e3", "open=99999999999999999", "photo=x", "photo=3*", "photo=3*NaN", "photo=3*1*2",
    "upload=../etc/passwd", "upload=0123", "sort=size", "lang=tlh", "sure=yes", "balance=1", "taken_from=yesterday",
    "min_width=-4", "max_bytes=x", "folder=", "what=ever",
  ];
  const { state, ignored } = read("", `?q=cat&${bad.join("&")}`);
  assert.deepEqual(ignored, bad);
  assert.deepEqual(state, { ...nothing(), q: "cat" });
  assert.deepEqual(read("nowhere", "").ignored, ["nowhere"]);
});

test("at most as many pictures as the API takes", () => {
  const { state, ignored } = read("", `?${Array.from({ length: 40 }, (_, place) => `photo=${place + 1}`).join("&")}`);
  assert.equal(state.pictures.length, 31);
  assert.equal(ignored.length, 9);
});

test("filters are those that are set", () => {
  const state = { ...nothing(), q: "cat", folder: ["a"], min_width: 100, sure: true, open: 3 };
  assert.deepEqual(filters(state), { folder: ["a"], min_width: 100 });
  assert.deepEqual(withoutFilters(state), { ...nothing(), q: "cat", open: 3 });
});

test("dates that are none, and words that are too many, are left out", () => {
  for (const wrong of ["2024-13-45", "2023-02-29", "2024-00", "0000", "2024-1-1", "20x"]) {
    assert.deepEqual(read("", `?taken_from=${wrong}`).ignored, [`taken_from=${wrong}`]);
  }
  for (const right of ["2024", "2024-05", "2024-02-29", "0099-12-31"]) assert.equal(read("", `?taken_to=${right}`).state.taken_to, right);
  const { state, ignored } = read("", `?q=${"\u{1F431}".repeat(20_000)}`);
  assert.equal([...state.q].length, 10_000);
  assert.ok(ignored.length === 1 && [...ignored[0]].length < 80);
});
