import { describe, expect, test } from 'vitest';
import { graphql } from '../generated/gql.ts';
import type { NotificationContentInput, SaveLabelInput } from '../generated/graphql.ts';
import { newEmail, newPhone } from '../support/addresses.ts';
import {
  createTemplate,
  deleteLabel,
  deleteTemplate,
  listRendered,
  saveLabel,
  setAttributes,
  updateTemplate,
} from '../support/content-operations.ts';
import { useGatewayAndWorker } from '../support/gateway-and-worker.ts';
import { makeNotification, sendNotification, settledDeliveries } from '../support/operations.ts';
import { deleteSegment, makeDynamicSegment } from '../support/segments/operations.ts';
import { makePerson, makeSegment, toSend } from '../support/send-operations.ts';

const g = useGatewayAndWorker();

const List = graphql(`
  query TemplatesAndLabels($id: ID!) {
    template(id: $id) { name createdAt updatedAt content { title body variations { language segment { id } body } } }
    templates(first: 100) { totalCount nodes { id } }
    labels(first: 100) { totalCount nodes { id name cases { filter value } defaultValue } }
  }
`);

const newName = () => `name ${crypto.randomUUID()}`;

async function makeTemplate(name: string, content: Parameters<typeof createTemplate>[2]): Promise<string> {
  const made = await createTemplate(g.server, name, content);
  if (made?.__typename !== 'CreateTemplatePayload') throw new Error(`Refused: ${JSON.stringify(made)}`);
  return made.template.id;
}

describe('a template (rule M3)', () => {
  test('is kept as it was written, with its placeholders, and listed', async () => {
    const segment = await makeSegment(g.server, []);
    const name = newName();
    const id = await makeTemplate(`  ${name} `, {
      title: 'Hi {{ user.firstName }}',
      body: 'Hello',
      variations: [{ language: 'DE-at', segment, body: 'Servus' }],
    });
    const listed = await g.server.run(List, { id });
    expect(listed.template).toMatchObject({
      name,
      content: {
        title: 'Hi {{ user.firstName }}',
        body: 'Hello',
        variations: [{ language: 'de-AT', segment: { id: segment }, body: 'Servus' }],
      },
    });
    expect(listed.templates.nodes).toContainEqual({ id });
  });

  test('has a name of its own', async () => {
    const [first, second] = [newName(), newName()];
    await makeTemplate(first, { body: 'x' });
    const id = await makeTemplate(second, { body: 'x' });
    const taken = { code: 'NAME_TAKEN', path: ['name'] };
    expect(await createTemplate(g.server, first, { body: 'y' })).toMatchObject(taken);
    expect(await updateTemplate(g.server, { template: id, name: first })).toMatchObject(taken);
    expect(await updateTemplate(g.server, { template: id, name: second })).toMatchObject({
      template: { name: second },
    });
  });

  test('names no WhatsApp template that cannot be read, in no variation either: it is refused where it is wrong', async () => {
    const id = await makeTemplate(newName(), { body: 'x' });
    const [right, empty] = [['Ada'], ['Ada', '']].map((parameters) => ({ whatsApp: { template: 'hi', parameters } }));
    const inVariation = { body: 'x', data: right, variations: [{ language: 'de', data: empty }] };
    const mistakes: [NotificationContentInput, string[]][] = [
      [{ body: 'x', data: empty }, ['content', 'data', 'whatsApp', 'parameters', '1']],
      [inVariation, ['content', 'variations', '0', 'data', 'whatsApp', 'parameters', '1']],
      [{ body: 'x', data: { whatsApp: { name: 'hi' } } }, ['content', 'data', 'whatsApp', 'template']],
      [{ body: 'x', data: { whatsApp: 'hi' } }, ['content', 'data', 'whatsApp']],
    ];
    for (const [content, path] of mistakes) {
      const refused = { code: 'VALUE_INVALID', path };
      expect(await createTemplate(g.server, newName(), content)).toMatchObject(refused);
      expect(await updateTemplate(g.server, { template: id, content })).toMatchObject(refused);
      expect(await sendNotification(g.server, toSend({ everyone: true }, { content }))).toMatchObject(refused);
    }
  });

  test('names the WhatsApp template of each by placeholders, however long they are themselves', async () => {
    const language = '{{ user.preferredLanguage | default: "en" }}';
    const data = { whatsApp: { template: 'hi', language, parameters: ['{{ user.firstName }}'] } };
    const name = newName();
    await makeTemplate(name, { body: 'x', data });
    const person = await makePerson(g.server, { phones: [newPhone()] });
    await setAttributes(g.server, person.id, { firstName: 'Ada', preferredLanguage: 'de' });
    const send = { target: { users: [{ id: person.id }] }, template: name, channels: ['WHATSAPP' as const] };
    const notification = await makeNotification(g.server, send);
    await g.startWorker();
    await settledDeliveries(g.server, notification);
    expect((await listRendered(g.server, notification)).map(({ rendered }) => rendered)).toEqual([
      { template: 'hi', language: 'de', parameters: ['Ada'] },
    ]);
  });

  test('is made once by many who make it at once', async () => {
    const name = newName();
    const made = await Promise.all(Array.from({ length: 8 }, () => createTemplate(g.server, name, { body: 'x' })));
    expect(made.filter((each) => each?.__typename === 'CreateTemplatePayload')).toHaveLength(1);
    expect(made.filter((each) => each?.__typename === 'NameTakenError')).toHaveLength(7);
  });

  test('is changed and deleted by id or name, and is then not found', async () => {
    const name = newName();
    const id = await makeTemplate(name, { body: 'x' });
    expect(await updateTemplate(g.server, { template: name, content: { body: 'y' } })).toMatchObject({
      template: { id, name, content: { body: 'y' } },
    });
    expect(await deleteTemplate(g.server, name)).toMatchObject({ deletedTemplateId: id });
    const missing = { code: 'NOT_FOUND', path: ['template'] };
    expect(await deleteTemplate(g.server, id)).toMatchObject(missing);
    expect(await updateTemplate(g.server, { template: id, name: newName() })).toMatchObject(missing);
  });

  test.each([
    ['a mistake in a text', { body: '{{ user.' }, 'VALUE_INVALID', ['content', 'body']],
    ['a label that there is not', { body: '{{ label.none }}' }, 'VALUE_INVALID', ['content', 'body']],
    [
      'a segment that there is not',
      { body: 'x', variations: [{ segment: crypto.randomUUID() }] },
      'NOT_FOUND',
      ['content', 'variations', '0', 'segment'],
    ],
  ])('with %s is refused', async (_, content, code, path) => {
    expect(await createTemplate(g.server, newName(), content)).toMatchObject({ code, path });
    const id = await makeTemplate(newName(), { body: 'x' });
    expect(await updateTemplate(g.server, { template: id, content })).toMatchObject({ code, path });
  });
});

/** A label for who is tagged "vip", of a name that can be written with a dot. */
async function makeLabel(rest: Partial<SaveLabelInput> = {}): Promise<string> {
  const name = `l${crypto.randomUUID().replaceAll('-', '')}`;
  const cases = [{ filter: { tag: 'vip' }, value: 'gold' }];
  const saved = await saveLabel(g.server, { name, cases, defaultValue: 'grey', ...rest });
  if (saved?.__typename !== 'SaveLabelPayload') throw new Error(`Refused: ${JSON.stringify(saved)}`);
  return name;
}

async function makeReader(tags: string[]) {
  const email = newEmail();
  const user = await makePerson(g.server, { emails: [email] });
  await setAttributes(g.server, user.id, { tags });
  return { ...user, email };
}

/** What each of them is told by a content that was sent, once it is. */
async function textsOf(notification: string): Promise<Record<string, unknown>> {
  await settledDeliveries(g.server, notification);
  const mails = await listRendered(g.server, notification);
  return Object.fromEntries(mails.map(({ address, rendered }) => [address, Object(rendered).text]));
}

describe('a label (rule M4)', () => {
  test('says the value of its first condition that holds for the user, else its default', async () => {
    const [vip, early, other] = [await makeReader(['vip', 'early']), await makeReader(['early']), await makeReader([])];
    const inSegment = await makeDynamicSegment(g.server, { tag: 'early' });
    const name = await makeLabel({
      cases: [
        { filter: { all: [{ inSegment }, { tag: 'vip' }] }, value: 'first' },
        { filter: { inSegment }, value: 'second' },
      ],
    });
    const users = [vip, early, other].map(({ id }) => ({ id }));
    const notification = await makeNotification(
      g.server,
      toSend({ users }, { channels: ['EMAIL'], content: { body: `{{ label.${name} }}` } }),
    );
    await g.startWorker();
    expect(await textsOf(notification)).toEqual({
      [vip.email]: 'first',
      [early.email]: 'second',
      [other.email]: 'grey',
    });
  });

  test('is what it was when a notification was accepted, also if it is changed or deleted before that is sent', async () => {
    const reader = await makeReader(['vip']);
    const name = await makeLabel();
    const send = toSend(
      { users: [{ id: reader.id }] },
      { channels: ['EMAIL'], content: { body: `{{ label.${name} }}` } },
    );
    const [first, second] = [await makeNotification(g.server, send), await makeNotification(g.server, send)];
    expect(await saveLabel(g.server, { name, cases: [], defaultValue: 'changed' })).toMatchObject({ created: false });
    const third = await makeNotification(g.server, send);
    expect(await deleteLabel(g.server, name)).toMatchObject({ __typename: 'DeleteLabelPayload' });
    await g.startWorker();
    expect(await textsOf(first)).toEqual({ [reader.email]: 'gold' });
    expect(await textsOf(second)).toEqual({ [reader.email]: 'gold' });
    expect(await textsOf(third)).toEqual({ [reader.email]: 'changed' });
  });

  test('is listed with its conditions, and saved again as a whole', async () => {
    const name = await makeLabel();
    await saveLabel(g.server, { name, cases: [{ filter: { type: ['LEAD'] }, value: 'new' }] });
    const { labels } = await g.server.run(List, { id: crypto.randomUUID() });
    expect(labels.nodes).toContainEqual({
      id: expect.any(String),
      name,
      cases: [{ filter: { type: ['LEAD'] }, value: 'new' }],
      defaultValue: '',
    });
  });

  test.each([
    [
      'an attribute that is not defined',
      { attribute: { name: 'nothing', eq: 'a' } },
      'ATTRIBUTE_INVALID',
      ['attribute', 'name'],
    ],
    ['a segment that there is not', { inSegment: crypto.randomUUID() }, 'NOT_FOUND', ['inSegment']],
    ['nothing', { all: [] }, 'VALUE_INVALID', ['all']],
  ])('whose condition names %s is refused there', async (_, filter, code, path) => {
    const cases = [
      { filter: { tag: 'a' }, value: 'a' },
      { filter, value: 'b' },
    ];
    expect(await saveLabel(g.server, { name: newName(), cases })).toMatchObject({
      code,
      path: ['cases', '1', 'filter', ...path],
    });
  });

  test('that a template names is not deleted', async () => {
    const name = await makeLabel();
    const template = await makeTemplate(newName(), { body: `{{ label.${name} }}` });
    expect(await deleteLabel(g.server, name)).toMatchObject({ code: 'STATE_CONFLICT', path: ['name'] });
    await updateTemplate(g.server, { template, content: { body: 'x' } });
    expect(await deleteLabel(g.server, name)).toMatchObject({ __typename: 'DeleteLabelPayload' });
    expect(await deleteLabel(g.server, name)).toMatchObject({ code: 'NOT_FOUND', path: ['name'] });
  });
});

describe('of two at once', () => {
  test.each(
    Array.from({ length: 5 }, (_, round) => round),
  )('a template that names a label is saved, or the label is deleted (round %i)', async () => {
    const name = await makeLabel();
    const content = { body: `{{ label.${name} }}` };
    const [made, gone] = await Promise.all([createTemplate(g.server, newName(), content), deleteLabel(g.server, name)]);
    expect([made?.__typename, gone?.__typename]).toEqual(
      made?.__typename === 'CreateTemplatePayload'
        ? ['CreateTemplatePayload', 'StateConflictError']
        : ['ValueInvalidError', 'DeleteLabelPayload'],
    );
  });

  test.each(
    Array.from({ length: 5 }, (_, round) => round),
  )('a label that names a segment is saved, or the segment is deleted (round %i)', async () => {
    const segment = await makeSegment(g.server, []);
    const cases = [{ filter: { inSegment: segment }, value: 'x' }];
    const [saved, gone] = await Promise.all([
      saveLabel(g.server, { name: newName(), cases }),
      deleteSegment(g.server, segment),
    ]);
    expect([saved?.__typename, gone?.__typename]).toEqual(
      saved?.__typename === 'SaveLabelPayload'
        ? ['SaveLabelPayload', 'SegmentInUseError']
        : ['NotFoundError', 'DeleteSegmentPayload'],
    );
  });
});

describe('a segment is not deleted while it is used', () => {
  const inUse = { code: 'SEGMENT_IN_USE', path: ['segment'] };

  test('by a label, until that is gone', async () => {
    const segment = await makeSegment(g.server, []);
    const name = await makeLabel({ cases: [{ filter: { not: { inSegment: segment } }, value: 'x' }] });
    expect(await deleteSegment(g.server, segment)).toMatchObject(inUse);
    await deleteLabel(g.server, name);
    expect(await deleteSegment(g.server, segment)).toMatchObject({ deletedSegmentId: segment });
  });

  test('by a template, until that says something else', async () => {
    const segment = await makeSegment(g.server, []);
    const template = await makeTemplate(newName(), { body: 'x', variations: [{ segment, body: 'y' }] });
    expect(await deleteSegment(g.server, segment)).toMatchObject(inUse);
    await updateTemplate(g.server, { template, content: { body: 'x' } });
    expect(await deleteSegment(g.server, segment)).toMatchObject({ deletedSegmentId: segment });
  });

  test('by a notification that is not sent yet: a variation of it, or a label that it names', async () => {
    const reader = await makeReader([]);
    const [ofVariation, ofLabel] = [await makeSegment(g.server, []), await makeSegment(g.server, [])];
    const name = await makeLabel({ cases: [{ filter: { inSegment: ofLabel }, value: 'x' }] });
    const content = { body: `{{ label.${name} }}`, variations: [{ segment: ofVariation, body: 'y' }] };
    const notification = await makeNotification(g.server, toSend({ users: [{ id: reader.id }] }, { content }));
    await deleteLabel(g.server, name);
    expect(await deleteSegment(g.server, ofVariation)).toMatchObject(inUse);
    expect(await deleteSegment(g.server, ofLabel)).toMatchObject(inUse);
    await g.startWorker();
    await settledDeliveries(g.server, notification);
    expect(await deleteSegment(g.server, ofVariation)).toMatchObject({ deletedSegmentId: ofVariation });
    expect(await deleteSegment(g.server, ofLabel)).toMatchObject({ deletedSegmentId: ofLabel });
  });
});
