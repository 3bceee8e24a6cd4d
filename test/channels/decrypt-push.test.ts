import { createECDH } from 'node:crypto';
import { expect, test } from 'vitest';
import { decryptPush } from '../support/fakes/decrypt-push.ts';

// RFC 8291, section 5 and appendix A.
const example = {
  privateKey: 'q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94',
  auth: 'BTBZMqHH6r4Tts7J_aSIgg',
  body:
    'DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_' +
    'yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN',
  plaintext: 'When I grow up, I want to be a watermelon',
};

function openExample(body: Buffer) {
  const keys = createECDH('prime256v1');
  keys.setPrivateKey(example.privateKey, 'base64url');
  return decryptPush(body, { keys, auth: Buffer.from(example.auth, 'base64url') }).toString('utf8');
}

test('the example of RFC 8291 is decrypted', () => {
  expect(openExample(Buffer.from(example.body, 'base64url'))).toBe(example.plaintext);
});

test('a changed byte is noticed', () => {
  const body = Buffer.from(example.body, 'base64url');
  body.writeUInt8(body.readUInt8(100) ^ 1, 100);
  expect(() => openExample(body)).toThrow();
});
