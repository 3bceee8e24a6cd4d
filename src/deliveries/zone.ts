import { type Sql, sql } from '../storage/database.ts';

/**
 * SQL that says in which time zone a person is: in that of the profile, else of the installation `i` that it goes to, else of the
 * person's installation that was seen last of those whose zone is known. Null: nobody knows. Wants `i` (a row of `installations`, or
 * nulls) in scope.
 *
 * @param profile SQL of the zone in the profile, or null.
 * @param userId SQL of the user who has the installations.
 */
export const zoneOf = ({ profile, userId }: { profile: Sql; userId: Sql }): Sql => sql`
  coalesce(${profile}, i.time_zone, (
    select seen.time_zone from installations seen
    where seen.user_id = ${userId} and seen.time_zone is not null
    order by seen.last_seen_at desc, seen.id
    limit 1
  ))
`;
