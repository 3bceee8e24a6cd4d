import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Channel } from '../../src/generated/prisma/enums.ts';
import { joinPreferences, type Preference, say, withRefusalsOf } from '../../src/topics/decide-preferences.ts';

const channels = Object.values(Channel);
const saidAt = new Date('2026-11-22T12:00:00Z');

/** Said words, such as `ALL no` and `EMAIL yes`. */
const said = (...words: string[]): Preference[] =>
  words.map((word) => {
    const [place, answer] = word.split(' ');
    const channel = channels.find((each) => each === place) ?? null;
    return { topicId: 'topic', channel, isSubscribed: answer === 'yes', saidAt, saidBy: 'test' };
  });

const words = (preferences: readonly Preference[]) =>
  preferences.map(({ channel, isSubscribed }) => `${channel ?? 'ALL'} ${isSubscribed ? 'yes' : 'no'}`);

describe('what is said', () => {
  test.each<[string[], string, string[]]>([
    [[], 'EMAIL no', ['EMAIL no']],
    [['EMAIL no'], 'EMAIL yes', ['EMAIL yes']],
    [['EMAIL no'], 'PUSH yes', ['PUSH yes', 'EMAIL no']],
    [['ALL no'], 'EMAIL yes', ['ALL no', 'EMAIL yes']],
    [['ALL no', 'EMAIL yes'], 'ALL yes', ['ALL yes']],
    // Of all channels, one by one: of those that are yet to come as well.
    [
      ['PUSH no', 'EMAIL no', 'SMS no', 'IN_APP no'].slice(0, -1),
      'IN_APP no',
      ['ALL no', 'PUSH no', 'EMAIL no', 'SMS no', 'IN_APP no'],
    ],
  ])('%j and then "%s" is %j', (before, word, after) => {
    const others = channels.filter((channel) => !['PUSH', 'EMAIL', 'SMS', 'IN_APP'].includes(channel));
    const isLast = before.length === 3;
    const start = said(...before, ...(isLast ? others.map((channel) => `${channel} no`) : []));
    const [next] = said(word);
    if (!next) throw new Error('There is a word.');
    expect(words(say(start, next)).filter((each) => !others.some((channel) => each.startsWith(channel)))).toEqual(
      after,
    );
  });
});

describe('two who become one (decision 3)', () => {
  test.each<[string[], string[], string[]]>([
    [['ALL yes'], ['ALL no'], ['ALL no']],
    [['ALL yes'], ['EMAIL no'], ['ALL yes', 'EMAIL no']],
    [['EMAIL yes'], ['ALL no'], ['ALL no']],
    [['ALL no', 'EMAIL yes'], ['ALL yes'], ['ALL no', 'EMAIL yes']],
    [['ALL no', 'EMAIL yes'], ['PUSH yes'], ['ALL no', 'EMAIL yes']],
    [['EMAIL yes'], ['PUSH no'], ['PUSH no', 'EMAIL yes']],
    [[], ['ALL yes'], ['ALL yes']],
  ])('of %j and %j comes %j, whichever survives', (one, other, joined) => {
    expect(words(joinPreferences(said(...one), said(...other)))).toEqual(joined);
    expect(words(joinPreferences(said(...other), said(...one)))).toEqual(joined);
  });

  const arbitrary = fc
    .uniqueArray(fc.tuple(fc.constantFrom('ALL', ...channels), fc.constantFrom('yes', 'no')), {
      selector: ([place]) => place,
    })
    .map((list) => said(...list.map((word) => word.join(' '))));

  /** What counts for a channel; null: nothing was said. */
  const answer = (preferences: readonly Preference[], channel: Channel | null) =>
    (preferences.find((each) => each.channel === channel) ?? preferences.find((each) => each.channel === null))
      ?.isSubscribed ?? null;

  test('a no of either is a no for every channel, a yes of one and nothing of the other a yes', () => {
    fc.assert(
      fc.property(arbitrary, arbitrary, (one, other) => {
        const joined = joinPreferences(one, other);
        for (const channel of channels) {
          const both = [answer(one, channel), answer(other, channel)];
          const expected = both.includes(false) ? false : both.includes(true) ? true : null;
          // Where each channel has a no, so has the rest.
          expect([channel, answer(joined, channel)]).toEqual([channel, expected]);
        }
      }),
    );
  });

  test('who takes over another’s noes gets no yes of it', () => {
    fc.assert(
      fc.property(arbitrary, arbitrary, (own, other) => {
        const after = withRefusalsOf(own, other);
        for (const channel of channels) {
          const isRefused = answer(other, channel) === false;
          // Nothing cannot be said of a channel where the rest has a no.
          const rest = answer(other, null) === false ? false : null;
          const expected = isRefused ? false : (answer(own, channel) ?? rest);
          expect([channel, answer(after, channel)]).toEqual([channel, expected]);
        }
      }),
    );
  });
});
