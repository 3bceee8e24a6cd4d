import { GraphQLError } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import type { Context } from '../graphql/context.ts';

/** Lexical tokens of one document. A full introspection has about 500. @default 5_000 */
const tokensMax = 5_000;

/**
 * Refuses, on every transport, what could not be parsed or stored: a document that is longer than any honest one (its
 * nesting would exhaust the stack), and the character NUL, which PostgreSQL has no text for.
 */
export function useTextLimits(): Plugin<Context> {
  return {
    onParse({ params, parseFn, setParseFn }) {
      setParseFn((source: typeof params.source, options) => {
        if (/\\u(0000|\{0+\})/.test(typeof source === 'string' ? source : source.body))
          throw badInput('The document holds a NUL character.');
        return parseFn(source, { ...options, maxTokens: tokensMax });
      });
    },
    onExecute({ args, setResultAndStopExecution }) {
      if (hasNul(args.variableValues))
        setResultAndStopExecution({ errors: [badInput('A variable holds a NUL character.')] });
    },
    onSubscribe({ args, setResultAndStopExecution }) {
      if (hasNul(args.variableValues))
        setResultAndStopExecution({ errors: [badInput('A variable holds a NUL character.')] });
    },
  };
}

function badInput(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT' } });
}

function hasNul(value: unknown): boolean {
  if (typeof value === 'string') return value.includes('\0');
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(([key, inner]) => key.includes('\0') || hasNul(inner));
}
