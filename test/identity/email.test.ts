import { expect, test } from 'vitest';
import { normalizeEmail } from '../../src/identity/email.ts';

test.each([
  ['Ann.Who+tag@Example.COM', 'ann.who+tag@example.com'],
  ["o'hara@example.co.uk", "o'hara@example.co.uk"],
  ['ada@bücher.example', 'ada@xn--bcher-kva.example'],
  // Composed or not, in whatever case, or as IDNA has it already.
  ['ada@BU\u0308CHER.example', 'ada@xn--bcher-kva.example'],
  ['ada@XN--BCHER-KVA.example', 'ada@xn--bcher-kva.example'],
  ['ada@straße.example', 'ada@xn--strae-oqa.example'],
  ['ada@例え。テスト', 'ada@xn--r8jz45g.xn--zckzah'],
  // Full width leads to the same mail server; Cyrillic does not.
  ['ada@ｅｘａｍｐｌｅ.com', 'ada@example.com'],
  ['ada@еxample.com', 'ada@xn--xample-2of.com'],
  [`${'x'.repeat(64)}@example.com`, `${'x'.repeat(64)}@example.com`],
  ["!#$%&'*+/=?^_`{|}~-@example.com", "!#$%&'*+/=?^_`{|}~-@example.com"],
])('U6: %s has one form', (text, email) => {
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
  'a@localhost',
  'a@example.com.',
  'a@example..com',
  'a@-example.com',
  'a@exam_ple.com',
  'a@xn--.com',
  '.a@example.com',
  'a.@example.com',
  'a..b@example.com',
  'a@b@example.com',
  '"a b"@example.com',
  'a(who)@example.com',
  'Ann <a@example.com>',
  'a@example.com,b@example.com',
  `${'x'.repeat(65)}@example.com`,
  `a@${'x'.repeat(64)}.com`,
  `a@${'x.'.repeat(126)}com`,
  // Letters that are not ASCII before the "@" are refused, and never folded: the first is the Kelvin sign.
  '\u212aim@example.com',
  '\u0131da@example.com',
  'аda@example.com',
  'ａda@example.com',
  'jos\u00e9@example.com',
])('U6: %j is no e-mail address', (text) => {
  expect(normalizeEmail(text)).toBeNull();
});
