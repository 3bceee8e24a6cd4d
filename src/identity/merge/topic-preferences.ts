import { isDeepStrictEqual } from 'node:util';
import { sql, type Transaction } from '../../storage/database.ts';
import { joinPreferences, type Preference, withRefusalsOf } from '../../topics/decide-preferences.ts';
import { readPreferences, writePreferences } from '../../topics/preference-store.ts';
import type { LeftBehind, Moved } from './merge-record.ts';

/** What people have said, by topic. */
export type PreferencesByTopic = ReadonlyMap<string, readonly Preference[]>;

/**
 * Joins what a user has said of topics with what its survivor has: no wins (decision 3). Both are locked.
 *
 * @returns what an undo needs: both, as they were, of these topics. Null: the merged one had said nothing.
 */
export async function moveTopicPreferences(
  tx: Transaction,
  { from, to }: { from: string; to: string },
): Promise<Moved['topicPreferences']> {
  const said = await readPreferences(tx, [from, to]);
  const [theirs, own] = [said.get(from), said.get(to)];
  if (!theirs) return null;
  const survivor = [...theirs.keys()].flatMap((topicId) => own?.get(topicId) ?? []);
  const merged = [...theirs.values()].flat();
  await tx.$executeRaw(sql`delete from topic_preferences where user_id = ${from}::uuid`);
  await writePreferences(tx, to, joined({ survivor, merged }));
  return { survivor, merged };
}

const byTopic = (preferences: readonly Preference[]) => Map.groupBy(preferences, ({ topicId }) => topicId);

function joined({ survivor, merged }: NonNullable<Moved['topicPreferences']>): PreferencesByTopic {
  const own = byTopic(survivor);
  return new Map(
    [...byTopic(merged)].map(([topicId, said]) => [topicId, joinPreferences(own.get(topicId) ?? [], said)]),
  );
}

/** What has become of what was joined. */
export interface PreferencesNow {
  mergedAt: Date;
  before: Moved['topicPreferences'];
  /** The survivor's. */
  now: PreferencesByTopic;
  /** Topics, of those that were joined, that there still are. */
  topics: ReadonlySet<string>;
}

/** What an undo writes, of each topic that is named in place of what stands there. */
export interface PreferencesPlan {
  survivor: PreferencesByTopic;
  merged: PreferencesByTopic;
}

/**
 * Of each topic both are again as they were. Of one of which the person has said something since, that stays with the survivor;
 * a no among it counts for the other too, whose it may have been. Pure.
 */
export function decideTopicPreferences(
  { mergedAt, before, now, topics }: PreferencesNow,
  leftBehind: LeftBehind[],
): PreferencesPlan {
  const [survivors, mergeds] = [byTopic(before?.survivor ?? []), byTopic(before?.merged ?? [])];
  const [survivor, merged] = [new Map<string, readonly Preference[]>(), new Map<string, readonly Preference[]>()];
  for (const [topicId, theirs] of mergeds) {
    const own = survivors.get(topicId) ?? [];
    const found = now.get(topicId) ?? [];
    if (!topics.has(topicId)) {
      leftBehind.push({ kind: 'TOPIC_PREFERENCE', name: topicId, reason: 'GONE' });
    } else if (isDeepStrictEqual(found, joinPreferences(own, theirs))) {
      survivor.set(topicId, own);
      merged.set(topicId, theirs);
    } else {
      leftBehind.push({ kind: 'TOPIC_PREFERENCE', name: topicId, reason: 'CHANGED' });
      const since = found.filter((said) => !own.some((earlier) => isDeepStrictEqual(earlier, said)));
      merged.set(topicId, withRefusalsOf(theirs, since));
    }
  }
  for (const [topicId, found] of now) {
    const since = found.filter(({ saidAt }) => saidAt >= mergedAt);
    if (!mergeds.has(topicId) && since.length > 0) merged.set(topicId, withRefusalsOf([], since));
  }
  return { survivor, merged };
}
