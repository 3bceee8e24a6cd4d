import { expect, test } from 'vitest';
import { useDatabase } from '../../support/database.ts';
import { useHubs } from '../../support/hubs.ts';
import { journey } from '../../support/journeys.ts';

const database = useDatabase();
const { openHub } = useHubs(database);

test.each([
  1, 2, 3,
])('whatever each of many does meanwhile, it is told every event once and in order (chance %i)', async (seed) => {
  const journeys = await journey({ openHub, pool: database.pool, seed, travellersCount: 15, eventsCount: 500 });
  for (const { told, expected } of journeys) expect(told).toEqual(expected);
});
