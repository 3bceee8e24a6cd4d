import type pg from 'pg';
import { sql } from '../../src/storage/database.ts';
import { graphql } from '../generated/gql.ts';
import type { PreviewOfAudienceQueryVariables } from '../generated/graphql.ts';
import type { Client } from './client.ts';
import { localIdOf } from './send-operations.ts';

const Preview = graphql(`
  query PreviewOfAudience(
    $target: NotificationTargetInput!, $channels: [Channel!], $orchestration: Orchestration, $topic: ID, $purpose: Purpose,
    $targetOnlyPrimaryDevices: Boolean! = false, $onePerUser: Boolean, $apps: [ID!], $subscribedFrom: DateTime, $subscribedTo: DateTime
  ) {
    previewAudience(
      target: $target, channels: $channels, orchestration: $orchestration, topic: $topic, purpose: $purpose,
      targetOnlyPrimaryDevices: $targetOnlyPrimaryDevices, onePerUser: $onePerUser, apps: $apps,
      subscribedFrom: $subscribedFrom, subscribedTo: $subscribedTo
    ) {
      users unknownUsers total countedAt channels { channel reachable leftOut { reason count } }
    }
  }
`);

/** Whom a notification with these arguments would go to; fails when they are refused. */
export async function previewAudience(server: Client, variables: PreviewOfAudienceQueryVariables) {
  const { previewAudience: preview } = await server.run(Preview, variables);
  if (!preview) throw new Error('There is a preview.');
  return preview;
}

/** What a preview tells, as `<channel> <reason> <count>` each; who is unknown is told of as by a fan-out. */
export function toLines({ channels, unknownUsers }: Awaited<ReturnType<typeof previewAudience>>): string[] {
  const lines = channels.flatMap(({ channel, reachable, leftOut }) => [
    ...(reachable > 0 ? [`${channel} ${reachable}`] : []),
    ...leftOut.map(({ reason, count }) => [channel, reason, count].filter((word) => word !== null).join(' ')),
  ]);
  return [...lines, ...(unknownUsers > 0 ? [`UNKNOWN_USER ${unknownUsers}`] : [])].sort();
}

/** The same of what a fan-out has made. */
export async function countMade(pool: pg.Pool, notification: string): Promise<string[]> {
  const { rows } = await pool.query<{ line: string }>(sql`
    select concat_ws(' ', channel, reason, count(*)) as line from deliveries
    where notification_id = ${localIdOf(notification)}::uuid group by channel, reason`);
  return rows.map(({ line }) => line).sort();
}
