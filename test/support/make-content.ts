import { type CompiledContent, compileContent } from '../../src/content/compile-content.ts';
import { type ContentInput, parseContent } from '../../src/content/parse-content.ts';
import { type Rendering, type RenderValues, renderContent } from '../../src/content/render-content.ts';

/** A content as a caller writes it, ready to be rendered; it says "Hello" where nothing else is given. */
function makeContent(input: Partial<ContentInput> = {}): CompiledContent {
  return compileContent(parseContent({ body: 'Hello', ...input }));
}

/** What becomes of a content for a reader of whom nothing is known but what is given. */
export function renderFor(input: Partial<ContentInput>, values: Partial<RenderValues> = {}): Rendering {
  const nobody = { variation: null, user: null, installation: null, event: null, data: null, labels: {} };
  return renderContent(makeContent(input), { ...nobody, ...values });
}

/** The text that comes out, or the code of the failure. */
export function renderBody(body: string, values: Partial<RenderValues> = {}): string {
  const rendering = renderFor({ body }, values);
  return rendering.kind === 'rendered' ? rendering.content.body : rendering.code;
}
