import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { createCipher } from '../../src/storage/cipher.ts';

const cipher = createCipher(randomBytes(32));

test('what is encrypted is read again with the same key and purpose, and with no other', () => {
  const sealed = cipher.encrypt('a', 'the text, ünïcode 🙂');
  expect(cipher.decrypt('a', sealed)).toBe('the text, ünïcode 🙂');
  expect(() => cipher.decrypt('b', sealed)).toThrow();
  expect(() => createCipher(randomBytes(32)).decrypt('a', sealed)).toThrow();
});

test('a change of any byte is noticed', () => {
  const sealed = cipher.encrypt('a', 'text');
  for (let index = 0; index < sealed.length; index += 1) {
    const changed = sealed.map((byte, place) => (place === index ? byte ^ 1 : byte));
    expect(() => cipher.decrypt('a', changed)).toThrow();
  }
  expect(() => cipher.decrypt('a', sealed.subarray(0, 20))).toThrow();
});

test('equal texts are encrypted differently', () => {
  expect(cipher.encrypt('a', 'text')).not.toEqual(cipher.encrypt('a', 'text'));
});

test('a keyed hash is the same for a text, a purpose and a key, and for nothing else', () => {
  const hash = cipher.hash('a', 'text');
  expect(cipher.hash('a', 'text')).toEqual(hash);
  expect(cipher.verify('a', 'text', hash)).toBe(true);
  expect(cipher.verify('b', 'text', hash)).toBe(false);
  expect(cipher.verify('a', 'other', hash)).toBe(false);
  expect(cipher.verify('a', 'text', hash.subarray(1))).toBe(false);
  expect(createCipher(randomBytes(32)).verify('a', 'text', hash)).toBe(false);
});
