import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import { newId } from '../ids.ts';
import { parseKnownFilter } from '../segments/segment-filter.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { write } from '../storage/write.ts';
import { parseContentName } from './template.ts';

/** A label as a caller writes it. */
export interface LabelToSave {
  principal: string;
  name: string;
  /** The first whose filter (as the schema lets it in, with local ids) holds for the user says the value. */
  cases: readonly { filter: unknown; value: string }[];
  /** @default '' */
  defaultValue?: string | null | undefined;
  idempotencyKey?: string | null | undefined;
}

/** @default 50 // cases of a label */
export const labelCasesMax = 50;
/** As of attributes. @default 4_096 */
const valueCharactersMax = 4_096;
/** Labels there can be. @default 1_000 */
const labelsMax = 1_000;

/**
 * Makes a label, or changes the one of that name as a whole. What was accepted before keeps the label that it was accepted with.
 *
 * @throws DomainError `VALUE_INVALID`, `LIMIT_EXCEEDED`, `IDEMPOTENCY_KEY_REUSED`; of a filter also `ATTRIBUTE_INVALID`,
 * `NOT_FOUND` (a segment that it names).
 */
export async function saveLabel(
  deployment: Deployment,
  request: LabelToSave,
): Promise<{ labelId: string; isNew: boolean }> {
  const { principal, idempotencyKey, ...input } = request;
  const name = parseContentName(request.name);
  const defaultValue = parseValue(request.defaultValue ?? '', ['defaultValue']);
  if (request.cases.length > labelCasesMax) {
    throw new DomainError('LIMIT_EXCEEDED', `A label has at most ${labelCasesMax} cases.`, ['cases']);
  }
  return write(deployment, { principal, mutation: 'saveLabel', idempotencyKey, input }, async (tx) => {
    const cases: { filter: unknown; value: string }[] = [];
    for (const [index, { filter, value }] of request.cases.entries()) {
      const at = ['cases', String(index)];
      const stored = await parseKnownFilter(tx, filter, [...at, 'filter']);
      cases.push({ filter: stored, value: parseValue(value, [...at, 'value']) });
    }
    const newLabelId = newId();
    const [row] = await tx.$queryRaw<{ id: string }[]>(sql`
      insert into labels (id, name, cases, default_value)
      values (${newLabelId}::uuid, ${name}, ${JSON.stringify(cases)}::jsonb, ${defaultValue})
      on conflict (name) do update set
        cases = excluded.cases, default_value = excluded.default_value, updated_at = now()
      returning id
    `);
    if (!row) throw new Error('A label that was saved is not there.');
    const isNew = row.id === newLabelId;
    if (isNew) await refuseTooMany(tx);
    return { labelId: row.id, isNew };
  });
}

function parseValue(text: string, path: readonly string[]): string {
  if ([...text].length <= valueCharactersMax) return text;
  throw new DomainError('VALUE_INVALID', `A value has at most ${valueCharactersMax} characters.`, path);
}

async function refuseTooMany(tx: Transaction): Promise<void> {
  const [row] = await tx.$queryRaw<{ count: number }[]>(sql`select count(*)::int as count from labels`);
  if ((row?.count ?? 0) <= labelsMax) return;
  throw new DomainError('LIMIT_EXCEEDED', `There are at most ${labelsMax} labels.`, ['name']);
}
