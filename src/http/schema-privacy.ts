import { GraphQLError, NoSchemaIntrospectionCustomRule } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import type { Context } from '../graphql/context.ts';

/**
 * In production the schema is told to server keys only, on every transport: no introspection, and no `Did you mean …?`
 * in what GraphQL says of a mistake.
 */
export function useSchemaPrivacy({ isProduction }: { isProduction: boolean }): Plugin<Context> {
  const isPrivateTo = ({ caller }: Pick<Context, 'caller'>) => isProduction && caller?.kind !== 'SERVER';
  return {
    // Validation is cached by document and the names of the rules: one rule more is another entry.
    onValidate({ context, addValidationRule }) {
      if (!isPrivateTo(context)) return;
      addValidationRule(NoSchemaIntrospectionCustomRule);
      return ({ result, setResult }) => setResult(result.map(withoutHint));
    },
    // Variables are looked at here, not by validation.
    onExecute({ args }) {
      if (!isPrivateTo(args.contextValue)) return;
      return {
        onExecuteDone({ result, setResult }) {
          if ('errors' in result && result.errors) setResult({ ...result, errors: result.errors.map(withoutHint) });
        },
      };
    },
    onSubscribe({ args }) {
      if (!isPrivateTo(args.contextValue)) return;
      return {
        onSubscribeResult({ result, setResult }) {
          if ('errors' in result && result.errors) setResult({ ...result, errors: result.errors.map(withoutHint) });
        },
      };
    },
  };
}

function withoutHint<Kind extends Error>(error: Kind): Kind | GraphQLError {
  const message = error.message.replaceAll(/ ?Did you mean [^?]*\?/g, '');
  if (message === error.message || !(error instanceof GraphQLError)) return error;
  const { nodes, source, positions, path, originalError, extensions } = error;
  return new GraphQLError(message, { nodes, source, positions, path, originalError, extensions });
}
