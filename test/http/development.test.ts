import { getIntrospectionQuery } from 'graphql';
import { expect, test } from 'vitest';
import { useApp } from '../support/app.ts';

const g = useApp();

test('in development anyone may introspect', async () => {
  expect((await g.nobody.send(getIntrospectionQuery())).body.errors).toBeUndefined();
});

test('in development a browser finds GraphiQL, whole: it fetches nothing from elsewhere', async () => {
  const response = await fetch(`${g.url}/graphql`, { headers: { accept: 'text/html,application/xhtml+xml' } });
  const page = await response.text();
  expect(response.headers.get('content-type')).toContain('text/html');
  expect(page).toContain('Carillon');
  expect(page).not.toMatch(/<(script|link|img|iframe)[^>]+(src|href)=["']?(https?:)?\/\//i);
  expect(page).not.toMatch(/@import|url\(["']?https?:/i);
});

test('a browser is greeted at the root', async () => {
  const response = await fetch(g.url);
  expect(response.status).toBe(200);
  expect(await response.text()).toContain('/graphql');
});
