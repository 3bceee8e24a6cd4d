import {
  type ASTNode,
  type DocumentNode,
  type FragmentDefinitionNode,
  GraphQLError,
  Kind,
  Lexer,
  type SelectionSetNode,
  Source,
  TokenKind,
} from 'graphql';
import { findTextMistake } from './text-mistake.ts';

/** Lexical tokens of one document. A full introspection has about 500. @default 5_000 */
const tokensMax = 5_000;

/** Brackets of any kind within each other. A full introspection has about 15. @default 64 */
const nestingMax = 64;

/** Fields within each other. A full introspection has 15. @default 16 */
const depthMax = 16;

/** Fields with a name of the caller's own, `__typename` too. @default 50 */
const aliasesMax = 50;

/** Directives, wherever they stand. @default 50 */
const directivesMax = 50;

/**
 * Fields, fragments and spreads of fragments: of the document as it is written, and of its operations together, with each
 * fragment at every place where it is spread. A full introspection has about 200. Fields that could be in each other's way are
 * compared in pairs, so that validation takes a time with the square of this. @default 500
 */
const selectionsMax = 500;

/** Characters, comments among them, which are no tokens and are read like them. @default 262_144 */
const charactersMax = 256 * 1024;

/**
 * Refuses a text that could not be parsed, walked or stored: one with more tokens or nested deeper than any honest document
 * (it would exhaust the stack), and text that PostgreSQL has no place for.
 *
 * @throws GraphQLError `OPERATION_TOO_COSTLY`, `BAD_USER_INPUT`, or a syntax error.
 */
export function checkText(text: string): void {
  if (text.length > charactersMax) throw tooCostly(`The document has more than ${charactersMax} characters.`);
  const lexer = new Lexer(new Source(text));
  let depth = 0;
  for (let count = 1; lexer.advance().kind !== TokenKind.EOF; count += 1) {
    const { kind, value } = lexer.token;
    if (count > tokensMax) throw tooCostly(`The document has more than ${tokensMax} tokens.`);
    if (kind === TokenKind.BRACE_L || kind === TokenKind.BRACKET_L || kind === TokenKind.PAREN_L) depth += 1;
    if (kind === TokenKind.BRACE_R || kind === TokenKind.BRACKET_R || kind === TokenKind.PAREN_R) depth -= 1;
    if (depth > nestingMax) throw tooCostly(`The document is nested more than ${nestingMax} levels deep.`);
    const mistake = value === undefined ? null : findTextMistake(value);
    if (mistake !== null) {
      throw new GraphQLError(`The document ${mistake}.`, { extensions: { code: 'BAD_USER_INPUT' } });
    }
  }
}

/**
 * Refuses a document that would be expensive to validate, let alone to execute. Takes a time that is linear in the
 * document: what is spread a thousand times is looked at once.
 *
 * @throws GraphQLError `OPERATION_TOO_COSTLY`.
 */
export function checkDocument(document: DocumentNode): void {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
  }
  const { aliasCount, directiveCount, selectionCount } = count(document);
  if (aliasCount > aliasesMax) throw tooCostly(`The document has more than ${aliasesMax} aliases.`);
  if (directiveCount > directivesMax) throw tooCostly(`The document has more than ${directivesMax} directives.`);
  if (selectionCount > selectionsMax) throw tooManySelections();
  const measure = createMeasure(fragments);
  let expandedCount = 0;
  for (const definition of document.definitions) {
    if (!('selectionSet' in definition)) continue;
    const measured = measure(definition.selectionSet);
    if (measured.depth > depthMax) throw tooCostly(`Fields are nested more than ${depthMax} levels deep.`);
    if (definition.kind === Kind.OPERATION_DEFINITION) expandedCount += measured.selectionCount;
    if (expandedCount > selectionsMax) throw tooManySelections();
  }
}

/** How much a selection set is, with all fragments in their places. */
interface Measure {
  depth: number;
  selectionCount: number;
}

const nothing: Measure = { depth: 0, selectionCount: 0 };

function createMeasure(fragments: ReadonlyMap<string, FragmentDefinitionNode>) {
  const known = new Map<string, Measure>();

  function measureFragment(name: string): Measure {
    const measured = known.get(name);
    if (measured) return measured;
    // A fragment that is spread within itself is told by validation; until then it counts as nothing there.
    known.set(name, nothing);
    const fragment = fragments.get(name);
    const result = fragment ? measure(fragment.selectionSet) : nothing;
    known.set(name, result);
    return result;
  }

  function measure({ selections }: SelectionSetNode): Measure {
    let depth = 0;
    let selectionCount = 0;
    for (const selection of selections) {
      const inner =
        selection.kind === Kind.FRAGMENT_SPREAD
          ? measureFragment(selection.name.value)
          : selection.selectionSet
            ? measure(selection.selectionSet)
            : nothing;
      depth = Math.max(depth, inner.depth + (selection.kind === Kind.FIELD ? 1 : 0));
      // A spread is one too: it is looked at wherever it comes, also when there is but another one behind it.
      selectionCount += inner.selectionCount + 1;
    }
    return { depth, selectionCount };
  }

  return measure;
}

function count(root: ASTNode): { aliasCount: number; directiveCount: number; selectionCount: number } {
  let aliasCount = 0;
  let directiveCount = 0;
  let selectionCount = 0;
  // Not `visit`: a directive may stand in more than one kind of node, and in what visitors have no name for.
  const waiting: unknown[] = [root];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    if (typeof node !== 'object' || node === null) continue;
    if ('kind' in node && node.kind === Kind.FIELD && 'alias' in node && node.alias) aliasCount += 1;
    if ('kind' in node && node.kind === Kind.DIRECTIVE) directiveCount += 1;
    if ('selections' in node && Array.isArray(node.selections)) selectionCount += node.selections.length;
    for (const [key, value] of Object.entries(node)) {
      if (key === 'loc' || typeof value !== 'object') continue;
      if (Array.isArray(value)) waiting.push(...value);
      else waiting.push(value);
    }
  }
  return { aliasCount, directiveCount, selectionCount };
}

function tooManySelections(): GraphQLError {
  return tooCostly(`The document selects more than ${selectionsMax} fields, with all fragments in their places.`);
}

function tooCostly(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'OPERATION_TOO_COSTLY' } });
}
