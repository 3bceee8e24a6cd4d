import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { createClient } from '../support/client.ts';
import { useDatabase } from '../support/database.ts';
import { startProgram } from '../support/program.ts';
import { localIdOf } from '../support/send-operations.ts';
import { until } from '../support/until.ts';

const database = useDatabase();

const answerSchema = z.object({ createSegment: z.object({ segment: z.object({ id: z.string() }) }) });

const createSegment = `mutation ($input: CreateSegmentInput!) {
  createSegment(input: $input) { ... on CreateSegmentPayload { segment { id } } ... on Error { code } }
}`;

test('what a killed gateway had done and not yet answered is answered by the next one, and done once', async () => {
  const settings = {
    ROLE: 'gateway',
    DATABASE_URL: database.url,
    DATA_ENCRYPTION_KEY: randomBytes(32).toString('base64'),
    SERVER_KEY: randomBytes(16).toString('hex'),
  };
  const names = Array.from({ length: 400 }, (_, index) => `segment ${index}`);
  const sendTo = (url: string) => async (name: string) => {
    const input = { name, idempotencyKey: name };
    const { body } = await createClient(url, settings.SERVER_KEY).send(createSegment, { input });
    return answerSchema.parse(body.data).createSegment.segment.id;
  };

  await using killed = await startProgram(settings);
  const sent = names.map(sendTo(killed.url));
  await until(async () => (await listSegments()).length >= 100);
  killed.send('SIGKILL');
  // Whatever was answered is taken for lost on its way.
  await Promise.allSettled(sent);
  const doneByKilled = await listSegments();

  await using next = await startProgram(settings);
  const ids = await Promise.all(names.map(sendTo(next.url)));
  const again = await Promise.all(names.map(sendTo(next.url)));

  expect(doneByKilled.length).toBeLessThan(names.length);
  expect(again).toEqual(ids);
  expect(ids.map(localIdOf)).toEqual(expect.arrayContaining(doneByKilled));
  expect((await listSegments()).sort()).toEqual(ids.map(localIdOf).sort());
});

async function listSegments(): Promise<string[]> {
  const { rows } = await database.pool.query<{ id: string }>('select id from segments');
  return rows.map(({ id }) => id);
}
