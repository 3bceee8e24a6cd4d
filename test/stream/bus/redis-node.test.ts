import { expect, test } from 'vitest';
import { parseRedisUrl } from '../../../src/stream/bus/redis-node.ts';

const plain = { host: 'cache', port: 6379, username: '', password: '', isEncrypted: false };

test.each([
  ['redis://cache', plain],
  ['REDIS://cache:6379/', plain],
  ['redis://cache/3', plain],
  ['rediss://cache:6380', { ...plain, port: 6380, isEncrypted: true }],
  ['redis://[::1]:7000', { ...plain, host: '::1', port: 7000 }],
  ['redis://:a%2Fb%25@cache', { ...plain, password: 'a/b%' }],
  ['redis://ann:a,b@cache', { ...plain, username: 'ann', password: 'a,b' }],
])('%s names one server', (text, node) => {
  expect(parseRedisUrl(text)).toEqual([node]);
});

test('URLs that are separated by commas name several, each with its own password', () => {
  expect(parseRedisUrl('redis://:a,b@cache,rediss://ann:c@other:7000, redis://third')).toEqual([
    { ...plain, password: 'a,b' },
    { host: 'other', port: 7000, username: 'ann', password: 'c', isEncrypted: true },
    { ...plain, host: 'third' },
  ]);
});

test.each([
  '',
  'cache:6379',
  'http://cache',
  'redis://',
  'redis:///3',
  'redis://cache:70000',
  'redis://cache,',
  'redis://cache,other',
  'redis://cache:1,other:2',
  'redis://cache,http://other',
  'redis://:%@cache',
  // Passwords that were not encoded, of which a part would be taken for the host.
  'redis://hunter?2@cache',
  'redis://hunter#2@cache',
  'redis://hunter/2@cache',
  'redis://cache?family=6',
])('%s is refused', (text) => {
  expect(parseRedisUrl(text)).toBeNull();
});
