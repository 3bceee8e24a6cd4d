import type { ServerResponse } from 'node:http';
import { escapeHtml } from '../escape-html.ts';

/** What can be done on a page. */
export interface PageButton {
  label: string;
  /** Posted as `choice`. */
  choice: string;
  /** What the page is for, and so stands out. */
  isMain: boolean;
}

/** A small page for a person: a heading, a paragraph, and buttons, which post to the page's own address. */
export interface Page {
  title: string;
  text: string;
  /** @default none */
  buttons?: readonly PageButton[];
}

/**
 * Answers with a page that needs nothing else: no script, no style sheet, no image. It is readable at the width of a phone, by
 * keyboard and by a screen reader, in the light and in the dark.
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

function toHtml({ title, text, buttons = [] }: Page): string {
  const form = buttons.length === 0 ? '' : `<form method="post">${buttons.map(toButton).join('')}</form>`;
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>${escapeHtml(title)}</title>
    <style>
      :root { color-scheme: light dark; }
      body { font: 1.125rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 12vh auto; padding: 0 1.25rem; }
      h1 { font-size: 1.5rem; line-height: 1.25; }
      h1, p, button { overflow-wrap: anywhere; }
      form { display: grid; justify-content: start; gap: .75rem; }
      button { font: inherit; min-height: 3rem; padding: .5rem 1.5rem; border: 1px solid; border-radius: .5rem; color: inherit; background: none; }
      button.main { color: #fff; background: #1d4ed8; border-color: #1d4ed8; }
      button:focus-visible { outline: 3px solid CanvasText; outline-offset: 3px; }
    </style>
  </head>
  <body>
    <main>
      <h1>${escapeHtml(title)}</h1>
      <p>${escapeHtml(text)}</p>
      ${form}
    </main>
  </body>
</html>
`;
}

function toButton({ label, choice, isMain }: PageButton): string {
  const look = isMain ? ' class="main"' : '';
  return `<button type="submit" name="choice" value="${escapeHtml(choice)}"${look}>${escapeHtml(label)}</button>`;
}
