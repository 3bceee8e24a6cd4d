import { type Sql, sql } from '../storage/database.ts';
import { type Duration, toSeconds } from './duration.ts';

/** The clock of every filter: when the transaction began, to the millisecond, as everything that is compared with it. */
export const now: Sql = sql`date_trunc('milliseconds', now())`;

/** A moment that is so long ago. */
export const ago = (duration: Duration): Sql => sql`${now} - make_interval(secs => ${toSeconds(duration)})`;

/** A moment as the text that sorts as moments do: that of custom attributes. */
export const toMomentText = (moment: Sql): Sql =>
  sql`to_char((${moment}) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

/** A day as a text that sorts as days do. */
export const toDayText = (day: Sql): Sql => sql`to_char((${day})::timestamp, 'YYYY-MM-DD')`;
