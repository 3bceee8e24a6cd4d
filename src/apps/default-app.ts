import { sql, type Transaction } from '../storage/database.ts';

/** The app that the environment's settings configure: the first one that was made. Null before the first start. */
export async function findDefaultAppId(db: Pick<Transaction, '$queryRaw'>): Promise<string | null> {
  const [app] = await db.$queryRaw<{ id: string }[]>(sql`select id from apps order by created_at, id limit 1`);
  return app?.id ?? null;
}
