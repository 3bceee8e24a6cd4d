import { Channel } from '../generated/prisma/enums.ts';

/** What a person has said of one topic. */
export interface Preference {
  topicId: string;
  /** Null: of every channel of which nothing else was said. */
  channel: Channel | null;
  isSubscribed: boolean;
  saidAt: Date;
  /** Principal, such as `installation:<id>`. */
  saidBy: string;
}

const channels = Object.values(Channel);
/** Of a channel, or of all. */
const places = [null, ...channels];

/** What was said that counts for a channel: of it, else of all; null: of the rest. */
const findSaid = (preferences: readonly Preference[], channel: Channel | null): Preference | undefined =>
  preferences.find((each) => each.channel === channel) ?? preferences.find((each) => each.channel === null);

/** One topic's preferences after one more was said: of all channels it takes the place of all that was said before. Pure. */
export function say(preferences: readonly Preference[], said: Preference): Preference[] {
  if (said.channel === null) return [said];
  return complete([...preferences.filter(({ channel }) => channel !== said.channel), said]);
}

/**
 * One topic's preferences of two people who become one. Where either has said no, it is no (decision 3); else yes, where either
 * has said so. Pure.
 */
export function joinPreferences(one: readonly Preference[], other: readonly Preference[]): Preference[] {
  return decidePlaces((channel) => {
    const said = [findSaid(one, channel), findSaid(other, channel)].filter((each) => each !== undefined);
    return said.find(({ isSubscribed }) => !isSubscribed) ?? said[0];
  });
}

/** One topic's preferences of a person for whom another's noes count too. Pure. */
export function withRefusalsOf(own: readonly Preference[], other: readonly Preference[]): Preference[] {
  return decidePlaces((channel) => {
    const refused = findSaid(other, channel);
    return refused?.isSubscribed === false ? refused : findSaid(own, channel);
  });
}

/** What counts for each channel and for the rest, without what is said twice. */
function decidePlaces(decide: (channel: Channel | null) => Preference | undefined): Preference[] {
  const rest = decide(null);
  const decided = places.flatMap((channel) => {
    const said = decide(channel);
    const isTold = channel !== null && said !== undefined && said.isSubscribed === rest?.isSubscribed;
    // What was said of this very channel stays, also where it is the same as for the rest.
    return said === undefined || (isTold && said.channel !== channel) ? [] : [{ ...said, channel }];
  });
  return complete(decided);
}

/** Who has said no to each channel, one by one, has said no to the topic, and so to channels that are yet to come. */
function complete(preferences: Preference[]): Preference[] {
  const noes = preferences.filter(({ channel, isSubscribed }) => channel !== null && !isSubscribed);
  const [latest] = noes.toSorted((a, b) => b.saidAt.getTime() - a.saidAt.getTime());
  if (noes.length < channels.length || !latest) return sorted(preferences);
  return sorted([...noes, { ...latest, channel: null }]);
}

const placeOf = ({ channel }: Preference) => places.indexOf(channel);
const sorted = (preferences: readonly Preference[]) => preferences.toSorted((a, b) => placeOf(a) - placeOf(b));
