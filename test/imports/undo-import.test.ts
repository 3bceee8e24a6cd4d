import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { defineAttribute } from '../../src/attributes/define-attribute.ts';
import { trackEvents } from '../../src/events/track-events.ts';
import { eraseUser } from '../../src/identity/erase/erase-user.ts';
import { mergeUsers } from '../../src/identity/merge/merge.ts';
import { type SaveRequest, saveUser } from '../../src/identity/save/save-users.ts';
import { forgetImports } from '../../src/imports/forget-imports.ts';
import { undoImport } from '../../src/imports/undo-import.ts';
import { createTopic } from '../../src/topics/create-topic.ts';
import { setTopicPreferences } from '../../src/topics/set-topic-preferences.ts';
import { newEmail, newPhone } from '../support/addresses.ts';
import { csv, useImports } from '../support/imports.ts';

const imports = useImports();
const { run, find, database } = imports;
const principal = 'operator';

const save = (externalUserId: string, values: Partial<SaveRequest> = {}) =>
  saveUser(imports.deployment, { principal, create: true, user: { externalUserId }, ...values });

const undo = (importId: string | null) => undoImport(imports.deployment, { importId: importId ?? '' });

const changesOf = (importId: string | null) => database.db.importChange.count({ where: { importId: importId ?? '' } });

describe('users that the import has made', () => {
  test('stay when they have said something of a topic since, or have done something', async () => {
    const [speaks, acts] = [`speaks-${randomUUID()}`, `acts-${randomUUID()}`];
    const { importId } = await run(csv('externalUserId,firstName', `${speaks},Ada`, `${acts},Ada`));
    const { topicId } = await createTopic(imports.deployment, { principal, name: speaks, isSubscribedByDefault: true });
    await setTopicPreferences(imports.deployment, {
      ...{ principal, installationId: null, user: { externalUserId: speaks } },
      preferences: [{ topicId, isSubscribed: false }],
    });
    const events = [{ user: { externalUserId: acts }, name: 'login' }];
    await trackEvents(imports.deployment, { principal, installationId: null, events });
    expect(await undo(importId)).toEqual({ counts: { IN_USE: 2 }, isFinished: true });
    expect([await find(speaks), await find(acts)]).not.toContain(null);
  });

  test('are removed, and an opt-out of the file stays for whoever brings the address back', async () => {
    const [first, second, email] = [randomUUID(), randomUUID(), newEmail()];
    const { importId } = await run(
      csv('externalUserId,email,emailIsSubscribed,tags', `${first},${email},false,a|b`, `${second},,,`),
    );
    expect(await undo(importId)).toEqual({ counts: { removed: 2 }, isFinished: true });
    expect([await find(first), await find(second), await changesOf(importId)]).toEqual([null, null, 0]);
    await save(first, { emails: [email] });
    expect((await find(first))?.optOuts).toEqual({ [email]: null });
    // Another one does nothing.
    expect(await undo(importId)).toEqual({ counts: { removed: 2 }, isFinished: true });
    expect(await find(first)).not.toBeNull();
  });

  test('stay when something has become of them since, each told by its reason', async () => {
    const names = ['value', 'email', 'merged', 'consent', 'sent', 'untouched', 'twice', 'between'] as const;
    const ids = Object.fromEntries(names.map((name) => [name, `${name}-${randomUUID()}`]));
    const idOf = (name: (typeof names)[number]) => ids[name] ?? '';
    const rows = names.map((name) => `${idOf(name)},${newEmail()},Ada`);
    const { importId } = await run(csv('externalUserId,email,firstName', ...rows, `${idOf('twice')},,Grace`));
    await save(idOf('value'), { userAttributes: { lastName: 'Since' } });
    await save(idOf('email'), { emails: [newEmail()] });
    const other = randomUUID();
    await save(other);
    await mergeUsers(imports.deployment, {
      principal,
      survivor: { externalUserId: other },
      merged: { externalUserId: idOf('merged') },
      allowAlias: true,
    });
    await database.pool.query(
      `update recipients set consent_at = now(), consent_by = 'somebody' where user_id = $1 and channel = 'EMAIL'`,
      [(await find(idOf('consent')))?.id],
    );
    const { id: notificationId } = await database.db.notification.create({
      data: { id: randomUUID(), content: {}, target: {}, createdBy: principal, expiresAt: new Date() },
    });
    await database.pool.query(
      `insert into deliveries (id, notification_id, target_key, user_id, status) values ($1, $2, $1, $3, 'SENT')`,
      [randomUUID(), notificationId, (await find(idOf('sent')))?.id],
    );
    expect(await undo(importId)).toMatchObject({
      counts: { removed: 3, CHANGED_SINCE: 2, MERGED: 1, IN_USE: 1, HAS_DELIVERIES: 1 },
    });
    expect(await find(idOf('untouched'))).toBeNull();
    expect(await find(idOf('twice'))).toBeNull();
    expect(await find(idOf('value'))).toMatchObject({ values: { first_name: 'Ada', last_name: 'Since' } });
  });
});

describe('users that were there', () => {
  test('get back what they had, lose what they were given, and keep what was written since', async () => {
    await defineAttribute(imports.deployment, { principal, owner: 'USER', name: 'plan', type: 'STRING', fields: null });
    const [id, old, given, phone] = [randomUUID(), newEmail(), newEmail(), newPhone()];
    await save(id, {
      emails: [old],
      userAttributes: {
        firstName: 'Ada',
        birthday: new Date('1990-01-02'),
        tags: ['old'],
        customAttributes: { plan: 'a' },
      },
    });
    const before = await find(id);
    const { importId } = await run(
      csv(
        'externalUserId,email,phone,firstName,lastName,birthday,tags,customAttributes.plan,smsIsSubscribed',
        `${id},${given},${phone},Grace,Hopper,1990-01-03,new,b,false`,
        `${id},,,Twice,,,,,`,
      ),
    );
    expect(await find(id)).toMatchObject({ values: { first_name: 'Twice', custom_attributes: { plan: 'b' } } });
    await save(id, { userAttributes: { lastName: 'Since' } });
    expect(await undo(importId)).toEqual({ counts: { CHANGED_SINCE: 1 }, isFinished: true });
    const { values, identifiers } = before ?? {};
    expect(await find(id)).toMatchObject({ values: { ...values, last_name: 'Since' }, identifiers });
    await save(id, { phones: [phone] });
    expect((await find(id))?.optOuts).toEqual({ [phone]: null });
  });

  test('that the import has not changed are none of its undo', async () => {
    const id = randomUUID();
    await save(id, { userAttributes: { firstName: 'Ada' } });
    const { importId } = await run(csv('externalUserId,firstName', `${id},Ada`));
    expect([await changesOf(importId), await undo(importId)]).toEqual([0, { counts: {}, isFinished: true }]);
  });
});

test('an undo is done in pages, and goes on when it was stopped', async () => {
  const { importId } = await run(csv('externalUserId', ...Array.from({ length: 1_200 }, () => randomUUID())));
  const stop = new AbortController();
  const request = { importId: importId ?? '', signal: stop.signal, onPage: () => stop.abort() };
  expect(await undoImport(imports.deployment, request)).toEqual({ counts: { removed: 500 }, isFinished: false });
  expect(await undo(importId)).toEqual({ counts: { removed: 1_200 }, isFinished: true });
});

test('what an undo needs of a user goes when the user is erased (decision 10), and of all after 30 days', async () => {
  const [erased, other] = [randomUUID(), randomUUID()];
  await save(erased, { userAttributes: { firstName: 'Ada' } });
  const { importId } = await run(
    csv('externalUserId,firstName,email', `${erased},Grace,`, `${other},,x`, `${other},,`),
  );
  expect(await changesOf(importId)).toBe(2);
  await eraseUser(imports.deployment, { principal, user: { externalUserId: erased } });
  expect(await changesOf(importId)).toBe(1);
  const { db, pool } = database;
  await forgetImports(db);
  expect([await changesOf(importId), await db.importRefusal.count({ where: { importId: importId ?? '' } })]).toEqual([
    1, 1,
  ]);
  await pool.query(`update imports set created_at = now() - interval '31 days' where id = $1`, [importId]);
  await forgetImports(db);
  expect([await changesOf(importId), await db.importRefusal.count({ where: { importId: importId ?? '' } })]).toEqual([
    0, 0,
  ]);
});
