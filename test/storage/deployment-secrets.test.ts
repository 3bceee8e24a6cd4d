import { randomBytes, randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { StartupError } from '../../src/errors.ts';
import { createCipher } from '../../src/storage/cipher.ts';
import { checkEncryptionKey, keepSecret } from '../../src/storage/deployment-secrets.ts';
import { useDatabase } from '../support/database.ts';

const database = useDatabase();
const cipher = createCipher(randomBytes(32));

test('a database is opened with the key that it was written with, and with no other', async () => {
  await checkEncryptionKey(database.db, cipher);
  await checkEncryptionKey(database.db, cipher);
  const wrong = checkEncryptionKey(database.db, createCipher(randomBytes(32)));
  await expect(wrong).rejects.toThrow(StartupError);
});

test('processes that start at once keep one secret, and a later one finds it', async () => {
  const keep = () => keepSecret(database.db, cipher, { name: 'a secret', make: () => randomUUID() });
  const secrets = await Promise.all(Array.from({ length: 8 }, keep));
  expect(new Set([...secrets, await keep()]).size).toBe(1);
});

test('a secret is kept encrypted', async () => {
  const secret = await keepSecret(database.db, cipher, {
    name: 'another secret',
    make: () => 'the words of the secret',
  });
  const { value } = await database.db.deploymentSecret.findUniqueOrThrow({ where: { name: 'another secret' } });
  expect(secret).toBe('the words of the secret');
  expect(Buffer.from(value).toString('latin1')).not.toContain('words');
});
