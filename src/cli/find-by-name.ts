import { StartupError } from '../errors.ts';
import { toLocalId } from '../graphql/global-id.ts';
import type { Database } from '../storage/database.ts';

/** The id of the app that an operator means, by its id or its name. @throws StartupError when there is none. */
export async function getAppId(db: Database, text: string): Promise<string> {
  const id = toLocalId(text, 'App');
  const app = await db.app.findFirst({ where: id === null ? { name: text } : { id } });
  if (app) return app.id;
  throw new StartupError(`There is no app ${JSON.stringify(text)}.`);
}

/** As {@link getAppId}, of a segment. */
export async function getSegmentId(db: Database, text: string): Promise<string> {
  const id = toLocalId(text, 'Segment');
  const segment = await db.segment.findFirst({ where: id === null ? { name: text } : { id } });
  if (segment) return segment.id;
  throw new StartupError(`There is no segment ${JSON.stringify(text)}.`);
}
