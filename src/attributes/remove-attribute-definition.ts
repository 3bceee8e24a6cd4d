import type { Deployment } from '../deployment.ts';
import { DomainError } from '../errors.ts';
import type { AttributeOwner } from '../generated/prisma/enums.ts';
import { sql, type Transaction } from '../storage/database.ts';
import { write } from '../storage/write.ts';
import { lockFilters } from './filter-lock.ts';
import { beginForgetting } from './forget-attribute.job.ts';

/** Ends a custom attribute. */
export interface AttributeToRemove {
  principal: string;
  owner: AttributeOwner;
  name: string;
  idempotencyKey?: string | null | undefined;
}

/**
 * Removes a custom attribute with all of its values. From the commit on none is told or written any more; a job removes
 * them from the rows, and the definition last, so that its name is free again when none is left. Waits for writes of the
 * attribute that are under way. One that is being removed already stays so.
 *
 * @throws DomainError `NOT_FOUND`, `IDEMPOTENCY_KEY_REUSED`.
 */
export async function removeAttributeDefinition(
  deployment: Deployment,
  request: AttributeToRemove,
): Promise<{ definitionId: string }> {
  const { principal, idempotencyKey, ...input } = request;
  const name = request.name.normalize('NFC');
  return write(deployment, { principal, mutation: 'removeAttributeDefinition', idempotencyKey, input }, async (tx) => {
    await lockFilters(tx, 'alone');
    const [known] = await tx.$queryRaw<{ id: string; is_leaving: boolean }[]>(sql`
      select id, removed_at is not null as is_leaving from attribute_definitions
      where owner = ${request.owner}::attribute_owner and name = ${name}
      for no key update
    `);
    if (!known) throw new DomainError('NOT_FOUND', 'There is no attribute of this name.', ['name']);
    if (!known.is_leaving) {
      const use = await findUse(tx, { owner: request.owner, name });
      if (use !== null) throw new DomainError('STATE_CONFLICT', `${use} uses this attribute.`, ['name']);
      await tx.$executeRaw(sql`update attribute_definitions set removed_at = now() where id = ${known.id}::uuid`);
      await beginForgetting(tx, [known.id]);
    }
    return { definitionId: known.id };
  });
}

/** Conditions on an attribute in a stored filter, or in what holds one. Strict, as else one would look into lists, too. */
const conditionsOf: Record<AttributeOwner, string> = {
  USER: 'strict $.**.attribute ? (@.type() == "object" && @.name == $name)',
  INSTALLATION: 'strict $.**.installation.attribute[*] ? (@.name == $name)',
};

/** What names an attribute in its filter; null: nothing. */
async function findUse(
  tx: Transaction,
  { owner, name }: { owner: AttributeOwner; name: string },
): Promise<string | null> {
  const [conditions, variables] = [conditionsOf[owner], JSON.stringify({ name })];
  const [row] = await tx.$queryRaw<{ use: string }[]>(sql`
    (
      select format('The segment %s (%s)', to_json(name), id) as use from segments
      where jsonb_path_exists(filter, ${conditions}::jsonpath, ${variables}::jsonb, true)
    ) union all (
      select 'The notification ' || id from notifications
      where fan_out_finished_at is null and jsonb_path_exists(target, ${conditions}::jsonpath, ${variables}::jsonb, true)
    ) limit 1
  `);
  return row?.use ?? null;
}
