import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { StartupError } from '../errors.ts';

/** An operation as a manifest holds it. */
export interface ManifestOperation {
  /** `sha256:` and the document's hash in hex. */
  id: string;
  document: string;
  pinnedVariables?: Record<string, unknown> | undefined;
  /** Ids or names. */
  scope?: { app?: string | undefined; segment?: string | undefined } | undefined;
}

const manifestSchema = z.record(
  z.string(),
  z.union([
    z.string(),
    z.strictObject({
      document: z.string(),
      pinnedVariables: z.record(z.string(), z.unknown()).optional(),
      scope: z.strictObject({ app: z.string().optional(), segment: z.string().optional() }).optional(),
    }),
  ]),
);

/**
 * Reads a manifest: `{ "sha256:<hex>": "<document>" }`, as GraphQL Code Generator writes it; in place of a document there may
 * be `{ document, pinnedVariables, scope: { app, segment } }`.
 *
 * @throws StartupError when it cannot be read, or is none.
 */
export async function readManifest(file: string): Promise<ManifestOperation[]> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new StartupError(`The manifest ${file} cannot be read (${error.code ?? error.message}).`, { cause: error });
  });
  const parsed = manifestSchema.safeParse(parseJson(text));
  if (!parsed.success) {
    const [mistake] = parsed.error.issues;
    const place = mistake && mistake.path.length > 0 ? ` at ${mistake.path.join('.')}` : '';
    throw new StartupError(
      `${file} is no manifest of operations${place}: it is to be { "sha256:<hex>": "<document>" }.`,
    );
  }
  return Object.entries(parsed.data).map(([id, entry]) =>
    typeof entry === 'string' ? { id, document: entry } : { id, ...entry },
  );
}

/** Undefined: it is not JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
