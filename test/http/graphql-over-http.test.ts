import { serverAudits } from 'graphql-http';
import { describe, expect, test } from 'vitest';
import { useApp } from '../support/app.ts';

// The GraphQL over HTTP specification, as its own audits test it.

const development = useApp();
const production = useApp({ environment: 'production' });

const auditsOf = (app: { readonly url: string }) => serverAudits({ url: () => `${app.url}/graphql`, fetchFn: fetch });

/** Audits that ask for the schema to see whether they were understood, which in production nobody is told. */
const introspecting = new Set(['2EA1', '28B9', 'D6D5', '6A70']);

test('there are 61 audits', () => {
  expect(auditsOf(development)).toHaveLength(61);
});

describe('in development', () => {
  test.each(auditsOf(development))('$id $name', async ({ fn }) => {
    expect(await fn()).toMatchObject({ status: 'ok' });
  });
});

describe('in production', () => {
  test.each(auditsOf(production))('$id $name', async ({ id, fn }) => {
    expect((await fn()).status === 'ok').toBe(!introspecting.has(id));
  });
});
