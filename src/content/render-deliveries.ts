import { setImmediate } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import type { Logger } from '../logger.ts';
import type { Transaction } from '../storage/database.ts';
import { type CompiledContent, compileContent } from './compile-content.ts';
import type { Content } from './content.ts';
import { nobody, readReaders } from './read-readers.ts';
import { type Rendering, renderContent } from './render-content.ts';

/** What the deliveries of one notification are rendered from. */
export interface ContentToRender {
  /** Of the notification. */
  id: string;
  content: Content;
  event: Readonly<Record<string, unknown>> | null;
  data: Readonly<Record<string, unknown>> | null;
}

/** Contents that were read lately, by notification: what was accepted never changes. @default 100 // notifications */
const compiledContents = new LRUCache<string, CompiledContent>({ max: 100 });

function compileOnce({ id, content }: ContentToRender): CompiledContent {
  const compiled = compiledContents.get(id) ?? compileContent(content);
  compiledContents.set(id, compiled);
  return compiled;
}

/** How long it is rendered before other work has its turn. @default 20 // milliseconds */
const turnMs = 20;

/**
 * Renders what deliveries say, each for whoever reads it; the answer is by delivery. What says the same to everybody costs nothing
 * more; else what the texts name, and only that, is read for all deliveries at once. Texts that take long to render leave time for
 * the process's other work in between. A delivery that cannot be rendered is a failure of its own. Throws only when the database
 * is lost.
 */
export async function renderDeliveries(
  { db, log }: { db: Pick<Transaction, '$queryRaw'>; log: Logger },
  notification: ContentToRender,
  deliveryIds: readonly string[],
): Promise<(deliveryId: string) => Rendering> {
  let compiled: CompiledContent;
  try {
    compiled = compileOnce(notification);
  } catch {
    // What is wrong quotes the content, which is the caller's.
    log.error({ notificationId: notification.id }, 'The content of a notification cannot be read.');
    return () => ({ kind: 'failed', code: 'TEMPLATE_FAILED', variation: null });
  }
  if (compiled.isConstant) {
    const { variations: _, labels: __, ...content } = compiled.content;
    return () => ({ kind: 'rendered', content, variation: null });
  }
  const { content, named, labels } = compiled;
  const asksReader = named.user || named.installation || labels.length > 0 || content.variations.length > 0;
  const readers = asksReader && deliveryIds.length > 0 ? await readReaders(db, compiled, deliveryIds) : new Map();
  const { event, data } = notification;
  const render = (id: string) => renderContent(compiled, { ...(readers.get(id) ?? nobody(compiled)), event, data });
  const renderings = new Map<string, Rendering>();
  let turnEndsAt = performance.now() + turnMs;
  for (const id of deliveryIds) {
    if (performance.now() >= turnEndsAt) {
      await setImmediate();
      turnEndsAt = performance.now() + turnMs;
    }
    renderings.set(id, render(id));
  }
  return (deliveryId) => renderings.get(deliveryId) ?? render(deliveryId);
}
