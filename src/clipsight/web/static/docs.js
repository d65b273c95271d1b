/** The description of the HTTP API, in which requests can be tried: Swagger UI, of this server. */

const { SwaggerUIBundle } = /** @type {any} */ (globalThis);

SwaggerUIBundle({
  url: new URL("api/v1/openapi.json", document.baseURI).href,
  dom_id: "#docs",
  deepLinking: true,
  validatorUrl: null, // it is on another host
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
});
