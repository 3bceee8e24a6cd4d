import { expect, test } from 'vitest';
import { useDatabase } from '../../support/database.ts';
import { useHubs } from '../../support/hubs.ts';
import { journey } from '../../support/journeys.ts';

const database = useDatabase();
const { openHub } = useHubs(database);

test.each(
  Array.from({ length: 20 }, (_, index) => 100 + index),
)('whatever each of many does meanwhile, it is told every event once and in order (chance %i)', async (seed) => {
  const journeys = await journey({ openHub, pool: database.pool, seed, travellersCount: 30, eventsCount: 1_000 });
  for (const { told, expected } of journeys) expect(told).toEqual(expected);
});
