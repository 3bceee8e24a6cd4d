import { expect, test } from 'vitest';
import { normalizeEmail } from '../../src/identity/email.ts';

test.each([
  ['Ann.Who+tag@Example.COM', 'ann.who+tag@example.com'],
  ["o'hara@example.co.uk", "o'hara@example.co.uk"],
  ['ada@bücher.example', 'ada@xn--bcher-kva.example'],
])('%s has one form', (text, email) => {
  expect(normalizeEmail(text)).toBe(email);
});

// What reads hosts of URLs would make another person's address of these.
test.each([
  'a@example.com/x',
  'a@example.com?x',
  'a@example.com#x',
  'a@example.com\\x',
  'a@exam\tple.com',
  'a@example.com\n',
  'a@example%2ecom',
  'a@exa%6dple.com',
  'a@example.com:25',
  'a@exam\u00adple.com',
  'a@[127.0.0.1]',
  'a@1.2.3.4',
  '@example.com',
  'a@',
  'a b@example.com',
])('%j is no e-mail address', (text) => {
  expect(normalizeEmail(text)).toBeNull();
});
