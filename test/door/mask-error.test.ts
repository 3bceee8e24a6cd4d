import { expect, test } from 'vitest';
import { createClient } from '../support/client.ts';
import { createTestDatabase } from '../support/database.ts';
import { executeStatement } from '../support/database-server.ts';
import { startProgram } from '../support/program.ts';
import { connectSocket, openSocket } from '../support/socket.ts';

const serverKey = 'server-key-of-this-program';
const address = 'ann.secret@example.com';
const settings = {
  DATA_ENCRYPTION_KEY: Buffer.alloc(32).toString('base64'),
  NODE_ENV: 'production',
  ALLOW_OUTBOX: '1',
  SERVER_KEY: serverKey,
  APP_KEY: 'app-key-of-this-program',
};
const byAddress = 'query ($email: String!) { user(ref: { email: $email }) { id } }';

test('an outage is told without detail, over HTTP and WebSocket, and logged once each without keys or addresses', async () => {
  const database = await createTestDatabase();
  {
    await using program = await startProgram({ ...settings, DATABASE_URL: database.url });
    await executeStatement(database.url, 'drop table identifiers cascade');
    const masked = { message: 'Something went wrong on the server.', extensions: { code: 'INTERNAL_SERVER_ERROR' } };

    const { body } = await createClient(program.url, serverKey).send(byAddress, { email: address });
    const socket = await connectSocket(program.url, serverKey);
    socket.send({ id: '1', type: 'subscribe', payload: { query: byAddress, variables: { email: address } } });
    const message = await socket.next();
    await program.stop();

    expect(body.errors).toMatchObject([masked]);
    expect(message).toMatchObject({ payload: { errors: [masked] } });
    for (const told of [JSON.stringify(body), JSON.stringify(message)])
      expect(told).not.toMatch(/identifiers|prisma|at /i);
    const log = program.stdout() + program.stderr();
    expect(log.match(/An operation failed/g)).toHaveLength(2);
    expect(log).toContain('identifiers');
    for (const secret of [serverKey, address, 'app-key-of-this-program']) expect(log).not.toContain(secret);
  }
  await database.drop();
});

test('who calls during an outage is asked to come back, not told that the key is wrong', async () => {
  const database = await createTestDatabase();
  {
    await using program = await startProgram({ ...settings, DATABASE_URL: database.url });
    await executeStatement(database.url, 'drop table api_keys');

    const answer = await createClient(program.url, serverKey).send('{ __typename }');
    const socket = await openSocket(program.url);
    socket.send({ type: 'connection_init', payload: { authorization: `Bearer ${serverKey}` } });
    const { code } = await socket.closed;
    await program.stop();

    expect(answer).toMatchObject({
      status: 500,
      body: { errors: [{ extensions: { code: 'INTERNAL_SERVER_ERROR' } }] },
    });
    expect(code).toBe(1013);
    expect(program.stdout().match(/An operation failed/g)).toHaveLength(2);
    expect(program.stdout() + program.stderr()).not.toContain(serverKey);
  }
  await database.drop();
});
