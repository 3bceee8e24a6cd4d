/** What a browser shows at `/` until the dashboard is there. */
export const landingPage = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Carillon</title>
    <style>
      :root { color-scheme: light dark; }
      body { font: 1rem/1.5 system-ui, sans-serif; max-width: 38rem; margin: 12vh auto; padding: 0 1.25rem; }
      h1 { font-size: 1.75rem; margin: 0 0 .5rem; }
      code { font-family: ui-monospace, monospace; }
      li { margin: .5rem 0; }
    </style>
  </head>
  <body>
    <h1>Carillon is running</h1>
    <p>Knows who an app's users are, reaches them, and streams what became of every message.</p>
    <ul>
      <li><a href="/graphql"><code>/graphql</code></a> answers GraphQL over HTTP, SSE and WebSocket. During development a
        browser finds GraphiQL there; put your server key into its headers.</li>
      <li>Messages of channels without a provider are in the outbox: the query <code>outboxMessages</code>.</li>
      <li><a href="/ready"><code>/ready</code></a> says whether everything works.</li>
    </ul>
    <p>The dashboard will stand here.</p>
  </body>
</html>
`;
