import { z } from 'zod';
import { type AttributeDefinition, listAttributeDefinitions } from '../attributes/attribute-definition.ts';
import { toCustomAttributes } from '../attributes/custom-attributes.ts';
import type { AttributeOwner, Channel } from '../generated/prisma/enums.ts';
import { idSchema } from '../ids.ts';
import { recipientChannelOf } from '../recipients/recipient-channel.ts';
import { explainFilter } from '../segments/filter.ts';
import { createScope, eventsAskedBy, filtersOf, readSegments } from '../segments/known-segments.ts';
import { type Person, readPersons } from '../segments/person.ts';
import type { Scope } from '../segments/predicate.ts';
import { type Sql, sql, type Transaction } from '../storage/database.ts';
import type { CompiledContent } from './compile-content.ts';
import { decideVariation } from './decide-variation.ts';
import type { userNames } from './names.ts';
import type { RenderValues } from './render-content.ts';

type Reader = Pick<Transaction, '$queryRaw'>;

/** What a content needs to know of one reader. */
export type ReaderValues = Pick<RenderValues, 'variation' | 'user' | 'installation' | 'labels'>;

const rowSchema = z.object({
  key: z.string(),
  userId: idSchema.nullable(),
  language: z.string().nullable(),
  externalUserId: z.string().nullable(),
  installation: z.record(z.string(), z.unknown()).nullable(),
});
type ReaderRow = z.infer<typeof rowSchema>;

/**
 * Of a recipient `r` (or nulls), its user `u` and its installation `i`. The language is that of the address, else the one that the
 * user prefers, else that of the installation.
 */
const readerColumns: Sql = sql`
  u.id as "userId", coalesce(r.language, u.preferred_language, i.language) as language,
  (
    select value from identifiers x where x.user_id = u.id and x.kind = 'EXTERNAL_USER_ID' and not x.is_alias
  ) as "externalUserId",
  case when i.id is not null then jsonb_build_object(
    'platform', i.platform, 'language', i.language, 'timeZone', i.time_zone, 'appVersion', i.app_version,
    'osVersion', i.os_version, 'deviceModel', i.device_model, 'isPrimaryDevice', i.is_primary_device,
    'customAttributes', i.custom_attributes
  ) end as installation
`;

/**
 * What a content needs to know of those who read deliveries, by delivery: of whoever has the address now, which for a broadcast
 * may be another person than when it was fanned out. A few statements, however many deliveries.
 */
export async function readReaders(
  db: Reader,
  compiled: CompiledContent,
  deliveryIds: readonly string[],
): Promise<ReadonlyMap<string, ReaderValues>> {
  const rows = await db.$queryRaw<unknown[]>(sql`
    select d.id as key, ${readerColumns}
    from deliveries d
    left join recipients r on r.id = d.recipient_id
    -- An inbox stays with its tombstone.
    left join users owner on owner.id = r.user_id
    left join users u on u.id = coalesce(owner.merged_into_id, owner.id)
    left join installations i on i.id = r.installation_id
    where d.id = any(${[...deliveryIds]}::uuid[])
  `);
  return toReaderValues(db, compiled, z.array(rowSchema).parse(rows));
}

/** The same of one user at its address for a channel; of several, the installation that was seen last, or the oldest address. */
export async function readReaderOf(
  db: Reader,
  compiled: CompiledContent,
  { userId, channel, platform }: { userId: string; channel: Channel; platform: string | null },
): Promise<ReaderValues> {
  const rows = await db.$queryRaw<unknown[]>(sql`
    select u.id as key, ${readerColumns}
    from users u
    left join lateral (
      select r.* from recipients r left join installations of_r on of_r.id = r.installation_id
      where r.user_id = u.id and r.channel = ${recipientChannelOf(channel)}::channel
        and (${platform}::text is null or of_r.platform::text = ${platform})
      order by of_r.last_seen_at desc nulls last, r.id
      limit 1
    ) r on true
    left join installations i on i.id = r.installation_id
    where u.id = ${userId}::uuid
  `);
  const readers = await toReaderValues(db, compiled, z.array(rowSchema).parse(rows));
  return readers.get(userId) ?? nobody(compiled);
}

/** Somebody of whom nothing is known. */
export function nobody({ content, labels }: CompiledContent): ReaderValues {
  return {
    variation: decideVariation(content.variations, { language: null, isMember: () => false }),
    user: null,
    installation: null,
    labels: Object.fromEntries(labels.map(({ name, defaultValue }) => [name, defaultValue])),
  };
}

async function toReaderValues(
  db: Reader,
  compiled: CompiledContent,
  rows: readonly ReaderRow[],
): Promise<ReadonlyMap<string, ReaderValues>> {
  const { named, labels, segmentIds } = compiled;
  const asksPerson = named.user || labels.length > 0 || segmentIds.length > 0;
  const userIds = [...new Set(rows.flatMap(({ userId }) => userId ?? []))];
  const segments = await readSegments(db, segmentIds);
  const asked = eventsAskedBy([...filtersOf(segments), ...filtersOfLabels(labels)]);
  const [persons, ofUsers, ofInstallations] = await Promise.all([
    asksPerson ? readPersons(db, userIds, asked) : [],
    readDefinitions(db, 'USER', named.customAttributes && named.user),
    readDefinitions(db, 'INSTALLATION', named.customAttributes && named.installation),
  ]);
  const facts: Facts = {
    persons: new Map(persons.map((person) => [person.id, person])),
    scope: createScope(segments),
    definitions: { USER: ofUsers, INSTALLATION: ofInstallations },
  };
  return new Map(rows.map((row) => [row.key, toValues(compiled, row, facts)]));
}

const filtersOfLabels = (labels: CompiledContent['labels']) =>
  labels.flatMap(({ cases }) => cases.map(({ filter }) => filter));

interface Facts {
  persons: ReadonlyMap<string, Person>;
  scope: Scope;
  definitions: Record<AttributeOwner, ReadonlyMap<string, AttributeDefinition>>;
}

async function readDefinitions(
  db: Reader,
  owner: AttributeOwner,
  isWanted: boolean,
): Promise<ReadonlyMap<string, AttributeDefinition>> {
  const definitions = isWanted ? await listAttributeDefinitions(db, owner) : [];
  return new Map(definitions.map((definition) => [definition.name, definition]));
}

function toValues(compiled: CompiledContent, row: ReaderRow, { persons, scope, definitions }: Facts): ReaderValues {
  const person = row.userId === null ? undefined : persons.get(row.userId);
  const isMember = (id: string) => person !== undefined && scope.decideMember(id, person).holds;
  const labels = compiled.labels.map(({ name, cases, defaultValue }) => {
    const first = cases.find(({ filter }) => person !== undefined && explainFilter(filter, person, { scope }).holds);
    return [name, first?.value ?? defaultValue] as const;
  });
  const { installation } = row;
  return {
    variation: decideVariation(compiled.content.variations, { language: row.language, isMember }),
    user: person ? toUserValues(person, row.externalUserId, definitions.USER) : null,
    installation: installation && {
      ...installation,
      customAttributes: toCustomAttributes(installation.customAttributes, definitions.INSTALLATION),
    },
    labels: Object.fromEntries(labels),
  };
}

/** A number is a JSON number where that says exactly the same, else its digits as text. */
function toUserValues(
  person: Person,
  externalUserId: string | null,
  definitions: ReadonlyMap<string, AttributeDefinition>,
): Record<(typeof userNames)[number], unknown> {
  const { type, displayName, firstName, middleName, lastName, gender, birthday, preferredLanguage, preferredChannel } =
    person;
  const { timeZone, country, region, pictureUrl, tags, createdAt } = person;
  return {
    ...{ externalUserId, type, displayName, firstName, middleName, lastName, gender, birthday, preferredLanguage },
    ...{ preferredChannel, timeZone, country, region, pictureUrl, tags, createdAt },
    customAttributes: toCustomAttributes(person.customAttributes, definitions),
  };
}
