import type { ServerResponse } from 'node:http';

/** A small page for a person: a heading, a paragraph, and at most one button, which posts to the page's own address. */
export interface Page {
  title: string;
  text: string;
  button?: string;
}

/**
 * Answers with a page that needs nothing else: no script, no style sheet, no image. It is readable at the width of a phone, by
 * keyboard and by a screen reader, in the light and in the dark. Its texts are ours: they are not escaped.
 */
export function sendPage(response: ServerResponse, status: number, page: Page): void {
  response
    .writeHead(status, {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'content-security-policy':
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      'x-robots-tag': 'noindex',
    })
    .end(toHtml(page));
}

function toHtml({ title, text, button }: Page): string {
  const form = button === undefined ? '' : `<form method="post"><button type="submit">${button}</button></form>`;
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>${title}</title>
    <style>
      :root { color-scheme: light dark; }
      body { font: 1.125rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 12vh auto; padding: 0 1.25rem; }
      h1 { font-size: 1.5rem; line-height: 1.25; }
      button { font: inherit; min-height: 3rem; padding: .5rem 1.5rem; border: 0; border-radius: .5rem; color: #fff; background: #1d4ed8; }
      button:focus-visible { outline: 3px solid CanvasText; outline-offset: 3px; }
    </style>
  </head>
  <body>
    <main>
      <h1>${title}</h1>
      <p>${text}</p>
      ${form}
    </main>
  </body>
</html>
`;
}
