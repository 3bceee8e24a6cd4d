import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import { isWebhookSigned, newWebhookSecret, signWebhook } from '../../src/webhooks/signature.ts';

test("the convention's own example is signed so (Standard Webhooks, spec and libraries)", () => {
  // https://github.com/standard-webhooks/standard-webhooks, libraries/javascript/src/index.test.ts
  const call = { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', timestamp: 1_614_265_330, body: '{"test": 2432232314}' };
  expect(signWebhook('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', call)).toBe(
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  );
});

test('its library takes what we sign, and we take what it signs, for five minutes', () => {
  const [secret, at, body] = [newWebhookSecret(), new Date(), '{"ü":1}'];
  const timestamp = Math.floor(at.getTime() / 1_000);
  const signature = signWebhook(secret, { id: 'msg_a', timestamp, body });
  const headers = { 'webhook-id': 'msg_a', 'webhook-timestamp': String(timestamp), 'webhook-signature': signature };
  expect(new Webhook(secret).verify(body, headers)).toEqual({ ü: 1 });
  const theirs = { id: 'msg_a', timestamp: String(timestamp), signature: new Webhook(secret).sign('msg_a', at, body) };
  const isSigned = (given: Partial<typeof theirs>, nowMs = at.getTime(), text = body) =>
    isWebhookSigned(secret, { ...theirs, ...given }, { body: text, nowMs });
  expect(isSigned({})).toBe(true);
  expect(isSigned({ signature: `v1,AAAA v2,a ${theirs.signature}` })).toBe(true);
  expect(isSigned({}, at.getTime() + 299_000)).toBe(true);
  expect(isSigned({}, at.getTime() + 302_000)).toBe(false);
  expect(isSigned({}, at.getTime() - 302_000)).toBe(false);
  expect(isSigned({}, at.getTime(), `${body} `)).toBe(false);
  for (const wrong of [
    { id: '' },
    { id: 'msg_b' },
    { timestamp: '' },
    { timestamp: 'x' },
    { signature: '' },
    { signature: 'v1,' },
  ]) {
    expect(isSigned(wrong)).toBe(false);
  }
});

test('what docs/receipts.md shows takes what we sign, and nothing else', async () => {
  const page = await readFile(new URL('../../docs/receipts.md', import.meta.url), 'utf8');
  const [, code] = /^```js\n(.*?isFromCarillon.*?)^```$/ms.exec(page) ?? [];
  const [secret, body, now] = [newWebhookSecret(), '{"ü":1}', Math.floor(Date.now() / 1_000)];
  const call = (timestamp: number, signed = body) => ({
    'webhook-id': 'msg_a',
    'webhook-timestamp': String(timestamp),
    'webhook-signature': `v1,AAAA ${signWebhook(secret, { id: 'msg_a', timestamp, body: signed })}`,
  });
  const calls = [call(now), call(now, `${body} `), call(now - 600), {}];
  const judged = `${JSON.stringify(calls)}.map((headers) => isFromCarillon('${secret}', headers, '${body}'))`;
  const script = `${code}\nprocess.stdout.write(JSON.stringify(${judged}));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
  expect(JSON.parse(stdout)).toEqual([true, false, false, false]);
});
