import { DomainError } from '../errors.ts';
import { isUuid } from '../ids.ts';

/** The types whose objects have a global id. */
export type NodeType =
  | 'User'
  | 'Installation'
  | 'PushRecipient'
  | 'EmailRecipient'
  | 'SmsRecipient'
  | 'InAppRecipient'
  | 'Segment'
  | 'Notification'
  | 'Delivery'
  | 'MergeRecord';

/**
 * The local id of a reference to one object: a global id of one of `types`, or the local id itself.
 *
 * @throws DomainError `NOT_FOUND` at `path`: what is no id of such an object names nothing.
 */
export function parseId(text: string, types: NodeType | readonly NodeType[], path: readonly string[]): string {
  const id = toLocalId(text, types);
  if (id === null) throw new DomainError('NOT_FOUND', 'This is no id of such an object.', path);
  return id;
}

/** As {@link parseId}, but answers null. */
export function toLocalId(text: string, types: NodeType | readonly NodeType[]): string | null {
  if (isUuid(text)) return text.toLowerCase();
  const [type, id, ...rest] = Buffer.from(text, 'base64').toString('utf8').split(':');
  const isKnown = [types].flat().some((known) => known === type);
  return isKnown && rest.length === 0 && id !== undefined && isUuid(id) ? id.toLowerCase() : null;
}

/** The local id of a loaded object: every node's row has one. */
export function localId(row: unknown): string {
  if (typeof row === 'object' && row !== null && 'id' in row && typeof row.id === 'string') return row.id;
  throw new Error('A node has no id.');
}
