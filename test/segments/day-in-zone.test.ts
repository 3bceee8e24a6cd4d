import { expect, test } from 'vitest';
import { sql } from '../../src/storage/database.ts';
import { isTimeZone } from '../../src/users/user-attributes.ts';
import { useDatabase } from '../support/database.ts';

const database = useDatabase();

/** Names that PostgreSQL knows as abbreviations, too, or writes otherwise. */
const oldNames = [
  'CET',
  'MET',
  'EET',
  'WET',
  'cet',
  'EST',
  'MST',
  'HST',
  'EST5EDT',
  'GMT',
  'UTC',
  'UCT',
  'Etc/GMT+5',
  'NZ',
];
const zones = [...oldNames, 'Pacific/Kiritimati', 'Pacific/Pago_Pago', 'Europe/Zagreb', 'Asia/Kathmandu'];
const hours = Array.from({ length: 24 }, (_, hour) => `T${String(hour).padStart(2, '0')}:30:00Z`);
const moments = hours.flatMap((time) => [`2026-01-15${time}`, `2026-07-15${time}`]);

const dayIn = (timeZone: string, moment: string) =>
  new Intl.DateTimeFormat('en-CA', { timeZone, year: 'numeric', month: '2-digit', day: '2-digit' }).format(
    new Date(moment),
  );

test.each(zones)('what day it is in %s, the database knows in winter and in summer', async (zone) => {
  expect(isTimeZone(zone)).toBe(true);
  const { rows } = await database.pool.query<{ day: string }>(sql`
    select day_in_zone(moment, ${zone})::text as day
    from unnest(${moments}::timestamptz[]) with ordinality as given (moment, place) order by place`);
  expect(rows.map(({ day }) => day)).toEqual(moments.map((moment) => dayIn(zone, moment)));
});
