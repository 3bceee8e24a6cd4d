import { type Sql, sql } from '../../storage/database.ts';
import type { Target } from './target.ts';

type Narrowing = Pick<Target, 'apps' | 'subscribedFrom' | 'subscribedTo'>;

/**
 * Which recipients, `r` of `u`, a target means; the others are as if they were not there. An installation has subscribed when
 * it got its first address, every other recipient when it was added. Null: all.
 *
 * @param fits which installations, `i` of `u`, a push may go to, as the target's filter has it; null: any
 */
export function toMeantSql({ apps, subscribedFrom, subscribedTo }: Narrowing, fits: Sql | null): Sql | null {
  const within = (moment: Sql): Sql[] => [
    ...(subscribedFrom === null ? [] : [sql`${moment} >= ${subscribedFrom}::timestamptz`]),
    ...(subscribedTo === null ? [] : [sql`${moment} < ${subscribedTo}::timestamptz`]),
  ];
  const ofInstallations = [
    ...(fits === null ? [] : [fits]),
    ...(apps.length === 0 ? [] : [sql`i.app_id = any(${apps}::uuid[])`]),
    ...within(sql`i.subscribed_at`),
  ];
  if (ofInstallations.length === 0) return null;
  return sql`
    case when r.channel = 'PUSH'
      then exists (select from installations i where i.id = r.installation_id and ${allOf(ofInstallations)})
      else ${allOf(within(sql`r.created_at`))}
    end
  `;
}

const allOf = (conditions: readonly Sql[]): Sql =>
  conditions.reduce((left, right) => sql`${left} and ${right}`, sql`true`);
