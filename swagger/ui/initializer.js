// Swagger UI on the description of the server that it came from. Nothing comes from anywhere else, and nothing is told to
// anybody else: no validator, no settings from the address.
SwaggerUIBundle({
  dom_id: '#swagger-ui',
  url: '/api/docs/openapi.yaml',
  validatorUrl: null,
  queryConfigEnabled: false,
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
});
