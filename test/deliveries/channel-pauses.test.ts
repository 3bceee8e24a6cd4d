import { beforeEach, expect, test } from 'vitest';
import { type ChannelPauses, createChannelPauses } from '../../src/deliveries/channel-pauses.ts';
import { createTestLog } from '../support/log-events.ts';

let nowMs: number;
let pauses: ChannelPauses;
let sentences: string[];

beforeEach(() => {
  nowMs = 0;
  const testLog = createTestLog();
  sentences = testLog.sentences;
  pauses = createChannelPauses(testLog.log, { pauseMs: 100, now: () => nowMs });
});

test('a channel that was never down may always send', () => {
  expect([pauses.mayBegin('EMAIL'), pauses.mayBegin('EMAIL')]).toEqual([true, true]);
  expect(pauses.listPaused()).toEqual([]);
});

test('a channel that is down begins nothing until its pause is over, and others go on', () => {
  pauses.markDown('EMAIL', '535');
  nowMs = 99;
  expect(pauses.mayBegin('EMAIL')).toBe(false);
  expect(pauses.listPaused()).toEqual(['EMAIL']);
  expect(pauses.mayBegin('SMS')).toBe(true);
});

test('one send a pause tries whether a channel is back', () => {
  pauses.markDown('EMAIL', '535');
  nowMs = 100;
  expect([pauses.mayBegin('EMAIL'), pauses.mayBegin('EMAIL'), pauses.mayBegin('EMAIL')]).toEqual([true, false, false]);
  nowMs = 200;
  expect([pauses.mayBegin('EMAIL'), pauses.mayBegin('EMAIL')]).toEqual([true, false]);
});

test('a channel that is back sends freely', () => {
  pauses.markDown('EMAIL', '535');
  nowMs = 100;
  pauses.mayBegin('EMAIL');
  pauses.markUp('EMAIL');
  expect([pauses.mayBegin('EMAIL'), pauses.mayBegin('EMAIL')]).toEqual([true, true]);
});

test('an outage is told once, and its end once', () => {
  for (const _ of Array(5)) pauses.markDown('EMAIL', '535');
  for (const _ of Array(5)) pauses.markUp('EMAIL');
  expect(sentences).toEqual(['A channel is down; its deliveries wait.', 'A channel that was down works again.']);
});
