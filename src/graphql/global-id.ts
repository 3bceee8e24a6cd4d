import { GraphQLError } from 'graphql';
import { DomainError } from '../errors.ts';
import { isUuid } from '../ids.ts';

/** The types whose objects have a global id. */
const nodeTypes = [
  'User',
  'Installation',
  'PushRecipient',
  'EmailRecipient',
  'SmsRecipient',
  'InAppRecipient',
  'Segment',
  'Topic',
  'Notification',
  'Delivery',
  'MergeRecord',
  'Template',
  'Label',
  'App',
  'ApiKey',
  'Webhook',
] as const;

export type NodeType = (typeof nodeTypes)[number];

/**
 * The local id of a reference to one object: a global id of one of `types`, or the local id itself. What is not given stays so.
 *
 * @throws DomainError `NOT_FOUND` at `path`: what is no id of such an object, such as an empty text, names nothing.
 */
export function parseId(text: string, types: NodeType | readonly NodeType[], path: readonly string[]): string;
export function parseId(
  text: string | null | undefined,
  types: NodeType | readonly NodeType[],
  path: readonly string[],
): string | null | undefined;
export function parseId(
  text: string | null | undefined,
  types: NodeType | readonly NodeType[],
  path: readonly string[],
): string | null | undefined {
  if (text === null || text === undefined) return text;
  const id = toLocalId(text, types);
  if (id === null) throw new DomainError('NOT_FOUND', 'This is no id of such an object.', path);
  return id;
}

/** As {@link parseId}, but answers null. */
export function toLocalId(text: string, types: NodeType | readonly NodeType[]): string | null {
  if (isUuid(text)) return text.toLowerCase();
  const decoded = decode(text);
  return decoded && [types].flat().includes(decoded.typename) ? decoded.id : null;
}

/**
 * What a global id names, as `node` wants it.
 *
 * @throws GraphQLError `BAD_USER_INPUT` when it is none of this schema's.
 */
export function decodeGlobalId(text: string): { typename: NodeType; id: string } {
  const decoded = decode(text);
  if (decoded) return decoded;
  throw new GraphQLError('This is not a global id.', { extensions: { code: 'BAD_USER_INPUT' } });
}

function decode(text: string): { typename: NodeType; id: string } | null {
  const [type, id, ...rest] = Buffer.from(text, 'base64').toString('utf8').split(':');
  const typename = nodeTypes.find((known) => known === type);
  return typename && id !== undefined && isUuid(id) && rest.length === 0 ? { typename, id: id.toLowerCase() } : null;
}

/** The local id of a loaded object: every node's row has one. */
export function localId(row: unknown): string {
  if (typeof row === 'object' && row !== null && 'id' in row && typeof row.id === 'string') return row.id;
  throw new Error('A node has no id.');
}
