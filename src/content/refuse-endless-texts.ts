import { DomainError } from '../errors.ts';
import { compileContent } from './compile-content.ts';
import type { Content } from './content.ts';
import { nobody } from './read-readers.ts';
import { type RenderValues, renderContent } from './render-content.ts';

/** For a content with all of its variations. @default 1_000 // milliseconds */
const dryRunMs = 1_000;

/**
 * Renders a content once for a reader of whom nothing is known, with what the send gives: what comes to no end then comes to none
 * for others.
 *
 * @param given null: nothing is known of it yet, as of a template
 * @throws DomainError `LIMIT_EXCEEDED` below `path`
 */
export function refuseEndlessTexts(
  content: Content,
  given: Pick<RenderValues, 'data' | 'event'> | null,
  path: readonly string[],
): void {
  const compiled = compileContent(content);
  if (compiled.isConstant) return;
  const endsAt = performance.now() + dryRunMs;
  const values = { ...nobody(compiled), ...(given ?? { data: null, event: null }) };
  for (const variation of [null, ...content.variations.keys()]) {
    const rendering = renderContent(compiled, { ...values, variation });
    const isEndless = rendering.kind === 'failed' && rendering.code === 'TEMPLATE_LIMIT';
    if (!isEndless && performance.now() < endsAt) continue;
    const at = variation === null ? path : [...path, 'variations', String(variation)];
    throw new DomainError('LIMIT_EXCEEDED', 'This takes too long to render, or becomes too long.', at);
  }
}
