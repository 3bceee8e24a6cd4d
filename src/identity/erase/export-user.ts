import type { Deployment } from '../../deployment.ts';
import type { Installation, Prisma, User } from '../../generated/prisma/client.ts';
import { openAddress } from '../../installations/installation-address.ts';
import { appendAudit } from '../../storage/audit.ts';
import type { Cipher } from '../../storage/cipher.ts';
import { parseUserReference, resolveUserReferences, type UserReferenceInput } from '../user-reference.ts';

/** Asks for everything that is known of a user. */
export interface ExportRequest {
  /** The server key that asks: it is in the audit log who was exported. */
  apiKeyId: string;
  user: UserReferenceInput;
}

/** Deliveries, or notifications, of one statement. @default 5_000 */
const rowsPerPage = 5_000;
/** How long an export may take, its snapshot with it. @default 300_000 // 5 minutes */
const exportMs = 300_000;

/**
 * Everything that is known of a user and of those who were merged into it, as one JSON document; null when there is no such
 * user. Of one moment, and complete, however much it is: it is made in memory. Ids are those that inputs take. Push addresses
 * are in it in the clear, as they are the person's own; hashes and secrets of tokens are not.
 *
 * @throws DomainError `EMAIL_INVALID`, `PHONE_INVALID`, `VALUE_INVALID`.
 */
export async function exportUser(
  { db, cipher }: Pick<Deployment, 'db' | 'cipher'>,
  { apiKeyId, user }: ExportRequest,
): Promise<Record<string, unknown> | null> {
  const reference = parseUserReference(user, ['user']);
  return db.$transaction(
    async (tx) => {
      const [userId] = await resolveUserReferences(tx, [reference]);
      if (!userId) return null;
      await appendAudit(tx, { apiKeyId, action: 'exportUser', subject: { userId } });
      const family = await listFamily(tx, userId);
      const deliveries = await listDeliveries(tx, family);
      const [profile, messages] = [await readProfile(tx, cipher, family), await readMessages(tx, deliveries)];
      return { ...profile, events: await listEvents(tx, family), deliveries, ...messages };
    },
    { isolationLevel: 'RepeatableRead', timeout: exportMs },
  );
}

/** A transaction that reads by models: it sees one moment. */
type Snapshot = Prisma.TransactionClient;

/** Who the person is, and how they are reached. */
async function readProfile(tx: Snapshot, cipher: Cipher, family: string[]) {
  const [user, ...merged] = await tx.user.findMany({
    where: { id: { in: family } },
    orderBy: [{ mergedIntoId: { sort: 'asc', nulls: 'first' } }, { id: 'asc' }],
  });
  const ofUser = { where: { userId: { in: family } } };
  const installations = await tx.installation.findMany({
    ...ofUser,
    orderBy: { id: 'asc' },
    include: { tokens: { select: { createdAt: true, expiresAt: true } }, app: { select: { id: true, name: true } } },
  });
  const segments = await tx.segmentMember.findMany({ ...ofUser, include: { segment: true } });
  const preferences = await tx.topicPreference.findMany({
    ...ofUser,
    orderBy: [{ topicId: 'asc' }, { channel: 'asc' }],
    select: { topic: true, channel: true, isSubscribed: true, saidAt: true, saidBy: true },
  });
  return {
    user: user && toProfile(user),
    mergedUsers: merged.map(toProfile),
    identifiers: await tx.identifier.findMany({ ...ofUser, omit: { userId: true } }),
    claims: await tx.identifierClaim.findMany({ ...ofUser, omit: { userId: true } }),
    recipients: await tx.recipient.findMany({ ...ofUser, orderBy: { id: 'asc' } }),
    installations: installations.map((installation) => toExported(cipher, installation)),
    inbox: await tx.inboxItem.findMany({ ...ofUser, orderBy: { id: 'asc' }, omit: { userId: true } }),
    segments: segments.map(({ segment: { id, name }, addedAt }) => ({ id, name, addedAt })),
    topicPreferences: preferences.map(({ topic: { id, name }, ...said }) => ({ topic: { id, name }, ...said })),
    mergeRecords: await listMergeRecords(tx, family),
  };
}

/** Ids of a user and of those who were merged into it. */
async function listFamily(tx: Snapshot, userId: string): Promise<string[]> {
  const users = await tx.user.findMany({
    where: { OR: [{ id: userId }, { mergedIntoId: userId }] },
    select: { id: true },
  });
  return users.map(({ id }) => id);
}

function toProfile({ birthday, ...user }: User) {
  return { ...user, birthday: birthday?.toISOString().slice(0, 10) ?? null };
}

/** With its address as it was registered. */
function toExported<Exported extends Installation>(cipher: Cipher, installation: Exported) {
  const { addressCipher, addressHash: _, addressKind: __, ...rest } = installation;
  return { ...rest, address: addressCipher && openAddress(cipher, addressCipher) };
}

/** What was undone has been of two people: of such a merge only that it was is told. */
async function listMergeRecords(tx: Snapshot, family: string[]) {
  const ids = { in: family };
  const records = await tx.mergeRecord.findMany({
    where: { OR: [{ survivorId: ids }, { mergedId: ids }] },
    orderBy: { id: 'asc' },
    select: {
      ...{ id: true, survivorId: true, mergedId: true, actor: true, reason: true, before: true, moved: true },
      ...{ createdAt: true, undoneAt: true, undoneBy: true },
    },
  });
  return records.map(({ before, moved, ...record }) => (record.undoneAt ? record : { ...record, before, moved }));
}

/** What the person did, as it was tracked, first what was tracked first. */
async function listEvents(tx: Snapshot, family: string[]) {
  const found = [];
  for (let after: string | undefined, isFull = true; isFull; after = found.at(-1)?.id) {
    const page = await tx.trackedEvent.findMany({
      where: { userId: { in: family }, ...(after !== undefined && { id: { gt: after } }) },
      orderBy: { id: 'asc' },
      take: rowsPerPage,
    });
    found.push(...page);
    isFull = page.length === rowsPerPage;
  }
  return found;
}

/** What was sent to the person, oldest first, each with its story as far back as the log is kept. */
async function listDeliveries(tx: Snapshot, family: string[]) {
  const found = [];
  for (let after: string | undefined, isFull = true; isFull; after = found.at(-1)?.id) {
    const page = await tx.delivery.findMany({
      where: { userId: { in: family }, ...(after !== undefined && { id: { gt: after } }) },
      orderBy: { id: 'asc' },
      take: rowsPerPage,
      omit: { targetKey: true, claimToken: true, claimExpiresAt: true },
    });
    const events = await tx.deliveryEvent.findMany({
      where: { deliveryId: { in: page.map(({ id }) => id) } },
      orderBy: { position: 'asc' },
      select: { deliveryId: true, status: true, reason: true, at: true },
    });
    const eventsOf = Map.groupBy(events, ({ deliveryId }) => deliveryId);
    for (const delivery of page) {
      const story = (eventsOf.get(delivery.id) ?? []).map(({ status, reason, at }) => ({ status, reason, at }));
      found.push({ ...delivery, events: story });
    }
    isFull = page.length === rowsPerPage;
  }
  return found;
}

/** What these deliveries say, and how it was written out where there is no provider. */
async function readMessages(tx: Snapshot, deliveries: readonly { id: string; notificationId: string }[]) {
  const notificationIds = [...new Set(deliveries.map(({ notificationId }) => notificationId))];
  const notifications = await inPages(notificationIds, (page) =>
    tx.notification.findMany({
      where: { id: { in: page } },
      orderBy: { id: 'asc' },
      select: { id: true, content: true, purpose: true, topicId: true, event: true, createdAt: true },
    }),
  );
  const renderedMessages = await inPages(deliveries, (page) =>
    tx.outboxMessage.findMany({
      where: {
        notificationId: { in: [...new Set(page.map(({ notificationId }) => notificationId))] },
        deliveryId: { in: page.map(({ id }) => id) },
      },
      orderBy: { id: 'asc' },
    }),
  );
  return { notifications, renderedMessages };
}

async function inPages<Item, Row>(items: readonly Item[], read: (page: Item[]) => Promise<Row[]>): Promise<Row[]> {
  const rows: Row[] = [];
  for (let start = 0; start < items.length; start += rowsPerPage) {
    rows.push(...(await read(items.slice(start, start + rowsPerPage))));
  }
  return rows;
}
