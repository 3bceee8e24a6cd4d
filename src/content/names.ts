import { standardAttributes } from '../users/user-attributes.ts';
import type { ValuePath } from './liquid.ts';

/** What a text may name of the user. */
export const userNames = [
  'externalUserId',
  'type',
  ...standardAttributes,
  'tags',
  'customAttributes',
  'createdAt',
] as const;

/** What a text may name of the installation that a push goes to. */
export const installationNames = [
  'platform',
  'language',
  'timeZone',
  'appVersion',
  'osVersion',
  'deviceModel',
  'isPrimaryDevice',
  'customAttributes',
] as const;

const namesOf = new Map<unknown, readonly string[]>([
  ['user', userNames],
  ['installation', installationNames],
]);

/** What is wrong with a value that a text names, as a sentence; null: nothing. */
export function findPathMistake([root, name]: ValuePath): string | null {
  if (root === 'event' || root === 'data') return null;
  const names = namesOf.get(root);
  if (!names && root !== 'label') {
    return `There is no "${root}": a text knows user, installation, event, data and label.`;
  }
  if (typeof name !== 'string') return `Name one value of "${root}", as in {{ ${root}.${names?.[0] ?? 'name'} }}.`;
  if (!names || names.includes(name)) return null;
  return `There is no "${root}.${name}": there are ${names.join(', ')}.`;
}

/** What the texts of one content name. */
export interface NamedValues {
  user: boolean;
  installation: boolean;
  /** Of the user or of the installation. */
  customAttributes: boolean;
  labels: readonly string[];
}

/** What paths without mistakes name. Labels in NFC, each once. */
export function toNamedValues(paths: readonly ValuePath[]): NamedValues {
  const labels = paths.flatMap(([root, name]) =>
    root === 'label' && typeof name === 'string' ? [name.normalize('NFC')] : [],
  );
  return {
    user: paths.some(([root]) => root === 'user'),
    installation: paths.some(([root]) => root === 'installation'),
    customAttributes: paths.some(([, name]) => name === 'customAttributes'),
    labels: [...new Set(labels)],
  };
}
