import { GraphQLError, Lexer, Source, TokenKind } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import type { Context } from '../graphql/context.ts';

/** Lexical tokens of one document. A full introspection has about 500. @default 5_000 */
const tokensMax = 5_000;

/** Brackets of any kind within each other, in a document. A full introspection has about 15. @default 64 */
const nestingMax = 64;

/** Objects and lists within each other, in variables. @default 64 */
const variablesDepthMax = 64;

/**
 * Refuses, on every transport, what could not be parsed, walked or stored: documents and variables that are larger or
 * deeper than any honest one (they would exhaust the stack), and text that PostgreSQL has no place for.
 */
export function useInputLimits(): Plugin<Context> {
  return {
    onParse({ params, parseFn, setParseFn }) {
      setParseFn((source: typeof params.source, options) => {
        checkDocument(typeof source === 'string' ? new Source(source) : source);
        return parseFn(source, options);
      });
    },
    onExecute({ args, setResultAndStopExecution }) {
      const mistake = findMistake(args.variableValues, 0);
      if (mistake !== null) setResultAndStopExecution({ errors: [badInput(`The variables ${mistake}.`)] });
    },
    onSubscribe({ args, setResultAndStopExecution }) {
      const mistake = findMistake(args.variableValues, 0);
      if (mistake !== null) setResultAndStopExecution({ errors: [badInput(`The variables ${mistake}.`)] });
    },
  };
}

function checkDocument(source: Source): void {
  const lexer = new Lexer(source);
  let depth = 0;
  for (let count = 1; lexer.advance().kind !== TokenKind.EOF; count += 1) {
    const { kind, value } = lexer.token;
    if (count > tokensMax) throw badInput(`The document has more than ${tokensMax} tokens.`);
    if (kind === TokenKind.BRACE_L || kind === TokenKind.BRACKET_L || kind === TokenKind.PAREN_L) depth += 1;
    if (kind === TokenKind.BRACE_R || kind === TokenKind.BRACKET_R || kind === TokenKind.PAREN_R) depth -= 1;
    if (depth > nestingMax) throw badInput(`The document is nested more than ${nestingMax} levels deep.`);
    const mistake = findMistake(value, 0);
    if (mistake !== null) throw badInput(`The document ${mistake}.`);
  }
}

/** What is wrong with `value`, as the end of a sentence; null: nothing. */
function findMistake(value: unknown, depth: number): string | null {
  if (typeof value === 'string') {
    // PostgreSQL's text and jsonb hold neither.
    if (value.includes('\0')) return 'must not hold the character NUL';
    return value.isWellFormed() ? null : 'must not hold half of a surrogate pair';
  }
  if (typeof value !== 'object' || value === null) return null;
  if (depth >= variablesDepthMax) return `must not be nested more than ${variablesDepthMax} levels deep`;
  for (const [key, inner] of Object.entries(value)) {
    const mistake = findMistake(key, depth) ?? findMistake(inner, depth + 1);
    if (mistake !== null) return mistake;
  }
  return null;
}

function badInput(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT' } });
}
