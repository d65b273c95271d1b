/** Requests to /api/v1, which is all that the page talks to. */

/** An answer that is an error; `code` is one of the API's codes, or "offline". */
export class ApiError extends Error {
  /** @param {string} code @param {string} detail */
  constructor(code, detail) {
    super(detail);
    this.code = code;
  }
}

/** The address of an endpoint, relative to the page's base. @param {string} path @param {Record<string, any>} [parameters] */
export function endpoint(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const each of [value].flat()) if (each !== undefined && each !== null && each !== false) query.append(name, String(each));
  }
  return `api/v1/${path}${query.size ? `?${query}` : ""}`;
}

/**
 * The JSON of an answer. Throws `ApiError`, and `AbortError` after `signal`.
 * @param {string} method @param {string} address @param {unknown} [body] @param {AbortSignal} [signal]
 */
async function call(method, address, body, signal) {
  let response;
  try {
    response = await fetch(address, {
      method,
      signal,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError("offline", "the server can't be reached");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new ApiError(answer.code ?? "unknown", answer.detail ?? `status ${response.status}`);
  return answer;
}

export const get = (path, parameters, signal) => call("GET", endpoint(path, parameters), undefined, signal);
export const post = (path, body, signal) => call("POST", endpoint(path), body, signal);
export const remove = (path) => call("DELETE", endpoint(path));

export const thumbnail = (id, size) => endpoint(`photos/${id}/thumbnail`, { size });

/** The small thumbnail of a photo of the library, or of an uploaded picture. @param {{photo?: number, upload?: string}} picture */
export const preview = ({ photo, upload }) => (photo ? thumbnail(photo, 160) : endpoint(`uploads/${upload}/thumbnail`, { size: 160 }));

/** Thumbnails for `srcset`, for screens of any density. */
export const thumbnails = (id, sizes = [160, 320, 640]) => sizes.map((size) => `${thumbnail(id, size)} ${size}w`).join(", ");
