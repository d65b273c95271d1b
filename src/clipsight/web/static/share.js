/** The service worker: takes pictures that other apps share with the installed page, and does nothing else. */

const worker = /** @type {any} */ (globalThis);
const MOST = 31; // parts of a query

worker.addEventListener("install", () => worker.skipWaiting());
worker.addEventListener("activate", (event) => event.waitUntil(worker.clients.claim()));
worker.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  if (method === "POST" && url === new URL("share", worker.registration.scope).href) event.respondWith(share(event.request));
});

/** Uploads the pictures of a form and shows the search for them and the words. @param {Request} request */
async function share(request) {
  const form = await request.formData();
  const query = new URLSearchParams();
  const words = ["title", "text"].map((name) => form.get(name)).filter(Boolean).join(" ");
  if (words) query.set("q", words);
  for (const file of form.getAll("pictures").slice(0, MOST)) if (file instanceof File) query.append("upload", await upload(file));
  return Response.redirect(new URL(`./?${query}`, worker.registration.scope).href, 303);
}

/** The id of an uploaded picture; what can't be used stays in the address, which says so. @param {File} file */
async function upload(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  let binary = "";
  for (let at = 0; at < bytes.length; at += 8192) binary += String.fromCharCode(...bytes.subarray(at, at + 8192));
  const body = JSON.stringify({ picture: btoa(binary), name: (file.name || "picture").slice(0, 255) });
  const address = new URL("api/v1/uploads", worker.registration.scope);
  try {
    const answer = await fetch(address, { method: "POST", headers: { "Content-Type": "application/json" }, body });
    return (await answer.json()).id ?? file.name;
  } catch {
    return file.name;
  }
}
