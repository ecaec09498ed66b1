// Everything comes from this server; the token stays in this page.
window.ui = SwaggerUIBundle({
  url: "/api/openapi",
  dom_id: "#swagger-ui",
  deepLinking: true,
  persistAuthorization: false,
  validatorUrl: null,
  tryItOutEnabled: true,
});
